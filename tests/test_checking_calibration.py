"""Calibration of abduction: right on models of the zoo, flagged where a guide misleads."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats

import pyrocausal as pc
from pyrocausal import zoo
from pyrocausal.checking.calibration import calibration
from pyrocausal.checking.goodness import (
    kolmogorov,
    randomized_ranks,
    rank_correlation,
    same_law,
    uniformity,
)
from pyrocausal.checking.subject import read_subject


def curve() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(torch.tanh(2.0 * x), 0.5))


@pytest.mark.parametrize(
    ("name", "evidence"),
    [
        ("additive_noise", None),
        ("simpson", None),
        ("linear_chain", None),
        pytest.param("counts", None, marks=pytest.mark.slow),
        ("front_door", None),
    ],
)
def test_abduction_is_calibrated_on_models_of_the_zoo(
    name: str, evidence: list[str] | None
) -> None:
    report = pc.check(zoo.MODELS[name].scm(), evidence=evidence, units=400, seed=2)
    found = [f for f in report.findings if f.check == "calibration of abduction"]
    assert found
    for one in found:
        assert one.p_values["KS"] > 0.01, report
        assert not one.failed


class Misleading:
    """A guide that draws from another law than it says."""

    def __init__(self, guide: Any, stretch: float) -> None:
        self.guide, self.stretch = guide, stretch
        self.patterns = guide.patterns

    def covers(self, observed: frozenset[str], missing: frozenset[str]) -> bool:
        return bool(self.guide.covers(observed, missing))

    def draw(self, values: Any, missing: Any, num_draws: int, generator: torch.Generator) -> Any:
        drawn, log_q = self.guide.draw(values, missing, num_draws, generator)
        mean = {name: value.mean(0) for name, value in drawn.items()}
        return {n: mean[n] + self.stretch * (v - mean[n]) for n, v in drawn.items()}, log_q

    def check(self, owner: Any) -> None:
        """Say nothing."""


@pytest.mark.parametrize(("stretch", "words"), [(0.6, "too narrow"), (1.0, "")])
def test_a_miscalibrated_guide_is_flagged_and_a_good_one_passes(
    stretch: float, words: str
) -> None:
    scm = pc.SCM(curve)
    scm.amortize(steps=300, hidden=16, layers=2, seed=0, progress=False)
    scm._core.amortized = Misleading(scm.amortized, stretch)
    report = pc.check(scm, evidence=["y"], units=600, seed=0)
    (found,) = (f for f in report.findings if f.check == "calibration of abduction")
    assert found.failed is bool(words)
    assert words in found.verdict
    assert "guide before weighing" in {f.check for f in report.findings}


def test_evidence_with_nothing_missing_above_has_nothing_to_calibrate() -> None:
    report = pc.check(pc.SCM(curve), evidence=["x"], seed=0)
    assert "nothing has to be inferred given x" in str(report)


# The statistics


def test_the_statistics_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=300), rng.normal(0.1, 1.0, size=200)
    u = rng.random(300)
    distance, tests = uniformity(u)
    theirs = stats.kstest(u, "uniform")
    assert distance == pytest.approx(theirs.statistic, abs=1e-12)
    assert tests["KS"] == pytest.approx(theirs.pvalue, abs=0.01)
    counts = np.histogram(u, 20, (0, 1))[0]
    assert tests["chi-square"] == pytest.approx(stats.chisquare(counts).pvalue, rel=1e-9)
    distance, tests = same_law(x, y, rng)
    theirs = stats.ks_2samp(x, y)
    assert distance == pytest.approx(theirs.statistic, abs=1e-12)
    assert tests["KS"] == pytest.approx(theirs.pvalue, abs=0.02)
    r, p = rank_correlation(x[:200], y)
    assert (r, p) == pytest.approx(tuple(stats.spearmanr(x[:200], y)), abs=5e-3)
    for size, d in ((50, 0.2), (1000, 0.03)):
        assert kolmogorov(d, size) == pytest.approx(stats.kstwo.sf(d, size), abs=0.01)


@pytest.mark.parametrize(
    "draw", [lambda rng, n: rng.poisson(1.0, n), lambda rng, n: rng.normal(size=n)]
)
def test_ranks_of_values_among_draws_of_their_law_are_uniform(draw: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    values, draws = draw(rng, 2000).astype(float), draw(rng, (9, 2000)).astype(float)
    assert stats.kstest(randomized_ranks(values, draws, rng), "uniform").pvalue > 0.01


# w, x -> y, where all units share w
def shared() -> None:
    w = pyro.sample("w", dist.Normal(1.0, 0.5))
    with pc.units():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(w * x, 0.5))


@pytest.mark.parametrize("told", [1.0, 3.0])
def test_what_is_inferred_of_units_is_checked_at_one_draw_of_what_they_share(
    told: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    scm = pc.SCM(shared, latent=["x"])
    asked = scm.abduct
    # Where abduction is told another value than the simulation had, its draws are wrong.
    monkeypatch.setattr(
        scm, "abduct", lambda seen, **kept: asked({**seen, "w": told * seen["w"]}, **kept)
    )
    findings, _ = calibration(read_subject(scm, None, None, 100, 0), None, 300, 0.01)
    found = {finding.variable: finding for finding in findings}
    assert "given y and w" in found["x"].figure
    assert found["x"].failed == (told != 1.0)
    assert found["w"].failed is None
    assert "would take a fit to data of its own" in found["w"].verdict


def test_many_draws_need_the_values_that_all_units_share() -> None:
    scm = pc.SCM(shared)
    draws = scm.abduct({"w": 2.0, "y": [1.0, -1.0]}, num_draws=4000, seed=0).factual["x"]
    # x given y is Normal(w y / (w^2 + 1/4), 1/4 / (w^2 + 1/4)).
    means, sd = torch.tensor([2.0, -2.0]) / 4.25, (0.25 / 4.25) ** 0.5
    assert float((draws.mean((0, 1)) - means).abs().max()) < 4 * sd / 4000**0.5
    with pytest.raises(ValueError, match=r"num_draws=2\. .*or give w as evidence"):
        scm.abduct({"y": [1.0]}, num_draws=2, seed=0)
