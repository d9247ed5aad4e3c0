"""Two-stage least squares, strength of instruments, Anderson-Rubin sets."""

from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

import pyrocausal as pc
from pyrocausal.estimation.two_stage import two_stage_least_squares
from pyrocausal.estimation.weak_instruments import (
    AndersonRubin,
    solve_matrix_quadratic,
    solve_quadratic,
)

Data = dict[str, npt.NDArray[Any]]

CONTROLS = ["exper", "black", "south", "smsa", "married"]


def linear(
    rng: np.random.Generator, rows: int, strength: float, instruments: int = 1, spread: float = 0.0
) -> Data:
    """Z -> X -> Y; X <-> Y; effect 1.5; the noise of Y grows with Z by ``spread``."""
    z = rng.normal(size=(rows, instruments))
    u = rng.normal(size=rows)
    x = strength * z.sum(1) + u + rng.normal(size=rows)
    y = 1.5 * x - 2.0 * u + (1 + spread * np.abs(z[:, 0])) * rng.normal(size=rows)
    return {"x": x, "y": y, **{f"z{i}": column for i, column in enumerate(z.T)}}


def names(data: Data) -> list[str]:
    return [name for name in data if name.startswith("z")]


def binomial_limits(runs: int, probability: float = 0.95) -> Any:
    return stats.binom.ppf([0.005, 0.995], runs, probability) / runs


def test_a_year_of_schooling_is_worth_what_the_literature_says() -> None:
    card: Any = two_stage_least_squares(
        pc.datasets.close_college(), "educ", "lwage", "nearc4", CONTROLS, robust=False
    )
    assert card.value == pytest.approx(0.124, abs=5e-4)
    assert card.se == pytest.approx(0.050, abs=5e-4)
    assert card.details["first-stage F"] == pytest.approx(15.8, abs=0.05)
    lower, upper = card.details["Anderson-Rubin set"]
    assert (lower, upper) == (pytest.approx(0.027, abs=5e-4), pytest.approx(0.255, abs=5e-4))
    assert card.details["rows"] == 3003
    assert "7 more rows lack a value" in card.warnings[0]
    assert card.details["claims"] == "the average effect (ATE), under a homogeneous effect"


@pytest.mark.parametrize("robust", [False, True])
def test_the_estimate_is_that_of_the_two_regressions_written_out(robust: bool) -> None:
    rng = np.random.default_rng(0)
    data = linear(rng, 300, 0.5, instruments=2, spread=1.0)
    data["w"] = rng.normal(size=300)
    data["x"] = data["x"] + data["w"]
    card: Any = two_stage_least_squares(data, "x", "y", names(data), "w", robust=robust)
    exogenous = np.column_stack([np.ones(300), data["w"]])
    z = np.column_stack([exogenous, data["z0"], data["z1"]])
    x = np.column_stack([exogenous, data["x"]])
    fitted = z @ np.linalg.solve(z.T @ z, z.T @ x)
    beta = np.linalg.solve(fitted.T @ x, fitted.T @ data["y"])
    residual = data["y"] - x @ beta
    bread = np.linalg.inv(fitted.T @ fitted)
    weights = residual**2 if robust else np.full(300, (residual**2).mean())
    covariance = bread @ (fitted.T * weights) @ fitted @ bread * 300 / 297
    assert card.value == pytest.approx(beta[-1], rel=1e-9)
    assert card.se == pytest.approx(covariance[-1, -1] ** 0.5, rel=1e-9)


def test_the_first_stage_f_compares_regressions_with_and_without_instruments() -> None:
    data = linear(np.random.default_rng(1), 80, 0.3, instruments=3)
    z = np.column_stack([np.ones(80), *(data[name] for name in names(data))])
    with_z = ((data["x"] - z @ np.linalg.lstsq(z, data["x"])[0]) ** 2).sum()
    without = ((data["x"] - data["x"].mean()) ** 2).sum()
    f = (without - with_z) / 3 / (with_z / 76)
    card: Any = two_stage_least_squares(data, "x", "y", names(data), robust=False)
    assert card.details["first-stage F"] == pytest.approx(f, rel=1e-9)


