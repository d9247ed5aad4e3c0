"""from_graph says which variable it can't build a mechanism for, and keeps the report of its fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc
from pyrocausal.datasets.files import read_table
from pyrocausal.mechanisms import MLP, Linear, Parent, Table

EDGES = [("x", "y")]
TABLE = pd.DataFrame({"x": np.linspace(-1, 1, 40), "y": np.linspace(-2, 3, 40)})
ROOT = dist.Normal(0.0, 1.0)


def build(**mechanisms: Any) -> pc.SCM:
    return pc.SCM.from_graph(EDGES, mechanisms, TABLE, steps=2, seed=0, validation=0.0)


MECHANISMS: dict[str, tuple[dict[str, Any], str]] = {
    "a class": ({"y": MLP}, r"of 'y' is the class MLP; expected an instance.*MLP\(parents=1\)"),
    "a distribution's class": ({"x": dist.Normal}, r"of 'x' takes \(loc.*called with nothing"),
    "a function of nothing": ({"y": lambda: ROOT}, r"of 'y' takes \(\), but.*the values of x, in"),
    "a function of two": ({"y": lambda a, b: ROOT}, r"of 'y' takes \(a, b\), but.*values of x"),
    "a network of two parents": ({"y": MLP(2)}, r"of 'y' takes 2 parents, but.*values of x"),
    "a line without parents": ({"y": Linear()}, r"of 'y' takes 0 parents, but.*values of x"),
    "a table for a root": ({"x": Table.uniform([2])}, r"of 'x' takes 1 parents, but.*nothing"),
}


@pytest.mark.parametrize("case", MECHANISMS.values(), ids=MECHANISMS)
def test_a_mechanism_that_can_not_be_called_names_its_variable(
    case: tuple[dict[str, Any], str],
) -> None:
    mechanisms, words = case
    with pytest.raises(TypeError, match=words):
        build(**mechanisms)


@pytest.mark.parametrize(
    "mechanism",
    [
        lambda *parents: dist.Normal(parents[0], 1.0),
        lambda x, slope=2.0: dist.Normal(slope * x, 1.0),
        Linear([Parent.continuous()]),
    ],
    ids=["any number", "a default", "a list of one"],
)
def test_what_can_be_called_with_the_parents_is_a_mechanism(
    mechanism: Callable[..., Any],
) -> None:
    scm = pc.SCM.from_graph(EDGES, {"x": ROOT, "y": mechanism})
    assert scm.sample(3, seed=0)["y"].shape == (3,)


COLUMNS: dict[str, tuple[Any, str]] = {
    "words": (["a", "b"] * 20, r"holds words, such as 'a'.*astype\('category'\).cat.codes"),
    "categories": (pd.Series(["a", "b"] * 20, dtype="category"), r"\['x'\].cat.codes.*in codes"),
    "words and gaps": (["a", None] * 20, "holds words, such as 'a'.*NaN in place of -1"),
    "dates": (pd.date_range("2020-01-01", periods=40), r"holds dates.*\.min\(\)\).dt.days"),
    "dates in a zone": (pd.date_range("2020", periods=40, tz="UTC"), "holds dates"),
    "durations": (pd.to_timedelta(np.arange(40), "D"), r"holds durations.*total_seconds\(\)"),
}


@pytest.mark.parametrize("case", COLUMNS.values(), ids=COLUMNS)
def test_a_column_of_another_type_is_told_how_to_become_numbers(case: tuple[Any, str]) -> None:
    column, words = case
    with pytest.raises(TypeError, match=words):
        pc.SCM.from_graph(EDGES, data=TABLE.assign(x=column), steps=2, seed=0)


def test_the_codes_that_are_advised_are_taken() -> None:
    words = pd.Series(["low", "high"] * 20, dtype="category")
    table = TABLE.assign(x=words.cat.codes)
    scm = pc.SCM.from_graph(EDGES, data=table, steps=2, seed=0)
    assert set(scm.sample(100, seed=0)["x"].tolist()) == {0.0, 1.0}


def test_a_categorical_column_of_codes_is_taken_as_it_is() -> None:
    table = TABLE.assign(x=pd.Series([0, 1] * 20, dtype="category"))
    assert pc.SCM.from_graph(EDGES, data=table, steps=2, seed=0).report is not None


def test_a_column_too_many_is_named_and_the_cure_is_noted() -> None:
    with pytest.raises(pc.UnknownVariable, match=r"^data: there is no variable 'w'") as caught:
        pc.SCM.from_graph(EDGES, data=TABLE.assign(w=1.0), steps=2)
    assert "data[list(graph)]" in caught.value.__notes__[0]


# ---------------------------------------------------------------- the report


def test_the_report_of_the_fit_is_kept() -> None:
    scm = build()
    assert scm.report is not None
    assert (scm.report.steps, scm.report.units, scm.report.seed) == (2, 40, 0)
    assert scm.do(x=1.0).report is scm.report
    again = scm.fit(TABLE, steps=3, seed=1)
    assert scm.report is again


def test_there_is_no_report_without_a_fit() -> None:
    assert pc.SCM.from_graph(EDGES, {"x": ROOT, "y": Linear(1)}).report is None


def test_a_fit_under_evidence_is_reported_by_the_model_it_belongs_to() -> None:
    def program() -> None:
        x = pyro.sample("x", ROOT)
        pyro.sample("y", dist.Normal(pyro.param("b", torch.tensor(0.0)) * x, 1.0))

    scm = pc.SCM(program)
    report = scm.condition(y=torch.ones(5)).fit({"x": torch.ones(5)}, steps=2, seed=0)
    assert scm.report is report


# ---------------------------------------------------------------- files


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("")
    with pytest.raises(ValueError, match=r"table\.csv is empty"):
        read_table(path, ["y"])
