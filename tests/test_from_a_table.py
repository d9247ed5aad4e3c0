"""From a table to a model: whole numbers, what was chosen, and what to do where a check fails."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pyrocausal as pc
from pyrocausal.checking import CheckReport
from pyrocausal.choosing import Column
from pyrocausal.mechanisms import MLP

EDGES = [("age", "visits"), ("sex", "visits"), ("visits", "cost")]


def people(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    age, sex = rng.integers(20, 81, rows), rng.integers(0, 2, rows)
    visits = rng.negative_binomial(2, 2 / (2 + np.exp(age / 40 + sex)))
    cost = 50.0 * visits + rng.normal(0.0, 20.0, rows)
    return pd.DataFrame({"age": age, "sex": sex, "visits": visits, "cost": cost})


RNG = np.random.default_rng(1)
WHOLE: dict[str, tuple[str, Any]] = {
    "ages of adults": ("continuous", RNG.integers(20, 81, 800)),
    "a few ages of adults": ("continuous", RNG.integers(20, 81, 50)),
    "ages of mostly young adults": ("continuous", 18 + RNG.gamma(2.0, 10.0, 800).astype(int)),
    "marks out of 100": ("continuous", (100 * RNG.beta(4, 2, 800)).round()),
    "years": ("continuous", RNG.integers(1990, 2021, 800)),
    "wages in whole dollars": ("continuous", RNG.lognormal(10.0, 1.0, 800).astype(int)),
    "visits": ("count", RNG.negative_binomial(3, 0.2, 800)),
    "children": ("count", RNG.poisson(3.5, 3000)),
    "days, of which many none": ("count", RNG.poisson(8.0, 800) * (RNG.random(800) < 0.6)),
    "events of very different units": ("count", RNG.poisson(np.exp(RNG.normal(2.0, 1.0, 300)))),
}


@pytest.mark.parametrize("case", WHOLE.values(), ids=WHOLE)
def test_whole_numbers_are_counts_only_where_they_are_spread_like_counts(
    case: tuple[str, Any],
) -> None:
    kind, values = case
    assert Column.read("x", values).kind == kind


def test_the_rule_does_not_hang_on_the_luck_of_a_poisson_sample() -> None:
    kinds = {
        Column.read("x", np.random.default_rng(seed).poisson(4.0, 2000)).kind for seed in range(40)
    }
    assert kinds == {"count"}


def test_ages_are_modelled_as_they_are_spread() -> None:
    table = people(800)
    model = pc.SCM.from_graph(EDGES, data=table, steps=300, lr=0.05, seed=0)
    drawn = model.sample(4000, seed=0)["age"].numpy()
    assert drawn.mean() == pytest.approx(
        table["age"].mean(), abs=4 * table["age"].std() / 800**0.5
    )
    assert (drawn < 0).mean() < 0.01
    assert np.quantile(drawn, 0.99) < 90  # of a negative binomial, 108


def test_a_printed_model_says_what_each_variable_is_drawn_from(tmp_path: Path) -> None:
    model = pc.SCM.from_graph(EDGES, data=people(300), steps=2, seed=0)
    lines = str(model).splitlines()
    assert lines == [
        "SCM graph",
        "  age     Mixture of 4 normals",
        "  sex     Bernoulli",
        "  visits  NegativeBinomial, MLP of age, sex",
        "  cost    Normal, MLP of visits",
    ]
    assert repr(model) == "SCM graph"
    assert str(model.do(sex=1)) == "SCM graph under sex=1"
    model.save(tmp_path / "model.safetensors")
    assert str(pc.SCM.load(tmp_path / "model.safetensors")).splitlines()[1:] == lines[1:]


def test_each_failing_line_of_a_check_says_what_to_do_next() -> None:
    table = people(800)
    wrong = {"age": MLP(0, head="poisson"), "cost": MLP(1)}
    model = pc.SCM.from_graph(EDGES, wrong, table, steps=200, lr=0.05, seed=0)
    report = pc.check(model, table, units=100, seed=1)
    assert {"age", "cost"} <= {found.variable for found in report.failures}
    assert all(found.next_step for found in report.failures)
    assert not any(found.next_step for found in report.findings if not found.failed)
    shown = "next, noise given causes, age: give it another mechanism, by SCM.from_graph(graph, "
    assert f"{shown}mechanisms={{'age': ...}}" in str(report)
    assert "next, noise given causes, age" in report._repr_html_()
    assert isinstance(report, CheckReport)
