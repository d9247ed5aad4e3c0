"""Estimates from rows: what the card says, what is left out, and what is refused."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from estimates import error

import pyrocausal as pc
from pyrocausal.estimation import LeastSquares, Logistic

GRAPH = pc.CausalGraph([("Z", "X"), ("Z", "Y"), ("X", "Y")])
BACK_DOOR = pc.identify(GRAPH, "Y", do="X")
FRONT_DOOR = pc.identify(
    pc.CausalGraph([("X", "M"), ("M", "Y")], bidirected=[("X", "Y")]), "Y", do="X"
)


def rows_of(n: int = 300, slope: float = 1.0) -> pd.DataFrame:
    # Z -> X, Z -> Y, X -> Y
    rng = np.random.default_rng(0)
    z = rng.normal(size=n)
    x = (rng.random(n) < 1 / (1 + np.exp(-slope * z))).astype(float)
    return pd.DataFrame({"Z": z, "X": x, "Y": 2 * x + z + rng.normal(size=n)})


ROWS = rows_of()


def test_rows_that_lack_a_value_are_left_out_and_counted() -> None:
    holes = ROWS.assign(unused=np.nan)
    holes.loc[[1, 5], "Z"] = np.nan
    holes.loc[5, "Y"] = np.nan
    effect = BACK_DOOR.estimate(holes, seed=0)
    assert effect.details["rows"] == 298
    assert "2 more rows lack a value" in effect.warnings[0]
    assert float(effect) == BACK_DOOR.estimate(ROWS.drop([1, 5]), seed=0).value


def test_the_same_seed_gives_the_same_and_no_global_state_is_used() -> None:
    before = np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    one, two, other = (BACK_DOOR.estimate(ROWS, splits=1, seed=seed).value for seed in (1, 1, 2))
    assert one == two != other
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index]  # noqa: NPY002


def test_a_table_of_any_kind_will_do() -> None:
    expected = BACK_DOOR.estimate(ROWS, method="regression").value
    kinds: list[Any] = [
        {name: column.tolist() for name, column in ROWS.items()},
        ROWS.assign(X=ROWS.X.astype(bool)),
        ROWS.assign(X=ROWS.X.astype("Int64"), Y=ROWS.Y.astype("Float64")),
        ROWS.set_index(np.arange(300)[::-1]),
    ]
    for data in kinds:
        found = BACK_DOOR.estimate(data, method="regression").value
        assert found == pytest.approx(expected, abs=1e-9)


def test_words_codes_and_categories_are_factors() -> None:
    codes = ROWS.assign(Z=np.digitize(ROWS.Z, [-0.5, 0.5]))
    words = codes.assign(Z=np.array(["low", "middle", "high"])[codes.Z])
    expected = BACK_DOOR.estimate(codes, method="regression", factors=["Z"]).value
    for data in (words, words.astype({"Z": "category"}), codes.astype({"Z": "category"})):
        found = BACK_DOOR.estimate(data, method="regression").value
        assert found == pytest.approx(expected, abs=1e-9)
    linear = BACK_DOOR.estimate(codes, method="regression", squares=False)
    assert float(linear) != pytest.approx(expected, abs=1e-6)


def test_trimming_names_the_population_whose_effect_it_is() -> None:
    rows = rows_of(slope=3.0)
    whole, trimmed = (BACK_DOOR.estimate(rows, seed=0, trim=trim) for trim in (None, 0.1))
    assert "overlap" in whole.warnings[0]
    assert not trimmed.warnings
    text = trimmed.details["population"]
    assert text.startswith("all whose propensity of either value is at least 0.1: ")
    share = float(text.split(": ")[1].split(" %")[0]) / 100
    weighted = BACK_DOOR.estimate(rows, method="weighting", trim=0.1)
    own = float(weighted.details["population"].split(": ")[1].split(" %")[0]) / 100
    assert 0.3 < share < 0.9
    assert abs(share - own) < 0.05
    assert error(trimmed) < error(whole)


def test_a_trimmed_effect_is_that_of_those_who_are_kept() -> None:
    rng = np.random.default_rng(2)
    z = rng.normal(size=6000)
    e = 1 / (1 + np.exp(-2 * z))
    x = (rng.random(6000) < e).astype(float)
    rows = pd.DataFrame({"Z": z, "X": x, "Y": x * z**2 + z + rng.normal(size=6000)})
    kept = (e >= 0.1) & (e <= 0.9)
    for method in ("aipw", "weighting"):
        effect = BACK_DOOR.estimate(rows, method=method, trim=0.1, splits=2, seed=0)
        assert abs(float(effect) - (z**2)[kept].mean()) < 4 * error(effect) < 0.3
        assert abs(float(effect) - 1) > 0.3


def test_without_a_causal_path_the_effect_is_0() -> None:
    estimand = pc.identify(pc.CausalGraph([("Z", "X"), ("Z", "Y")]), "Y", do="X")
    effect = estimand.estimate(ROWS)
    assert (float(effect), error(effect)) == (0.0, 0.0)
    assert "no causal path from X to Y" in effect.assumptions[0]


def test_the_card_says_what_it_rests_on() -> None:
    card = str(BACK_DOOR.estimate(ROWS, seed=0))
    for text in (
        "E[Y | do(X=1)] - E[Y | do(X=0)] = ",
        "95 % interval",
        "rung: 2 (doing)",
        "AIPW, 5 folds, median of 20 splits",
        "naive difference",
        "adjusted - naive, interval: [",
        "the graph, by which {Z} is enough",
        "one of the two models is right",
    ):
        assert text in card
    assert "E[Y_{X=1} - Y_{X=0} | X=1]" in str(
        BACK_DOOR.estimate(ROWS, method="weighting", population="treated")
    )


def test_separated_arms_have_a_logit_and_a_warning() -> None:
    rows = ROWS.assign(X=(ROWS.Z > 0).astype(float))
    effect = BACK_DOOR.estimate(rows, method="weighting")
    assert "overlap: " in effect.warnings[0]
    assert np.isfinite(float(effect))


class OneClass:
    """A classifier that can't be fitted to one class, as scikit-learn's can't."""

    def fit(self, x: Any, y: Any) -> None:
        assert len(np.unique(y)) == 2

    def predict_proba(self, x: Any) -> Any:
        return np.full((len(x), 2), 0.5)