@pytest.mark.parametrize("instruments", [1, 3])
def test_the_anderson_rubin_set_holds_the_effects_that_an_f_test_does_not_reject(
    instruments: int,
) -> None:
    data = linear(np.random.default_rng(2), 60, 0.6, instruments)
    region = two_stage_least_squares(data, "x", "y", names(data), robust=False).details[
        "Anderson-Rubin set"
    ]
    z = np.column_stack([np.ones(60), *(data[name] for name in names(data))])
    inside = 0
    for effect in np.linspace(-3, 6, 181):
        left = data["y"] - effect * data["x"]
        rest = ((left - z @ np.linalg.lstsq(z, left)[0]) ** 2).sum()
        whole = ((left - left.mean()) ** 2).sum()
        freedom = 60 - instruments - 1
        p = stats.f.sf((whole - rest) / instruments / (rest / freedom), instruments, freedom)
        assert (effect in region) == (p >= 0.05)
        inside += effect in region
    assert 0 < inside < 181


@pytest.mark.parametrize("instruments", [1, 3])
@pytest.mark.parametrize("strength", [0.6, 0.1])
def test_the_robust_set_holds_the_effects_that_a_robust_test_does_not_reject(
    instruments: int, strength: float
) -> None:
    data = linear(np.random.default_rng(3), 60, strength, instruments, spread=2.0)
    region = two_stage_least_squares(data, "x", "y", names(data)).details["Anderson-Rubin set"]
    z = np.column_stack([data[name] - data[name].mean() for name in names(data)])
    bread, freedom = np.linalg.inv(z.T @ z), 60 - instruments - 1
    for effect in [*np.linspace(-3, 6, 181), -1e4, 1e4]:
        left = data["y"] - effect * data["x"]
        left = left - left.mean()
        slopes = bread @ z.T @ left
        scatter = (z.T * (left - z @ slopes) ** 2) @ z * 60 / freedom
        f = slopes @ np.linalg.solve(bread @ scatter @ bread, slopes) / instruments
        assert (effect in region) == (stats.f.sf(f, instruments, freedom) >= 0.05)


def test_a_set_is_an_interval_two_rays_the_line_or_empty() -> None:
    kinds = {
        (1.0, 0.5, -2.0): "interval",
        (1.0, 0.0, 1.0): "empty",
        (-1.0, 0.5, 2.0): "two rays",
        (-1.0, 0.0, -1.0): "line",
        (0.0, 1.0, 2.0): "ray",
        (0.0, -1.0, 2.0): "ray",
        (0.0, 0.0, 1.0): "empty",
        (0.0, 0.0, -1.0): "line",
    }
    for (a, b, c), kind in kinds.items():
        region = solve_quadratic(a, b, c)
        assert region.kind == kind
        for beta in np.linspace(-5, 5, 41):
            value = a * beta**2 - 2 * b * beta + c
            assert abs(value) < 1e-9 or (beta in region) == (value <= 0)


@pytest.mark.parametrize("seed", range(20))
def test_a_matrix_has_no_negative_eigenvalue_in_the_set_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n0, n1, n2 = (noise + noise.T for noise in rng.normal(size=(3, 4, 4)))
    n0, n2 = n0 + 6 * np.eye(4), n2 - 3 * np.eye(4)
    region = solve_matrix_quadratic((n0, n1, n2), 2.0, 0.5)
    for t in np.linspace(-6, 6, 121):
        least = np.linalg.eigvalsh(n0 + t * n1 + t * t * n2)[0]
        assert abs(least) < 1e-9 or (2.0 + 0.5 * t in region) == (least >= 0)


def test_a_set_may_be_in_pieces() -> None:
    # t^2 - 4, 9 - t^2 and 16 - t^2 are at least 0.
    n0, n2 = np.diag([-4.0, 9.0, 16.0]), np.diag([1.0, -1.0, -1.0])
    region = solve_matrix_quadratic((n0, np.zeros((3, 3)), n2), 0.5, 1.0)
    assert (region.kind, str(region)) == ("pieces", "[-2.5, -1.5] or [2.5, 3.5]")
    assert 3.0 in region
    assert 0.5 not in region
    assert 4.0 not in region


