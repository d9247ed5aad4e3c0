"""The linear regression that a report rests on: coefficients, errors and partial R2s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pyrocausal.sensitivity.columns import Array, numbers

__all__ = ["LinearModel", "columns_of_covariate", "standardized"]


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A linear regression with an intercept.

    Attributes:
        target: Shape ``(n,)``.
        groups: Name of a regressor to its columns, shape ``(n, k)``.

    Example:
        >>> x = np.array([0.0, 1.0, 2.0, 3.0])
        >>> fitted = LinearModel(np.array([0.0, 1.0, 1.0, 2.0]), {"x": x[:, None]})
        >>> print(f"{fitted.coefficient('x'):.2f} {fitted.se('x'):.3f} {fitted.df}")
        0.60 0.141 2
        >>> print(f"{fitted.partial_r2('x'):.2f}")
        0.90
    """

    target: Array
    groups: Mapping[str, Array]

    @cached_property
    def design(self) -> Array:
        """The columns, an intercept first, shape ``(n, p)``.

        Raises:
            ValueError: Too few rows, or columns of which one is a sum of others.
        """
        found = np.column_stack([np.ones(len(self.target)), *self.groups.values()])
        rows, columns = found.shape
        if rows <= columns + 1:
            raise ValueError(
                f"got {rows} units for a regression with {columns} coefficients; expected at "
                "least two more units than coefficients. Name fewer covariates."
            )
        if np.linalg.matrix_rank(standardized(found[:, 1:])) < columns - 1:
            raise ValueError(
                f"the columns of {', '.join(self.groups)} determine one another, or one is "
                "constant. Leave out what the others determine."
            )
        return found

    @property
    def df(self) -> int:
        """Residual degrees of freedom."""
        rows, columns = self.design.shape
        return int(rows - columns)

    @cached_property
    def coefficients(self) -> Array:
        """The intercept, then a number for each column."""
        found = np.linalg.lstsq(self.design, self.target, rcond=None)[0]
        return np.asarray(found, dtype=np.float64)

    @cached_property
    def residuals(self) -> Array:
        """What the regression leaves of the target."""
        return self.target - self.design @ self.coefficients

    def coefficient(self, name: str) -> float:
        """Return the coefficient of a regressor with one column."""
        return float(self.coefficients[self._place(name)])

    def se(self, name: str) -> float:
        """Return its classical standard error."""
        inverse = np.linalg.inv(self.design.T @ self.design)
        place = self._place(name)
        return float(np.sqrt(self.residuals @ self.residuals / self.df * inverse[place, place]))

    def partial_r2(self, *names: str) -> float:
        """Return what regressors, all together, explain of what the others leave."""
        others = {other: cols for other, cols in self.groups.items() if other not in names}
        without = LinearModel(self.target, others).residuals
        left = float(self.residuals @ self.residuals)
        return max(0.0, 1 - left / float(without @ without))

    def _place(self, name: str) -> int:
        before = list(self.groups)[: list(self.groups).index(name)]
        return 1 + sum(int(self.groups[other].shape[1]) for other in before)


def columns_of_covariate(given: Any, name: str, rows: int) -> Array:
    """Return the columns that stand for a covariate in a regression.

    Numbers stand for themselves; of categories (strings, or a pandas categorical) each but the
    first gets a column of 0 and 1.

    Args:
        given: One value a unit.
        name: What an error calls it.
        rows: How many units there are.

    Raises:
        ValueError: Missing values, or another length.

    Example:
        >>> columns_of_covariate(["a", "b", "b"], "x", 3)
        array([[0.], [1.], [1.]])
    """
    values = np.asarray(given)
    categories = str(getattr(given, "dtype", "")) == "category"
    if not categories and values.dtype.kind in "biuf":
        return numbers(values, name, rows)[:, None]
    if values.shape != (rows,):
        raise ValueError(f"{name} has shape {values.shape}; expected {rows} units.")
    missing = int(sum(value is None or value != value for value in values.tolist()))
    if missing:
        raise ValueError(f"{name} has {missing} missing values of {rows}. Drop these units.")
    levels = np.unique(values.astype(str) if values.dtype == object else values)
    texts = values.astype(levels.dtype)
    return np.asarray(texts[:, None] == levels[1:], dtype=np.float64)


def standardized(columns: Array) -> Array:
    """Return columns of mean 0 and deviation 1; a constant one becomes 0."""
    centred = columns - columns.mean(0)
    spread = centred.std(0)
    return np.asarray(centred / np.where(spread > 0, spread, 1.0))
