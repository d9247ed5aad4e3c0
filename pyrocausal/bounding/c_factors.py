"""The c-factor ``Q[S]`` of a c-component as a table, and what follows from it by sums and ratios."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pyrocausal.identification.admg import Admg, Nodes
from pyrocausal.identification.arrays import NamedArray, product
from pyrocausal.identification.tables import DiscreteTable
from pyrocausal.identification.tian import Table

__all__ = ["Block", "Factor", "blocks", "c_factor", "reductions"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """A conditional distribution ``P(of | given)`` that can be read off a table as it stands."""

    of: tuple[str, ...]
    given: tuple[str, ...]

    def counts(self, table: DiscreteTable) -> Array:
        """Return the weights of the joint values, shape ``(*sizes of given, *sizes of of)``."""
        return table.margin((*self.given, *self.of))

    def kernel(self, table: DiscreteTable) -> NamedArray:
        """Return the conditional probabilities, NaN where the conditions never occur."""
        joint = self.counts(table)
        margin = joint.sum(tuple(range(len(self.given), joint.ndim)), keepdims=True)
        values = np.divide(joint, margin, out=np.full_like(joint, np.nan), where=margin > 0)
        return NamedArray((*self.given, *self.of), values)


@dataclass(frozen=True, eq=False)
class Factor:
    """``Q[nodes] = P(nodes | do everything else)``.

    Attributes:
        nodes: The nodes.
        values: With axes for the nodes and for their parents.
    """

    nodes: Nodes
    values: NamedArray

    @classmethod
    def of(cls, g: Admg, nodes: Nodes, values: NamedArray) -> Factor:
        """Return a c-factor, averaged over what in theory it doesn't depend on."""
        kept = nodes.union(*(g.parents[node] for node in nodes))
        for name in [name for name in values.names if name not in kept]:
            values = _average(values, name)
        return cls(nodes, values)

    def table(self, inputs: tuple[str, ...], nodes: tuple[str, ...]) -> Array:
        """Return the values, axes in the order given."""
        return self.values.aligned((*inputs, *nodes))


def blocks(g: Admg, district: Nodes) -> list[Block]:
    """Return the conditionals whose product is ``Q[S]``, as few as there can be.

    Node after node each is conditioned on its district among its predecessors, and on that
    district's parents; neighbours whose conditions are the same become one joint.
    """
    kernels = Table(g, short=False).kernels
    found: list[Block] = []
    for node in g.sorted(district):
        given = kernels[node].given
        if found and given == {*found[-1].of, *found[-1].given}:
            found[-1] = Block((*found[-1].of, node), found[-1].given)
        else:
            found.append(Block((node,), g.sorted(given)))
    return found


def c_factor(g: Admg, district: Nodes, table: DiscreteTable) -> Factor:
    """Return ``Q[S]`` for a c-component of the graph."""
    return Factor(district, product(block.kernel(table) for block in blocks(g, district)))


def reductions(g: Admg, inner: Nodes, known: Factor) -> Iterator[Factor]:
    r"""Yield the c-factors on Tian's way from ``Q[S]`` down to ``Q[C]``, from the greatest.

    .. math:: Q[A] = \sum_{T \setminus A} Q[T], \quad
        Q[T'] = \prod_{i \in T'} \frac{\sum_{A\ after\ i} Q[A]}{\sum_{A\ from\ i\ on} Q[A]}

    The last one is ``Q[C]`` itself exactly when it is identified.
    """
    factor = known
    while True:
        yield factor
        inside = g.induced(factor.nodes)
        ancestral = inside.ancestors(inner)
        if ancestral == factor.nodes:
            return
        values = factor.values
        for name in factor.nodes - ancestral:
            values = values.sum(name)
        if ancestral == inner:
            yield Factor.of(g, inner, values)
            return
        within = inside.induced(ancestral)
        district = within.district(min(inner))
        factor = Factor.of(g, district, _split(within, district, values))


def _split(g: Admg, district: Nodes, known: NamedArray) -> NamedArray:
    """Return ``Q[T']`` from ``Q[A]``, for a c-component T' of ``G[A]``."""
    ratios = []
    after = known
    for node in reversed(g.order):
        before = after.sum(node)
        if node in district:
            ratios.append(after.over(before))
        after = before
    return product(ratios)


def _average(array: NamedArray, name: str) -> NamedArray:
    """Return the average over one axis of what is defined."""
    axis = array.names.index(name)
    defined = ~np.isnan(array.values)
    total = np.where(defined, array.values, 0.0).sum(axis)
    number = defined.sum(axis)
    mean = np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)
    return NamedArray(array.names[:axis] + array.names[axis + 1 :], mean)
