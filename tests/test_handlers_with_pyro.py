"""The bare handlers inside Pyro's own machinery, and SCMs called as programs."""

import inspect
from math import log, pi
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import (
    MCMC,
    NUTS,
    SVI,
    Predictive,
    Trace_ELBO,
    TraceEnum_ELBO,
)
from pyro.infer.autoguide import AutoNormal
from pyro.optim import Adam
from torch import Tensor, tensor

import pyrocausal as pc


# z -> x -> y <- z
def confounded() -> Tensor:
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    x = pyro.sample("x", dist.Normal(z, 1.0))
    return pyro.sample("y", dist.Normal(2 * x + z, 1.0))


def trace_of(model: Any) -> Any:
    trace = poutine.trace(model).get_trace()
    trace.compute_log_prob()
    return trace


def value(trace: Any, name: str) -> Tensor:
    found: Tensor = trace.nodes[name]["value"]
    return found


def normal(x: float, loc: float = 0.0, scale: float = 1.0) -> float:
    return -0.5 * ((x - loc) / scale) ** 2 - log(scale) - 0.5 * log(2 * pi)


# ------------------------------------------------------ conditions of Pyro around interventions


def test_predictive_with_posterior_samples_of_a_set_site_keeps_the_intervention() -> None:
    given = {"x": torch.full((40,), 5.0), "z": torch.zeros(40)}
    for parallel in (False, True):
        predictive = Predictive(
            pc.do(confounded, x=-1.0), given, return_sites=["x", "y"], parallel=parallel
        )
        samples = predictive()
        assert (samples["x"] == -1.0).all()
        # y ~ N(-2, 1)
        assert abs(samples["y"].mean() + 2.0) < 4 / 40**0.5


def test_predictive_with_a_guide_of_the_program_keeps_the_intervention() -> None:
    guide = AutoNormal(poutine.condition(confounded, {"y": tensor(3.0)}))
    guide()
    predictive = Predictive(
        pc.do(confounded, x=-1.0), guide=guide, num_samples=100, return_sites=["x", "y", "z"]
    )
    samples = predictive()
    assert (samples["x"] == -1.0).all()
    residual = samples["y"] - 2 * samples["x"] - samples["z"]
    assert abs(residual.mean()) < 4 / 100**0.5


@pytest.mark.parametrize("given", [2, 2.0, tensor(2.0)], ids=["integer", "float", "tensor"])
def test_a_condition_of_pyro_outside_gives_the_natural_value(given: Any) -> None:
    trace = trace_of(poutine.condition(pc.do(confounded, x=-1.0), {"x": given}))
    assert value(trace, "x") == -1.0
    assert trace.nodes["x"]["log_prob_sum"] == 0.0
    natural = trace.nodes["x"]["infer"]["natural"]
    assert natural == 2.0
    assert natural.dtype == torch.float32


def test_a_trace_as_condition_gives_the_natural_value_too() -> None:
    seen = trace_of(confounded)
    trace = trace_of(poutine.condition(pc.do(confounded, x=pc.shift(1.0)), seen))
    assert torch.equal(value(trace, "x"), value(seen, "x") + 1.0)
    assert torch.equal(value(trace, "x.natural"), value(seen, "x"))


def test_a_condition_behind_a_block_is_not_seen() -> None:
    model = poutine.block(pc.do(confounded, x=pc.shift(1.0)), hide=["x", "x.natural"])
    trace = trace_of(poutine.condition(model, {"x": tensor(1e6)}))
    assert "x" not in trace.nodes
    assert abs(value(trace, "y")) < 100


# --------------------------------------------------------------- interventions that are drawn


