"""The marginal sensitivity model: linear programs, the normal distribution, coverage."""

from collections.abc import Callable
from functools import partial
from math import inf, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import optimize, stats

from pyrocausal import sensitivity as s

Array = npt.NDArray[np.float64]

Y, T = [4, 3, 2, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 0]


def units(seed: int, ties: bool) -> tuple[Array, Array, Array, Any]:
    """Return outcomes, treatments, propensities and strata of 24 units."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=24)
    t = np.tile([1.0, 0.0, 1.0, 0.0], 6)
    return np.round(y) if ties else y, t, rng.uniform(0.1, 0.9, size=24), np.repeat([0, 1, 2], 8)


def program(y: Array, r: Array, factor: float, strata: Any = None) -> float:
    """Return the largest ``sum (1 + z r) y / sum (1 + z r)`` by a linear program.

    With strata, ``sum z r = sum r`` in each of them. Charnes and Cooper: v = w / sum w.
    """
    n = len(y)
    scale = np.eye(n)
    low, high = 1 + r / factor, 1 + r * factor
    ones = np.append(np.ones(n), 0.0)  # sum v = 1
    limits = np.block([[scale, -high[:, None]], [-scale, low[:, None]]])  # low s <= v <= high s
    equal = [ones]
    for stratum in [] if strata is None else np.unique(strata):
        mine = strata == stratum
        equal.append(np.append(mine.astype(float), -(1 + r)[mine].sum()))
    found = optimize.linprog(
        np.append(-y, 0.0),
        A_ub=limits,
        b_ub=np.zeros(2 * n),
        A_eq=np.array(equal),
        b_eq=np.append(1.0, np.zeros(len(equal) - 1)),
        bounds=(0, None),
    )
    assert found.success
    return float(-found.fun)


@pytest.mark.parametrize("sharp", [False, True])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("factor", [1.0, 1.3, 4.0])
def test_bounds_equal_a_linear_programs(factor: float, ties: bool, sharp: bool) -> None:
    for seed in range(5):
        y, t, e, strata = units(seed, ties)
        found = s.msm_bounds(y, t, e, factor, strata=strata if sharp else None)
        for arm, ends, p in ((t == 1, found.treated, e), (t == 0, found.control, 1 - e)):
            r, within = (1 - p[arm]) / p[arm], strata[arm] if sharp else None
            exact = -program(-y[arm], r, factor, within), program(y[arm], r, factor, within)
            assert ends == pytest.approx(exact, abs=1e-7)
        assert found.lower == pytest.approx(found.treated[0] - found.control[1])
        assert found.upper == pytest.approx(found.treated[1] - found.control[0])


def test_bounds_of_the_worked_numbers() -> None:
    e = [0.5] * 8
    assert s.msm_bounds(Y, T, e, 1.0).treated == pytest.approx((2.5, 2.5))
    assert s.msm_bounds(Y, T, e, 2.0).treated == pytest.approx((13 / 6, 17 / 6))
    assert s.msm_bounds(Y, T, e, 2.0, strata=[0] * 8).treated == pytest.approx((35 / 16, 45 / 16))


def test_sharp_bounds_of_a_normal_outcome_are_the_closed_form() -> None:
    grid = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    y, t = np.tile(grid, 2), np.repeat([1, 0], len(grid))

    def quantile(arm: int, level: float) -> Array:
        return np.full(len(y), stats.norm.ppf(level))

    for found in (
        s.msm_bounds(y, t, np.full(len(y), 0.5), 2.0, quantile=quantile),
        s.msm_bounds(y, t, np.full(len(y), 0.5), 2.0, strata=np.zeros(len(y))),
    ):
        # Half of the units are untreated: mean / 2 + (1 - 1/2) CVaR of N(0, 1) is 0.5454.
        assert 2 * found.treated[1] == pytest.approx(0.5454, abs=2e-4)
        assert found.lower == pytest.approx(-0.5454, abs=2e-4)


def constant(values: Array, arm: int, level: float) -> Array:
    return values


def test_a_wrong_quantile_is_still_valid_and_never_wider_than_none() -> None:
    y, t, e, _ = units(7, ties=False)
    plain = s.msm_bounds(y, t, e, 2.0)
    sharp = s.msm_bounds(y, t, e, 2.0, strata=np.zeros(24))
    assert plain.lower < sharp.lower < sharp.upper < plain.upper
    for wrong in (-3.0, 0.0, 0.5, 100.0):
        values = np.full(24, wrong)
        found = s.msm_bounds(y, t, e, 2.0, quantile=partial(constant, values))
        assert plain.lower <= found.lower <= sharp.lower + 1e-12
        assert sharp.upper - 1e-12 <= found.upper <= plain.upper


def test_bounds_widen_with_the_factor_up_to_the_tipping_one() -> None:
    y, t, e, _ = units(3, ties=False)
    y = y + 1.5 * t
    found = [s.msm_bounds(y, t, e, factor) for factor in (1.0, 1.5, 2.0, 5.0)]
    assert [b.lower for b in found] == sorted((b.lower for b in found), reverse=True)
    assert [b.upper for b in found] == sorted(b.upper for b in found)
    tipping = s.tipping_factor(y, t, e)
    assert s.msm_bounds(y, t, e, tipping).lower == pytest.approx(0, abs=1e-6)
    assert s.tipping_factor(-y, t, e) == pytest.approx(tipping, rel=1e-6)
    assert s.tipping_factor(y + 100 * t, t, e) == inf


def test_the_truth_of_a_hidden_confounder_within_the_factor_is_inside_the_bounds() -> None:
    # u -> t, y; odds of treatment are 2 at u = 1 and 1/2 at u = 0: 3/2 and 2/3 of e's odds or less.
    rng = np.random.default_rng(4)
    u = rng.random(200_000) < 0.5
    t = (rng.random(len(u)) < np.where(u, 2 / 3, 1 / 3)).astype(float)
    y = 1.0 * t + 2.0 * u + rng.normal(size=len(u))
    e = np.full(len(u), t.mean())
    below, within = (s.msm_bounds(y, t, e, factor, strata=u * 0) for factor in (1.0, 2.0))
    assert abs(below.lower - 1) > 0.5
    assert within.lower < 1 < within.upper


def test_the_bootstrap_interval_holds_the_range_as_often_as_it_says() -> None:
    factor, hits, runs = 2.0, 0, 60
    # Of N(1, 1) treated and N(0, 1) controls: bounds of the effect, 1 -+ .5454 (propensity 1/2).
    ends = 1 - 0.5454, 1 + 0.5454
    rng = np.random.default_rng(5)
    for run in range(runs):
        t = (rng.random(150) < 0.5).astype(float)
        y = t + rng.normal(size=150)

        def refit(rows: Any, t: Array = t) -> Array:
            return np.full(len(rows), t[rows].mean())

        found = s.msm_bounds(
            y, t, refit(np.arange(150)), factor, strata=0 * t, refit=refit, resamples=60, seed=run
        )
        assert found.interval is not None
        hits += found.interval[0] <= ends[0] and ends[1] <= found.interval[1]
    # Both ends at once: at least 95 % less two times 2.5 %, and they move together.
    assert hits / runs > 0.92 - 3 * sqrt(0.92 * 0.08 / runs)


def test_one_seed_gives_one_interval_and_leaves_the_global_generator_alone() -> None:
    y, t, e, _ = units(1, ties=False)
    before = str(np.random.get_state())  # noqa: NPY002
    once, again, other = (
        s.msm_bounds(y, t, e, 1.5, refit=lambda rows: e[rows], resamples=20, seed=seed)
        for seed in (0, 0, 1)
    )
    assert once == again
    assert once.interval != other.interval
    assert str(np.random.get_state()) == before  # noqa: NPY002


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: s.msm_bounds(Y, T, [0.5] * 8, 0.9), "expected Lambda of 1"),
        (lambda: s.msm_bounds(Y, T, [0.5] * 8, inf), "expected Lambda of 1"),
        (lambda: s.msm_bounds(Y, T, [0.5] * 7 + [1.0], 2.0), "run from 0.5 to 1; expected"),
        (lambda: s.msm_bounds(Y, T, [0.5] * 7, 2.0), "e has 7 units, the outcome 8"),
        (lambda: s.msm_bounds(Y, T, [0.5] * 8, 2.0, strata=T), "stratum .* has no treated unit"),
        (lambda: s.msm_bounds(Y, T, [0.5] * 8, 2.0, strata=[0]), "a label for each of 8"),
        (
            lambda: s.msm_bounds(Y, T, [0.5] * 8, 2.0, quantile=lambda arm, p: [0.0]),
            "a quantile has 1 units",
        ),
        (
            lambda: s.msm_bounds(Y, T, [0.5] * 8, 2.0, strata=[0] * 8, quantile=lambda a, p: Y),
            "both strata and quantile",
        ),
        (lambda: s.msm_bounds(Y, T, [0.5] * 8, 2.0, resamples=0), "resamples=0"),
        (lambda: s.msm_bounds(Y, T, [0.5] * 8, 2.0, level=95), "level=95"),
        (lambda: s.msm_bounds(Y, [1] * 8, [0.5] * 8, 2.0), "the values 1; expected 0"),
    ],
)
def test_bad_input_is_refused_with_what_was_expected(
    ask: Callable[[], object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ask()
