"""The value of a policy from data that another one made, against truth and closed forms."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
import torch
from torch.distributions import Bernoulli, Categorical

import pyrocausal as pc
from pyrocausal import zoo
from pyrocausal.answers import Estimate

SIMPSON: Final = zoo.simpson()
# Open surgery for all, and for large stones alone: the shares of the paper, see zoo.simpson.
ALWAYS: Final = 357 / 700 * 81 / 87 + 343 / 700 * 192 / 263
BY_SIZE: Final = 357 / 700 * 234 / 270 + 343 / 700 * 192 / 263


def by_size(v: Any) -> Any:
    return v["large"]


def value(data: Any, policy: Any = by_size, **options: Any) -> Estimate:
    options = {"treatment": "surgery", "adjust": ["large"], "seed": 0, **options}
    found: Estimate = pc.policy_value(data, policy, "recovery", **options)
    return found


def standardised(rows: pd.DataFrame) -> float:
    """The mean recovery by stone size among those whom the policy would treat as they were."""
    means = rows[rows.surgery == rows.large].groupby("large").recovery.mean()
    return float((means * rows.large.value_counts(normalize=True)).sum())


ROWS: Final = SIMPSON.sample(2000, seed=0).to_frame()


def test_with_every_stratum_of_its_own_the_weighted_mean_is_the_standardised_one() -> None:
    found = value(ROWS, method="weighting")
    assert found.value == pytest.approx(standardised(ROWS), abs=1e-6)
    assert found.query == "E[recovery | do(surgery=policy)]"
    assert "large" in found.assumptions[0]


def test_the_error_knows_that_the_propensity_was_fitted() -> None:
    found = value(ROWS, 1, method="weighting")
    means = ROWS[ROWS.surgery == 1].groupby("large").recovery.mean()
    e = ROWS.groupby("large").surgery.transform("mean")
    m = ROWS.large.map(means)
    influence = m + ROWS.surgery / e * (ROWS.recovery - m)
    assert found.se == pytest.approx(influence.std(ddof=0) / len(ROWS) ** 0.5, rel=1e-4)


@pytest.mark.parametrize("method", ["weighting", "aipw"])
def test_the_truth_of_the_model_is_in_the_interval_and_the_model_says_the_same(
    method: str,
) -> None:
    found = value(ROWS, method=method)
    assert BY_SIZE in found.interval  # type: ignore[operator]
    model = pc.policy_value(SIMPSON, by_size, "recovery", treatment="surgery", seed=0)
    assert abs(model.value - BY_SIZE) < 4 * model.se


@pytest.mark.parametrize("options", [{"method": "weighting"}, {"splits": 1, "folds": 2}])
def test_the_interval_holds_the_truth_as_often_as_it_says(options: dict[str, Any]) -> None:
    samples, size = 200, 300
    every = SIMPSON.sample(samples * size, seed=1).to_frame()
    found = [
        value(every.iloc[i * size : (i + 1) * size].reset_index(drop=True), 1, **options)
        for i in range(samples)
    ]
    inside = np.mean([ALWAYS in answer.interval for answer in found])  # type: ignore[operator]
    # Standard error of a share of 0.95 in 200: 0.0154; three of them.
    assert abs(inside - 0.95) < 0.046
    values = np.array([answer.value for answer in found])
    # The deviation of 200 values has a relative error of 1 / sqrt(400) = 0.05.
    assert np.mean([answer.se for answer in found]) == pytest.approx(values.std(), rel=0.15)
    assert abs(values.mean() - ALWAYS) < 4 * values.std() / samples**0.5  # the naive mean is 0.78


def curved(units: int, seed: int = 0) -> tuple[pd.DataFrame, float]:
    """Rows of a treatment that depends on z and z squared, and the value of ``x = z > 0``."""
    rng = np.random.default_rng(seed)
    z, noise = rng.normal(size=(2, units))
    e = 1 / (1 + np.exp(-(z**2 - 1)))
    x = (rng.random(units) < e).astype(float)
    table = pd.DataFrame({"z": z, "x": x, "y": x * z + z**2 + noise, "e": e})
    return table, 1 + (2 * np.pi) ** -0.5  # E[z^2] + E[max(z, 0)]


class Constant:
    """A model that learns the mean alone."""

    def fit(self, x: Any, y: Any) -> Constant:
        self.mean = float(np.mean(y))
        return self

    def predict(self, x: Any) -> Any:
        return np.full(len(x), self.mean)


class Share(Constant):
    """The same of a treatment."""

    predict = None  # type: ignore[assignment]

    def predict_proba(self, x: Any) -> Any:
        return np.column_stack([np.full(len(x), 1 - self.mean), np.full(len(x), self.mean)])


def test_one_right_model_of_two_is_enough_and_weights_alone_need_theirs() -> None:
    table, truth = curved(4000)
    ask: dict[str, Any] = {"treatment": "x", "adjust": ["z"], "seed": 0, "splits": 3}
    rule = lambda v: v["z"] > 0  # noqa: E731
    right_outcome = pc.policy_value(table, rule, "y", treatment_model=Share(), **ask)
    right_weights = pc.policy_value(table, rule, "y", outcome_model=Constant(), **ask)
    for found in (right_outcome, right_weights):
        assert abs(found.value - truth) < 4 * found.se
    del ask["splits"]
    wrong = pc.policy_value(
        table, rule, "y", method="weighting", treatment_model=Share(), replicates=20, **ask
    )
    assert abs(wrong.value - truth) > 4 * wrong.se


@pytest.mark.parametrize("method", ["weighting", "aipw"])
def test_propensities_that_are_known_are_taken_from_their_column(method: str) -> None:
    table, truth = curved(4000)
    ask: dict[str, Any] = {"treatment": "x", "adjust": ["z"], "method": method, "seed": 0}
    rule = lambda v: v["z"] > 0  # noqa: E731
    found = pc.policy_value(table, rule, "y", propensity="e", **ask)
    assert abs(found.value - truth) < 4 * found.se
    table["other"] = 1 - table["e"]
    same = pc.policy_value(table, rule, "y", propensity={1: "e", 0.0: "other"}, **ask)
    assert same.value == pytest.approx(found.value)
    assert found.details["propensity"] == "given, in e"
    if method == "weighting":
        w = np.where(table.x == (table.z > 0), 1 / np.where(table.x == 1, table.e, 1 - table.e), 0)
        assert found.value == pytest.approx(np.average(table.y, weights=w))


def test_a_policy_of_chance_lies_between_those_it_chooses_from() -> None:
    table, _ = curved(500)
    ask: dict[str, Any] = {"treatment": "x", "adjust": ["z"], "seed": 0, "splits": 2}
    always, never = (pc.policy_value(table, x, "y", **ask).value for x in (1, 0.0))
    for coin in (
        Bernoulli(torch.tensor(0.25)),
        lambda v: Bernoulli(torch.full_like(v["z"], 0.25)),
    ):
        # The doubly robust estimate is linear in the policy.
        found = pc.policy_value(table, coin, "y", **ask).value
        assert found == pytest.approx(0.25 * always + 0.75 * never, abs=1e-6)
    gain = pc.policy_value(table, 1, "y", versus=0, **ask)
    assert gain.value == pytest.approx(always - never, abs=0.02)  # the median over other splits
    assert gain.query == "E[y | do(x=1)] - E[y | do(x=0)]"


def test_treatments_may_be_words_and_the_outcome_an_event() -> None:
    rng = np.random.default_rng(0)
    sick = rng.random(3000) < 0.4
    chance = np.where(sick[:, None], [0.2, 0.2, 0.6], [0.5, 0.3, 0.2])
    drug = np.array(["a", "b", "none"])[(rng.random((3000, 1)) > chance.cumsum(1)).sum(1)]
    well = np.select([drug == "a", drug == "b"], [0.8 - 0.5 * sick, 0.5], 0.6 - 0.3 * sick)
    table = pd.DataFrame({"sick": sick, "drug": drug, "well": rng.random(3000) < well})
    truth = 0.6 * 0.8 + 0.4 * 0.5  # a for the healthy, b for the sick
    for method in ("weighting", "aipw"):
        found = pc.policy_value(
            table,
            lambda v: np.where(v["sick"].numpy() == 1, "b", "a"),
            {"well": True},
            treatment="drug",
            adjust=["sick"],
            method=method,
            splits=2,
            seed=0,
        )
        assert abs(found.value - truth) < 4 * found.se
    assert found.query == "P(well=True | do(drug=policy))"
    codes = table.assign(drug=pd.Categorical(table.drug).codes)
    even = pc.policy_value(
        codes, Categorical(torch.ones(3) / 3), "well", treatment="drug", adjust=["sick"], seed=0
    )
    mean = (0.6 * 0.8 + 0.4 * 0.3 + 0.5 + 0.6 - 0.4 * 0.3) / 3
    assert abs(even.value - mean) < 4 * even.se


def test_without_confounders_it_is_the_mean_of_those_who_had_it() -> None:
    found = value(ROWS, 1, adjust=[], method="weighting")
    treated = ROWS[ROWS.surgery == 1].recovery
    assert found.value == pytest.approx(treated.mean(), abs=1e-6)
    assert found.se == pytest.approx(treated.std() / len(treated) ** 0.5, rel=0.01)


def test_thin_overlap_is_warned_of() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=3000)
    x = (rng.random(3000) < 1 / (1 + np.exp(-4 * z))).astype(float)
    table = {"z": z, "x": x, "y": z + rng.normal(size=3000)}
    ask: dict[str, Any] = {"treatment": "x", "adjust": ["z"], "method": "weighting"}
    contrary = pc.policy_value(table, lambda v: v["z"] < 0, "y", **ask)
    assert "overlap" in contrary.warnings[0]
    assert "leans on few" in str(contrary)
    assert not pc.policy_value(table, lambda v: v["z"] > 0, "y", **ask).warnings


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"policy": lambda v: v["stage"]}, pc.UnknownVariable, "'stage'.*add it to adjust="),
        ({"policy": 2}, ValueError, "positivity.*the rows have 0, 1"),
        ({"policy": [1.0, 0.0]}, ValueError, r"shape \(2,\).*one treatment a row"),
        ({"treatment": "age"}, ValueError, "'age' has 2000 different values"),
        ({"treatment": "surgry"}, pc.UnknownVariable, "'surgery'"),
        ({"propensity": "age"}, ValueError, "columns of probabilities.*which are 0, 1"),
        ({"propensity": {2: "e"}}, ValueError, "columns of probabilities"),
        ({"propensity": "zero"}, ValueError, "positivity: .* propensity of 0"),
        ({"method": "magic"}, ValueError, "'magic'.*aipw"),
        ({"adjust": ["surgery"]}, ValueError, "name a column twice"),
        ({"scale": "ratio"}, TypeError, "scale"),
        ({"data": 3.0}, TypeError, "got a float; expected an SCM, or data"),
        ({"folds": 5000}, ValueError, "at least one for each of 5000 folds"),
    ],
)
def test_what_can_not_be_asked_is_told(change: Any, error: type[Exception], message: str) -> None:
    rows = ROWS.assign(age=np.linspace(40.0, 60.0, 2000) + 0.1, e=0.5, zero=0.0, stage=1.0)
    options = {"data": rows, **change}
    with pytest.raises(error, match=message):
        value(**options)
