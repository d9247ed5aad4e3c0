"""Sensitivity analyses on summary numbers: published numbers, identities, brute force."""

from collections.abc import Callable
from math import inf, sqrt
from typing import Any

import numpy as np
import pytest
from scipy import stats

import pyrocausal as pc
from pyrocausal import sensitivity as s
from pyrocausal.sensitivity.omitted_variables import critical_t

DARFUR = 0.09731582, 0.02325654, 783
"""Estimate, standard error and degrees of freedom of Cinelli and Hazlett's example."""


# --- E-values ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "point", "limit"),
    [
        ((3.9, 1.8, 8.7), 7.263, 3.000),
        ((0.80, 0.71, 0.91), 1.809, 1.429),
        ((10.73, 8.02, 14.36), 20.95, 15.52),  # smoking and lung cancer: 20.9 and 15.5 in print
        ((1.2, 0.9, 1.6), 1.690, 1.0),
    ],
)
def test_evalues_of_risk_ratios_are_the_published_ones(
    ratio: tuple[float, float, float], point: float, limit: float
) -> None:
    found = s.evalue(*ratio)
    assert found.point == pytest.approx(point, rel=3e-4)
    assert found.limit == pytest.approx(limit, rel=3e-4)
    assert s.evalue(1 / ratio[0]).point == pytest.approx(found.point)


def test_a_standardized_difference_becomes_a_risk_ratio_first() -> None:
    found = s.evalue(0.5, scale="difference", se=0.1)
    assert (found.risk_ratio, found.point, found.limit) == pytest.approx(
        (1.576, 2.529, 1.968), abs=5e-4
    )
    assert s.evalue(-0.5, scale="difference", se=0.1).limit == pytest.approx(found.limit)


def test_odds_and_hazards_of_a_common_outcome_are_turned_into_risks() -> None:
    assert s.evalue(4.0, 1.0, 9.0, scale="odds ratio", rare=False).risk_ratio == 2.0
    assert s.evalue(4.0, scale="odds ratio", rare=True) == s.EValue(
        4 + sqrt(12), None, 4.0, None, None, "odds ratio"
    )
    # A hazard ratio h of exponential times, of which half of the geometric mean arm have died.
    h = 1.7
    died = [stats.expon.cdf(np.log(2) * rate) for rate in (sqrt(h), 1 / sqrt(h))]
    found = s.evalue(h, scale="hazard ratio", rare=False)
    assert found.risk_ratio == pytest.approx(died[0] / died[1])


def test_no_weaker_binary_confounder_gives_the_risk_ratio_and_one_as_strong_does() -> None:
    ratio = 2.3
    strength = s.evalue(ratio).point
    p0 = np.linspace(1e-6, 1 / strength, 10_001)  # P(u=1) among controls; treated: strength * p0

    def worst(of: float) -> float:
        return float(((1 + (of - 1) * of * p0) / (1 + (of - 1) * p0))[of * p0 <= 1].max())

    assert worst(strength) == pytest.approx(ratio, rel=1e-3)
    assert worst(0.98 * strength) < ratio


# --- omitted variables ------------------------------------------------------------------------


def regress(y: Any, *columns: Any) -> tuple[float, float, int, Any]:
    """Return the first coefficient, its standard error, the df and the residuals."""
    design = np.column_stack([*columns, np.ones(len(y))])
    beta = np.linalg.lstsq(design, y, rcond=None)[0]
    residuals, df = y - design @ beta, len(y) - design.shape[1]
    variance = residuals @ residuals / df * np.linalg.inv(design.T @ design)[0, 0]
    return float(beta[0]), float(np.sqrt(variance)), df, residuals


