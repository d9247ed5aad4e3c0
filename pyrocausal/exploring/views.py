"""What the page shows: distributions by rung, and a unit beside its twin."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pyrocausal.exploring.controls import Array, levels_of
from pyrocausal.graph import CausalGraph

__all__ = ["Bars", "Panel", "Row", "View", "bins"]

MOST_BINS = 40


@dataclass(frozen=True, eq=False)
class Panel:
    """One distribution on one rung.

    Attributes:
        rung: Its number and its name.
        query: The question in symbols.
        words: What the values say, in numbers; or why there are none.
        values: What is drawn, flat; empty where the question has no answer.
    """

    rung: str
    query: str
    words: str
    values: Array = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True, eq=False)
class Row:
    """One variable of a unit and of its twin.

    Attributes:
        variable: Its name.
        fact: What was seen.
        twin: What would have been, shape ``(draws,)``.
        role: ``"set"`` by the action, ``"moved"`` by it, or ``"kept"``.
    """

    variable: str
    fact: float
    twin: Array
    role: str

    @property
    def told(self) -> str:
        """The twin's value in words: a number, or a mean with where 90 % of the draws lie."""
        if np.ptp(self.twin) <= 1e-6 * max(1.0, abs(self.twin).max()):
            return f"{self.twin[0]:.4g}"
        low, high = np.quantile(self.twin, [0.05, 0.95])
        return f"{self.twin.mean():.4g} ({low:.3g} to {high:.3g})"


@dataclass(frozen=True, eq=False)
class View:
    """All that the page shows of one action, one outcome and one unit.

    Attributes:
        graph: The graph under the action.
        action: The action in symbols; empty where nothing is set.
        seeing: Rung 1, among the units that were seen with these values.
        doing: Rung 2, all units after the action.
        imagining: Rung 3, the unit's own distribution, given what was seen of it.
        pairs: Each unit's outcome in fact and after the action, shape ``(2, units)``.
        pairs_told: What the pairs say, in numbers.
        rows: The unit beside its twin; empty where that can't be told.
    """

    graph: CausalGraph
    action: str
    seeing: Panel
    doing: Panel
    imagining: Panel
    pairs: Array
    pairs_told: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, eq=False)
class Bars:
    """The bars of a picture: where each begins and ends; levels where there are few values.

    Attributes:
        left: Where each bar begins.
        right: Where it ends.
        levels: The value each bar stands for; empty where it stands for an interval.
    """

    left: Array
    right: Array
    levels: Array

    def shares(self, values: Array) -> Array:
        """Return the share of the values that each bar holds; zero where there are none.

        Example:
            >>> bins([np.array([0.0, 1.0])]).shares(np.array([1.0, 1.0, 0.0, 1.0]))
            array([0.25, 0.75])
        """
        if len(self.levels):
            counts = (values[:, None] == self.levels).sum(0)
        else:
            counts, _ = np.histogram(values, np.append(self.left, self.right[-1]))
        shares: Array = counts / max(len(values), 1)
        return shares


def bins(values: list[Array]) -> Bars:
    """Return bars that hold all values of several distributions.

    Args:
        values: Values of each distribution, flat.

    Example:
        >>> bins([np.array([0.0, 1.0]), np.array([2.0])]).levels
        array([0., 1., 2.])
        >>> len(bins([np.linspace(0.0, 1.0, 1000)]).left)
        40
    """
    every = np.concatenate(values)
    levels = np.array(levels_of(every))
    if len(levels):
        half = 0.4 * min(np.diff(levels).min() if len(levels) > 1 else 1.0, 1.0)
        return Bars(levels - half, levels + half, levels)
    edges = np.histogram_bin_edges(every, MOST_BINS)
    return Bars(edges[:-1], edges[1:], np.empty(0))
