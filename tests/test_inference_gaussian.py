"""Linear-Gaussian programs: what is missing, against conditioning done with numpy."""

from typing import Any, Final

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrocausal as pc
from pyrocausal.inference import patterns_of
from pyrocausal.inference.gaussian import GaussianPosterior, gaussian_posterior
from pyrocausal.inference.problem import Problem, problem_of
from pyrocausal.inference.walk import Walk

SITES: Final = 10
NAMES: Final = [f"x{i}" for i in range(SITES)]
_random = np.random.default_rng(7)
WEIGHTS: Final = np.tril(
    _random.normal(size=(SITES, SITES)) * (_random.random((SITES, SITES)) < 0.4), -1
)
OFFSETS: Final = _random.normal(size=SITES)
SCALES: Final = _random.uniform(0.5, 1.5, size=SITES)
UNITS: Final = 20


def program() -> None:
    values: list[Tensor] = []
    for i, name in enumerate(NAMES):
        mean = torch.tensor(OFFSETS[i], dtype=torch.float32)
        for weight, value in zip(WEIGHTS[i], values, strict=False):
            mean = mean + float(weight) * value
        values.append(pyro.sample(name, dist.Normal(mean, float(SCALES[i]))))


SCM: Final = pc.SCM(program, name="linear")


def joint() -> tuple[Any, Any]:
    """Return the mean and covariance of all sites."""
    total = np.linalg.inv(np.eye(SITES) - WEIGHTS)
    return total @ OFFSETS, total @ np.diag(SCALES**2) @ total.T


def conditioned(seen: list[int], values: Any) -> tuple[Any, Any]:
    """Return mean, a row each unit, and covariance of the sites not seen."""
    mean, covariance = joint()
    rest = [i for i in range(SITES) if i not in seen]
    gain = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[np.ix_(seen, rest)]).T
    left = covariance[np.ix_(rest, rest)] - gain @ covariance[np.ix_(seen, rest)]
    return mean[rest] + (values - mean[seen]) @ gain.T, left


def problems(seen: dict[str, Tensor]) -> list[Problem]:
    core = SCM._core
    with core.session():
        evidence = core.read(seen, None)
        query = core.query(None, evidence.units, 0)
        variables, graph = core.anatomy.variables, core.graph
        return [
            problem_of(query, evidence, pattern, component, (), {})
            for pattern in patterns_of(evidence, variables, core.ancestors, graph.predecessors)
            for component in pattern.components
        ]


def posterior(problem: Problem) -> GaussianPosterior:
    return gaussian_posterior(problem, Walk(problem, 1))


def subsets(number: int) -> list[list[int]]:
    random = np.random.default_rng(0)
    return [
        sorted(random.choice(SITES, size=random.integers(1, SITES), replace=False).tolist())
        for _ in range(number)
    ]


