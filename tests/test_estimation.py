"""Estimates from rows: against closed forms, each other, known truths and published figures."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from estimates import error

import pyrocausal as pc
from pyrocausal.estimation import LeastSquares, Logistic, estimate
from pyrocausal.estimation.finding import Finding, median_of

BACK_DOOR = pc.identify(pc.CausalGraph([("Z", "X"), ("Z", "Y"), ("X", "Y")]), "Y", do="X")
METHODS = ["aipw", "regression", "weighting", "plug-in"]
Rows = pd.DataFrame


def expit(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def confounded(seed: int, n: int = 400) -> Rows:
    # Z -> X, Z -> Y, X -> Y; effect 1 + Z, mean 1; of the treated more
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    x = rng.random(n) < expit(z / 2)
    y = x * (1 + z) + z + rng.normal(size=n)
    return pd.DataFrame({"Z": z, "X": x.astype(float), "Y": y})


class Constant:
    """A wrong model: the same answer for all rows."""

    def fit(self, x: Any, y: Any) -> None:
        self.mean = y.mean()

    def predict(self, x: Any) -> Any:
        return np.full(len(x), self.mean)


class EvenChance(Constant):
    """A wrong propensity."""

    def predict_proba(self, x: Any) -> Any:
        return np.full((len(x), 2), 0.5)


# Published figures: NHEFS, does quitting smoking make people gain weight?

COVARIATES = ["age", "smokeintensity", "smokeyrs", "wt71"]
CODES = ["sex", "race", "education", "exercise", "active"]
NHEFS = pc.identify(
    pc.CausalGraph(
        [("qsmk", "wt82_71")]
        + [(cause, to) for cause in COVARIATES + CODES for to in ("qsmk", "wt82_71")]
    ),
    "wt82_71",
    do="qsmk",
)


@pytest.mark.parametrize("seed", range(3))
def test_aipw_on_nhefs_gives_the_known_figures(seed: int) -> None:
    effect = NHEFS.estimate(pc.datasets.nhefs(), factors=CODES, seed=seed)
    assert 3.2 < float(effect) < 3.7
    assert 0.45 < error(effect) < 0.60
    # Over 40 splits .83 (.30); the median of 20 splits moves by a few hundredths.
    assert effect.details["adjusted - naive"] == pytest.approx(0.83, abs=0.08)
    assert 0.0 not in effect.details["adjusted - naive, interval"]
    assert effect.details["adjusted - naive, interval"].sources["sampling"] == pytest.approx(
        0.30, abs=0.02
    )
    assert effect.details["naive difference"] == "2.541 (se 0.49)"


def test_weighting_and_regression_on_nhefs_give_the_book_s_figures() -> None:
    rows = pc.datasets.nhefs()
    weighted = NHEFS.estimate(rows, method="weighting", factors=CODES)
    # statsmodels 0.15, TreatmentEffect.ipw, of all and of the treated
    assert (float(weighted), error(weighted)) == pytest.approx((3.44054, 0.487073), abs=2e-5)
    treated = NHEFS.estimate(rows, method="weighting", population="treated", factors=CODES)
    assert (float(treated), error(treated)) == pytest.approx((3.33626, 0.490959), abs=2e-5)
    # The book's regression has one product only; a regression in each arm gives 3.44.
    regressed = NHEFS.estimate(rows, method="regression", factors=CODES)
    assert float(regressed) == pytest.approx(3.46, abs=0.05)
    for effect in (weighted, regressed):
        assert 0.0 not in effect.details["adjusted - naive, interval"]


def test_plug_in_of_an_adjustment_is_the_regression() -> None:
    rows = pc.datasets.nhefs()
    plug_in, regressed = (
        NHEFS.estimate(rows, method=method, factors=CODES, replicates=20, seed=0)
        for method in ("plug-in", "regression")
    )
    assert float(plug_in) == pytest.approx(float(regressed), abs=1e-8)
    # The standard error of one of 20 replicates is 16 %.
    assert error(plug_in) == pytest.approx(error(regressed), rel=0.6)


# Closed forms


def stratified(rows: Rows, whose: Any = slice(None)) -> float:
    """Return the difference of arms within strata, averaged over the strata of some rows."""
    means = rows.groupby(["Z", "X"]).Y.mean().unstack()
    return float((means[1.0] - means[0.0]).loc[rows.Z[whose]].mean())


@pytest.mark.parametrize(
    ("method", "population"),
    [("plug-in", "all")]
    + [(m, p) for m in ("regression", "weighting") for p in ("all", "treated", "untreated")],
)
def test_with_one_stratum_variable_it_is_the_average_over_strata(
    method: Any, population: Any
) -> None:
    rows = confounded(0).assign(Z=lambda rows: np.digitize(rows.Z, [-1, 0, 1]))
    whose = {"all": slice(None), "treated": rows.X == 1, "untreated": rows.X == 0}[population]
    effect = BACK_DOOR.estimate(
        rows, method=method, population=population, factors=["Z"], replicates=20, seed=0
    )
    # The logit's tiny ridge moves the propensities in the eighth place.
    assert float(effect) == pytest.approx(stratified(rows, whose), abs=1e-5)


def test_without_confounding_all_methods_give_the_difference_in_means() -> None:
    rows = confounded(1)
    estimand = pc.identify(pc.CausalGraph([("X", "Y")]), "Y", do="X")
    mean = rows.groupby("X").Y.mean()
    se = (rows.groupby("X").Y.var(ddof=0) / rows.groupby("X").Y.count()).sum() ** 0.5
    for method in ("regression", "weighting", "aipw"):
        effect = estimate(estimand, rows, method=method, seed=0)
        tolerance = 0.02 if method == "aipw" else 1e-9  # means of other folds stand in
        assert float(effect) == pytest.approx(mean[1] - mean[0], abs=tolerance)
        assert error(effect) == pytest.approx(se, rel=tolerance)


def test_a_dose_is_met_by_regression() -> None:
    rng = np.random.default_rng(7)
    z = rng.normal(size=2000)
    x = z + rng.normal(size=2000)
    y = 2 * x + 0.5 * x**2 + x * z + z + rng.normal(size=2000)
    rows = pd.DataFrame({"Z": z, "X": x, "Y": y})
    effect = BACK_DOOR.estimate(rows, (1.0, 0.0), method="regression")
    assert abs(float(effect) - (2.5 + z.mean())) < 4 * error(effect) < 0.5
    far = BACK_DOOR.estimate(rows, (9.0, 0.0), method="regression")
    assert "extrapolated" in far.warnings[0]
    own = BACK_DOOR.estimate(
        rows, (1.0, 0.0), method="regression", outcome_model=Constant(), replicates=10
    )
    assert float(own) == 0


def test_a_classifier_models_an_outcome_of_0_and_1() -> None:
    rows = confounded(23, n=2000).assign(Z=lambda rows: np.digitize(rows.Z, [-1, 0, 1]))
    rows = rows.assign(Y=(rows.Y > 0).astype(float))
    effect = BACK_DOOR.estimate(
        rows, method="regression", outcome_model=Logistic(), factors=["Z"], replicates=20, seed=0
    )
    assert float(effect) == pytest.approx(stratified(rows), abs=1e-5)
    known = BACK_DOOR.estimate(rows, method="regression", factors=["Z"])
    assert error(effect) == pytest.approx(error(known), rel=0.6)  # of 20 replicates


def test_no_row_is_predicted_by_a_model_that_saw_it() -> None:
    class Watchful(LeastSquares):
        def fit(self, x: Any, y: Any) -> LeastSquares:
            self.seen = {*x[:, 0]}
            return super().fit(x, y)

        def predict(self, x: Any) -> Any:
            assert not self.seen & {*x[:, 0]}
            return super().predict(x)

    class Wary(Logistic):
        def fit(self, x: Any, t: Any) -> Logistic:
            self.seen = {*x[:, 0]}
            assert len(self.seen) == 320  # 4 of 5 folds
            return super().fit(x, t)

        def predict_proba(self, x: Any) -> Any:
            assert not self.seen & {*x[:, 0]}
            return super().predict_proba(x)

    BACK_DOOR.estimate(confounded(0), outcome_model=Watchful(), treatment_model=Wary(), splits=2)


def test_the_median_over_splits_counts_their_spread() -> None:
    splits = [Finding(v, 1.0, 0.0, 1.0, 0.5) for v in (1.0, 2.0, 5.0)]
    found = median_of(splits)
    # squared distances from the median 2: 1, 0, 9
    assert (found.value, found.variance, found.paired_variance) == (2.0, 2.0, 1.5)


# Truth in simulations


def test_aipw_is_right_if_either_model_is() -> None:
    rows = confounded(11, n=4000)
    for models in ({"outcome_model": Constant()}, {"treatment_model": EvenChance()}):
        effect = BACK_DOOR.estimate(rows, splits=3, seed=0, **models)
        assert abs(float(effect) - 1) < 4 * error(effect) < 0.5
    wrong = BACK_DOOR.estimate(
        rows, splits=3, seed=0, outcome_model=Constant(), treatment_model=EvenChance()
    )
    assert abs(float(wrong) - 1) > 4 * error(wrong)


@pytest.mark.parametrize("method", METHODS[:3])
def test_each_population_has_its_own_effect(method: Any) -> None:
    rows = confounded(13, n=4000)
    truth = {
        "all": 1 + rows.Z.mean(),
        "treated": 1 + rows.Z[rows.X == 1].mean(),
        "untreated": 1 + rows.Z[rows.X == 0].mean(),
    }
    for population, mean in truth.items():
        effect = BACK_DOOR.estimate(rows, method=method, population=population, splits=2, seed=0)  # type: ignore[arg-type]
        assert abs(float(effect) - mean) < 4 * error(effect) < 0.5
        assert effect.rung == (2 if population == "all" else 3)


def test_of_several_levels_the_two_named_ones_are_compared() -> None:
    rng = np.random.default_rng(17)
    z = rng.normal(size=4000)
    x = np.clip(np.round(z + 1 + rng.normal(size=4000)), 0, 2)
    rows = pd.DataFrame({"Z": z, "X": x, "Y": x**2 + z + rng.normal(size=4000)})
    for method in METHODS[:3]:
        effect = estimate(BACK_DOOR, rows, (2, 1), method=method, splits=2, seed=0)  # type: ignore[arg-type]
        assert abs(float(effect) - 3) < 4 * error(effect) < 0.5
    words = rows.assign(X=np.array(["none", "some", "much"])[x.astype(int)])
    same = BACK_DOOR.estimate(words, ("much", "some"), method="weighting")
    assert float(same) == pytest.approx(
        BACK_DOOR.estimate(rows, (2, 1), method="weighting").value, abs=1e-9
    )
    assert same.query == "E[Y | do(X=much)] - E[Y | do(X=some)]"


def coverage(estimator: Callable[[int], Any], truth: float, times: int) -> float:
    return float(np.mean([truth in estimator(seed).interval for seed in range(times)]))


@pytest.mark.slow
def test_intervals_of_aipw_hold_the_truth_in_95_of_100_data_sets() -> None:
    share = coverage(
        lambda seed: BACK_DOOR.estimate(confounded(seed), splits=3, squares=False, seed=seed),
        1,
        500,
    )
    # 99 % binomial interval of the coverage
    assert abs(share - 0.95) < 2.576 * (0.95 * 0.05 / 500) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("method", ["regression", "weighting"])
def test_intervals_of_single_models_hold_the_truth_too(method: Any) -> None:
    share = coverage(
        lambda seed: BACK_DOOR.estimate(confounded(seed, 1000), method=method, squares=False),
        1,
        500,
    )
    assert abs(share - 0.95) < 2.576 * (0.95 * 0.05 / 500) ** 0.5


@pytest.mark.parametrize("population", ["all", "treated"])
@pytest.mark.parametrize("method", ["regression", "weighting"])
def test_influence_functions_agree_with_the_bootstrap(method: Any, population: Any) -> None:
    class Own(LeastSquares if method == "regression" else Logistic):  # type: ignore[misc]
        pass

    class Wrapped:
        """The same model, of a type that isn't known."""

        def __init__(self) -> None:
            self.inner = Own()

        def __getattr__(self, name: str) -> Any:
            if name == "inner" or (name == "predict_proba" and method == "regression"):
                raise AttributeError(name)
            return getattr(self.inner, name)

    rows = confounded(19)
    role = "outcome_model" if method == "regression" else "treatment_model"
    known = BACK_DOOR.estimate(rows, method=method, population=population)
    options: Any = {role: Wrapped(), "replicates": 300}
    drawn = BACK_DOOR.estimate(rows, method=method, population=population, seed=0, **options)
    assert float(drawn) == pytest.approx(float(known), abs=1e-9)
    # The standard deviation of 300 replicates has a standard error of 4 %.
    assert error(drawn) == pytest.approx(error(known), rel=0.16)
    paired = "adjusted - naive, interval"
    assert drawn.details[paired].sources["sampling"] == pytest.approx(
        known.details[paired].sources["sampling"], rel=0.16
    )
