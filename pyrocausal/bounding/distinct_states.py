"""Rows of a table with the same values, put together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pyrocausal.identification.tables import DiscreteTable

__all__ = ["distinct", "grouped"]

Codes = npt.NDArray[np.intp]


def distinct(table: DiscreteTable) -> DiscreteTable:
    """Return a table with one row for each state that occurs."""
    group = grouped(list(table.codes.values()))
    weights = np.bincount(group, table.weights).astype(np.float64)
    _, first = np.unique(group, return_index=True)
    first, weights = first[weights > 0], weights[weights > 0]
    codes = {name: values[first] for name, values in table.codes.items()}
    return DiscreteTable(table.levels, codes, weights)


def grouped(columns: Sequence[Codes]) -> Codes:
    """Return the number of each row's group, rows with the same values in all columns being one.

    Example:
        >>> import numpy as np
        >>> grouped([np.array([0, 1, 0]), np.array([1, 1, 1])])
        array([0, 1, 0])
    """
    group = np.zeros(len(columns[0]), dtype=np.intp)
    for column in columns:
        # Numbering anew at each column keeps the numbers below that of rows.
        _, group = np.unique(group * (column.max() + 1) + column, return_inverse=True)
    return group
