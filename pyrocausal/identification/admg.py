"""The acyclic directed mixed graph over the observed variables, as the algorithms read it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import networkx as nx

from pyrocausal.graph.mixed_graph import MixedGraph

__all__ = ["Admg", "Nodes"]

Nodes = frozenset[str]
"""A set of nodes."""


@dataclass(frozen=True, eq=False)
class Admg:
    """A directed and bidirected graph of plain sets; quick to cut and to restrict.

    Ancestors and descendants include the nodes asked about, as in the literature.

    Attributes:
        order: The nodes, causes first.
        parents: Node to its direct causes.
        spouses: Node to those with which it shares an unobserved cause.
    """

    order: tuple[str, ...]
    parents: Mapping[str, Nodes]
    spouses: Mapping[str, Nodes]

    @classmethod
    def from_graph(cls, graph: MixedGraph) -> Admg:
        """Return the latent projection of a graph.

        Raises:
            ValueError: Edges that were added later close a cycle.
        """
        if not nx.is_directed_acyclic_graph(graph):
            cycle = [edge[0] for edge in nx.find_cycle(graph)]
            raise ValueError(
                f"The graph holds the cycle {' -> '.join([*cycle, cycle[0]])}; expected an acyclic "
                "graph. Drop or turn one of these edges."
            )
        projected = graph.latent_projection() if graph.latent else graph
        spouses: dict[str, set[str]] = {node: set() for node in projected}
        for a, b in map(tuple, projected.bidirected):
            spouses[a].add(b)
            spouses[b].add(a)
        return cls(
            tuple(projected.topological_order()),
            {node: frozenset(projected.predecessors(node)) for node in projected},
            {node: frozenset(others) for node, others in spouses.items()},
        )

    @cached_property
    def nodes(self) -> Nodes:
        """All nodes."""
        return frozenset(self.order)

    @cached_property
    def rank(self) -> Mapping[str, int]:
        """Node to its place in the order."""
        return {node: i for i, node in enumerate(self.order)}

    @cached_property
    def children(self) -> Mapping[str, Nodes]:
        """Node to its direct effects."""
        effects: dict[str, set[str]] = {node: set() for node in self.order}
        for node in self.order:
            for parent in self.parents[node]:
                effects[parent].add(node)
        return {node: frozenset(others) for node, others in effects.items()}

    def sorted(self, nodes: Iterable[str]) -> tuple[str, ...]:
        """Return nodes in topological order."""
        return tuple(sorted(nodes, key=self.rank.__getitem__))

    def ancestors(self, nodes: Iterable[str]) -> Nodes:
        """Return ``An(nodes)``."""
        return _reached(nodes, self.parents)

    def descendants(self, nodes: Iterable[str]) -> Nodes:
        """Return ``De(nodes)``."""
        return _reached(nodes, self.children)

    @cached_property
    def districts(self) -> tuple[Nodes, ...]:
        """The c-components, by their first node in the order."""
        found: dict[str, Nodes] = {}
        for node in self.order:
            if node not in found:
                district = _reached([node], self.spouses)
                found |= dict.fromkeys(district, district)
        return tuple(dict.fromkeys(found[node] for node in self.order))

    def district(self, node: str) -> Nodes:
        """Return the c-component that holds a node."""
        return _reached([node], self.spouses)

    def induced(self, nodes: Collection[str]) -> Admg:
        """Return ``G[nodes]``."""
        kept = frozenset(nodes)
        return Admg(
            tuple(node for node in self.order if node in kept),
            {node: self.parents[node] & kept for node in kept},
            {node: self.spouses[node] & kept for node in kept},
        )

    def cut(self, into: Iterable[str] = (), out_of: Iterable[str] = ()) -> Admg:
        """Return the graph without edges into some nodes and without edges out of others."""
        heads, tails = frozenset(into), frozenset(out_of)
        nothing: Nodes = frozenset()
        return Admg(
            self.order,
            {n: nothing if n in heads else self.parents[n] - tails for n in self.order},
            {n: nothing if n in heads else self.spouses[n] - heads for n in self.order},
        )

    def separated(self, x: Iterable[str], y: Iterable[str], given: Iterable[str] = ()) -> bool:
        """Tell whether ``x _||_ y | given`` (m-separation), for disjoint sets."""
        targets, blocked = frozenset(y), frozenset(given)
        return not any(node in targets for node in self._connected(x, blocked))

    def connected(self, sources: Iterable[str], given: Iterable[str] = ()) -> Nodes:
        """Return the nodes that an open path given others joins to the sources."""
        return frozenset(self._connected(sources, frozenset(given)))

    def _connected(self, sources: Iterable[str], given: Nodes) -> Iterator[str]:
        """Yield the nodes that an open path joins to the sources."""
        opened = self.ancestors(given)
        # A step is a node and whether the path enters it by an arrowhead.
        steps = [step for source in sources for step in self._steps(source, True, True)]
        seen = set(steps)
        while steps:
            node, by_head = steps.pop()
            if node not in given:
                yield node
            # Two heads meet in a collider, which only what is given below it opens.
            heads = node in opened if by_head else node not in given
            new = set(self._steps(node, heads, node not in given)) - seen
            steps.extend(new)
            seen |= new

    def _steps(self, node: str, heads: bool, tails: bool) -> Iterator[tuple[str, bool]]:
        """Yield the steps away from a node, by edges with a head at it, with a tail at it."""
        if heads:
            yield from ((parent, False) for parent in self.parents[node])
            yield from ((spouse, True) for spouse in self.spouses[node])
        if tails:
            yield from ((child, True) for child in self.children[node])


def _reached(nodes: Iterable[str], step: Mapping[str, Nodes]) -> Nodes:
    """Return the nodes that steps lead to, those of departure included."""
    reached = set(nodes)
    waiting = list(reached)
    while waiting:
        new = step[waiting.pop()] - reached
        reached |= new
        waiting.extend(new)
    return frozenset(reached)
