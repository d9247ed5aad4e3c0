"""The mixed graph: directed and bidirected edges, latent nodes, and what they imply."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations, product
from typing import TYPE_CHECKING, Any, Self

import networkx as nx

from pyrocausal.errors import UnknownVariable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MixedGraph", "Names", "fresh_name"]

Names = str | Iterable[str]
"""One name or several."""


class MixedGraph(nx.DiGraph):  # type: ignore[misc]  # networkx ships no types
    """A directed acyclic graph with latent nodes and bidirected edges, without causal reading.

    `pyrocausal.CausalGraph` adds interventions and notations, and tells what the arguments are.

    Example:
        >>> MixedGraph([("x", "m"), ("m", "y")], bidirected=[("x", "y")])
        MixedGraph(x -> m; m -> y; x <-> y)
    """

    def __init__(
        self,
        edges: Iterable[tuple[str, str]] | pd.DataFrame = (),
        latent: Iterable[str] = (),
        bidirected: Iterable[Iterable[str]] = (),
        *,
        nodes: Iterable[str] = (),
    ) -> None:
        super().__init__()
        if isinstance(edges, nx.Graph):
            raise TypeError(
                "Got a networkx graph: convert it by CausalGraph.from_networkx(graph)."
            )
        directed = [_pair(edge, "->") for edge in _rows(edges)]
        mixed = [_pair(edge, "<->") for edge in bidirected]
        _refuse_repeats(directed, "->", key=tuple)
        _refuse_repeats(mixed, "<->", key=frozenset)
        self.add_nodes_from(_name(node) for node in nodes)
        self.add_edges_from(directed)
        _refuse_cycle(self)
        self.add_nodes_from(name for pair in mixed for name in pair)
        self.graph["bidirected"] = frozenset(map(frozenset, mixed))
        for name in self._known(latent, "latent"):
            self.nodes[name]["latent"] = True

    def to_directed_class(self) -> type[Self]:
        """Return the class of networkx's ``to_directed``: this one."""
        return type(self)

    def __str__(self) -> str:
        effects = {a: ", ".join(self.successors(a)) for a in self}
        pairs = self.bidirected_pairs()
        named = {name for pair in [*self.edges, *pairs] for name in pair}
        parts = [
            f"{a} -> {effects[a]}" if effects[a] else a
            for a in self
            if effects[a] or a not in named
        ]
        parts += [f"{a} <-> {b}" for a, b in pairs]
        latent = [a for a in self if a in self.latent]
        return "; ".join(parts) + (f" | latent: {', '.join(latent)}" if latent else "")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"

    def same_as(self, other: MixedGraph) -> bool:
        """Tell whether two graphs have the same variables, latent variables and edges.

        The order in which they were given and the marks that ``do`` leaves don't count.

        Example:
            >>> MixedGraph([("x", "y")], nodes=["y"]).same_as(MixedGraph([("x", "y")]))
            True
        """
        return (
            set(self) == set(other)
            and set(self.edges) == set(other.edges)
            and self.latent == other.latent
            and self.bidirected == other.bidirected
        )

    @property
    def latent(self) -> frozenset[str]:
        """The variables that are never observed."""
        return frozenset(name for name, data in self.nodes(data=True) if data.get("latent"))

    @property
    def observed(self) -> frozenset[str]:
        """The variables that are not latent."""
        return frozenset(self) - self.latent

    @property
    def bidirected(self) -> frozenset[frozenset[str]]:
        """The bidirected edges, each a frozenset of two names."""
        # networkx hands graph attributes on to subgraphs, where a node of a pair may be gone.
        here = set(self)
        return frozenset(pair for pair in self.graph.get("bidirected", ()) if pair <= here)

    @property
    def fixed(self) -> frozenset[str]:
        """The constants, the fixed halves of ``CausalGraph.swig``: no dependence passes them."""
        return frozenset(name for name, data in self.nodes(data=True) if data.get("fixed"))

    def bidirected_pairs(self) -> list[tuple[str, str]]:
        """Return each bidirected edge once, as a pair, in the order of the nodes.

        Example:
            >>> MixedGraph([("x", "y")], bidirected=[("y", "x")]).bidirected_pairs()
            [('x', 'y')]
        """
        bidirected = self.bidirected
        return [pair for pair in combinations(self, 2) if frozenset(pair) in bidirected]

    def parents(self, x: Names) -> frozenset[str]:
        """Return the direct causes of one or several variables, without these themselves.

        Example:
            >>> sorted(MixedGraph([("x", "m"), ("m", "y"), ("x", "y")]).parents("y"))
            ['m', 'x']
        """
        names = self._known(x, "parents")
        return frozenset(p for name in names for p in self.predecessors(name)) - set(names)

    def children(self, x: Names) -> frozenset[str]:
        """Return the direct effects of one or several variables, without these themselves.

        Example:
            >>> sorted(MixedGraph([("x", "m"), ("m", "y"), ("x", "y")]).children("x"))
            ['m', 'y']
        """
        names = self._known(x, "children")
        return frozenset(c for name in names for c in self.successors(name)) - set(names)

    def ancestors(self, x: Names) -> frozenset[str]:
        """Return the causes, direct or not, of one or several variables.

        The variables asked about are left out, as networkx does; ``An(x)`` in the literature
        includes them.

        Example:
            >>> sorted(MixedGraph([("x", "m"), ("m", "y")]).ancestors("y"))
            ['m', 'x']
        """
        names = self._known(x, "ancestors")
        return frozenset[str]().union(*(nx.ancestors(self, name) for name in names)) - set(names)

    def descendants(self, x: Names) -> frozenset[str]:
        """Return the effects, direct or not, of one or several variables.

        The variables asked about are left out, as networkx does; ``De(x)`` in the literature
        includes them.

        Example:
            >>> sorted(MixedGraph([("x", "m"), ("m", "y")]).descendants("x"))
            ['m', 'y']
        """
        names = self._known(x, "descendants")
        return frozenset[str]().union(*(nx.descendants(self, name) for name in names)) - set(names)

    def topological_order(self) -> list[str]:
        """Return the variables, causes first, ties in the order in which they were added.

        Example:
            >>> MixedGraph([("b", "c"), ("a", "c")]).topological_order()
            ['b', 'a', 'c']
        """
        position = {name: i for i, name in enumerate(self)}
        return list(nx.lexicographical_topological_sort(self, key=position.__getitem__))

    def d_separated(self, x: Names, y: Names, given: Names = ()) -> bool:
        """Tell whether ``given`` blocks every path between ``x`` and ``y`` (m-separation).

        ``x _||_ y | given`` then holds in each distribution that the graph generates. A
        bidirected edge counts as a latent common cause.

        Args:
            x: One name or several.
            y: One name or several.
            given: One name, several or none.

        Raises:
            UnknownVariable: A name is no node.
            ValueError: The three sets overlap.

        Example:
            >>> graph = MixedGraph([("x", "m"), ("m", "y")], bidirected=[("m", "y")])
            >>> graph.d_separated("x", "y", given="m"), graph.d_separated("x", "y")
            (False, False)
        """
        sets = [set(self._known(names, "d_separated")) for names in (x, y, given)]
        overlap = {name for a, b in combinations(sets, 2) for name in a & b}
        if overlap:
            raise ValueError(
                f"d_separated: {sorted(overlap)} appear in more than one of x, y, given; "
                "give three disjoint sets."
            )
        x_set, y_set, held = sets
        held |= self.fixed - x_set - y_set
        return bool(nx.is_d_separator(self.explicit(), x_set, y_set, held))

    def explicit(self) -> Self:
        """Return the graph with each bidirected edge ``x <-> y`` as a latent node ``U_x_y``.

        Example:
            >>> MixedGraph([("x", "y")], bidirected=[("x", "y")]).explicit()
            MixedGraph(x -> y; U_x_y -> x, y | latent: U_x_y)
        """
        graph: Self = self.copy()
        graph.graph["bidirected"] = frozenset()
        for a, b in self.bidirected_pairs():
            cause = fresh_name(f"U_{a}_{b}", graph)
            graph.add_node(cause, latent=True)
            graph.add_edges_from([(cause, a), (cause, b)])
        return graph

    def latent_projection(self) -> Self:
        """Return the graph over the observed variables that has the same separations.

        Latents leave one by one: parents are joined to children by ``->``, children with one
        another and with the ``<->`` neighbours by ``<->``.

        Example:
            >>> MixedGraph([("x", "u"), ("u", "y"), ("u", "z")], latent=["u"]).latent_projection()
            MixedGraph(x -> y, z; y <-> z)

        References:
            Verma (1993), Graphical aspects of causal models.
            Tian, Pearl (2002), On the testable implications of causal models with hidden
            variables.
        """
        graph: Self = self.copy()
        pairs = set(self.bidirected)
        for u in [name for name in self if name in self.latent]:
            children = list(graph.successors(u))
            spouses = [name for pair in pairs if u in pair for name in pair - {u}]
            joined = [*combinations(children, 2), *product(spouses, children)]
            graph.add_edges_from(list(product(graph.predecessors(u), children)))
            graph.remove_node(u)
            pairs = {pair for pair in pairs if u not in pair}
            pairs |= {frozenset(pair) for pair in joined if pair[0] != pair[1]}
        graph.graph["bidirected"] = frozenset(pairs)
        return graph

    def _known(self, names: Names, where: str) -> list[str]:
        """Return names as a list without repeats, refusing what is no node."""
        known = list(dict.fromkeys([names] if isinstance(names, str) else map(_name, names)))
        for name in known:
            if name not in self:
                raise UnknownVariable(name, self, where)
        return known