def test_a_set_prints_what_it_is() -> None:
    assert str(AndersonRubin(-inf, inf, gaps=((-0.5, 3.0),))) == "at most -0.5 or at least 3"
    three = AndersonRubin(-inf, 9.0, gaps=((-2.0, 0.0), (1.0, 5.0)))
    assert (three.kind, str(three)) == ("pieces", "at most -2 or [0, 1] or [5, 9]")
    assert str(AndersonRubin(1.0, inf)) == "[1, inf]"
    assert str(AndersonRubin(inf, -inf)) == "empty"


def test_an_effect_without_error_is_its_own_set() -> None:
    data = linear(np.random.default_rng(4), 50, 1.0, instruments=2)
    data["y"] = 2 * data["x"]
    region = two_stage_least_squares(data, "x", "y", names(data)).details["Anderson-Rubin set"]
    assert tuple(region) == pytest.approx((2.0, 2.0), abs=1e-12)


def test_a_weak_instrument_has_the_anderson_rubin_interval_and_says_so() -> None:
    weak = linear(np.random.default_rng(4), 200, 0.05)
    card: Any = two_stage_least_squares(weak, "x", "y", "z0")
    assert card.details["first-stage F"] < 10
    assert card.interval is card.details["Anderson-Rubin set"]
    assert card.details["interval by"] == "Anderson-Rubin"
    assert "weak instrument: F" in card.warnings[0]
    assert "the interval is Anderson-Rubin's" in str(card)
    strong = two_stage_least_squares(linear(np.random.default_rng(4), 200, 1.0), "x", "y", "z0")
    assert strong.details["first-stage F"] > 10
    assert strong.details["interval by"] == "normal approximation"
    assert strong.warnings == ()


def test_instruments_that_disagree_have_an_empty_set_and_a_warning() -> None:
    rng = np.random.default_rng(5)
    data = linear(rng, 500, 1.0, instruments=2)
    data["y"] = data["y"] + 3 * data["z1"]
    card: Any = two_stage_least_squares(data, "x", "y", names(data))
    assert card.details["Anderson-Rubin set"].kind == "empty"
    assert "no effect fits all instruments at once" in card.warnings[0]


@pytest.mark.parametrize(
    ("strength", "spread", "instruments"),
    [(1.0, 0.0, 1), (0.05, 0.0, 1), (0.1, 2.0, 1), (1.0, 2.0, 3), (0.05, 2.0, 3)],
)
@pytest.mark.slow
def test_anderson_rubin_sets_cover_whether_the_instrument_is_strong_or_weak(
    strength: float, spread: float, instruments: int
) -> None:
    runs, hits = 500, 0
    for seed in range(runs):
        data = linear(np.random.default_rng(seed), 200, strength, instruments, spread)
        card = two_stage_least_squares(data, "x", "y", names(data))
        hits += 1.5 in card.details["Anderson-Rubin set"]
    low, high = binomial_limits(runs)
    assert low <= hits / runs <= high


@pytest.mark.slow
def test_sets_of_equal_variances_would_fail_where_these_differ() -> None:
    runs, hits = 300, 0
    for seed in range(runs):
        data = linear(np.random.default_rng(seed), 200, 1.0, instruments=3, spread=2.0)
        card = two_stage_least_squares(data, "x", "y", names(data), robust=False)
        hits += 1.5 in card.details["Anderson-Rubin set"]
    assert hits / runs < binomial_limits(runs)[0]


@pytest.mark.slow
def test_intervals_of_two_stage_least_squares_cover() -> None:
    runs, hits = 500, 0
    for seed in range(runs):
        data = linear(np.random.default_rng(1000 + seed), 300, 0.7, spread=1.0)
        card: Any = two_stage_least_squares(data, "x", "y", "z0")
        hits += 1.5 in card.interval
    low, high = binomial_limits(runs)
    assert low <= hits / runs <= high


@pytest.mark.slow
def test_the_normal_interval_would_fail_where_the_instrument_is_weak() -> None:
    runs, hits = 300, 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        z, u = rng.normal(size=(2, 200))
        x = 0.05 * z + u
        y = 1.5 * x - 2.0 * u + 0.1 * rng.normal(size=200)
        card: Any = two_stage_least_squares({"x": x, "y": y, "z": z}, "x", "y", "z", robust=False)
        hits += bool(abs(card.value - 1.5) < 1.96 * card.se)
    assert hits / runs < binomial_limits(runs)[0]


