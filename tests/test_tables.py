"""Tables of other libraries as data and evidence: each gives the answer that pandas gives."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc


# severity -> treated -> recovery; severity -> recovery
def clinic() -> None:
    severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
    treated = pyro.sample("treated", dist.Bernoulli(logits=1.5 * severity))
    pyro.sample("recovery", dist.Normal(2.0 * treated - severity, 0.5))


CLINIC: Final = pc.SCM(clinic)
ROWS: Final = pd.DataFrame(
    {"severity": [0.3, 1.0], "treated": [0, 1], "recovery": [-0.1, float("nan")]}
)
TREAT: Final = {"treated": 1.0}


class PolarsSeries:
    """polars.Series: an array without an index, in which NumPy sees a gap as NaN."""

    def __init__(self, values: pd.Series) -> None:
        self.values = values.to_numpy()

    def to_numpy(self) -> Any:
        return self.values

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.values

    def __len__(self) -> int:
        return len(self.values)


class PolarsFrame:
    """polars.DataFrame: ``columns`` is a list, iteration gives the columns."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.columns = list(frame.columns)
        self._frame = frame

    def __getitem__(self, name: str) -> PolarsSeries:
        return PolarsSeries(self._frame[name])

    def __iter__(self) -> Iterator[PolarsSeries]:
        return map(self.__getitem__, self.columns)

    def to_numpy(self) -> Any:
        return self._frame.to_numpy()


class ArrowColumn(PolarsSeries):
    """pyarrow.ChunkedArray, which searches by a method called ``index``."""

    def index(self, value: Any) -> int:
        raise NotImplementedError


class ArrowTable:
    """pyarrow.Table: ``columns`` are the columns themselves."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self.column_names = list(frame.columns)

    @property
    def columns(self) -> list[ArrowColumn]:
        return [self[name] for name in self.column_names]

    def __getitem__(self, name: str) -> ArrowColumn:
        return ArrowColumn(self._frame[name])


KINDS: Final[dict[str, Callable[[pd.DataFrame], Any]]] = {
    "polars": PolarsFrame,
    "Arrow": ArrowTable,
    "a structured array": lambda frame: frame.to_records(index=False),
    "arrays": lambda frame: {name: frame[name].to_numpy() for name in frame},
    "tensors": lambda frame: {name: torch.tensor(frame[name].to_numpy()) for name in frame},
    "lists": lambda frame: {name: frame[name].tolist() for name in frame},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_table_is_evidence_and_gaps_are_kept(kind: str) -> None:
    expected = CLINIC.counterfactual(ROWS, TREAT, seed=0)
    found = CLINIC.counterfactual(KINDS[kind](ROWS), TREAT, seed=0)
    assert torch.equal(found["recovery"], expected["recovery"])
    assert found.routes == expected.routes
    assert found["recovery"][0].item() == pytest.approx(1.9)


@pytest.mark.parametrize("kind", KINDS)
def test_every_table_is_data_of_a_density(kind: str) -> None:
    whole = ROWS.assign(recovery=[-0.1, 1.0])
    found, expected = CLINIC.log_prob(KINDS[kind](whole)), CLINIC.log_prob(whole)
    assert found.tolist() == pytest.approx(expected.tolist())


def patients() -> pd.DataFrame:
    # Z -> X -> Y, Z -> Y
    rng = np.random.default_rng(0)
    z = rng.integers(0, 2, 300)
    x = (rng.random(300) < 0.3 + 0.4 * z).astype(int)
    return pd.DataFrame({"Z": z, "X": x, "Y": (rng.random(300) < 0.2 + 0.3 * x).astype(int)})


@pytest.mark.parametrize("kind", KINDS)
def test_every_table_is_data_of_estimands_bounds_and_tests(kind: str) -> None:
    graph = pc.CausalGraph([("Z", "X"), ("Z", "Y"), ("X", "Y")])
    bow = pc.CausalGraph([("X", "Y")], bidirected=[("X", "Y")])
    estimand = pc.identify(graph, "Y", do="X")
    claims = pc.implied_independences(pc.CausalGraph([("Z", "X"), ("X", "Y")]))

    def answers(table: Any) -> list[Any]:
        return [
            estimand.evaluate(table, {"X": 1}).tolist(),
            estimand.estimate(table, method="regression").value,
            tuple(pc.late(table, "X", "Y", instrument="Z").interval or ()),
            pc.bounds(bow, table, {"Y": 1}, do={"X": 1}).interval,
            claims.check(table).to_frame()["p"].tolist(),
        ]

    assert answers(KINDS[kind](patients())) == answers(patients())


def test_a_table_of_other_things_is_no_data_of_estimands() -> None:
    graph = pc.CausalGraph([("X", "Y")])
    for ask in (
        lambda rows: pc.identify(graph, "Y", do="X").evaluate(rows, {"X": 1}),
        lambda rows: pc.identify(graph, "Y", do="X").estimate(rows),
        lambda rows: pc.bounds(graph, rows, {"Y": 1}, do={"X": 1}),
        lambda rows: pc.implied_independences(graph).check(rows),
    ):
        with pytest.raises(TypeError, match=r"is a ndarray; expected a mapping .* or a DataFrame"):
            ask(np.zeros((5, 2)))


def test_a_record_is_a_row() -> None:
    record = ROWS.to_records(index=False)[0]
    answer = CLINIC.counterfactual(record, TREAT, seed=0)
    assert answer.dims == ()
    assert answer["recovery"].item() == pytest.approx(1.9)


def test_what_a_masked_array_hides_is_missing() -> None:
    hidden = np.ma.MaskedArray([-0.1, 999.0], mask=[False, True])
    found = CLINIC.counterfactual({**ROWS, "recovery": hidden}, TREAT, seed=0)
    expected = CLINIC.counterfactual(ROWS, TREAT, seed=0)
    assert torch.equal(found["recovery"], expected["recovery"])
    # Whole numbers have no NaN of their own.
    treated = np.ma.MaskedArray([0, 1], mask=[False, True])
    found = CLINIC.counterfactual({**ROWS, "treated": treated}, {"recovery": 0.0}, seed=0)
    assert "prior where missing" in found.routes["treated"]


def test_what_is_no_table_is_told_so() -> None:
    for given in (np.zeros((2, 3)), torch.zeros(2, 3), PolarsSeries(ROWS["severity"])):
        with pytest.raises(TypeError, match=r"evidence is a \w+; expected a mapping .*DataFrame"):
            CLINIC.counterfactual(given, TREAT)


def test_two_columns_of_one_name_are_refused_in_every_table() -> None:
    twice = pd.concat([ROWS, ROWS[["treated"]]], axis=1)
    for table in (twice, PolarsFrame(twice), ArrowTable(twice)):
        with pytest.raises(ValueError, match=r"evidence has two columns called 'treated'"):
            CLINIC.counterfactual(table, TREAT)
