"""Limits as data: the log probability of intervals, and mechanisms learnt from them."""

from collections.abc import Callable
from math import exp, log
from typing import Any, Final

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import optimize, stats
from torch import Tensor

import pyrocausal as pc
from pyrocausal.noise import structural_equation
from pyrocausal.noise.interval_mass import log_mass

INF: Final = torch.inf
NAN: Final = torch.nan
ENDS: Final = [(1.0, INF), (-INF, 2.0), (1.0, 4.0)]


# dose -> time
def study() -> None:
    base, effect = (pyro.param(name, torch.tensor(0.0)) for name in ("base", "effect"))
    dose = pyro.sample("dose", dist.Uniform(0.0, 1.0))
    pyro.sample("time", dist.Exponential(torch.exp(base + effect * dose)))


def censored(units: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return doses, times up to 2, and whether they were seen to end."""
    generator = torch.Generator().manual_seed(0)
    dose, chance = torch.rand(2, units, generator=generator)
    time = -torch.log(chance) / torch.exp(-1 + 0.8 * dose)
    return dose, time.clamp(max=2.0), time < 2.0


def as_limits(time: Tensor, seen: Tensor) -> Any:
    return pc.between(2.0, INF, values=torch.where(seen, time, NAN))


FAMILIES: Final[dict[str, tuple[Any, Callable[[float, float], float]]]] = {
    "normal": (dist.Normal(0.5, 2.0), lambda a, b: _cdf(stats.norm(0.5, 2.0), a, b)),
    "weibull": (dist.Weibull(2.0, 1.5), lambda a, b: _cdf(stats.weibull_min(1.5, scale=2), a, b)),
    "gamma": (dist.Gamma(2.0, 0.5), lambda a, b: _cdf(stats.gamma(2, scale=2), a, b)),
    "log-normal": (
        dist.LogNormal(0.3, 0.8),
        lambda a, b: _cdf(stats.lognorm(0.8, 0, exp(0.3)), a, b),
    ),
    "poisson": (dist.Poisson(2.5), lambda a, b: _cdf(stats.poisson(2.5), a - 1, b)),
    "negative binomial": (
        dist.NegativeBinomial(3.0, probs=0.4),
        lambda a, b: _cdf(stats.nbinom(3, 0.6), a - 1, b),
    ),
    "zero-inflated": (
        dist.ZeroInflatedPoisson(torch.tensor(2.5), gate=torch.tensor(0.3)),
        lambda a, b: 0.7 * _cdf(stats.poisson(2.5), a - 1, b) + 0.3 * (a <= 0),
    ),
    "mixture": (
        dist.MixtureSameFamily(
            dist.Categorical(torch.tensor([0.25, 0.75])),
            dist.Normal(torch.tensor([0.0, 3.0]), 1.0),
        ),
        lambda a, b: 0.25 * _cdf(stats.norm(), a, b) + 0.75 * _cdf(stats.norm(3), a, b),
    ),
    "independent entries": (
        dist.Normal(torch.tensor([0.0, 2.0]), 1.0).to_event(1),
        lambda a, b: _cdf(stats.norm(), a, b) * _cdf(stats.norm(2), a, b),
    ),
}


def _cdf(law: Any, low: float, high: float) -> float:
    return float(law.cdf(high) - law.cdf(low))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_density_of_limits_is_the_difference_of_two_values_of_the_cdf(family: str) -> None:
    law, expected = FAMILIES[family]
    scm = pc.SCM(lambda: pyro.sample("x", law))
    low, high = (torch.tensor(end) for end in zip(*ENDS, strict=True))
    shape = (-1, *[1] * len(law.event_shape))
    found = scm.log_prob({"x": pc.between(low.reshape(shape), high.reshape(shape))})
    for density, ends in zip(found, ENDS, strict=True):
        assert density.item() == pytest.approx(log(expected(*ends)), rel=1e-5, abs=1e-6)


MADE: Final[dict[str, Callable[[Tensor, Tensor], Any]]] = {
    "normal": lambda a, b: dist.Normal(a, b),
    "gamma": lambda a, b: dist.Gamma(a, b),
    "student": lambda a, b: dist.StudentT(2 + a, a, b),
    "poisson": lambda a, b: dist.Poisson(a * b),
    "binomial": lambda a, b: dist.Binomial(10, logits=a - b),
    "zero-inflated": lambda a, b: dist.ZeroInflatedPoisson(b, gate_logits=a),
    "mixture": lambda a, b: dist.MixtureSameFamily(
        dist.Categorical(logits=torch.stack([a, b])), dist.Normal(torch.stack([a, -b]), 1.0)
    ),
}


@pytest.mark.parametrize("family", MADE)
def test_gradients_of_the_density_of_limits_are_those_of_finite_differences(family: str) -> None:
    ends = torch.tensor(ENDS, dtype=torch.float64)

    def mass(a: Tensor, b: Tensor) -> Tensor:
        found = log_mass(structural_equation(MADE[family](a, b)), *ends.unbind(1))
        assert found is not None
        return found

    point = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (0.7, 1.2)]
    assert torch.autograd.gradcheck(mass, point, rtol=1e-4, atol=1e-7)
    if family not in ("gamma", "student"):  # one has none in torch, the other takes long
        assert torch.autograd.gradgradcheck(mass, point, rtol=1e-3, atol=1e-6)


def test_the_maximum_for_censored_times_is_that_of_the_written_likelihood() -> None:
    scm = pc.SCM(study)
    dose, time, seen = censored(1000)
    data = {"dose": dose, "time": as_limits(time, seen)}
    report = scm.fit(data, steps=150, lr=0.1, validation=0.0, seed=0, progress=False)
    x, t, ended = (part.double().numpy() for part in (dose, time, seen))

    def loss(q: np.ndarray) -> float:
        linear = q[0] + q[1] * x
        return float(-(ended * linear - t * np.exp(linear)).sum())

    best = optimize.minimize(loss, [0.0, 0.0]).x
    store = scm._core.scope.named()
    # The standard errors are about 0.08 and 0.13; the optimizer stops within a tenth of them.
    assert store["base"].item() == pytest.approx(best[0], abs=8e-3)
    assert store["effect"].item() == pytest.approx(best[1], abs=1.3e-2)
    assert "of time some limits only are known" in str(report)


def test_what_data_leave_open_is_told_by_the_likelihood_of_limits() -> None:
    scm = pc.SCM(study)
    dose, time, seen = censored(1000)
    data = {"dose": dose, "time": as_limits(time, seen)}
    scm.fit(data, steps=5, lr=0.1, validation=0.0, seed=0, progress=False, uncertainty="laplace")
    law = scm._core.law.by_name(scm._core)
    draws = torch.stack([law["base"], law["effect"]], 1).double()
    center = draws.mean(0)
    # The information is the sum of t exp(a + b x) (1, x) (1, x)'.
    weight = time * torch.exp(center[0] + center[1] * dose)
    design = torch.stack([torch.ones_like(dose), dose], 1).double()
    covariance = torch.linalg.inv(design.T @ (weight[:, None] * design))
    # A standard deviation of n draws is known to 1 / sqrt(2 n).
    ratio = draws.std(0) / covariance.diagonal().sqrt()
    assert float((ratio - 1).abs().max()) < 5 / (2 * len(draws)) ** 0.5


def test_counts_that_are_known_to_be_some_or_none_tell_the_rate() -> None:
    @pc.scm
    def visits() -> None:
        rate = pyro.param("rate", torch.tensor(1.0), constraint=dist.constraints.positive)
        pyro.sample("visits", dist.Poisson(rate))

    some = torch.arange(10) < 7
    data = {"visits": pc.between(torch.where(some, 1.0, -INF), torch.where(some, INF, 0.0))}
    visits.fit(data, steps=60, lr=0.2, validation=0.0, seed=0, progress=False)
    found = visits._core.scope.named()["rate"].exp().item()
    assert found == pytest.approx(-log(0.3), rel=5e-3)  # P(none) = exp(-rate)


def test_rounded_values_missing_ones_and_minibatches_go_together() -> None:
    @pc.scm
    def measured() -> None:
        w = {name: pyro.param(name, torch.tensor(0.0)) for name in ("mean", "slope", "log sd")}
        x = pyro.sample("x", dist.Normal(w["mean"], 1.0))
        pyro.sample("y", dist.Normal(w["slope"] * x, w["log sd"].exp()))

    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, 1500, generator=generator)
    y = x + 0.5 * noise
    low = y.floor()
    missing = torch.arange(1500) >= 1200
    data = {
        "x": x,
        "y": pc.between(torch.where(missing, -INF, low), torch.where(missing, INF, low + 1)),
    }
    measured.fit(data, steps=400, batch_size=256, lr=0.05, seed=0, progress=False)
    found = {name: value.item() for name, value in measured._core.scope.named().items()}
    # Standard errors are below 0.03; taken for exact the floors would give a mean of y of -1/2,
    # and unrounded an sd of sqrt(1/4 + 1/12) = 0.58.
    assert found["slope"] == pytest.approx(1.0, abs=0.08)
    assert exp(found["log sd"]) == pytest.approx(0.5, abs=0.05)


def test_under_an_intervention_limits_of_a_cause_tell_of_itself_alone() -> None:
    scm = pc.SCM(study)
    done = scm.do(time=1.0)
    assert done.log_prob({"dose": pc.between([0.25], 0.75)}).item() == pytest.approx(log(0.5))


def repeated() -> None:
    mean = pyro.param("m", torch.tensor(0.0))
    pyro.sample("pair", dist.MultivariateNormal(mean * torch.ones(2), torch.eye(2)))


def steep() -> None:
    dose = pyro.sample("dose", dist.Uniform(0.0, 1.0))
    pyro.sample("time", dist.Exponential(torch.exp(dose)))


BAD: Final[dict[str, tuple[Callable[[], Any], str]]] = {
    "a cause whose effect was seen": (
        lambda: pc.SCM(study).fit(
            {"dose": pc.between([0.1, 0.2], 0.5), "time": [1.0, 2.0]}, steps=1
        ),
        r"known up to limits of 'dose' for units 0, 1, where 'time' was observed",
    ),
    "a cause, in a density": (
        lambda: pc.SCM(steep).log_prob({"dose": pc.between([0.1], 0.5), "time": [1.0]}),
        r"data\['dose'\] is known up to limits for unit 0, and time depends on it",
    ),
    "limits that are impossible": (
        lambda: pc.SCM(study).fit({"dose": [0.1, 0.2], "time": pc.between(-3.0, -1.0)}, steps=1),
        r"data\['time'\] for units 0, 1: Exponential has no probability within the limits",
    ),
    "a law without a CDF": (
        lambda: pc.SCM(repeated).fit({"pair": pc.between(torch.zeros(3, 2), 1.0)}, steps=1),
        "no CDF of MultivariateNormal is known",
    ),
    "a law without a CDF, in a density": (
        lambda: pc.SCM(repeated).log_prob({"pair": pc.between(torch.zeros(3, 2), 1.0)}),
        "no CDF of MultivariateNormal is known",
    ),
    "one unit": (
        lambda: pc.SCM(study).fit({"dose": 0.1, "time": pc.between(1.0, 2.0)}, steps=1),
        "got no units",
    ),
    "a check": (
        lambda: pc.check(pc.SCM(study), {"dose": torch.rand(50), "time": pc.between(1.0, INF)}),
        "check got limits of time in data",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_limits_that_data_can_not_have_are_refused(case: str) -> None:
    ask, words = BAD[case]
    with pytest.raises(ValueError, match=words):
        ask()


def test_impossible_limits_have_no_density() -> None:
    found = pc.SCM(study).log_prob({"dose": [0.5], "time": pc.between(-3.0, -1.0)})
    assert found.item() == -INF