def test_the_standard_error_is_that_of_the_bootstrap() -> None:
    data = linear(np.random.default_rng(6), 400, 0.8, spread=1.0)
    rng, values = np.random.default_rng(7), []
    for _ in range(400):
        rows = rng.integers(400, size=400)
        again = {name: column[rows] for name, column in data.items()}
        values.append(float(two_stage_least_squares(again, "x", "y", "z0")))
    error = two_stage_least_squares(data, "x", "y", "z0").se
    # The error of a standard deviation over 400 replicates is 1 / sqrt(800), 3.5 %.
    assert np.std(values) == pytest.approx(error, rel=4 * 0.035)


GOOD = linear(np.random.default_rng(8), 30, 1.0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"z0": np.ones(30)}, "instrument 'z0' is 1 in all 30 complete rows"),
        ({"x": np.full(30, 2.0)}, "treatment 'x' is 2 in all 30 complete rows"),
        ({"w": GOOD["z0"]}, "instrument 'z0' doesn't vary any more once 'w'"),
        ({"w": 3 * GOOD["x"] + 1}, "treatment 'x' doesn't vary any more once 'w'"),
        ({name: column[:3] for name, column in GOOD.items()}, "3 complete rows for 1 instruments"),
        ({"y": np.full(30, np.nan)}, "no row has a value"),
        ({"z0": np.tile([-1.0, 1.0], 15), "x": np.repeat(GOOD["x"][:15], 2)}, "doesn't move"),
    ],
)
def test_columns_that_tell_nothing_are_refused(changed: dict[str, Any], message: str) -> None:
    data = {**GOOD, **changed}
    covariates = [name for name in changed if name == "w"]
    with pytest.raises(ValueError, match=message):
        two_stage_least_squares(data, "x", "y", "z0", covariates)


def test_more_instruments_than_rows_are_refused() -> None:
    data = linear(np.random.default_rng(9), 5, 1.0, instruments=8)
    with pytest.raises(ValueError, match="5 complete rows for 8 instruments"):
        two_stage_least_squares(data, "x", "y", names(data))


def test_instruments_that_say_the_same_are_refused() -> None:
    data = {**GOOD, "z1": 2 * GOOD["z0"] + 1}
    with pytest.raises(ValueError, match="'z1' doesn't vary any more once 'z0'"):
        two_stage_least_squares(data, "x", "y", ["z0", "z1"])


def test_words_where_numbers_are_needed_are_refused_and_words_of_covariates_are_not() -> None:
    words = np.array(["a", "b"] * 15)
    for name, call in {
        "x": ("x", "y", "z0"),
        "z0": ("x", "y", "z0"),
        "y": ("x", "y", "z0"),
    }.items():
        with pytest.raises(TypeError, match=f"'{name}'.* holds words, such as 'a'"):
            two_stage_least_squares({**GOOD, name: words}, *call)
    coded = {**GOOD, "w": (words == "b").astype(float)}
    assert two_stage_least_squares({**GOOD, "w": words}, "x", "y", "z0", "w").value == (
        pytest.approx(two_stage_least_squares(coded, "x", "y", "z0", "w").value, rel=1e-9)
    )


def test_names_and_levels_that_make_no_sense_are_refused() -> None:
    with pytest.raises(pc.UnknownVariable, match="z7"):
        two_stage_least_squares(GOOD, "x", "y", "z7")
    with pytest.raises(ValueError, match="got none"):
        two_stage_least_squares(GOOD, "x", "y", [])
    with pytest.raises(ValueError, match="'x' is named in two places"):
        two_stage_least_squares(GOOD, "x", "y", "x")
    with pytest.raises(ValueError, match="level got 95"):
        two_stage_least_squares(GOOD, "x", "y", "z0", level=95)


def test_rows_that_lack_a_value_are_counted_and_left_out() -> None:
    holed = {**GOOD, "z0": np.where(np.arange(30) < 4, np.nan, GOOD["z0"])}
    card: Any = two_stage_least_squares(holed, "x", "y", "z0")
    rest = {name: column[4:] for name, column in GOOD.items()}
    assert card.value == two_stage_least_squares(rest, "x", "y", "z0").value
    assert card.details["rows"] == 26
    assert any("4 more rows lack a value" in warning for warning in card.warnings)