def test_a_shift_has_a_density_at_given_latents() -> None:
    model = pc.condition(pc.do(confounded, x=pc.shift(1.0)), y=3.0)
    given = {"z": tensor(0.5), "x.natural": tensor(0.25)}
    for _ in range(2):
        trace = trace_of(poutine.condition(model, given))
        assert value(trace, "x") == 1.25
        expected = normal(0.5) + normal(0.25, 0.5) + normal(3.0, 2 * 1.25 + 0.5)
        assert trace.log_prob_sum().item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("action", "mean"),
    [
        # z ~ N(0,1), x = N(z,1) + 1, y ~ N(2x + z, 1) = 3: y ~ N(2, 14), so the mean of z is 3/14
        (pc.shift(1.0), 3 / 14),
        # x ~ N(1, 1) whatever z is: y ~ N(2, 6), the mean of z is 1/6
        (dist.Normal(1.0, 1.0), 1 / 6),
    ],
    ids=["shift", "stochastic"],
)
def test_nuts_samples_the_posterior_under_an_intervention_that_draws(
    action: Any, mean: float
) -> None:
    model = pc.condition(pc.do(confounded, x=action), y=3.0)
    mcmc = MCMC(NUTS(model), num_samples=120, warmup_steps=60, disable_progbar=True)
    mcmc.run()
    z = mcmc.get_samples()["z"]
    # A standard error of sd/sqrt(n/4): the chain's draws are not independent.
    assert abs(z.mean() - mean) < 4 / (120 / 4) ** 0.5


def test_svi_learns_under_a_shift_in_a_plate() -> None:
    data = 4.0 + torch.randn(50)

    def model() -> None:
        loc = pyro.param("loc", tensor(0.0))
        with pyro.plate("data", 50):
            x = pyro.sample("x", dist.Normal(loc, 1.0))
            pyro.sample("y", dist.Normal(x, 1.0), obs=data)

    shifted = pc.do(model, x=pc.shift(1.0))
    guide = AutoNormal(shifted)
    svi = SVI(shifted, guide, Adam({"lr": 0.1}), Trace_ELBO())
    for _ in range(200):
        svi.step()
    assert guide.median()["x.natural"].shape == (50,)
    loc = pyro.param("loc")
    # y ~ N(loc + 1, 2): the estimate is the mean of the data less 1
    assert abs(loc - (data.mean() - 1.0)) < 0.25


def test_enumeration_sums_out_the_natural_value_of_an_edited_site() -> None:
    def model() -> None:
        a = pyro.sample("a", dist.Bernoulli(0.3), infer={"enumerate": "parallel"})
        pyro.sample("y", dist.Normal(a, 1.0), obs=tensor(2.0))

    for action, p in ((pc.edit(lambda a: 1 - a), 0.7), (dist.Bernoulli(0.9), 0.9)):
        loss = TraceEnum_ELBO(max_plate_nesting=0).loss(pc.do(model, a=action), lambda: None)
        density = tensor([(1 - p), p]).log() + dist.Normal(tensor([0.0, 1.0]), 1.0).log_prob(
            tensor(2.0)
        )
        assert -loss == pytest.approx(density.logsumexp(0).item(), rel=1e-5)


def test_evidence_on_a_site_with_a_new_law_has_that_law_s_density() -> None:
    model = pc.condition(pc.do(confounded, x=dist.Normal(5.0, 2.0)), x=4.0)
    trace = trace_of(model)
    assert value(trace, "x") == 4.0
    assert trace.nodes["x.do"]["log_prob_sum"].item() == pytest.approx(normal(4.0, 5.0, 2.0))


def test_evidence_on_a_shifted_site_names_the_site_to_condition_on() -> None:
    with pytest.raises(ValueError, match=r"site 'x\.natural'. Condition on that"):
        pc.condition(pc.do(confounded, x=pc.shift(1.0)), x=100.0)()


def test_what_a_later_action_replaces_is_not_drawn() -> None:
    trace = trace_of(pc.do(confounded, ({"x": pc.shift(1.0)}, {"x": 2.0}, {"x": pc.shift(1.0)})))
    assert value(trace, "x") == 3.0
    assert set(trace.stochastic_nodes) == {"z", "y"}


def test_a_shift_of_an_observed_site_keeps_its_density() -> None:
    trace = trace_of(pc.do(pc.condition(confounded, x=0.5), x=pc.shift(1.0)))
    assert value(trace, "x") == 1.5
    z = value(trace, "z").item()
    density = trace.nodes["x.natural"]["log_prob_sum"].item()
    assert density == pytest.approx(normal(0.5, z), rel=1e-5)


# --------------------------------------------------------------------------- exogenous noise


