"""Amortized guides against posteriors that are known otherwise: closed forms, enumeration, grids."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import numpy.typing as npt
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from torch import Tensor

import pyrocausal as pc

SITES, DRAWS = 10, 3000
Floats = npt.NDArray[np.float64]


def linear_program(sites: int) -> tuple[pc.SCM, Floats]:
    """Return a linear Gaussian SCM, each pair linked with probability 0.4, and its covariance."""
    rng = np.random.default_rng(0)
    weights, scales = np.zeros((sites, sites)), rng.uniform(0.5, 1.0, sites)
    for i, j in zip(*np.tril_indices(sites, -1), strict=True):
        if rng.random() < 0.4:
            weights[i, j] = rng.choice([-1, 1]) * rng.uniform(0.5, 1.2)

    def program() -> None:
        x: list[Tensor] = []
        for i in range(sites):
            mean = sum((float(weights[i, j]) * x[j] for j in range(i)), torch.zeros(()))
            x.append(pyro.sample(f"x{i}", dist.Normal(mean, float(scales[i]))))

    total = np.linalg.inv(np.eye(sites) - weights)
    return pc.scm(program), total @ np.diag(scales**2) @ total.T


def errors(scm: pc.SCM, covariance: Floats, draws: int) -> Iterator[tuple[Floats, Floats]]:
    """Yield errors of mean and deviation, in posterior deviations, for random sets of evidence."""
    rng, generator, sites = (
        np.random.default_rng(1),
        torch.Generator().manual_seed(2),
        len(covariance),
    )
    assert scm.amortized is not None
    for number in range(40):
        size = rng.integers(1, sites)
        seen = np.sort(rng.choice(sites, size, replace=False))
        rest = np.setdiff1d(np.arange(sites), seen)
        units = scm.sample(4, seed=1000 + number)
        evidence = {f"x{i}": units[f"x{i}"] for i in seen}
        gain = covariance[np.ix_(rest, seen)] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
        left = covariance[np.ix_(rest, rest)] - gain @ covariance[np.ix_(seen, rest)]
        mean = np.stack([v.numpy() for v in evidence.values()], 1) @ gain.T
        values, _ = scm.amortized.draw(evidence, [f"x{i}" for i in rest], draws, generator)
        found = np.stack([values[f"x{i}"].double().numpy() for i in rest], -1)
        deviation = np.sqrt(np.diag(left))
        yield (found.mean(0) - mean) / deviation, found.std(0) / deviation - 1


def check_linear(sites: int, steps: int, mean: float, deviation: float) -> None:
    scm, covariance = linear_program(sites)
    scm.amortize(steps=steps, seed=0, progress=False)
    parts = [[part.ravel() for part in pair] for pair in errors(scm, covariance, DRAWS)]
    of_mean, of_deviation = (np.concatenate(part) for part in zip(*parts, strict=True))
    # The mean of the draws has an error of its own, which is not the guide's.
    assert np.sqrt((of_mean**2).mean() - 1 / DRAWS) < mean
    assert np.quantile(abs(of_deviation), 0.95) < deviation


def test_it_nears_the_posterior_of_a_small_linear_gaussian_program_in_seconds() -> None:
    check_linear(sites=4, steps=500, mean=0.08, deviation=0.08)


@pytest.mark.slow
def test_it_is_the_posterior_of_a_linear_gaussian_program_of_ten_variables() -> None:
    # Of the deviation's error 3000 draws alone give 0.025.
    check_linear(sites=SITES, steps=8000, mean=0.05, deviation=0.05)


TABLES = torch.Generator().manual_seed(5)
ROOT = torch.rand(3, generator=TABLES)
SECOND = torch.rand(3, 2, generator=TABLES)
THIRD = torch.rand(3, generator=TABLES)
FOURTH = torch.rand(2, 2, 3, generator=TABLES)


# a -> b, c; b, c -> d
def discrete() -> None:
    a = pyro.sample("a", dist.Categorical(ROOT / ROOT.sum()))
    b = pyro.sample("b", dist.Categorical(SECOND[a]))
    c = pyro.sample("c", dist.Bernoulli(THIRD[a]))
    pyro.sample("d", dist.Categorical(FOURTH[b, c.long()]))


def test_it_is_the_posterior_of_a_discrete_program_by_enumeration() -> None:
    scm, names, sizes = pc.scm(discrete), "abcd", (3, 2, 2, 3)
    scm.amortize(steps=1000, hidden=32, layers=2, seed=0, progress=False)
    assert scm.amortized is not None
    root, second = (t.double().numpy() for t in (ROOT, SECOND))
    joint = (root / root.sum())[:, None, None, None] * (second / second.sum(1, keepdims=True))[
        :, :, None, None
    ]
    third, fourth = (t.double().numpy() for t in (THIRD, FOURTH))
    joint = joint * np.stack([1 - third, third], 1)[:, None, :, None]
    joint = joint * (fourth / fourth.sum(2, keepdims=True))[None]
    cells = np.array(list(product(*map(range, sizes))))
    distances = []
    for mask in product([False, True], repeat=4):
        seen = [i for i in range(4) if mask[i]]
        rest = [i for i in range(4) if not mask[i]]
        if not seen or not rest:
            continue
        columns = {n: torch.tensor(cells[:, i]) for i, n in enumerate(names)}
        columns["c"] = columns["c"].float()
        log_q = scm.amortized.log_prob(
            {names[i]: columns[names[i]] for i in seen},
            {names[i]: columns[names[i]] for i in rest},
            [names[i] for i in rest],
        )
        marginal = joint.sum(tuple(rest), keepdims=True)
        away = abs(log_q.double().exp().numpy(force=True) - (joint / marginal).ravel())
        # The total variation, averaged over evidence as often as it is met.
        distances.append(0.5 * (away * np.broadcast_to(marginal, joint.shape).ravel()).sum())
    assert np.mean(distances) < 0.015
    assert np.max(distances) < 0.03


# share -> wins, score
def shares() -> None:
    share = pyro.sample("share", dist.Beta(2.0, 2.0))
    pyro.sample("wins", dist.Binomial(5, share))
    pyro.sample("score", dist.Normal(torch.logit(share), 1.0))


@pytest.mark.parametrize("head", ["gaussian", pytest.param("flow", marks=pytest.mark.slow)])
def test_it_is_the_posterior_of_a_bounded_variable_by_quadrature(head: str) -> None:
    scm = pc.scm(shares, latent=["share"])
    scm.amortize(steps=500, head=head, hidden=32, layers=2, seed=0, progress=False)
    assert scm.amortized is not None
    x = torch.linspace(0.001, 0.999, 2001, dtype=torch.float64)
    prior = stats.beta(2, 2).pdf(x.numpy())
    units, distances = scm.sample(40, seed=9), []
    for k, score in zip(units["wins"].tolist(), units["score"].tolist(), strict=True):
        for names in (["wins"], ["score"], ["wins", "score"]):
            exact = prior * (stats.binom(5, x.numpy()).pmf(k) if "wins" in names else 1.0)
            exact = exact * (
                stats.norm(np.log(x.numpy() / (1 - x.numpy())), 1).pdf(score)
                if "score" in names
                else 1
            )
            evidence = {n: torch.tensor([{"wins": k, "score": score}[n]]) for n in names}
            log_q = scm.amortized.log_prob(evidence, {"share": x.float()[:, None]}, ["share"])
            found = log_q[:, 0].double().exp().numpy(force=True)
            exact = exact / np.trapezoid(exact, x.numpy())
            distances.append(0.5 * np.trapezoid(abs(exact - found), x.numpy()))
    assert np.mean(distances) < 0.05


# x -> y -> z; x -> z
def bent() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    y = pyro.sample("y", dist.Normal(torch.sin(2 * x) + x, 0.5))
    pyro.sample("z", dist.Normal(y * y - x, 1.0))


@pytest.mark.slow
@pytest.mark.parametrize("head", ["mixture", "flow"])
def test_ranks_of_the_truth_among_its_draws_are_uniform(head: str) -> None:
    scm = pc.scm(bent)
    scm.amortize(steps=1500, head=head, hidden=48, layers=2, seed=0, progress=False)
    assert scm.amortized is not None
    units, generator = scm.sample(800, seed=77), torch.Generator().manual_seed(1)
    values, _ = scm.amortized.draw({"z": units["z"]}, ["x", "y"], 99, generator)
    for name in ("x", "y"):
        ranks = (values[name] < units[name]).sum(0).numpy()
        counts = np.bincount(ranks // 10, minlength=10)
        assert stats.chisquare(counts).pvalue > 0.005


def test_a_diagonal_guide_gives_the_marginals_but_no_dependence() -> None:
    scm, covariance = linear_program(4)
    scm.amortize(steps=400, head="diagonal", hidden=32, seed=0, progress=False, patterns=[["x3"]])
    assert scm.amortized is not None
    generator = torch.Generator().manual_seed(0)
    values, _ = scm.amortized.draw(
        {"x3": torch.tensor([1.0])}, ["x0", "x1", "x2"], 4000, generator
    )
    found = torch.stack([values[f"x{i}"][:, 0] for i in range(3)]).double().numpy()
    gain = covariance[:3, 3] / covariance[3, 3]
    left = np.sqrt(np.diag(covariance)[:3] - gain * covariance[3, :3])
    assert abs((found.mean(1) - gain) / left).max() < 0.1
    assert abs(found.std(1) / left - 1).max() < 0.1
    assert abs(np.corrcoef(found)[np.tril_indices(3, -1)]).max() < 0.07  # four standard errors


def test_an_image_tells_of_its_causes() -> None:
    def picture() -> None:
        level = pyro.sample("level", dist.Normal(0.0, 1.0))
        where = torch.linspace(-1.0, 1.0, 8)
        bright = level[..., None, None] * where[:, None] * where
        pyro.sample("image", dist.Normal(bright, 0.5).to_event(2))

    scm = pc.scm(picture, latent=["level"])
    scm.amortize(steps=300, hidden=16, layers=1, batch_size=256, seed=0, progress=False)
    assert scm.amortized is not None
    where = torch.linspace(-1.0, 1.0, 8)
    pattern = torch.outer(where, where)
    units, generator = scm.sample(100, latent=True, seed=5), torch.Generator().manual_seed(0)
    values, _ = scm.amortized.draw({"image": units["image"]}, ["level"], 500, generator)
    precision = 1 + (pattern**2).sum() / 0.25
    mean = (units["image"] * pattern).sum((1, 2)) / 0.25 / precision
    away = (values["level"].mean(0) - mean) * precision.sqrt()
    assert away.square().mean().sqrt() < 0.4
