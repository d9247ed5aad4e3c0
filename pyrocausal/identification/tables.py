"""Tables of discrete variables, from rows with weights."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from pyrocausal.engine.evidence import columns_of
from pyrocausal.errors import UnknownVariable

__all__ = ["MOST_CELLS", "DiscreteTable", "is_continuous", "levels_of", "read_tables"]

Array = npt.NDArray[np.float64]
Levels = Mapping[str, npt.NDArray[Any]]

MOST_CELLS = 10**8
"""Cells of the largest table that is tried."""

_MOST_FRACTIONS = 20
"""A column with more different values than these, not all whole, counts as continuous."""


@dataclass(frozen=True, eq=False)
class DiscreteTable:
    """A distribution over discrete variables, as rows of codes with weights.

    Attributes:
        levels: Variable to its values, shape ``(k,)``.
        codes: Variable to the place of each row's value among its levels, shape ``(rows,)``.
        weights: Weight of each row, summing to 1, shape ``(rows,)``.
    """

    levels: Levels
    codes: Mapping[str, npt.NDArray[np.intp]]
    weights: Array
    _margins: dict[tuple[str, ...], Array] = field(default_factory=dict, repr=False)

    def margin(self, names: tuple[str, ...]) -> Array:
        """Return the joint probabilities of some variables, an axis for each."""
        if not names:
            return np.array(1.0)
        if names not in self._margins:
            shape = tuple(len(self.levels[name]) for name in names)
            if prod(shape) > MOST_CELLS:
                raise ValueError(
                    f"The joint table of {', '.join(names)} has {prod(shape):.2g} cells; "
                    f"at most {MOST_CELLS:.0e} are tried. Merge values of these variables."
                )
            cells = np.ravel_multi_index([self.codes[name] for name in names], shape)
            counts = np.bincount(cells, self.weights, minlength=prod(shape)).astype(np.float64)
            self._margins[names] = counts.reshape(shape)
        return self._margins[names]


def read_tables(
    sources: Mapping[frozenset[str], Any],
    names: Mapping[frozenset[str], Collection[str]],
    weights: str | None,
) -> dict[frozenset[str], DiscreteTable]:
    """Return tables of the columns that are needed, with the same levels in all.

    Args:
        sources: What an experiment set (nothing: observation) to its rows, a table or a mapping.
        names: What an experiment set to the variables needed from it.
        weights: Name of the column of weights, if any.

    Raises:
        UnknownVariable: A needed column is not there.
        TypeError: A source that is no table.
        ValueError: Missing values, weights that don't sum to 1, or a continuous column.
    """
    given = {key: columns_of(source, "the table") for key, source in sources.items()}
    columns = {
        key: {name: _column(table, name) for name in sorted(names[key])}
        for key, table in given.items()
    }
    levels = levels_of(columns.values())
    tables = {}
    for key, table in given.items():
        codes = {n: np.searchsorted(levels[n], values) for n, values in columns[key].items()}
        shares = _weights(table, weights, columns[key])
        tables[key] = DiscreteTable(levels, codes, shares)
    return tables


def levels_of(sources: Iterable[Mapping[str, npt.NDArray[Any]]]) -> dict[str, npt.NDArray[Any]]:
    """Return the values that each variable takes in some tables, sorted."""
    values: dict[str, list[npt.NDArray[Any]]] = {}
    for columns in sources:
        for name, column in columns.items():
            values.setdefault(name, []).append(column)
    return {name: np.unique(np.concatenate(parts)) for name, parts in values.items()}


def is_continuous(column: npt.NDArray[Any]) -> bool:
    """Tell whether a column has many different values that are not all whole."""
    distinct = len(np.unique(column))
    many = distinct > _MOST_FRACTIONS or (len(column) >= 10 and 2 * distinct > len(column))
    return many and bool((column != np.round(column)).any())


def _column(table: Mapping[str, Any], name: str) -> npt.NDArray[Any]:
    """Return one column, refusing what is missing or continuous."""
    if name not in table:
        raise UnknownVariable(name, table, "the table")
    column = np.asarray(table[name])
    if column.ndim != 1 or not len(column):
        raise ValueError(
            f"The column {name!r} has shape {column.shape}; expected one value a row."
        )
    if column.dtype == object:
        column = _plain(column, name)
    if column.dtype.kind == "f":
        if np.isnan(column).any():
            raise _missing(name)
        if is_continuous(column):
            distinct = len(np.unique(column))
            raise ValueError(
                f"The column {name!r} is continuous ({distinct} different values in "
                f"{len(column)} rows); expected a discrete variable. Cut it into classes first, "
                "such as by pandas.cut, or estimate with a method for continuous variables."
            )
    return column


def _plain(column: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Return a column of objects as numbers or strings, refusing a mixture."""
    if any(value is None or value != value for value in column):
        raise _missing(name)
    plain = np.array(column.tolist())
    if plain.dtype.kind in "US" and not all(isinstance(value, str) for value in column):
        raise ValueError(
            f"The column {name!r} mixes strings with other values; expected one type. "
            "Convert it, such as by astype(str)."
        )
    return plain


def _missing(name: str) -> ValueError:
    return ValueError(
        f"The column {name!r} has missing values; expected a value in each row. Drop "
        "these rows if they are missing at random, or impute them."
    )


def _weights(
    table: Mapping[str, Any], weights: str | None, columns: Mapping[str, npt.NDArray[Any]]
) -> Array:
    rows = len(next(iter(columns.values())))
    if any(len(column) != rows for column in columns.values()):
        lengths = {name: len(column) for name, column in columns.items()}
        raise ValueError(f"The columns have different lengths: {lengths}.")
    if weights is None:
        return np.full(rows, 1 / rows)
    if weights not in table:
        raise UnknownVariable(weights, table, "weights=")
    shares = np.asarray(table[weights], dtype=np.float64)
    if not (shares >= 0).all() or abs(shares.sum() - 1) > 1e-6:
        raise ValueError(
            f"The weights {weights!r} run from {shares.min():.4g} to {shares.max():.4g} "
            f"and sum to {shares.sum():.6g}; expected probabilities that sum to 1. Divide them by "
            "their sum if they are counts."
        )
    return shares
