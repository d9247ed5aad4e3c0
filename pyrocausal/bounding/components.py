"""What a table says of each c-component: its c-factor, exactly or between two limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pyrocausal.bounding.c_factors import Block, Factor, blocks, c_factor
from pyrocausal.bounding.program import Laws
from pyrocausal.bounding.projection import divergence, project
from pyrocausal.bounding.response_functions import ResponseFunctions, TooManyTypes
from pyrocausal.bounding.sampling_error import conditional_limits, free_cells
from pyrocausal.identification.admg import Admg, Nodes
from pyrocausal.identification.arrays import NamedArray, product
from pyrocausal.identification.assumptions import Monotone
from pyrocausal.identification.tables import DiscreteTable

__all__ = ["Component", "fit_component", "limits"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Component:
    """A c-component and its c-factor, projected on those that some model gives.

    Attributes:
        g: The graph.
        factor: ``Q[S]``; NaN where a context was never seen.
        monotone: What is assumed of the nodes.
        law: Law over types that gives the c-factor, if it had to be projected.
        distance: Kullback-Leibler distance of the table's c-factor from it, in nats.
    """

    g: Admg
    factor: Factor
    monotone: tuple[Monotone, ...] = ()
    law: Array | None = None
    distance: float = 0.0

    @cached_property
    def _sizes(self) -> Mapping[str, int]:
        return dict(zip(self.factor.values.names, self.factor.values.values.shape, strict=True))

    def listed(self, nodes: Nodes | None = None) -> ResponseFunctions:
        """Return the response functions of all nodes, or of some.

        Raises:
            TooManyTypes: There are too many to list.
        """
        assumed = [a for a in self.monotone if a.effect in (nodes or self.nodes)]
        return ResponseFunctions.of(self.g, nodes or self.nodes, self._sizes, assumed)

    @property
    def nodes(self) -> Nodes:
        """The nodes."""
        return self.factor.nodes

    @property
    def parts(self) -> list[Block]:
        """The conditionals whose product is the c-factor."""
        return blocks(self.g, self.nodes)


def fit_component(
    g: Admg, district: Nodes, table: DiscreteTable, monotone: Sequence[Monotone], test: bool = True
) -> Component:
    """Return a c-component with its c-factor, projected if no model of the graph gives it.

    With too many response functions to list, it stays as it is.

    Args:
        g: The graph.
        district: The c-component.
        table: The table.
        monotone: What is assumed.
        test: Whether to ask first if a model gives the c-factor; else it is projected anyhow.
    """
    assumed = tuple(a for a in monotone if a.effect in district)
    seen = Component(g, c_factor(g, district, table), assumed)
    if len(district) == 1 and not assumed:
        return seen
    try:
        types = seen.listed()
    except TooManyTypes:
        return seen
    names = (*types.outside, *types.nodes)
    probabilities = seen.factor.table(types.outside, types.nodes)
    cells = types.cells(district)
    flat = probabilities.reshape(len(cells), -1)
    if test and Laws(cells, flat, flat).feasible():
        return seen
    weights = table.margin(names).reshape(flat.shape)
    image, law = project(cells, weights)
    image[np.isnan(flat)] = np.nan
    fitted = Factor(district, NamedArray(names, image.reshape(probabilities.shape)))
    return Component(g, fitted, assumed, law, divergence(weights, flat, image))


def limits(
    components: Sequence[Component], table: DiscreteTable, rows: int, level: float
) -> Mapping[Nodes, tuple[NamedArray, NamedArray]]:
    """Return limits for all c-factors that hold together with probability ``1 - level`` or more.

    Each conditional of a c-factor gets exact limits (Clopper-Pearson), at a level divided by the
    number of cells of all (Bonferroni); the c-factor lies between the products. What was
    projected is taken in, so that there is a model between the limits.
    """
    tables = [(part.counts(table), len(part.given)) for c in components for part in c.parts]
    share = level / free_cells(tables)
    found = {}
    for component in components:
        ends = [_between(part, table, rows, share) for part in component.parts]
        low, high = (product(arrays) for arrays in zip(*ends, strict=True))
        found[component.nodes] = _widened(low, high, component.factor.values)
    return found


def _between(
    part: Block, table: DiscreteTable, rows: int, level: float
) -> tuple[NamedArray, NamedArray]:
    low, high = conditional_limits(part.counts(table) * rows, len(part.given), level)
    names = (*part.given, *part.of)
    return NamedArray(names, low), NamedArray(names, high)


def _widened(
    low: NamedArray, high: NamedArray, fitted: NamedArray
) -> tuple[NamedArray, NamedArray]:
    """Return limits that hold the fitted values too."""
    names = low.names
    values = fitted.aligned(names)
    return (
        NamedArray(names, np.fmin(low.values, values)),
        NamedArray(names, np.fmax(high.values, values)),
    )
