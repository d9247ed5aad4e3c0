"""Conditional distributions fitted to rows: drawn from, averaged, and their densities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from pyrocausal.estimation.designs import Design
from pyrocausal.estimation.nuisance import LeastSquares, Logistic
from pyrocausal.estimation.table import Array, Rows, Values

__all__ = ["Cells", "Classes", "Conditional", "Line", "conditional"]

_ROWS_PER_CELL = 10
"""Fewer rows for some combination of conditions, and a regression takes the place of a table."""

Columns = Mapping[str, Values]


class Conditional(ABC):
    """The distribution of one variable given others."""

    @abstractmethod
    def draw(self, given: Columns, rng: np.random.Generator) -> Values:
        """Return a value for each row of conditions."""

    @abstractmethod
    def mean(self, given: Columns) -> Array:
        """Return the mean for each row of conditions."""

    @abstractmethod
    def density(self, values: Values, given: Columns) -> Array:
        """Return the density, or probability, of a value for each row of conditions."""


def conditional(
    rows: Rows, target: str, given: tuple[str, ...], treatment: str, squares: bool
) -> Conditional:
    """Fit the distribution of a variable given others.

    Given discrete variables, with ten rows or more for each combination, it is what the rows show;
    else a regression on the conditions, their squares and their products with the treatment.

    Args:
        rows: What to fit to.
        target: The variable.
        given: Its conditions.
        treatment: The variable whose products with the others are regressors too.
        squares: Whether numbers have their squares.
    """
    if rows.discrete.issuperset(given):
        cells = Cells.of(rows, target, given)
        if cells is not None:
            return cells
    basis = Basis.of(rows, given, treatment, squares)
    kind = Classes if target in rows.discrete else Line
    return kind(rows, target, basis)


@dataclass(frozen=True)
class Basis:
    """Regressors: the conditions, and their products with the treatment."""

    treatment: Design
    others: Design

    @classmethod
    def of(cls, rows: Rows, given: tuple[str, ...], treatment: str, squares: bool) -> Basis:
        """Choose the columns by what a table holds."""
        t = [name for name in given if name == treatment]
        z = [name for name in given if name != treatment]
        return cls(*(Design.of(rows, names, squares=squares) for names in (t, z)))

    def matrix(self, given: Columns) -> Array:
        """Return the regressors, shape ``(n, p)``."""
        t, z = self.treatment.matrix(given), self.others.matrix(given)
        products = (t[:, :, None] * z[:, None, :]).reshape(len(t), -1)
        return np.column_stack([t, z, products])


@dataclass(frozen=True, eq=False)
class Cells(Conditional):
    """What the rows of a combination of discrete conditions show."""

    target: Values
    levels: Mapping[str, Values]
    members: list[npt.NDArray[np.intp]]

    @classmethod
    def of(cls, rows: Rows, target: str, given: tuple[str, ...]) -> Cells | None:
        """Return the table, or None where a combination has too few rows."""
        levels = {name: rows.levels(name) for name in given}
        number = prod(len(values) for values in levels.values())
        if number * _ROWS_PER_CELL > len(rows) and given:
            return None
        place = _cell(levels, rows.columns, len(rows))
        members = [np.flatnonzero(place == cell) for cell in range(number)]
        if min(map(len, members)) < _ROWS_PER_CELL and given:
            return None
        return cls(rows.columns[target], levels, members)

    def draw(self, given: Columns, rng: np.random.Generator) -> Values:
        drawn = np.empty(_length(given), dtype=self.target.dtype)
        for members, here in self._matched(given):
            # Each row is drawn as often as another, up to one: less noise than independent draws.
            times = -(-here.sum() // len(members))
            several = np.concatenate([rng.permutation(members) for _ in range(times)])
            drawn[here] = rng.permutation(self.target[several[: here.sum()]])
        return drawn

    def mean(self, given: Columns) -> Array:
        means = np.empty(_length(given))
        for members, here in self._matched(given):
            means[here] = self.target[members].mean()
        return means

    def density(self, values: Values, given: Columns) -> Array:
        found = np.empty(len(values))
        discrete = len(np.unique(self.target)) * _ROWS_PER_CELL <= len(self.target)
        for members, here in self._matched(given):
            seen = self.target[members]
            if discrete:
                found[here] = [(seen == value).mean() for value in values[here]]
            else:
                found[here] = _normal(values[here], seen.mean(), seen.std())
        return found

    def _matched(self, given: Columns) -> list[tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]]:
        place = _cell(self.levels, given, _length(given))
        return [(self.members[cell], place == cell) for cell in np.unique(place)]


class Classes(Conditional):
    """Logits of each level against the others, scaled to sum to 1."""

    def __init__(self, rows: Rows, target: str, basis: Basis) -> None:
        x, self.levels, self.basis = basis.matrix(rows.columns), rows.levels(target), basis
        seen = rows.columns[target]
        # Of two levels the second's logit is the first's, turned round.
        fitted = self.levels if len(self.levels) > 2 else self.levels[1:]
        self.models = [Logistic().fit(x, seen == level) for level in fitted]

    def _probabilities(self, given: Columns) -> Array:
        x = self.basis.matrix(given)
        p = np.column_stack([model.predict_proba(x)[:, 1] for model in self.models])
        p = p if len(self.levels) > 2 else np.column_stack([1 - p, p])
        return np.asarray(p / p.sum(axis=1, keepdims=True))

    def draw(self, given: Columns, rng: np.random.Generator) -> Values:
        below = self._probabilities(given).cumsum(axis=1)
        place = (rng.random(len(below))[:, None] > below[:, :-1]).sum(axis=1)
        return np.asarray(self.levels[place])

    def mean(self, given: Columns) -> Array:
        return self._probabilities(given) @ self.levels

    def density(self, values: Values, given: Columns) -> Array:
        place = np.searchsorted(self.levels, values)
        return np.take_along_axis(self._probabilities(given), place[:, None], axis=1)[:, 0]


class Line(Conditional):
    """Least squares with residuals that are the same for all conditions."""

    def __init__(self, rows: Rows, target: str, basis: Basis) -> None:
        x, y = basis.matrix(rows.columns), rows.columns[target]
        self.basis, self.model = basis, LeastSquares().fit(x, y)
        self.residuals = y - self.model.predict(x)

    def draw(self, given: Columns, rng: np.random.Generator) -> Values:
        means = self.mean(given)
        return np.asarray(means + rng.choice(self.residuals, size=len(means)))

    def mean(self, given: Columns) -> Array:
        return self.model.predict(self.basis.matrix(given))

    def density(self, values: Values, given: Columns) -> Array:
        return _normal(values, self.mean(given), self.residuals.std())


def _cell(levels: Mapping[str, Values], columns: Columns, number: int) -> npt.NDArray[np.intp]:
    """Return the place of each row's combination of conditions."""
    place = np.zeros(number, dtype=np.intp)
    for name, values in levels.items():
        place = place * len(values) + np.searchsorted(values, columns[name])
    return place


def _length(columns: Columns) -> int:
    return len(next(iter(columns.values())))


def _normal(values: Values, mean: Array | float, sd: float) -> Array:
    z = (values - mean) / sd
    density: Array = np.exp(-(z**2) / 2) / (sd * np.sqrt(2 * np.pi))
    return density