def explained(long: Any, short: Any) -> float:
    return float(1 - long @ long / (short @ short))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_bias_of_an_omitted_variable_is_an_identity_of_least_squares(sign: float) -> None:
    rng = np.random.default_rng(0)
    x, z, noise, more = rng.normal(size=(4, 60))
    d = 0.5 * x + 0.7 * z + noise
    y = sign * (0.3 * d + x + 0.8 * z) + more
    estimate, se, df, left = regress(y, d, x)
    long_estimate, long_se, _, long_left = regress(y, d, x, z)
    r2_outcome = explained(long_left, left)
    r2_treatment = explained(regress(d, x, z)[3], regress(d, x)[3])
    found = s.ovb_bounds(estimate, se, df, r2_treatment, r2_outcome)
    assert found.estimate == pytest.approx(long_estimate, rel=1e-12)
    assert found.se == pytest.approx(long_se, rel=1e-12)
    assert found.t == pytest.approx(long_estimate / long_se, rel=1e-12)
    assert found.away - estimate == pytest.approx(sign * found.bias, rel=1e-12)
    reach = stats.t.ppf(0.975, df - 1) * long_se
    assert (found.lower, found.upper) == pytest.approx(
        (long_estimate - reach, long_estimate + reach), rel=1e-9
    )


def test_the_published_example_comes_out_to_the_last_digit() -> None:
    estimate, se, df = DARFUR
    found = s.robustness_value(estimate / se, df)
    assert f"{found.point:.4f} {found.limit:.4f} {found.partial_r2:.5f}" == "0.1388 0.0763 0.02187"
    assert s.robustness_value(estimate / se, df, alpha=1.0).limit == pytest.approx(found.point)
    adjusted = s.ovb_bounds(*DARFUR, 0.05, 0.05)
    assert (
        f"{adjusted.estimate:.5f} {adjusted.se:.5f} {adjusted.t:.4f}" == "0.06393 0.02327 2.7472"
    )
    covariate = s.partial_r2(-2.680, df), s.partial_r2(-9.789, df)
    once, thrice = s.benchmark(*covariate), s.benchmark(*covariate, 3)
    assert f"{once.r2_treatment:.5f} {once.r2_outcome:.4f}" == "0.00917 0.1246"
    assert f"{s.ovb_bounds(*DARFUR, *once).estimate:.4f}" == "0.0752"
    assert f"{s.ovb_bounds(*DARFUR, *thrice).estimate:.4f}" == "0.0304"


@pytest.mark.parametrize("q", [0.5, 1.0])
def test_at_the_robustness_value_that_share_of_the_estimate_is_gone(q: float) -> None:
    strength = s.robustness_value(DARFUR[0] / DARFUR[1], DARFUR[2], q).point
    left = s.ovb_bounds(*DARFUR, strength, strength).estimate
    assert left == pytest.approx((1 - q) * DARFUR[0], abs=1e-12)


@pytest.mark.parametrize(("t", "df"), [(4.18447, 783), (2.5, 20), (9.0, 6), (30.0, 12)])
def test_the_robustness_value_at_a_level_is_the_least_strength_that_makes_it_insignificant(
    t: float, df: int
) -> None:
    def least_t(strength: float) -> float:
        outcome, odds = np.linspace(0, strength, 4001), strength / (1 - strength)
        errors = np.sqrt((1 - outcome) / (1 - strength) * df / (df - 1))
        return float(((t - np.sqrt(df * outcome * odds)) / errors).min())

    found = s.robustness_value(t, df).limit
    critical = stats.t.ppf(0.975, df - 1)
    assert least_t(found * 1.001) <= critical
    assert least_t(found * 0.999) >= critical
    assert s.robustness_value(1.0, df).limit == 0.0


def test_a_benchmark_bounds_a_confounder_that_is_just_as_strong() -> None:
    rng = np.random.default_rng(1)
    raw = rng.normal(size=(80, 5))
    x, z, noise, more = np.linalg.qr(np.column_stack([np.ones(80), raw]))[0].T[1:5]
    for outcome_z in (1.2, -1.2):
        d = 0.6 * x + 0.6 * z + noise
        y = 0.5 * d + 1.2 * x + outcome_z * z + more
        r_treatment = explained(regress(d, x)[3], d)
        r_outcome = explained(regress(y, d, x)[3], regress(y, d)[3])
        z_treatment = explained(regress(d, x, z)[3], regress(d, x)[3])
        z_outcome = explained(regress(y, d, x, z)[3], regress(y, d, x)[3])
        z_alone = explained(regress(y, d, z)[3], regress(y, d)[3])
        found = s.benchmark(r_treatment, r_outcome, 1.0)
        assert found.r2_treatment == pytest.approx(z_treatment)
        times_outcome = z_alone / r_outcome
        assert z_outcome <= found.r2_outcome * max(1.0, times_outcome) + 1e-9


