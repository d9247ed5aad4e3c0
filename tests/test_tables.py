"""Tables of other libraries as data and evidence: each gives the answer that pandas gives."""

from collections.abc import Iterator
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


KINDS: Final[dict[str, Any]] = {
    "polars": PolarsFrame(ROWS),
    "Arrow": ArrowTable(ROWS),
    "a structured array": ROWS.to_records(index=False),
    "arrays": {name: ROWS[name].to_numpy() for name in ROWS},
    "tensors": {name: torch.tensor(ROWS[name].to_numpy()) for name in ROWS},
    "lists": {name: ROWS[name].tolist() for name in ROWS},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_table_is_evidence_and_gaps_are_kept(kind: str) -> None:
    expected = CLINIC.counterfactual(ROWS, TREAT, seed=0)
    found = CLINIC.counterfactual(KINDS[kind], TREAT, seed=0)
    assert torch.equal(found["recovery"], expected["recovery"])
    assert found.routes == expected.routes
    assert found["recovery"][0].item() == pytest.approx(1.9)


@pytest.mark.parametrize("kind", KINDS)
def test_every_table_is_data_of_a_density(kind: str) -> None:
    whole = {"recovery": [-0.1, 1.0]}
    expected = CLINIC.log_prob(ROWS.assign(**whole))
    table = KINDS[kind] if isinstance(KINDS[kind], dict) else type(KINDS[kind])
    given: Any = ROWS.assign(**whole)
    if isinstance(table, type) and table in (PolarsFrame, ArrowTable):
        given = table(given)
    elif isinstance(table, type):
        given = given.to_records(index=False)
    assert CLINIC.log_prob(given).tolist() == pytest.approx(expected.tolist())


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
