"""Tian's identification of a c-factor, written as an expression."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from pyrocausal.identification.admg import Admg, Nodes
from pyrocausal.identification.expressions import ONE, Expression, Probability
from pyrocausal.identification.simplifying import divided, multiplied, summed

__all__ = ["Failure", "Reduction", "Table", "factor", "identify_factor", "reductions"]


@dataclass(frozen=True)
class Failure:
    """``Q[inner]`` is no function of ``Q[outer]``: both are districts that nothing leaves."""

    inner: Nodes
    outer: Nodes


@dataclass(frozen=True)
class Reduction:
    """A c-factor that is known, on the way from that of a district to that of a part.

    Attributes:
        rule: How it follows from the one before.
        nodes: Its variables.
        value: The c-factor.
    """

    rule: str
    nodes: Nodes
    value: Expression


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
    """Return ``Q[C]`` from the table, or the pair of sets at which it fails.

    Args:
        table: Where from.
        inner: C, bidirected-connected.
    """
    *_, last = reductions(table, inner)
    return last.value if last.nodes == inner else Failure(inner, last.nodes)


def reductions(table: Table, inner: Nodes) -> Iterator[Reduction]:
    r"""Yield the c-factors that lead from the district around C to C, as far as they lead.

    .. math:: Q[A] = \sum_{T \setminus A} Q[T], \quad
        Q[T'] = \prod_{i \in T'} \frac{\sum_{A\ after\ i} Q[A]}{\sum_{A\ from\ i\ on} Q[A]}

    with ``A = An(C)`` in ``G[T]`` and ``T'`` the district of ``G[A]`` that holds ``C``.

    Args:
        table: Where from.
        inner: C, bidirected-connected; the last c-factor is its own exactly if it is identified.

    References:
        Tian, Pearl (2002), A general identification condition for causal effects.
        Huang, Valtorta (2006), Identifiability in causal Bayesian networks: a sound and complete
        algorithm.
    """
    outer = table.g.district(min(inner))
    known = factor(table, outer)
    yield Reduction("c-factor of a c-component (ID line 6)", outer, known)
    while outer != inner:
        inside = table.g.induced(outer)
        ancestral = inside.ancestors(inner)
        if ancestral == outer:
            return
        known = summed(inside.sorted(outer - ancestral), known)
        yield Reduction("c-factor of its ancestral part (ID line 2)", ancestral, known)
        if ancestral == inner:
            return
        within = inside.induced(ancestral)
        outer = within.district(min(inner))
        known = _split(within, outer, known)
        yield Reduction("c-factor of a c-component of that (ID line 7)", outer, known)


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