def test_an_arm_in_which_all_fare_alike_needs_no_classifier() -> None:
    rows = ROWS.assign(Y=(ROWS.X == 1) & (ROWS.Z > 0))
    effect = BACK_DOOR.estimate(
        rows, method="regression", outcome_model=OneClass(), replicates=5, seed=0
    )
    assert float(effect) == 0.5  # half of the treated by the model, none of the others


class Certain:
    """A classifier that is sure of the first class."""

    def fit(self, x: Any, y: Any) -> None:
        self.share = y.mean()

    def predict_proba(self, x: Any) -> Any:
        return np.column_stack([np.ones(len(x)), np.zeros(len(x))])


class Broken(LeastSquares):
    """A model that gives no numbers."""

    def predict(self, x: Any) -> Any:
        return np.full(len(x), np.nan)


HOLES = ROWS.assign(Z=np.nan)
DOSE = ROWS.assign(X=ROWS.Z + 1)
REFUSED: list[tuple[Any, Any, dict[str, Any], str]] = [
    (BACK_DOOR, ROWS.drop(columns="Z"), {}, "no variable 'Z'"),
    (BACK_DOOR, ROWS, {"factors": ["W"]}, "no variable 'W'"),
    (BACK_DOOR, HOLES, {}, "no row has a value in each of X, Y, Z"),
    (BACK_DOOR, ROWS.assign(Y="a"), {}, "holds words, such as .a.; expected numbers"),
    (BACK_DOOR, ROWS.assign(Z=pd.Timestamp("2020-01-01")), {}, "dates or durations"),
    (BACK_DOOR, ROWS.assign(Z=np.inf), {}, "holds an infinity"),
    (BACK_DOOR, {"X": [0, 1], "Y": [0, 1], "Z": [1]}, {}, "different lengths"),
    (BACK_DOOR, {"X": [0, 1], "Y": [0, 1], "Z": np.ones((2, 2))}, {}, "expected one value a row"),
    (BACK_DOOR, ROWS, {"values": (2, 0)}, "positivity: no row has X=2; the rows have 0, 1"),
    (BACK_DOOR, ROWS, {"values": (1, 1)}, "expected two different ones"),
    (BACK_DOOR, ROWS, {"values": "10"}, "expected two different ones"),
    (BACK_DOOR, ROWS, {"method": "ols"}, "expected one of"),
    (BACK_DOOR, ROWS, {"population": "some"}, "expected one of"),
    (BACK_DOOR, ROWS, {"models": "networks"}, "expected one of"),
    (BACK_DOOR, ROWS, {"models": "mechanisms"}, "it is for plug-in"),
    (BACK_DOOR, ROWS, {"splits": 0}, "a whole number, at least 1"),
    (BACK_DOOR, ROWS, {"folds": 1}, "a whole number, at least 2"),
    (BACK_DOOR, ROWS, {"level": 95}, "a probability such as 0.95"),
    (BACK_DOOR, ROWS, {"trim": 0.5}, "above 0 and below 0.5"),
    (BACK_DOOR, ROWS, {"trim": 0.4999}, "leaves no row"),
    (BACK_DOOR, ROWS, {"spilts": 3}, "no option 'spilts'"),
    (BACK_DOOR, ROWS, {"method": "regression", "trim": 0.1}, "has no use for it"),
    (BACK_DOOR, ROWS, {"method": "weighting", "outcome_model": Broken()}, "has no use for it"),
    (BACK_DOOR, ROWS, {"outcome_model": LeastSquares}, "expected an object with fit and predict"),
    (BACK_DOOR, ROWS, {"treatment_model": LeastSquares()}, "with fit and predict_proba"),
    (BACK_DOOR, ROWS, {"outcome_model": Broken()}, "not finite"),
    (BACK_DOOR, ROWS, {"outcome_model": Logistic()}, "the outcome is not 0 or 1"),
    (BACK_DOOR, ROWS, {"treatment_model": Certain()}, "propensity of 0"),
    (BACK_DOOR, ROWS.head(6), {"folds": 5}, "expected at least one for each of 5 folds"),
    (BACK_DOOR, DOSE, {}, "is continuous"),
    (BACK_DOOR, DOSE, {"method": "weighting"}, "is continuous"),
    (BACK_DOOR, DOSE, {"method": "regression", "population": "treated"}, "nobody is"),
    (BACK_DOOR, DOSE, {"method": "regression", "values": ("a", "b")}, "expected two numbers"),
    (BACK_DOOR, ROWS, {"method": "plug-in", "population": "treated"}, "averages over all"),
    (FRONT_DOOR, ROWS.assign(M=ROWS.Z), {}, 'Use method="plug-in"'),
    (pc.identify(GRAPH, "Y", do="X", given="Z"), ROWS, {}, "expected one outcome, one treatment"),
    (pc.identify(GRAPH, "Y", do=["X", "Z"]), ROWS, {}, "expected one outcome, one treatment"),
    (pc.identify(GRAPH, "P(Y_{X=1} | X=0)"), ROWS, {}, "is counterfactual"),
    (
        pc.identify(
            pc.CausalGraph([("Z", "X"), ("X", "Y")], bidirected=[("Z", "X"), ("Z", "Y")]),
            "Y",
            do="X",
            available=[(), "Z"],
        ),
        ROWS,
        {},
        "needs experiments",
    ),
]


@pytest.mark.parametrize(("estimand", "data", "options", "message"), REFUSED)
def test_what_makes_no_sense_is_a_clear_error(
    estimand: Any, data: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((ValueError, TypeError, pc.UnknownVariable), match=message):
        estimand.estimate(data, **{"splits": 2, **options})
