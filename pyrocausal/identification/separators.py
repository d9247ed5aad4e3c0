"""Sets of nodes that separate others: the minimal ones, the nearest, the cheapest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import islice
from math import isfinite, lcm
from typing import Literal

import networkx as nx

from pyrocausal.errors import UnknownVariable
from pyrocausal.identification.admg import Admg, Nodes

__all__ = ["Separators"]


@dataclass(frozen=True, eq=False)
class Separators:
    """The sets Z with ``x _||_ y | Z`` and ``required <= Z <= allowed`` in one graph.

    All questions are about vertex cuts of the moral graph of ``An(x + y + required)``, in which
    nodes that may not be in Z are contracted away; each answer takes polynomial time.

    Attributes:
        g: The graph.
        x: Nodes on one side.
        y: Nodes on the other side.
        allowed: Nodes that may be in a set, without x and y.
        required: Nodes that are in every set, allowed ones.

    Example:
        >>> from pyrocausal import CausalGraph
        >>> graph = CausalGraph([("X", "A"), ("A", "B"), ("B", "Y")])
        >>> sets = Separators(Admg.from_graph(graph), frozenset("X"), frozenset("Y"), frozenset("AB"))
        >>> [sorted(z) for z in sets.minimal()]
        [['A'], ['B']]

    References:
        van der Zander, Liskiewicz, Textor (2019), Separators and adjustment sets in causal
        graphs: complete criteria and an algorithmic framework.
    """

    g: Admg
    x: Nodes
    y: Nodes
    allowed: Nodes
    required: Nodes = frozenset()

    @cached_property
    def largest(self) -> Nodes:
        """All allowed nodes above x, y and the required ones; a separator if there is any."""
        return self._above.nodes & self.allowed

    @cached_property
    def exist(self) -> bool:
        """Whether there is any."""
        return self.required <= self.allowed and self.g.separated(self.x, self.y, self.largest)

    def minimal(self, limit: int | None = None) -> Iterator[Nodes]:
        """Yield every set of which no part with the required nodes separates; nearest to x first.

        Args:
            limit: Stop after so many; there may be exponentially many, each soon after the last.
        """
        return islice(self._minimal(), limit)

    def _minimal(self) -> Iterator[Nodes]:
        if not self.exist:
            return
        start, goal = self._ends
        first = self._near_goal(frozenset({start}))
        yield first | self.required
        waiting, seen = deque([first]), {first}
        while waiting:
            cut = waiting.popleft()
            side = _component(self._joined, start, cut)
            for node in self.g.sorted(cut - self._joined[goal]):
                further = self._near_goal(side | {node})
                if further not in seen:
                    yield further | self.required
                    seen.add(further)
                    waiting.append(further)

    def nearest(self, end: Literal["x", "y"] = "y") -> Nodes | None:
        """Return the minimal set that is nearest to y, or to x, or None."""
        if not self.exist:
            return None
        start, goal = self._ends if end == "y" else reversed(self._ends)
        side = _component(self._joined, start, self._joined[goal])
        return _boundary(self._joined, side) | self.required

    def cheapest(self, cost: Mapping[str, float] | None = None) -> Nodes | None:
        """Return a set of least total cost, ties broken towards y, or None.

        Args:
            cost: What a variable costs, a positive number; 1 for those not named.

        Raises:
            UnknownVariable: The cost of what is no node.
            ValueError: A cost is not positive and finite.
        """
        prices = _whole(cost or {}, self.g)
        if not self.exist:
            return None
        flow = nx.DiGraph()
        for node in self._above.order:
            # An edge without capacity can't be cut; a required node is no way through.
            if node in self.allowed - self.required:
                flow.add_edge((node, "in"), (node, "out"), capacity=prices[node])
            elif node not in self.required:
                flow.add_edge((node, "in"), (node, "out"))
        for i, clique in enumerate(_cliques(self._above)):
            # All nodes of a clique are joined, here through one point.
            for node in clique:
                flow.add_edges_from([((node, "out"), i), (i, (node, "in"))])
        flow.add_edges_from([("x", (node, "in")) for node in self.x])
        flow.add_edges_from([((node, "out"), "y") for node in self.y])
        _, (side, _) = nx.minimum_cut(flow, "x", "y")
        return self.required.union(
            node for node in self.allowed if (node, "in") in side and (node, "out") not in side
        )

    @cached_property
    def _above(self) -> Admg:
        """The graph above x, y and the required nodes, where all minimal separators lie."""
        return self.g.induced(self.g.ancestors(self.x | self.y | self.required))

    @property
    def _ends(self) -> tuple[str, str]:
        """The nodes that stand for x and for y."""
        return min(self.x), min(self.y)

    @cached_property
    def _joined(self) -> dict[str, set[str]]:
        """The moral graph with x and y one node each, over allowed nodes that aren't required."""
        start, goal = self._ends
        end = dict.fromkeys(self.x, start) | dict.fromkeys(self.y, goal)
        joined: dict[str, set[str]] = {end.get(n, n): set() for n in self._above.order}
        for clique in _cliques(self._above):
            members = {end.get(n, n) for n in clique - self.required}
            for node in members:
                joined[node] |= members
        hidden = joined.keys() - self.allowed - {start, goal}
        while hidden:
            blob = _component({n: joined[n] & hidden for n in hidden}, min(hidden), frozenset())
            around = _boundary(joined, blob)
            for node in around:
                joined[node] |= around
            hidden -= blob
        kept = (self.allowed - self.required) | {start, goal}
        return {n: (near & kept) - {n} for n, near in joined.items() if n in kept}

    def _near_goal(self, side: Nodes) -> Nodes:
        """Return the minimal cut within the neighbours of ``side``, a connected set that holds x."""
        beyond = _component(self._joined, self._ends[1], side | _boundary(self._joined, side))
        return _boundary(self._joined, beyond)


def _cliques(g: Admg) -> list[Nodes]:
    """Return the cliques that make up the moral graph: each district with its parents."""
    return [d.union(*(g.parents[node] for node in d)) for d in g.districts]


def _component(joined: Mapping[str, set[str]], start: str, without: Nodes | set[str]) -> Nodes:
    """Return what is connected to a node of an undirected graph from which others were removed."""
    reached, waiting = {start}, [start]
    while waiting:
        new = joined[waiting.pop()] - reached - without
        reached |= new
        waiting.extend(new)
    return frozenset(reached)


def _boundary(joined: Mapping[str, set[str]], nodes: Nodes) -> Nodes:
    """Return the neighbours of a set of nodes."""
    return frozenset[str]().union(*(joined[node] for node in nodes)) - nodes


def _whole(cost: Mapping[str, float], g: Admg) -> dict[str, int]:
    """Return the cost of each node as whole numbers, so that sums and comparisons are exact."""
    for name, value in cost.items():
        if name not in g.nodes:
            raise UnknownVariable(name, g.nodes, "cheapest(cost=)")
        if not isfinite(value) or value <= 0:
            raise ValueError(
                f"cheapest: the cost of {name!r} is {value}; expected a positive number. Name a "
                "variable that can't be measured in forbidden= instead."
            )
    exact = {node: Fraction(cost.get(node, 1)) for node in g.order}
    scale = lcm(*(value.denominator for value in exact.values()))
    return {node: int(value * scale) for node, value in exact.items()}