@pytest.mark.parametrize("condition", [pc.condition, poutine.condition], ids=["ours", "pyro's"])
def test_exogenous_heeds_conditions_outside_gradients_included(condition: Any) -> None:
    scale = tensor(2.0, requires_grad=True)

    def model() -> None:
        x = pyro.sample("x", dist.Normal(0.0, scale))
        pyro.sample("y", dist.LogNormal(x, scale))

    data = {"x": tensor(0.7), "y": tensor(2.0)}
    plain = trace_of(pc.condition(model, data)).log_prob_sum()
    trace = trace_of(condition(pc.exogenous(model), data))
    exposed = trace.log_prob_sum()
    assert torch.allclose(exposed, plain)
    expected, got = (torch.autograd.grad(density, scale)[0] for density in (plain, exposed))
    assert torch.allclose(got, expected)
    assert torch.allclose(value(trace, "x.noise"), tensor(0.35))


def test_noise_first_then_do_then_condition() -> None:
    model = pc.condition(pc.do(pc.exogenous(confounded), x=1.0), y=2.0)
    trace = trace_of(model)
    z = value(trace, "z").item()
    assert trace.nodes["y"]["log_prob_sum"].item() == pytest.approx(normal(2.0, 2.0 + z), rel=1e-5)
    assert value(trace, "y.noise").item() == pytest.approx(2.0 - 2.0 - z, abs=1e-5)
    assert value(trace, "x") == 1.0
    # Evidence on the set site is about its set value, not about the noise's.
    again = trace_of(pc.condition(model, x=1.0))
    assert value(again, "x") == 1.0
    assert not again.nodes["x.noise"]["is_observed"]


@pytest.mark.slow
def test_nuts_on_noise_first_then_do_then_condition() -> None:
    # y = 2 + z + e, y = 4: the posterior mean of z is 1, its variance 1/2
    model = pc.condition(pc.do(pc.exogenous(confounded), x=1.0), y=4.0)
    mcmc = MCMC(NUTS(model), num_samples=120, warmup_steps=60, disable_progbar=True)
    mcmc.run()
    samples = mcmc.get_samples()
    assert set(samples) == {"z.noise", "x.noise"}
    assert abs(samples["z.noise"].mean() - 1.0) < 4 * 0.5**0.5 / (120 / 4) ** 0.5


def test_exogenous_around_a_shift_exposes_the_site_s_noise() -> None:
    trace = trace_of(pc.exogenous(pc.do(confounded, x=pc.shift(1.0))))
    z, x, noise = (value(trace, name) for name in ("z", "x", "x.noise"))
    assert torch.allclose(x, z + noise + 1.0)
    assert set(trace.stochastic_nodes) == {"z.noise", "x.noise", "y.noise"}
    fixed = {name: tensor(0.5) for name in ("z.noise", "x.noise", "y.noise")}
    densities = [
        trace_of(
            poutine.condition(pc.exogenous(pc.do(confounded, x=pc.shift(1.0))), fixed)
        ).log_prob_sum()
        for _ in range(2)
    ]
    assert densities[0] == densities[1]


def test_exogenous_around_a_shift_in_a_plate_keeps_the_plate() -> None:
    def model() -> None:
        with pyro.plate("rows", 4):
            pyro.sample("x", dist.Normal(0.0, 1.0))

    for wrapped in (
        pc.exogenous(pc.do(model, x=pc.shift(1.0))),
        pc.do(pc.exogenous(model), x=pc.shift(1.0)),
    ):
        node = trace_of(wrapped).nodes["x.noise"]
        assert [frame.name for frame in node["cond_indep_stack"]] == ["rows"]
        assert node["value"].shape == (4,)


@pytest.mark.parametrize(
    "law",
    [dist.Poisson(3.0), dist.Bernoulli(0.5), dist.Geometric(0.5), dist.Categorical(torch.ones(3))],
    ids=lambda law: type(law).__name__,
)
def test_exogenous_on_an_observed_scalar_draws_its_noise(law: Any) -> None:
    def model() -> None:
        pyro.sample("x", law, obs=tensor(1.0 if law.support.event_dim == 0 else 1))

    trace = trace_of(pc.exogenous(model))
    equation = pc.noise.structural_equation(law)
    assert equation.forward(value(trace, "x.noise")) == 1
    assert torch.allclose(trace.log_prob_sum(), law.log_prob(tensor(1.0)))


