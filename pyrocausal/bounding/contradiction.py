"""Whether data contradict a graph: their distance from its models, beside sampling error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt

from pyrocausal.bounding.components import Component, fit_component
from pyrocausal.bounding.distinct_states import distinct, grouped
from pyrocausal.bounding.program import import_scipy
from pyrocausal.identification.admg import Admg, Nodes
from pyrocausal.identification.assumptions import Monotone
from pyrocausal.identification.tables import DiscreteTable
from pyrocausal.identification.tian import Table

__all__ = ["Fit"]

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

_ROUNDING = 1e-5
"""Distance, in nats, that a table of probabilities may have by its printed digits."""
_REPLICATES = 200
_ROWS_PER_CELL = 5  # for a chi-square law
_ROUND_OFF = 1e-12


@dataclass(frozen=True, eq=False)
class Fit:
    """The projection of a table on the models of a graph.

    Attributes:
        g: The graph, over the variables that matter.
        districts: The c-components that the query reads.
        monotone: What is assumed.
        table: The table, a row for each distinct state.
        replicate: Whether the table was drawn in a bootstrap, so that its distance alone counts.
    """

    g: Admg
    districts: Sequence[Nodes]
    monotone: Sequence[Monotone]
    table: DiscreteTable
    replicate: bool = False

    @cached_property
    def components(self) -> Mapping[Nodes, Component]:
        """Each c-component, projected."""
        return {
            s: fit_component(self.g, s, self.table, self.monotone, test=not self.replicate)
            for s in self.districts
        }

    @cached_property
    def distance(self) -> float:
        """Least Kullback-Leibler distance of the table from a model, in nats a row.

        It is the sum of two parts: from the product of the conditionals (the graph's
        separations), and from there to the c-factors that response functions give.
        """
        projected = sum(component.distance for component in self.components.values())
        found = _separations(self.g, self.table) + projected
        return found if found > _ROUND_OFF else 0.0

    def check(self, rows: int | None) -> None:
        """Refuse a distance that sampling error doesn't explain.

        Args:
            rows: Number of rows; None for a table of exact probabilities.

        Raises:
            ValueError: The data contradict the graph.
        """
        if rows is None:
            if self.distance > _ROUNDING:
                raise self._refusal(f"an exact table has at most {_ROUNDING:g} by rounding")
            return
        found = 2 * rows * self.distance
        most = self._usual(rows, found)
        if found > most:
            raise self._refusal(
                f"2 n KL = {found:.4g}, beyond the 99.9 % point {most:.4g} of what sampling error "
                f"does to {rows} rows"
            )

    def _usual(self, rows: int, found: float) -> float:
        """Return the 99.9 % point of ``2 n KL`` under the projected model.

        A parametric bootstrap, with a gamma law through its mean and variance; it ends as soon
        as one replicate is as far away as the data are, and is left out where the distance from
        the population itself would hardly be as great.
        """
        stats = import_scipy("stats")
        rng = np.random.default_rng(0)
        least = float(stats.chi2.ppf(0.999, 1))  # that of the smallest constraint
        if found <= least:
            return least
        cells = prod(len(self.table.levels[name]) for name in self.g.order)
        if rows >= _ROWS_PER_CELL * cells and found > stats.chi2.ppf(0.999, cells - 1):
            return float(stats.chi2.ppf(0.999, cells - 1))
        drawn: list[float] = []
        while len(drawn) < _REPLICATES:
            again = replace(self, table=self._resampled(rows, rng), replicate=True)
            drawn.append(2 * rows * again.distance)
            if drawn[-1] >= found:
                return found
        mean, variance = np.mean(drawn), np.var(drawn)
        if variance == 0:
            return least
        point = stats.gamma.ppf(0.999, mean**2 / variance, scale=variance / mean)
        return max(float(point), least)

    def _resampled(self, rows: int, rng: np.random.Generator) -> DiscreteTable:
        """Return a table of rows drawn from the projected model."""
        functions: dict[str, Codes] = {}
        listed: dict[str, tuple[tuple[str, ...], Codes]] = {}
        for component in self.components.values():
            if component.law is not None:
                types = component.listed()
                drawn = rng.choice(types.count, rows, p=component.law)
                functions |= {node: types.function_of[node][drawn] for node in types.nodes}
                listed |= {
                    node: (types.parents[node], types.functions[node]) for node in types.nodes
                }
        kernels = Table(self.g, short=False).kernels
        codes: dict[str, Codes] = {}
        for node in self.g.order:
            if node in listed:
                parents, table = listed[node]
                codes[node] = table[(functions[node], *(codes[name] for name in parents))]
            else:
                given = self.g.sorted(kernels[node].given)
                joint = self.table.margin((*given, node))
                codes[node] = _drawn(joint, [codes[n] for n in given], rng.random(rows))
        return distinct(DiscreteTable(self.table.levels, codes, np.full(rows, 1 / rows)))

    def _refusal(self, scale: str) -> ValueError:
        assumed = " ".join(f"and the assumption {str(a)!r}" for a in self.monotone)
        return ValueError(
            f"bounds: the data contradict the graph {assumed}{' ' if assumed else ''}over "
            f"{', '.join(self.g.order)}: their least distance from its models is "
            f"{self.distance:.3g} nats a row; {scale}. Add the edges or common causes that are "
            "missing, drop an assumption, or look for an error in the data."
        )


def _separations(g: Admg, table: DiscreteTable) -> float:
    """Return the distance from the product of the conditionals, each on what it may depend on."""
    weights = table.weights

    def log_probability(names: Nodes) -> Array:
        group = grouped([table.codes[name] for name in names])
        return np.asarray(np.log(np.bincount(group, weights))[group])

    away = np.log(weights)
    for node, kernel in Table(g, short=False).kernels.items():
        away -= log_probability(kernel.given | {node})
        if kernel.given:
            away += log_probability(kernel.given)
    return max(float(weights @ away), 0.0)


def _drawn(joint: Array, given: Sequence[Codes], uniform: Array) -> Codes:
    """Return the last variable of a table for each row, given the others, by inversion."""
    # Where nothing was seen, all values are as likely.
    steps = np.cumsum(joint + np.finfo(np.float64).tiny, axis=-1)[tuple(given)]
    # A draw on the upper edge would fall beyond the last value.
    inside = uniform * steps[..., -1] * (1 - 1e-12)
    return np.asarray((inside[:, None] >= steps).sum(-1))