def test_critical_values_are_those_of_students_distribution() -> None:
    for df in (1, 2.5, 30, 1e6):
        for alpha in (0.5, 0.05, 1e-6):
            exact = stats.t.ppf(1 - alpha / 2, df)
            assert critical_t(alpha, df) == pytest.approx(exact, rel=1e-9)
    assert critical_t(1.0, 10) == pytest.approx(0.0, abs=1e-12)


# --- no assumptions ---------------------------------------------------------------------------


def test_manskis_bounds_of_the_worked_numbers() -> None:
    found = s.manski_bounds([0.7, 0.5], [1, 0], 0, 1, weights=[0.4, 0.6])
    assert (found.lower, found.upper) == pytest.approx((-0.42, 0.58))
    assert found.interval is None
    y = np.repeat([1.0, 0.0, 1.0, 0.0], [28, 12, 30, 30])
    same = s.manski_bounds(y, np.repeat([1, 0], [40, 60]), 0, 1)
    assert (same.lower, same.upper) == pytest.approx((-0.42, 0.58))
    assert same.interval is not None


def test_manskis_bounds_are_attained_by_filling_in_what_was_not_seen() -> None:
    rng = np.random.default_rng(2)
    y, t = rng.uniform(-1, 2, size=50), rng.integers(2, size=50)
    found = s.manski_bounds(y, t, -1, 2)
    effects = [
        np.mean(np.where(t == 1, y, unseen1) - np.where(t == 0, y, unseen0))
        for unseen1, unseen0 in ((-1, 2), (2, -1))
    ]
    assert (found.lower, found.upper) == pytest.approx(tuple(effects))
    assert found.upper - found.lower == pytest.approx(3)


@pytest.mark.parametrize(("width", "c"), [(0.0, 1.96), (1.0, 1.68), (5.0, 1.645)])
def test_the_reach_of_an_interval_of_a_range_falls_with_its_width(width: float, c: float) -> None:
    lower, upper = s.imbens_manski(0.0, width, 1.0, 1.0)
    assert (-lower, upper - width) == pytest.approx((c, c), abs=5e-3)
    assert s.imbens_manski(0.0, width, 0.0, 0.0) == (0.0, width)


