"""From covariates to the columns of a regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pyrocausal.estimation.table import Array, Rows, Values

__all__ = ["Amount", "Design", "Factor"]


@dataclass(frozen=True)
class Amount:
    """A number: standardised, and its square where that says more.

    Attributes:
        name: The variable.
        mean: Its mean.
        scale: Its standard deviation.
        squared: Whether its square is a column of its own.
    """

    name: str
    mean: float
    scale: float
    squared: bool

    def columns(self, values: Values) -> Array:
        """Return one column or two, shape ``(n, k)``."""
        z = (np.asarray(values, dtype=np.float64) - self.mean) / self.scale
        return np.column_stack([z, z * z]) if self.squared else z[:, None]


@dataclass(frozen=True, eq=False)
class Factor:
    """Codes or words: a column of 0 and 1 for each level but the first.

    Attributes:
        name: The variable.
        levels: Its values, sorted.
    """

    name: str
    levels: Values

    def columns(self, values: Values) -> Array:
        """Return a column a level but the first, shape ``(n, k)``."""
        return np.asarray(values[:, None] == self.levels[1:], dtype=np.float64)


@dataclass(frozen=True)
class Design:
    """The columns that stand for some variables in a regression, without the intercept.

    Attributes:
        terms: One for each variable that varies.

    Example:
        >>> rows = Rows({"age": np.array([30.0, 50.0, 70.0])}, frozenset())
        >>> Design.of(rows, ["age"], squares=True).matrix(rows.columns).round(1)
        array([[-1.2,  1.5],
               [ 0. ,  0. ],
               [ 1.2,  1.5]])
    """

    terms: tuple[Amount | Factor, ...]

    @classmethod
    def of(cls, rows: Rows, names: Sequence[str], *, squares: bool) -> Design:
        """Choose the columns by what a table holds; a constant has none.

        Args:
            rows: The table.
            names: The variables.
            squares: Whether numbers of more than two values have their square too.
        """
        terms: list[Amount | Factor] = []
        for name in names:
            levels, values = rows.levels(name), rows.columns[name]
            if len(levels) < 2:
                continue
            if name in rows.factors:
                terms.append(Factor(name, levels))
            else:
                squared = squares and len(levels) > 2
                terms.append(Amount(name, float(values.mean()), float(values.std()), squared))
        return cls(tuple(terms))

    def matrix(self, columns: Mapping[str, Values]) -> Array:
        """Return the design of some rows, shape ``(n, p)``."""
        number = len(next(iter(columns.values())))
        parts = [term.columns(columns[term.name]) for term in self.terms]
        return np.column_stack([np.empty((number, 0)), *parts])