@pytest.mark.parametrize("seen", subsets(12), ids=str)
def test_the_closed_form_is_that_of_conditioning_a_normal_vector(seen: list[int]) -> None:
    whole = SCM.sample(UNITS, seed=3)
    evidence = {NAMES[i]: whole[NAMES[i]] for i in seen}
    given = np.stack([evidence[NAMES[i]].double().numpy() for i in seen], 1)
    mean, covariance = conditioned(seen, given)
    rest = [i for i in range(SITES) if i not in seen]
    for problem in problems(evidence):
        found = posterior(problem)
        assert bool(found.holds.all())
        place = [rest.index(NAMES.index(name)) for name in problem.missing]
        expected = torch.tensor(mean[:, place])
        torch.testing.assert_close(found.mean, expected, rtol=1e-5, atol=1e-5)
        spread = torch.tensor(covariance[np.ix_(place, place)]).expand(UNITS, -1, -1)
        torch.testing.assert_close(found.covariance, spread, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", ["gaussian", "importance"])
def test_draws_have_the_moments_of_the_posterior(method: Any) -> None:
    for seen in subsets(3):
        whole, draws = SCM.sample(3, seed=5), 500
        evidence = {NAMES[i]: whole[NAMES[i]] for i in seen}
        if not problems(evidence):
            continue
        abduction = SCM.abduct(evidence, num_draws=draws, seed=1, method=method)
        given = np.stack([evidence[NAMES[i]].double().numpy() for i in seen], 1)
        mean, covariance = conditioned(seen, given)
        rest = [i for i in range(SITES) if i not in seen]
        drawn = torch.stack([abduction.factual[NAMES[i]][:, 0] for i in rest], -1).double()
        sd = torch.tensor(np.sqrt(np.diag(covariance)))
        assert abduction.quality is not None
        effective = abduction.quality.ess.clamp(max=draws)[:, None]
        # Draws are resampled from weighted proposals: both errors add. 5 of them, for 60 numbers.
        error = sd * (1 / effective + 1 / draws).sqrt()
        assert bool(((drawn.mean(0) - torch.tensor(mean)).abs() < 5 * error).all())
        assert bool(((drawn.std(0) - sd).abs() < 5 * error / 2**0.5).all())


def test_what_is_neither_seen_nor_above_what_is_seen_follows_from_the_rest() -> None:
    @pc.scm
    def chain() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        y = pyro.sample("y", dist.Normal(x, 1.0))
        pyro.sample("z", dist.Normal(x, 0.1))
        pyro.sample("w", dist.Normal(y, 1.0))

    abduction = chain.abduct({"y": 2.0}, num_draws=1000, seed=0)
    assert abduction.routes == {"x": "gaussian", "y": "exact", "z": "prior", "w": "prior"}
    z = abduction.factual["z"].flatten()
    assert float(z.mean()) == pytest.approx(1.0, abs=4 * (0.51 / 1000) ** 0.5)
    assert float(z.var()) == pytest.approx(0.51, abs=4 * 0.51 * (2 / 1000) ** 0.5)


def test_units_are_inferred_by_what_was_seen_of_each() -> None:
    nan = torch.nan
    evidence = {"x0": [0.5, nan, nan, 0.0], "x9": [1.0, 1.0, nan, nan], "x5": [nan, nan, 0.0, nan]}
    together = SCM.abduct(evidence, num_draws=3, seed=0)
    for unit in range(4):
        alone = {name: torch.tensor(v)[[unit]] for name, v in evidence.items()}
        alone = {name: value for name, value in alone.items() if not bool(value.isnan().any())}
        found = problems(alone)
        for problem in found:
            mean = posterior(problem).mean[0]
            drawn = torch.stack([together.factual[n][:, 0, unit] for n in problem.missing], -1)
            sd = posterior(problem).covariance[0].diagonal().sqrt()
            assert bool(((drawn - mean) / sd).abs().max() < 5)


def test_mechanisms_that_are_linear_given_what_was_seen_are_conditioned_in_closed_form() -> None:
    # y has a slope of its own for each unit, and z a scale.
    @pc.scm
    def gated() -> None:
        arm = pyro.sample("arm", dist.Bernoulli(0.5))
        x = pyro.sample("x", dist.Normal(1.0, 1.0))
        y = pyro.sample("y", dist.Normal(x * (1 + 2 * arm), 1.0 + arm))
        pyro.sample("z", dist.MultivariateNormal(torch.stack([x, y], -1), torch.eye(2)))

    evidence = {"arm": [0.0, 1.0], "z": [[1.0, 2.0], [1.0, 2.0]]}
    abduction = gated.abduct(evidence, num_draws=1000, seed=0)
    assert abduction.routes["x"] == abduction.routes["y"] == "gaussian"
    for unit, (slope, scale) in enumerate([(1.0, 1.0), (3.0, 2.0)]):
        prior = np.array([1.0, slope])
        spread = np.array([[1.0, slope], [slope, slope**2 + scale**2]])
        gain = spread @ np.linalg.inv(spread + np.eye(2))
        mean, left = prior + gain @ (np.array([1.0, 2.0]) - prior), spread - gain @ spread
        for i, name in enumerate(["x", "y"]):
            drawn = abduction.factual[name][:, 0, unit]
            assert float(drawn.mean()) == pytest.approx(
                mean[i], abs=4 * (left[i, i] / 1000) ** 0.5
            )
            assert float(drawn.var()) == pytest.approx(left[i, i], rel=4 * (2 / 1000) ** 0.5)


@pytest.mark.parametrize(
    "mean",
    [torch.relu, torch.tanh, torch.abs, lambda x: torch.where(x > 20, 0 * x, x)],
    ids=["relu", "tanh", "abs", "far kink"],
)
def test_what_is_not_linear_is_not_taken_for_it(mean: Any) -> None:
    def bent() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 4.0))
        pyro.sample("y", dist.Normal(mean(x), 1.0))

    assert pc.SCM(bent).abduct({"y": 1.0}, seed=0).routes["x"] == "importance"
    with pytest.raises(ValueError, match=r"method='gaussian' can't infer 'x' for unit 0.*linear"):
        pc.SCM(bent).abduct({"y": 1.0}, seed=0, method="gaussian")


