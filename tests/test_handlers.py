"""The bare handlers: alone, and together with everything Pyro has."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import MCMC, NUTS, SVI, Predictive, Trace_ELBO, TraceEnum_ELBO, config_enumerate
from pyro.infer.autoguide import AutoNormal
from pyro.optim import Adam
from torch import Tensor

import pyrocausal as pc


# x -> y
def program() -> Tensor:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    return pyro.sample("y", dist.Normal(2 * x, 0.1))


# a batch program that needs the plate's dimension: x[:, 0]
def batched() -> None:
    x = pyro.sample("x", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    pyro.sample("y", dist.Normal(x[:, 0], 1.0))


def trace_of(model: Any) -> dict[str, Any]:
    return dict(poutine.trace(model).get_trace().nodes)


def test_do_is_function_decorator_and_context_manager() -> None:
    @pc.do({"x": 1.0})
    def decorated() -> Tensor:
        return program()

    def managed() -> Tensor:
        with pc.do({"x": 1.0}):
            return program()

    for model in (pc.do(program, {"x": 1.0}), pc.do(program, x=1.0), decorated, managed):
        nodes = trace_of(model)
        assert nodes["x"]["value"] == 1.0
        assert abs(nodes["y"]["value"] - 2.0) < 1.0


def test_the_recorded_value_is_the_intervened_one_and_has_no_density() -> None:
    trace = poutine.trace(pc.do(program, x=1.0)).get_trace()
    trace.compute_log_prob()
    assert trace.nodes["x"]["log_prob_sum"] == 0.0
    expected = dist.Normal(2.0, 0.1).log_prob(trace.nodes["y"]["value"])
    assert torch.allclose(trace.log_prob_sum(), expected)
    assert "natural" in trace.nodes["x"]["infer"]


@pytest.mark.parametrize("handler", [pc.do, pc.condition])
def test_misspelt_names_are_errors(handler: Any) -> None:
    with pytest.raises(pc.UnknownVariable, match="Did you mean 'x'"):
        handler(program, {"xx": 1.0})()
    with pytest.raises(pc.UnknownVariable), handler(xx=1.0):
        program()


def test_shift_and_edit_act_on_the_natural_value() -> None:
    def model() -> None:
        pyro.sample("x", dist.Delta(torch.tensor(3.0)))

    assert trace_of(pc.do(model, x=pc.shift(2.0)))["x"]["value"] == 5.0
    assert trace_of(pc.do(pc.do(model, x=1.0), x=pc.shift(1.0)))["x"]["value"] == 2.0
    assert trace_of(pc.do(model, x=pc.edit(lambda x: -x)))["x"]["value"] == -3.0


def test_a_policy_reads_the_sites_run_before() -> None:
    nodes = trace_of(pc.do(program, y=pc.policy(lambda values: 10 * values["x"])))
    assert nodes["y"]["value"] == 10 * nodes["x"]["value"]
    with pytest.raises(pc.UnknownVariable, match=r"reads|no variable 'y'"):
        pc.do(program, x=pc.policy(lambda values: values["y"]))()


def test_stochastic_and_mechanism_interventions_draw() -> None:
    nodes = trace_of(pc.do(program, x=dist.Delta(torch.tensor(4.0))))
    assert nodes["x"]["value"] == 4.0
    nodes = trace_of(pc.do(program, y=pc.mechanism(lambda values: dist.Delta(values["x"] + 1))))
    assert nodes["y"]["value"] == nodes["x"]["value"] + 1


@pytest.mark.parametrize("plate_outside", [True, False])
def test_do_knows_the_plates_that_are_opened_outside(plate_outside: bool) -> None:
    if plate_outside:

        def model() -> None:
            with pyro.plate("units", 5):
                pc.do(batched, x=[1.0, 2.0, 3.0])()
    else:

        def inner() -> None:
            with pyro.plate("units", 5):
                batched()

        model = pc.do(inner, x=[1.0, 2.0, 3.0])
    nodes = trace_of(model)
    assert nodes["x"]["value"].shape == (5, 3)
    assert nodes["x"]["value"].is_contiguous()
    assert nodes["y"]["value"].shape == (5,)


def test_conditioning_knows_the_plates_that_are_opened_outside() -> None:
    def model() -> None:
        with pyro.plate("units", 5):
            pc.condition(batched, x=[1.0, 2.0, 3.0])()

    nodes = trace_of(model)
    assert nodes["x"]["value"].shape == (5, 3)
    assert nodes["x"]["is_observed"]


def test_do_after_condition_overrides_the_evidence() -> None:
    nodes = trace_of(pc.do(pc.condition(program, x=0.0), x=1.0))
    assert nodes["x"]["value"] == 1.0
    assert nodes["x"]["infer"]["natural"] == 0.0


def test_evidence_on_a_set_site_must_be_equal() -> None:
    assert trace_of(pc.condition(pc.do(program, x=1.0), x=1.0))["x"]["value"] == 1.0
    with pytest.raises(ValueError, match="impossible"):
        pc.condition(pc.do(program, x=1.0), x=2.0)()


def test_do_and_condition_meet_deterministic_sites() -> None:
    def model() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        twice = pyro.deterministic("twice", 2 * x)
        pyro.sample("y", dist.Delta(twice))

    assert trace_of(pc.do(model, twice=7.0))["y"]["value"] == 7.0
    with pytest.raises(ValueError, match="impossible"):
        pc.condition(pc.condition(model, x=1.0), twice=5.0)()


def test_predictive_returns_the_intervened_value() -> None:
    samples = Predictive(pc.do(program, x=1.0), num_samples=50)()
    assert (samples["x"] == 1.0).all()
    assert abs(samples["y"].mean() - 2.0) < 4 * 0.1 / 50**0.5


def test_do_composes_with_replay_block_mask_and_scale() -> None:
    model = pc.do(program, x=1.0)
    trace = poutine.trace(program).get_trace()
    replayed = trace_of(poutine.replay(model, trace=trace))
    assert replayed["x"]["value"] == 1.0
    assert replayed["y"]["value"] == trace.nodes["y"]["value"]
    assert "x" not in trace_of(poutine.block(model, hide=["x"]))
    scaled = poutine.trace(poutine.scale(model, scale=3.0)).get_trace()
    plain = dist.Normal(2.0, 0.1).log_prob(scaled.nodes["y"]["value"])
    assert torch.allclose(torch.as_tensor(scaled.log_prob_sum()), 3 * plain)
    masked = poutine.trace(poutine.mask(model, mask=False)).get_trace()
    assert masked.log_prob_sum() == 0.0


# z -> x -> y with z latent; the posterior of z given y under do(x) is its prior
def confounded() -> None:
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    x = pyro.sample("x", dist.Normal(z, 1.0))
    pyro.sample("y", dist.Normal(x + z, 1.0))


def test_svi_learns_the_posterior_of_the_mutilated_program() -> None:
    # z ~ N(0,1), y ~ N(1 + z, 1), y = 3: posterior N(1, 1/2)
    model = pc.condition(pc.do(confounded, x=1.0), y=3.0)
    guide = AutoNormal(model)
    svi = SVI(
        model, guide, Adam({"lr": 0.05}), Trace_ELBO(num_particles=8, vectorize_particles=False)
    )
    for _ in range(400):
        svi.step()
    assert abs(guide.median()["z"] - 1.0) < 0.15
    assert set(guide.median()) == {"z"}


def test_nuts_samples_the_posterior_of_the_mutilated_program() -> None:
    model = pc.condition(pc.do(confounded, x=1.0), y=3.0)
    mcmc = MCMC(NUTS(model), num_samples=150, warmup_steps=50, disable_progbar=True)
    mcmc.run()
    z = mcmc.get_samples()["z"]
    assert set(mcmc.get_samples()) == {"z"}
    # A standard error of sd/sqrt(n/4): the chain's draws are not independent.
    assert abs(z.mean() - 1.0) < 4 * 0.5**0.5 / (150 / 4) ** 0.5


def test_enumeration_sums_out_what_an_intervention_leaves() -> None:
    @config_enumerate
    def model() -> None:
        a = pyro.sample("a", dist.Bernoulli(0.3))
        b = pyro.sample("b", dist.Bernoulli(0.1 + 0.8 * a))
        pyro.sample("y", dist.Normal(a + 2 * b, 1.0), obs=torch.tensor(2.0))

    intervened = pc.do(model, b=1.0)
    loss = TraceEnum_ELBO(max_plate_nesting=0).loss(intervened, lambda: None)
    density = [
        p * dist.Normal(m, 1.0).log_prob(torch.tensor(2.0)).exp()
        for p, m in ((0.7, 2.0), (0.3, 3.0))
    ]
    assert abs(-loss - sum(density).log()) < 1e-5


def test_exogenous_density_with_latents_integrates_to_the_programs() -> None:
    # z ~ N(0, s), y ~ N(z, t): closed form of log p(y) and its gradient
    s, t = torch.tensor(0.7, requires_grad=True), torch.tensor(1.3, requires_grad=True)

    def model() -> None:
        z = pyro.sample("z", dist.Normal(0.0, s))
        pyro.sample("y", dist.Normal(z, t), obs=torch.tensor(2.0))

    grid = torch.linspace(-8, 8, 4001)
    with pyro.plate("grid", 4001):
        given = pc.condition(pc.exogenous(model), {"z.noise": grid})
        trace = poutine.trace(given).get_trace()
    trace.compute_log_prob()
    joint = trace.nodes["z.noise"]["log_prob"] + trace.nodes["y"]["log_prob"]
    log_p = torch.logsumexp(joint, 0) + (grid[1] - grid[0]).log()
    grads = torch.autograd.grad(log_p, (s, t))
    assert torch.allclose(log_p, torch.tensor(-2.22603), atol=1e-4)
    assert torch.allclose(torch.stack(grads), torch.tensor([0.26808, 0.49785]), atol=1e-4)


def test_exogenous_density_with_full_evidence_is_the_programs_gradients_included() -> None:
    # Pyro's reparameterizations drop the Jacobian here, and a learned scale runs away.
    scale = torch.tensor(2.0, requires_grad=True)

    def model() -> None:
        x = pyro.sample("x", dist.Normal(0.0, scale))
        pyro.sample("y", dist.LogNormal(x, scale))

    data = {"x": 0.7, "y": 2.0}
    plain = poutine.trace(pc.condition(model, data)).get_trace().log_prob_sum()
    exposed = poutine.trace(pc.exogenous(pc.condition(model, data))).get_trace()
    assert torch.allclose(exposed.log_prob_sum(), plain)
    (expected,) = torch.autograd.grad(plain, scale)
    (got,) = torch.autograd.grad(exposed.log_prob_sum(), scale)
    assert torch.allclose(got, expected)
    assert torch.allclose(exposed.nodes["x.noise"]["value"], torch.tensor(0.35))


def test_do_outside_exogenous_edits_the_structural_value() -> None:
    nodes = trace_of(pc.do(pc.exogenous(program), x=pc.shift(1.0)))
    assert torch.allclose(nodes["x"]["value"], nodes["x.noise"]["value"] + 1.0)


def test_exogenous_discrete_noise_reproduces_the_value() -> None:
    def model() -> None:
        with pyro.plate("units", 1000):
            pyro.sample("k", dist.Categorical(torch.tensor([0.2, 0.5, 0.3])))
            pyro.sample("b", dist.Bernoulli(0.4))

    nodes = trace_of(pc.exogenous(model))
    assert nodes["k.noise"]["value"].shape == (1000, 3)
    phi = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64).log()
    assert torch.equal((phi + nodes["k.noise"]["value"]).argmax(-1), nodes["k"]["value"])
    assert abs(nodes["b"]["value"].mean() - 0.4) < 4 * (0.24 / 1000) ** 0.5


def test_units_is_a_null_context_outside_of_queries_unless_given_a_size() -> None:
    def shared(size: int | None) -> Tensor:
        loc = pyro.sample("loc", dist.Normal(0.0, 1.0))
        with pc.units(size=size):
            return pyro.sample("x", dist.Normal(loc, 1.0))

    assert shared(None).shape == ()
    assert shared(4).shape == (4,)
    assert pc.units(program, size=4)().shape == (4,)
    assert pc.units(6)(program)().shape == (6,)


def test_worlds_share_the_noise_of_their_units() -> None:
    run = pc.worlds(program, [{"x": 0.0}, {"x": 1.0}, {"x": pc.shift(1.0)}], size=50, seed=3)
    trace = poutine.trace(run).get_trace()
    x, y = (trace.nodes[name]["value"].view(3, 50) for name in "xy")
    assert (x[0] == 0).all()
    assert (x[1] == 1).all()
    assert torch.allclose(y[1] - y[0], torch.full((50,), 2.0), atol=1e-5)
    with pc.worlds([{"x": 0.0}, {"x": 1.0}], size=50, seed=3):
        assert torch.equal(program().view(2, 50), y[:2])
    with pytest.raises(pc.UnknownVariable):
        pc.worlds(program, [{"q": 0.0}], size=2)()
