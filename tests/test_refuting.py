"""Refuters reject broken estimators, let right ones pass, and err as rarely as they say."""

from math import sqrt
from typing import Any

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats

import pyrocausal as pc
from pyrocausal.answers import Estimate
from pyrocausal.refuting import Refutation, RefutationReport, refute

GRAPH = pc.CausalGraph([("x", "t"), ("x", "y"), ("t", "y")])


def confounded(rows: int = 200, seed: int = 0, effect: float = 1.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, noise, more = rng.normal(size=(3, rows))
    t = (x + noise > 0).astype(float)
    return pd.DataFrame({"x": x, "t": t, "y": effect * t + x + more})


def adjusted(rows: pd.DataFrame) -> float:
    """Return the coefficient of t in a regression on all columns."""
    others = rows.drop(columns="y").to_numpy()
    design = np.column_stack([np.ones(len(rows)), others])
    place = 1 + list(rows.drop(columns="y")).index("t")
    return float(np.linalg.lstsq(design, rows["y"].to_numpy(), rcond=None)[0][place])


def leaking(rows: pd.DataFrame) -> float:
    """Take the outcome for the effect of the treatment on it."""
    return float(rows["y"].mean())


def largest(rows: pd.DataFrame) -> float:
    """Report the size alone, as who looks for an effect until there is one."""
    return abs(adjusted(rows))


def total(rows: pd.DataFrame) -> float:
    """Forget to divide by the number of rows."""
    return adjusted(rows) * len(rows)


def overfitted(rows: pd.DataFrame) -> float:
    """Shrink by every column there is."""
    return adjusted(rows) / rows.shape[1]


@pytest.mark.parametrize(
    ("broken", "refuter"),
    [
        (leaking, "placebo treatment"),
        (largest, "placebo treatment"),
        (total, "data subset"),
        (overfitted, "random common cause"),
    ],
)
def test_a_broken_estimator_is_rejected_by_the_refuter_made_for_it(
    broken: Any, refuter: str
) -> None:
    found = refute(broken, confounded(), "t", "y", seed=0)
    assert refuter in [one.refuter for one in found.refutations if one.rejected]
    assert "REJECTED" in str(found)
    assert found.to_frame().loc[refuter, "rejected"]


def test_a_right_estimator_passes_and_says_so() -> None:
    found = refute(adjusted, confounded(), "t", "y", seed=0)
    assert not found.rejected
    assert found.beyond == 0.0
    assert str(found).count("passed") == 3
    assert "never right: no hidden confounding is seen" in found._repr_html_()


def test_each_refuter_rejects_a_right_estimator_as_rarely_as_its_level_says() -> None:
    level, seeds = 0.1, 60
    counts = dict.fromkeys(("placebo treatment", "random common cause", "data subset"), 0)
    for seed in range(seeds):
        data = confounded(60, seed, effect=0.5)
        for one in refute(
            adjusted, data, "t", "y", repeats=15, level=level, seed=seed
        ).refutations:
            counts[one.refuter] += one.rejected
    most = level + 3 * sqrt(level * (1 - level) / seeds)
    assert max(counts.values()) / seeds < most
    assert counts["placebo treatment"] > 0  # and the test isn't idle


def test_the_p_value_is_that_of_students_test() -> None:
    values = np.random.default_rng(0).normal(0.2, 1.0, size=25)
    found = Refutation("data subset", 0.0, values, 1.0, 0.05)
    assert found.p_value == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue, rel=1e-6)
    assert Refutation("data subset", 1.0, np.ones(9), 1.0, 0.05).p_value == 1.0
    assert Refutation("data subset", 0.0, np.ones(9), 1.0, 0.05).p_value == 0.0


def test_a_shift_too_small_to_matter_is_let_pass() -> None:
    values = np.full(50, 0.09) + np.tile([1e-4, -1e-4], 25)
    assert not Refutation("data subset", 0.0, values, 1.0, 0.05).rejected
    assert Refutation("data subset", 0.0, values, 0.5, 0.05).rejected


def test_an_estimator_that_never_looks_at_the_new_cause_is_told_so() -> None:
    found = refute(
        lambda rows: adjusted(rows[["x", "t", "y"]]), confounded(), "t", "y", repeats=10, seed=0
    )
    cause = found.refutations[1]
    assert not cause.rejected
    assert cause.verdict.startswith("no test: the estimator doesn't look at the new column")


@pytest.mark.parametrize("graphs", ["graph", "scm"])
def test_a_graph_or_an_scm_is_refuted_by_its_estimand(graphs: str) -> None:
    @pc.scm
    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        t = pyro.sample("t", dist.Bernoulli(logits=x))
        pyro.sample("y", dist.Normal(t + x, 1.0))

    source: Any = GRAPH if graphs == "graph" else program
    found = refute(source, confounded(), "t", "y", repeats=10, seed=0)
    assert not found.rejected
    assert not found.refutations[1].unmoved
    exact = pc.identify(GRAPH, "y", do="t").estimate(confounded(), method="regression")
    assert found.estimate == float(exact)


def test_latent_causes_of_a_graph_stay_latent() -> None:
    front = pc.CausalGraph(
        [("x", "t"), ("x", "y"), ("u", "x"), ("u", "y"), ("t", "y")], latent=["u"]
    )
    assert not refute(front, confounded(), "t", "y", repeats=10, seed=0).rejected


def test_an_answer_of_the_library_counts_as_its_number_and_a_seed_repeats_it() -> None:
    def answer(rows: pd.DataFrame) -> Estimate:
        return Estimate(adjusted(rows), 0.1, None, "ATE", rung=2)

    found: list[RefutationReport] = [
        refute(ask, confounded(), "t", "y", repeats=10, seed=3) for ask in (answer, adjusted)
    ]
    for one, other in zip(found[0].refutations, found[1].refutations, strict=True):
        assert (one.estimates == other.estimates).all()


def test_the_data_and_the_global_generators_are_left_alone() -> None:
    data = confounded()
    before = data.copy(), torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
    refute(adjusted, data, "t", "y", repeats=10)
    pd.testing.assert_frame_equal(data, before[0])
    assert torch.equal(torch.get_rng_state(), before[1])
    assert str(np.random.get_state()) == before[2]  # noqa: NPY002


def test_only_the_refuters_that_are_asked_for_speak() -> None:
    found = refute(adjusted, confounded(), "t", "y", refuters=["data subset"], repeats=10, seed=0)
    assert [one.refuter for one in found.refutations] == ["data subset"]
    assert found.beyond is None


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"refuters": ["placebo"]}, ValueError, "expected some of"),
        ({"refuters": []}, ValueError, "expected some of"),
        ({"repeats": 5}, ValueError, "expected 10 or more"),
        ({"share": 1.0}, ValueError, "both between 0 and 1"),
        ({"level": 0.0}, ValueError, "both between 0 and 1"),
        ({"treatment": "w"}, pc.UnknownVariable, "no column 'w'"),
        ({"estimator": 3.0}, TypeError, "expected a function from rows"),
        ({"options": {"method": "aipw"}}, TypeError, "which are for the estimates of a graph"),
        ({"estimator": lambda rows: float("nan")}, ValueError, "gave nan; expected a finite"),
    ],
)
def test_bad_input_is_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    chosen: dict[str, Any] = {"estimator": adjusted, "treatment": "t", "repeats": 10} | options
    with pytest.raises(error, match=message):
        refute(chosen.pop("estimator"), confounded(), chosen.pop("treatment"), "y", **chosen)