def test_a_scale_that_depends_on_what_is_missing_is_not_linear_gaussian() -> None:
    @pc.scm
    def spread() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(0.0, torch.exp(x)))

    assert spread.abduct({"y": 1.0}, seed=0).routes["x"] == "importance"


def test_elements_of_a_plate_that_are_missing_are_inferred_from_those_below() -> None:
    @pc.scm
    def sensors() -> None:
        with pyro.plate("sensors", 3, dim=-2):
            level = pyro.sample("level", dist.Normal(0.0, 1.0))
            pyro.sample("reading", dist.Normal(2 * level, 1.0))

    nan = torch.nan
    evidence = {"level": [[0.5, nan, nan]], "reading": [[1.0, 1.0, nan]]}
    abduction = sensors.abduct(evidence, num_draws=1000, seed=0)
    level = abduction.factual["level"][:, 0, 0]
    assert bool((level[:, 0] == 0.5).all())
    assert float(level[:, 1].mean()) == pytest.approx(0.4, abs=4 * (0.2 / 1000) ** 0.5)
    assert float(level[:, 1].var()) == pytest.approx(0.2, rel=4 * (2 / 1000) ** 0.5)
    assert float(level[:, 2].var()) == pytest.approx(1.0, rel=4 * (2 / 1000) ** 0.5)
    assert abduction.routes["level"] == "exact, gaussian where missing"


@pytest.mark.parametrize("noise", [0.02, 0.5, 5.0])
def test_the_mean_weight_is_the_density_of_what_was_seen(noise: float) -> None:
    @pc.scm
    def pair() -> None:
        x = pyro.sample("x", dist.Normal(1.0, 2.0))
        z = pyro.sample("z", dist.Normal(-x, 0.5))
        pyro.sample("y", dist.Normal(x + z, noise))
        pyro.sample("w", dist.Normal(x, noise))

    y, w = torch.tensor([0.0, 0.6, -1.0]), torch.tensor([1.0, 3.0, -2.0])
    quality = pair.abduct({"y": y, "w": w}, method="importance", seed=0).quality
    assert quality is not None
    # y ~ Normal(0, .25 + noise^2), w ~ Normal(1, 4 + noise^2), independent
    expected = dist.Normal(0.0, (0.25 + noise**2) ** 0.5).log_prob(y)
    expected = expected + dist.Normal(1.0, (4 + noise**2) ** 0.5).log_prob(w)
    weights = quality.weights["x", "z"].to_tensor().double()
    found = weights.logsumexp(0) - np.log(len(weights))
    error = (1 / quality.ess - 1 / len(weights)).clamp(min=1e-5).sqrt()
    assert bool(((found - expected).abs() < 4 * error).all())