# ------------------------------------------------------------------------- rungs and worlds


def test_do_around_evidence_below_the_action_warns_that_it_is_no_counterfactual() -> None:
    for condition in (pc.condition, poutine.condition):
        given = condition(confounded, {"y": tensor(3.0)})
        with pytest.warns(pc.errors.RungWarning, match=r"scm\.counterfactual"):
            pc.do(given, x=-1.0)()


def test_do_and_evidence_in_an_order_that_is_rung_two_is_silent() -> None:
    pc.condition(pc.do(confounded, x=-1.0), y=3.0)()
    poutine.condition(pc.do(confounded, x=-1.0), {"y": tensor(3.0)})()
    # What ran before the action is not below it: both orders are one.
    pc.do(pc.condition(confounded, z=1.0), x=-1.0)()


def test_worlds_without_a_seed_are_drawn_anew_and_with_one_are_the_same() -> None:
    both = [{"x": 0.0}, {"x": 1.0}]
    anew = Predictive(pc.worlds(confounded, both, size=3), num_samples=4)()["y"]
    assert len(anew[:, 0].unique()) == 4
    y = anew.view(4, 2, 3)
    assert torch.allclose(y[:, 1] - y[:, 0], torch.full((4, 3), 2.0), atol=1e-5)
    same = Predictive(pc.worlds(confounded, both, size=3, seed=0), num_samples=4)()["y"]
    assert len(same[:, 0].unique()) == 1


# ---------------------------------------------------------------------- programs that are SCMs


def test_calling_an_scm_applies_its_interventions_and_evidence() -> None:
    scm = pc.SCM(confounded)
    trace = trace_of(scm.do(x=100.0).do(x=pc.shift(1.0)).condition(y=205.0))
    assert value(trace, "x") == 101.0
    assert trace.nodes["y"]["is_observed"]
    z = value(trace, "z").item()
    expected = normal(z) + normal(205.0, 202.0 + z)
    assert trace.log_prob_sum().item() == pytest.approx(expected, rel=1e-5)
    assert not trace_of(scm).nodes["x"]["is_observed"]


def test_predictive_and_guides_of_an_scm_are_under_its_interventions_and_evidence() -> None:
    scm = pc.SCM(confounded)
    assert (Predictive(scm.do(x=100.0), num_samples=3)()["x"] == 100.0).all()
    guide = AutoNormal(scm.condition(y=1.0))
    assert set(guide()) == {"z", "x"}


def test_calling_an_scm_refuses_what_one_run_cannot_do() -> None:
    scm = pc.SCM(confounded)
    with pytest.raises(ValueError, match="list of worlds"):
        scm.do([{"x": 0.0}, {"x": 1.0}])()
    with pytest.raises(ValueError, match="edge"):
        scm.do(pc.edge("x", "y", 0.0))()


def test_queries_of_an_scm_apply_nothing_twice() -> None:
    scm = pc.SCM(confounded).do(x=1.0).do(x=pc.shift(1.0))
    samples = scm.sample(5, seed=0)
    assert (samples["x"] == 2.0).all()


def test_handled_programs_keep_their_name_and_signature_and_make_scms() -> None:
    def program(scale: float = 1.0) -> None:
        x = pyro.sample("x", dist.Normal(0.0, scale))
        pyro.sample("y", dist.Normal(2 * x, 1.0))

    handled = {
        "do": pc.do(program, x=1.0),
        "decorator": pc.do({"x": 1.0})(program),
        "condition": pc.condition(program, x=1.0),
        "exogenous": pc.exogenous(program),
    }
    for name, wrapped in handled.items():
        assert wrapped.__name__ == "program"
        assert list(inspect.signature(wrapped).parameters) == ["scale"], name
        assert "y" in pc.SCM(wrapped).sample(3, seed=0)
    assert (pc.SCM(handled["do"]).sample(3)["x"] == 1.0).all()
    noise = pc.SCM(handled["exogenous"])
    assert noise.graph.has_edge("x.noise", "x")
