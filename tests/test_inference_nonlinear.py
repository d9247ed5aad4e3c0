"""Nonlinear and mixed programs: what is missing, against quadrature and long chains."""

from collections.abc import Callable
from typing import Any, Final

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrocausal as pc
from pyrocausal.errors import UnreliableWarning
from pyrocausal.inference import nuts

GRID: Final = torch.linspace(-8.0, 8.0, 8001, dtype=torch.float64)


# x -> m, y: additive noise, x never seen with them
def anm() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    m = pyro.sample("m", dist.Normal(torch.tanh(2 * x) + 0.3 * x, 0.3))
    pyro.sample("y", dist.Normal(torch.sin(x) + 0.5 * m**2, 0.4))


ANM: Final = pc.SCM(anm, latent=["x"])


def quadrature(log_joint: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the posterior on the grid of a variable in one dimension, ``(units, grid)``."""
    weights = log_joint(GRID).softmax(-1)
    return weights / weights.sum(-1, keepdim=True)


def anm_posterior(m: Tensor, y: Tensor) -> Tensor:
    m, y = m.double()[:, None], y.double()[:, None]
    return quadrature(
        lambda x: (
            dist.Normal(0.0, 1.0).log_prob(x)
            + dist.Normal(torch.tanh(2 * x) + 0.3 * x, 0.3).log_prob(m)
            + dist.Normal(torch.sin(x) + 0.5 * m**2, 0.4).log_prob(y)
        )
    )


@pytest.mark.slow
def test_intervals_of_a_hidden_cause_cover_it_as_often_as_they_say() -> None:
    units = 2000
    sample = ANM.sample(units, latent=True, seed=0)
    abduction = ANM.abduct({"m": sample["m"], "y": sample["y"]}, num_draws=200, seed=1)
    assert abduction.routes["x"] == "importance"
    drawn = abduction.factual["x"][:, 0]
    # The rank of the truth among 200 draws is uniform: 95 % lie within 5 and 195 of 201 places.
    rank = (drawn < sample["x"]).sum(0)
    inside = ((rank >= 5) & (rank <= 195)).double().mean()
    expected = 191 / 201
    error = (expected * (1 - expected) / units) ** 0.5
    assert float(inside) == pytest.approx(expected, abs=3 * error)
    assert abduction.quality is not None
    assert float(abduction.quality.unreliable.double().mean()) < 0.005


@pytest.mark.parametrize("method", ["importance", pytest.param("nuts", marks=pytest.mark.slow)])
def test_a_hidden_cause_has_the_moments_of_quadrature(
    method: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nuts, "SAMPLES", 150)
    sample = ANM.sample(2, seed=3)
    abduction = ANM.abduct(sample.data, num_draws=500, seed=0, method=method)
    weights = anm_posterior(sample["m"], sample["y"])
    mean = weights @ GRID
    sd = (weights @ GRID**2 - mean**2).sqrt()
    assert abduction.quality is not None
    drawn = abduction.factual["x"][:, 0].double()
    error = sd * (1 / abduction.quality.ess.clamp(max=500) + 1 / 500).sqrt()
    assert bool(((drawn.mean(0) - mean).abs() < 4 * error).all())
    assert bool(((drawn.std(0) - sd).abs() < 4 * error).all())


def test_both_modes_of_a_posterior_are_found() -> None:
    @pc.scm
    def square() -> None:
        x = pyro.sample("x", dist.Normal(0.2, 1.0))
        pyro.sample("y", dist.Normal(x**2, 0.05))

    y = torch.tensor([1.0, 4.0, 0.25])
    abduction = square.abduct({"y": y}, num_draws=1000, seed=0)
    weights = quadrature(
        lambda x: (
            dist.Normal(0.2, 1.0).log_prob(x)
            + dist.Normal(x**2, 0.05).log_prob(y.double()[:, None])
        )
    )
    positive = weights[:, GRID > 0].sum(1)
    found = (abduction.factual["x"][:, 0] > 0).double().mean(0)
    assert abduction.quality is not None
    error = (positive * (1 - positive) * (1 / abduction.quality.ess + 1 / 1000)).sqrt()
    assert bool(((found - positive).abs() < 4 * error).all())


def test_discrete_and_continuous_causes_are_inferred_together() -> None:
    @pc.scm
    def mixed() -> None:
        kind = pyro.sample("kind", dist.Categorical(torch.tensor([0.5, 0.3, 0.2])))
        rate = pyro.sample("rate", dist.LogNormal(kind - 1.0, 0.5))
        pyro.sample("count", dist.Poisson(rate))
        pyro.sample("time", dist.Exponential(rate))

    abduction = mixed.abduct({"count": [0.0, 5.0], "time": [1.0, 0.2]}, num_draws=1000, seed=0)
    assert abduction.quality is not None
    for unit, (count, time) in enumerate([(0.0, 1.0), (5.0, 0.2)]):
        rate = GRID.exp()
        log_joint = torch.stack(
            [
                torch.tensor(p).double().log()
                + dist.Normal(kind - 1.0, 0.5).log_prob(GRID)
                + dist.Poisson(rate).log_prob(torch.tensor(count, dtype=torch.float64))
                + dist.Exponential(rate).log_prob(torch.tensor(time, dtype=torch.float64))
                for kind, p in enumerate([0.5, 0.3, 0.2])
            ]
        )
        weights = log_joint.flatten().softmax(0).reshape(log_joint.shape)
        effective = 1 / (1 / abduction.quality.ess[unit] + 1 / 1000)
        kinds = weights.sum(1)
        found = torch.stack(
            [(abduction.factual["kind"][:, 0, unit] == k).double().mean() for k in range(3)]
        )
        assert bool(((found - kinds).abs() < 4 * (kinds * (1 - kinds) / effective).sqrt()).all())
        mean = float(weights.sum(0) @ rate)
        sd = float(weights.sum(0) @ (rate - mean) ** 2) ** 0.5
        drawn = float(abduction.factual["rate"][:, 0, unit].mean())
        assert drawn == pytest.approx(mean, abs=4 * sd / float(effective) ** 0.5)


def test_a_bounded_cause_stays_within_its_bounds() -> None:
    @pc.scm
    def bounded() -> None:
        low = pyro.sample("low", dist.Normal(0.0, 1.0))
        x = pyro.sample("x", dist.Uniform(low, low + 1.0))
        share = pyro.sample("share", dist.Dirichlet(torch.ones(3)))
        pyro.sample("y", dist.Normal(x + share[..., 0], 0.2))

    abduction = bounded.abduct({"y": [0.0, 2.0, -3.0]}, num_draws=300, seed=0)
    low, x = abduction.factual["low"], abduction.factual["x"]
    assert bool(((x >= low) & (x <= low + 1)).all())
    assert torch.allclose(abduction.factual["share"].sum(-1), torch.ones(()))
    residual = x + abduction.factual["share"][..., 0] - torch.tensor([0.0, 2.0, -3.0])
    assert bool((residual.abs() < 1).all())


def test_conditioning_after_the_action_uses_the_same_inference() -> None:
    @pc.scm
    def clinic() -> None:
        severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
        treated = pyro.sample("treated", dist.Bernoulli(logits=1.5 * severity))
        pyro.sample("recovery", dist.Normal(2.0 * treated - severity, 0.5))

    seen = clinic.condition(recovery=1.0).sample(4000, seed=0)
    log_joint = torch.stack(
        [
            dist.Normal(0.0, 1.0).log_prob(GRID)
            + dist.Bernoulli(logits=1.5 * GRID).log_prob(torch.tensor(k, dtype=torch.float64))
            + dist.Normal(2 * k - GRID, 0.5).log_prob(torch.tensor(1.0, dtype=torch.float64))
            for k in (0.0, 1.0)
        ]
    )
    weights = log_joint.flatten().softmax(0).reshape(2, -1)
    sd = float(weights.sum(0) @ GRID**2) ** 0.5
    assert seen.rung == 1
    assert float(seen["severity"].mean()) == pytest.approx(0.0, abs=4 * sd * (2 / 4000) ** 0.5)
    assert float(seen["treated"].mean()) == pytest.approx(0.5, abs=4 * 0.5 * (2 / 4000) ** 0.5)
    done = clinic.do(treated=1.0).condition(recovery=1.0).sample(4000, seed=0)
    assert done.rung == 2
    assert done.routes["severity"] == "gaussian"
    # severity ~ Normal(0, 1), recovery = 2 - severity + noise of variance 1/4
    assert float(done["severity"].mean()) == pytest.approx(0.8, abs=4 * (0.2 / 4000) ** 0.5)


def test_doing_nothing_or_what_was_drawn_gives_the_evidence_back() -> None:
    sample = ANM.sample(5, seed=0)
    abduction = ANM.abduct(sample.data, num_draws=20, seed=0)
    answer = ANM.counterfactual(
        sample.data, [{}, {"m": sample["m"]}], abduction=abduction, num_draws=20, seed=0
    )
    for name in ("m", "y"):
        assert torch.equal(answer[name][:, 0], sample[name].expand(20, 5))
        torch.testing.assert_close(answer[name][:, 1], sample[name].expand(20, 5))
    other = ANM.counterfactual(sample.data, {"m": 1.0}, abduction=abduction, num_draws=20, seed=0)
    expected = sample["y"] - 0.5 * sample["m"] ** 2 + 0.5
    torch.testing.assert_close(other["y"], expected.expand(20, 5), rtol=1e-4, atol=1e-5)


def test_a_seed_gives_the_same_draws_and_moves_no_generator() -> None:
    sample = ANM.sample(6, seed=0)
    state = torch.random.get_rng_state()
    first, again = (ANM.abduct(sample.data, num_draws=9, seed=4).factual["x"] for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first, again)
    assert not torch.equal(ANM.abduct(sample.data, num_draws=9, seed=5).factual["x"], first)


def test_a_unit_has_the_same_draws_alone_and_with_others() -> None:
    sample = ANM.sample(6, seed=0)
    together = ANM.abduct(sample.data, num_draws=50, seed=4).factual["x"][:, 0]
    first = {name: value[:3] for name, value in sample.items()}
    alone = ANM.abduct(first, num_draws=50, seed=4).factual["x"][:, 0]
    # Rounding, which the size of a batch changes, may tip a draw to its neighbour.
    same = (alone - together[:, :3]).abs() < 1e-3
    assert float(same.double().mean()) > 0.9


def test_shapes_follow_what_was_asked() -> None:
    scalar = ANM.counterfactual({"y": 0.5}, {"m": 0.0}, seed=0)
    assert scalar["x"].shape == ()
    assert "one draw; x is random" in str(scalar)
    units = ANM.counterfactual({"y": [0.5, 1.0]}, [{"m": 0.0}], num_draws=3, seed=0)
    assert units["y"].shape == (3, 1, 2)
    assert units.quality is not None
    assert units.quality.ess.shape == (2,)
    assert "inferred: effective draws at least" in str(units)


def test_evidence_far_from_all_proposals_is_reported() -> None:
    @pc.scm
    def cliff() -> None:
        n = pyro.sample("n", dist.Poisson(1.0))
        pyro.sample("y", dist.Normal(n, 0.01))

    with pytest.warns(UnreliableWarning, match="draws of n can't be relied on for unit 1"):
        abduction = cliff.abduct({"y": [1.0, 9.0]}, seed=0)
    assert abduction.quality is not None
    assert abduction.quality.unreliable.tolist() == [False, True]
    assert "NOT RELIABLE for unit 1" in str(abduction)


def test_the_plan_groups_units_by_what_was_seen_of_them() -> None:
    nan = torch.nan
    plan = ANM.plan({"m": [0.0, nan, nan], "y": [1.0, 1.0, nan]})
    assert plan.routes["x"] == "prior / importance"
    assert plan.patterns == (
        "1 unit with nothing observed (unit 2): nothing inferred",
        "1 unit with y observed (unit 1): x by importance, m by importance inferred",
        "1 unit with m, y observed (unit 0): x by importance inferred",
    )
    assert "inferred: weighed proposals, as a mean is not linear" in str(ANM.plan(["m", "y"]))