def fresh_name(name: str, taken: Iterable[str]) -> str:
    """Return the name, with as many underscores as it takes to be no other's.

    Example:
        >>> fresh_name("U_x", ["x", "U_x"])
        'U_x_'
    """
    while name in taken:
        name += "_"
    return name


def _name(name: object) -> str:
    """Return a variable's name, refusing what is no string."""
    if not isinstance(name, str):
        raise TypeError(
            f"Variables are named by strings, got {name!r}. Rename first, such as by "
            "networkx.relabel_nodes(graph, str)."
        )
    return name


def _rows(edges: Any) -> Iterable[Iterable[str]]:
    """Return edges one by one; a table of pandas or polars, read as it is, gives its columns."""
    if hasattr(edges, "itertuples"):
        edges = edges.itertuples(index=False)
    elif hasattr(edges, "iter_rows"):
        edges = edges.iter_rows()
    rows: Iterable[Iterable[str]] = edges
    return rows


def _pair(edge: Iterable[str], arrow: str) -> tuple[str, str]:
    """Return an edge as a pair of two different names."""
    ends = [] if isinstance(edge, str) else [_name(end) for end in edge]
    if len(ends) != 2:
        raise ValueError(f"An edge is a pair of names such as ('x', 'y'), got {edge!r}.")
    if ends[0] == ends[1]:
        raise ValueError(f"The edge {ends[0]} {arrow} {ends[1]} is a self loop: leave it out.")
    return ends[0], ends[1]


def _refuse_repeats(
    edges: list[tuple[str, str]], arrow: str, key: type[tuple[str, ...]] | type[frozenset[str]]
) -> None:
    """Refuse an edge that is listed twice; the key tells whether its order counts."""
    seen = set()
    for edge in edges:
        if key(edge) in seen:
            raise ValueError(f"The edge {edge[0]} {arrow} {edge[1]} is listed twice: keep one.")
        seen.add(key(edge))


def _refuse_cycle(graph: MixedGraph) -> None:
    """Refuse a directed cycle, naming it."""
    if not nx.is_directed_acyclic_graph(graph):
        cycle = [edge[0] for edge in nx.find_cycle(graph)]
        raise ValueError(
            f"The edges form the cycle {' -> '.join([*cycle, cycle[0]])}: a causal graph has "
            "none. Drop or turn one of them; a common cause goes into bidirected=."
        )
