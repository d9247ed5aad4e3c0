"""Rows of a table that have a value in each column that is needed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pyrocausal.engine.casting import holds_words
from pyrocausal.engine.evidence import columns_of
from pyrocausal.errors import UnknownVariable

__all__ = ["Array", "Rows", "Values", "read_rows"]

Array = npt.NDArray[np.float64]
Values = npt.NDArray[Any]

_FEW = 10
"""Up to so many different whole numbers count as levels."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Complete rows of some variables.

    Attributes:
        columns: Variable to its values, shape ``(n,)``, numbers as float64, others as strings.
        factors: The variables whose values are codes or words, not amounts.
        discrete: The variables that are factors or have up to ten different whole numbers.
        dropped: How many rows lacked a value.
    """

    columns: Mapping[str, Values]
    factors: frozenset[str]
    discrete: frozenset[str] = frozenset()
    dropped: int = 0

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def take(self, index: Values) -> Rows:
        """Return some rows, again and again if need be."""
        columns = {name: values[index] for name, values in self.columns.items()}
        return replace(self, columns=columns)

    def levels(self, name: str) -> Values:
        """Return the different values of a variable, sorted."""
        return np.unique(self.columns[name])


def read_rows(
    data: Any,
    names: Sequence[str],
    *,
    amounts: Collection[str] = (),
    factors: Collection[str] = (),
) -> Rows:
    """Return the rows of a table that have a value in each of some columns.

    Args:
        data: A table, or a mapping from name to values.
        names: The columns that are needed.
        amounts: Those that must hold numbers.
        factors: Those whose numbers are codes.

    Raises:
        UnknownVariable: A column is not there.
        TypeError: No table; dates, or words where numbers are needed.
        ValueError: Infinite values, columns of different lengths, or no complete row.

    Example:
        >>> rows = read_rows({"x": [0, 1, None], "y": [0.5, 1.5, 2.5]}, ["x", "y"])
        >>> len(rows), rows.dropped
        (2, 1)
    """
    import pandas as pd

    given = columns_of(data, "data")
    for name in (*names, *factors):
        if name not in given:
            raise UnknownVariable(name, given, "estimate: data")
    series = {name: pd.Series(_plain(given[name], name)) for name in names}
    if len({len(values) for values in series.values()}) > 1:
        lengths = {name: len(values) for name, values in series.items()}
        raise ValueError(f"estimate: the columns have different lengths: {lengths}.")
    whole = ~np.any([values.isna().to_numpy() for values in series.values()], axis=0)
    if not whole.any():
        raise ValueError(f"estimate: no row has a value in each of {', '.join(names)}.")
    columns, codes = {}, set(factors)
    for name, values in series.items():
        number = pd.api.types.is_numeric_dtype(values.dtype)
        if pd.api.types.is_bool_dtype(values.dtype) or not number:
            codes.add(name)
        columns[name] = _numbers(values[whole], name, name in amounts)
    discrete = {name for name in names if name in codes or _has_levels(columns[name])}
    return Rows(columns, frozenset(codes), frozenset(discrete), int((~whole).sum()))


def _has_levels(values: Values) -> bool:
    levels = np.unique(values)
    return len(levels) <= _FEW and bool((levels == np.round(levels)).all())


def _plain(given: Any, name: str) -> Any:
    """Return a column without its index, so that columns line up by place."""
    values = getattr(given, "array", given)
    if getattr(values, "ndim", 1) != 1:
        raise ValueError(
            f"estimate: the column {name!r} has shape {tuple(values.shape)}; expected one value a "
            "row."
        )
    return values if hasattr(given, "array") else np.asarray(values)


def _numbers(series: Any, name: str, amount: bool) -> Values:
    """Return a column's values, as numbers where they are."""
    kind = series.dtype
    if kind.kind in "mM":
        raise TypeError(
            f"estimate: the column {name!r} holds dates or durations; expected numbers, such as "
            "days since the first."
        )
    try:
        values = np.asarray(series.to_numpy(), dtype=np.float64)
    except (TypeError, ValueError):
        if amount:
            example = next((value for value in series if isinstance(value, str)), series.iloc[0])
            raise holds_words(f"data[{name!r}]", str(example), series) from None
        return np.asarray([str(value) for value in series])
    if not np.isfinite(values).all():
        raise ValueError(f"estimate: the column {name!r} holds an infinity; expected numbers.")
    return values
