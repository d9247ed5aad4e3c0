"""The question as estimators see it: an outcome, two values of a treatment, covariates, rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from pyrocausal.estimation.designs import Design
from pyrocausal.estimation.table import Array, Rows

__all__ = ["Population", "Study", "shown"]

Mask = npt.NDArray[np.bool_]
Population = Literal["all", "treated", "untreated"]

_SOME = 8  # levels that an error shows


@dataclass(frozen=True, eq=False)
class Study:
    """Rows in which a treatment's two values are compared.

    Attributes:
        rows: The table.
        outcome: Name of the outcome.
        treatment: Name of the treatment.
        values: The two values, the effect being of the first against the second.
        adjustment: Names of the covariates.
        population: Whose effect is meant.
        squares: Whether numbers have their squares in regressions.
    """

    rows: Rows
    outcome: str
    treatment: str
    values: tuple[Any, Any]
    adjustment: Sequence[str] = ()
    population: Population = "all"
    squares: bool = True

    @cached_property
    def y(self) -> Array:
        """The outcomes, shape ``(n,)``."""
        y: Array = self.rows.columns[self.outcome]
        return y

    @cached_property
    def z(self) -> Array:
        """The design of the covariates, shape ``(n, p)``."""
        design = Design.of(self.rows, self.adjustment, squares=self.squares)
        return design.matrix(self.rows.columns)

    @cached_property
    def has_levels(self) -> bool:
        """Whether the treatment has levels, so that a value means an arm; else it is a dose."""
        return self.treatment in self.rows.discrete

    @cached_property
    def arms(self) -> Mask:
        """Which rows have which of the two values, shape ``(n, 2)``.

        Raises:
            ValueError: A value that no row has.
        """
        given = self.rows.columns[self.treatment]
        return np.column_stack([given == self.level(value) for value in self.values])

    @cached_property
    def members(self) -> Mask:
        """Which rows are of the population, shape ``(n,)``."""
        if self.population == "all":
            return np.ones(len(self.y), dtype=bool)
        return self.arms[:, get_args(Population).index(self.population) - 1]

    def share(self, propensities: Array) -> Array:
        """Return the probability that a row is of the population, given its covariates."""
        if self.population == "all":
            return np.ones(len(propensities))
        return propensities[:, get_args(Population).index(self.population) - 1]

    @cached_property
    def naive(self) -> tuple[float, Array]:
        """The difference in mean outcomes of the two arms, and each row's influence on it."""
        value, influence = 0.0, np.zeros(len(self.y))
        for sign, arm in zip((1, -1), self.arms.T, strict=True):
            mean = float(self.y[arm].mean())
            value += sign * mean
            influence += sign * arm * (self.y - mean) / arm.mean()
        return value, influence

    def take(self, index: npt.NDArray[np.intp]) -> Study:
        """Return the same question of some rows, again and again if need be."""
        return replace(self, rows=self.rows.take(index))

    def need_levels(self, method: str) -> None:
        """Refuse a dose.

        Raises:
            ValueError: The treatment has no levels.
        """
        if not self.has_levels:
            number = len(self.rows.levels(self.treatment))
            raise ValueError(
                f"estimate: the treatment {self.treatment!r} is continuous ({number} different "
                f"values), but method={method!r} compares two of few levels. Use "
                'method="regression" or "plug-in", or cut it into classes.'
            )

    def __str__(self) -> str:
        y, x = self.outcome, self.treatment
        a, b = (f"{x}={shown(value)}" for value in self.values)
        if self.population == "all":
            return f"E[{y} | do({a})] - E[{y} | do({b})]"
        whose = {"treated": a, "untreated": b}[self.population]
        return f"E[{y}_{{{a}}} - {y}_{{{b}}} | {whose}]"

    def level(self, value: Any) -> Any:
        """Return the level that a value names.

        Raises:
            ValueError: No row has it.
        """
        levels = self.rows.levels(self.treatment)
        same = [level for level in levels if level in (value, str(value))]
        if not same:
            known = ", ".join(map(shown, levels[:_SOME])) + ", ..." * (len(levels) > _SOME)
            raise ValueError(
                f"estimate: positivity: no row has {self.treatment}={shown(value)}; the rows have "
                f"{known}. Ask about two of these: values=(...)."
            )
        return same[0]


def shown(value: Any) -> str:
    """Return a value as messages have it.

    Example:
        >>> shown(1.0), shown("low")
        ('1', 'low')
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:g}" if number else str(value)
