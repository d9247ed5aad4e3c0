"""Tian's identification of a c-factor, written as an expression."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pyrocausal.identification.admg import Admg, Nodes
from pyrocausal.identification.expressions import ONE, Expression, Probability
from pyrocausal.identification.simplifying import divided, multiplied, summed

__all__ = ["Failure", "Table", "factor", "identify_factor"]


@dataclass(frozen=True)
class Failure:
    """``Q[inner]`` is no function of ``Q[outer]``: both are districts that nothing leaves."""

    inner: Nodes
    outer: Nodes


@dataclass(frozen=True, eq=False)
class Table:
    """A distribution that is known: observation, or an experiment.

    Attributes:
        g: The graph of its random variables.
        do: What the experiment sets.
        short: Whether conditions that a separation makes idle are left out.
    """

    g: Admg
    do: Nodes = frozenset()
    short: bool = True

    @cached_property
    def kernels(self) -> dict[str, Probability]:
        """Node to ``P(node | predecessors)``, on no more conditions than it needs.

        Those are the district of the node among itself and its predecessors, and the parents of
        this district (the local Markov property of an ADMG); with ``short``, less those that are
        separated from the node by the others.
        """
        return {node: self._kernel(node) for node in self.g.order}

    def _kernel(self, node: str) -> Probability:
        before = self.g.induced(self.g.order[: self.g.rank[node] + 1])
        district = before.district(node)
        given = district.union(*(before.parents[other] for other in district)) - {node}
        if self.short:
            given = _needed(before, node, given)
        return Probability(frozenset({node}), given, self.do)


def factor(table: Table, district: Nodes) -> Expression:
    """Return ``Q[S] = prod_{v in S} P(v | predecessors)`` for a district S of the graph."""
    return multiplied(table.kernels[node] for node in reversed(table.g.sorted(district)))


def identify_factor(table: Table, inner: Nodes) -> Expression | Failure:
    r"""Return ``Q[C]`` from the table, or the pair of sets at which it fails.

    .. math:: Q[A] = \sum_{T \setminus A} Q[T], \quad
        Q[T'] = \prod_{i \in T'} \frac{\sum_{A\ after\ i} Q[A]}{\sum_{A\ from\ i\ on} Q[A]}

    with ``A = An(C)`` in ``G[T]`` and ``T'`` the district of ``G[A]`` that holds ``C``.

    Args:
        table: Where from.
        inner: C, bidirected-connected.

    References:
        Tian, Pearl (2002), A general identification condition for causal effects.
        Huang, Valtorta (2006), Identifiability in causal Bayesian networks: a sound and complete
        algorithm.
    """
    outer = table.g.district(min(inner))
    known = factor(table, outer)
    while True:
        inside = table.g.induced(outer)
        ancestral = inside.ancestors(inner)
        known = summed(inside.sorted(outer - ancestral), known)
        if ancestral == inner:
            return known
        if ancestral == outer:
            return Failure(inner, outer)
        within = inside.induced(ancestral)
        outer = within.district(min(inner))
        known = _split(within, outer, known)


def _split(g: Admg, district: Nodes, known: Expression) -> Expression:
    """Return ``Q[T']`` from ``Q[A]``, for a district T' of ``G[A]``."""
    tails = [known]
    for node in reversed(g.order):
        tails.append(summed([node], tails[-1]))
    # tails[k] is Q[A] summed over the last k variables; the whole sums to 1.
    tails[-1] = ONE
    last = len(g.order)
    places = [last - g.rank[node] - 1 for node in reversed(g.sorted(district))]
    return divided(multiplied(tails[k] for k in places), multiplied(tails[k + 1] for k in places))


def _needed(g: Admg, node: str, given: Nodes) -> Nodes:
    """Return conditions without those that the others separate from the node."""
    kept = given
    for name in g.sorted(given):
        if g.separated([node], [name], kept - {name}):
            kept -= {name}
    return kept if kept == given else _needed(g, node, kept)