def test_the_interval_of_manskis_bounds_holds_an_extreme_truth_as_often_as_it_says() -> None:
    # Everybody unseen has the worst outcome, so that the truth is the lower end: -0.5 + 0.5 * .6.
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(1000):
        t = rng.random(200) < 0.5
        y = np.where(t, rng.random(200) < 0.6, rng.random(200) < 0.4).astype(float)
        found = s.manski_bounds(y, t, 0, 1)
        assert found.interval is not None
        hits += found.interval[0] <= 0.5 * 0.6 - (0.5 + 0.5 * 0.4) <= found.interval[1]
    assert abs(hits / 1000 - 0.95) < 3 * sqrt(0.95 * 0.05 / 1000)


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: s.evalue(-1.0), "estimate=-1.0; expected a positive finite ratio"),
        (lambda: s.evalue(0.0), "positive finite ratio"),
        (lambda: s.evalue(float("nan")), "positive finite ratio"),
        (lambda: s.evalue(2.0, 1.0, inf), "upper=inf; expected a positive"),
        (lambda: s.evalue(2.0, 2.5, 3.0), "doesn't hold the estimate 2"),
        (lambda: s.evalue(2.0, 3.0, 1.0), "doesn't hold the estimate 2"),
        (lambda: s.evalue(2.0, 1.0), "one limit; expected both"),
        (
            lambda: s.evalue(2.0, scale="odds"),  # type: ignore[arg-type]
            "expected one of risk ratio, odds ratio",
        ),
        (lambda: s.evalue(2.0, scale="odds ratio"), "Say rare=True"),
        (lambda: s.evalue(2.0, scale="hazard ratio"), "Say rare=True"),
        (lambda: s.evalue(2.0, se=0.1), "se=0.1 with scale='risk ratio'"),
        (lambda: s.evalue(0.5, 0.1, 0.9, scale="difference"), "lower=0.1 with"),
        (lambda: s.evalue(0.5, scale="difference", se=-1.0), "no negative error"),
        (lambda: s.evalue(inf, scale="difference"), "expected finite numbers"),
        (lambda: s.robustness_value(2.0, 1), "expected more than 1"),
        (lambda: s.robustness_value(inf, 10), "expected a finite number"),
        (lambda: s.robustness_value(2.0, 10, q=0.0), "positive share"),
        (lambda: s.robustness_value(2.0, 10, alpha=0.0), r"level in \(0, 1\]"),
        (lambda: s.partial_r2(2.0, 0), "expected more than 0"),
        (lambda: s.ovb_bounds(1.0, 0.0, 10, 0.1, 0.1), "positive error"),
        (lambda: s.ovb_bounds(1.0, 0.5, 1, 0.1, 0.1), "expected more than 1"),
        (lambda: s.ovb_bounds(1.0, 0.5, 10, 1.0, 0.1), r"the first in \[0, 1\)"),
        (lambda: s.ovb_bounds(1.0, 0.5, 10, 0.1, 1.1), r"the second in \[0, 1\]"),
        (lambda: s.ovb_bounds(1.0, 0.5, 10, 0.1, 0.1, level=95), "level=95"),
        (lambda: s.benchmark(0.5, 0.2), "explain all of the treatment. Take less than 1 times"),
        (lambda: s.benchmark(0.5, 1.2), "expected both in"),
        (lambda: s.benchmark(0.1, 0.2, -1.0), "times=-1.0"),
        (lambda: s.manski_bounds([1, 2], [0, 1], 0, 1), "outcomes from 1 to 2, outside of"),
        (lambda: s.manski_bounds([1, 0], [0, 1], 1, 0), "expected the least and the greatest"),
        (lambda: s.manski_bounds([1, 0], [0, 1], 0, inf), "An unbounded outcome"),
        (lambda: s.manski_bounds([1, 0], [0, 1], 0, 1, weights=[0.5, 0.6]), "sum to 1.1"),
        (lambda: s.manski_bounds([1, 0], [0, 2], 0, 1), "the values 0, 2; expected 0"),
        (lambda: s.manski_bounds([1, 0], [1, 1], 0, 1), "the values 1; expected 0"),
        (lambda: s.manski_bounds([1, 0], [0, 1, 1], 0, 1), "t has 3 units, the outcome 2"),
        (lambda: s.manski_bounds([1, np.nan], [0, 1], 0, 1), "1 missing or infinite values"),
        (lambda: s.manski_bounds([], [], 0, 1), "expected one number for each unit"),
        (lambda: s.imbens_manski(1.0, 0.0, 1.0, 1.0), "expected its ends"),
        (lambda: s.imbens_manski(0.0, 1.0, -1.0, 1.0), "finite numbers from 0"),
        (lambda: s.imbens_manski(0.0, 1.0, 1.0, 1.0, level=1.0), "level=1.0"),
    ],
)
def test_bad_numbers_are_refused_with_what_was_expected(
    ask: Callable[[], object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ask()


def test_values_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(
        TypeError, match="the outcome y holds words, such as 'a'; expected numbers"
    ):
        s.manski_bounds(["a", "b"], [0, 1], 0, 1)


def test_an_answer_instead_of_its_value_is_refused_with_the_way_to_it() -> None:
    effect: Any = pc.ate(pc.zoo.simpson(), "surgery", "recovery", scale="ratio", seed=0)
    with pytest.raises(TypeError, match=r"evalue got Effect; expected a number.*effect.value"):
        s.evalue(effect)
