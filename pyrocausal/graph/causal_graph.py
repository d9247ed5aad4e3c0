"""The causal graph: a mixed graph, what interventions do to it, and its other notations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import networkx as nx

from pyrocausal.graph.mixed_graph import Names, fresh_name
from pyrocausal.graph.notations import Notations

if TYPE_CHECKING:
    from pathlib import Path

    import graphviz

    from pyrocausal.graph.paths import Paths

__all__ = ["CausalGraph"]


class CausalGraph(Notations):
    """A causal diagram: a directed acyclic graph with latent variables and bidirected edges.

    An edge ``x -> y`` says that y's equation reads x; a bidirected edge ``x <-> y`` stands for a
    common cause that is never observed (an acyclic directed mixed graph, ADMG). The methods of
    this class return new graphs and leave their own as it is. Everything in networkx works on it,
    but networkx sees directed edges alone: give it ``explicit()`` where bidirected edges matter,
    and before nodes are renamed.

    Args:
        edges: Pairs ``(cause, effect)``, or a table of two columns.
        latent: Names of the variables that are never observed, each a node of the graph.
        bidirected: Pairs of variables that share an unobserved cause, in either order.
        nodes: Names of variables; only those without any edge need to be listed.

    Raises:
        ValueError: An edge is no pair, is a self loop, is listed twice, or closes a cycle.
        TypeError: A name is no string.
        UnknownVariable: A latent variable is no node.

    Example:
        >>> CausalGraph([("x", "m"), ("m", "y")], bidirected=[("x", "y")])
        CausalGraph(x -> m; m -> y; x <-> y)
        >>> CausalGraph([("u", "x"), ("u", "y")], latent=["u"]).latent_projection()
        CausalGraph(x <-> y)

    References:
        Pearl (2009), Causality, 2nd edition.
        Richardson (2003), Markov properties for acyclic directed mixed graphs.
    """

    @property
    def intervened(self) -> frozenset[str]:
        """The variables that ``do`` has set."""
        return frozenset(name for name, data in self.nodes(data=True) if data.get("intervened"))

    @property
    def cut(self) -> frozenset[tuple[str, str]]:
        """The directed edges that ``do`` has cut."""
        return frozenset((a, b) for a, b in self.graph.get("cut", ()) if a in self and b in self)

    @property
    def cut_bidirected(self) -> frozenset[frozenset[str]]:
        """The bidirected edges that ``do`` has cut."""
        return frozenset(
            pair for pair in self.graph.get("cut_bidirected", ()) if pair <= set(self)
        )

    def do(self, *names: str) -> CausalGraph:
        """Return the mutilated graph: all edges into the named variables are cut.

        Bidirected edges at these variables are cut too. What was cut is remembered in ``cut`` and
        ``cut_bidirected``, and drawn so; the variables are marked as ``intervened``.

        Raises:
            UnknownVariable: A name is no node.

        Example:
            >>> CausalGraph([("z", "x"), ("z", "y"), ("x", "y")]).do("x")
            CausalGraph(z -> y; x -> y)
        """
        targets = set(self._known(names, "do"))
        graph: CausalGraph = self.copy()
        edges = list(self.in_edges(targets))
        pairs = {pair for pair in self.bidirected if pair & targets}
        graph.remove_edges_from(edges)
        graph.graph["bidirected"] = self.bidirected - pairs
        graph.graph["cut"] = self.cut.union(edges)
        graph.graph["cut_bidirected"] = self.cut_bidirected | pairs
        nx.set_node_attributes(graph, dict.fromkeys(targets, True), "intervened")
        return graph

    def twin(self, interventions: Names) -> CausalGraph:
        """Return the twin network of a counterfactual: two worlds on one set of noise.

        The intervened variables and their descendants get a copy ``X*`` in the counterfactual
        world; all others are shared. Each variable has its latent noise ``U_X``, which drives the
        copy too; a latent root is noise itself. Separations here hold across the worlds.

        Args:
            interventions: The names set in the counterfactual world (a mapping's keys will do).

        Raises:
            UnknownVariable: A name is no node.

        Example:
            >>> CausalGraph([("x", "y")]).twin("x")
            CausalGraph(x -> y; U_x -> x; U_y -> y, y*; x* -> y* | latent: U_x, U_y)

        References:
            Balke, Pearl (1994), Probabilistic evaluation of counterfactual queries.
        """
        targets = self._known(interventions, "twin")
        graph = self.explicit()
        moved = [x for x in graph if x in {*targets, *graph.descendants(targets)}]
        roots = {x for x in graph.latent if not graph.parents(x)}
        for x in [x for x in graph if x not in roots | graph.intervened]:
            noise = fresh_name(f"U_{x}", graph)
            graph.add_node(noise, latent=True, noise_of=x)
            graph.add_edge(noise, x)
        factual_edges = list(graph.edges)
        copy = {x: fresh_name(f"{x}*", graph) for x in moved}
        graph.add_nodes_from((copy[x], graph.nodes[x] | {"copy_of": x}) for x in moved)
        graph.add_edges_from((copy.get(a, a), copy[b]) for a, b in factual_edges if b in copy)
        return graph.do(*(copy[x] for x in targets))

    def swig(self, interventions: Names | Mapping[str, Any]) -> CausalGraph:
        """Return the single-world intervention graph: intervened variables are split in two.

        The random half keeps the variable's causes and its name; the fixed half, a constant that is
        listed in ``fixed``, keeps its effects. What lies below a fixed half is named after it:
        ``y(x=1)`` is the potential outcome. Separations here are independences of potential
        outcomes: ``x`` from ``y(x=1)`` given ``z`` says that ``z`` is enough to adjust for.

        Args:
            interventions: Variable to the value it is set to; or the names alone, for any value,
                which is written with a prime.

        Raises:
            UnknownVariable: A name is no node.

        Example:
            >>> graph = CausalGraph([("z", "x"), ("z", "y"), ("x", "y")]).swig({"x": 1})
            >>> graph
            CausalGraph(z -> x, y(x=1); x=1 -> y(x=1))
            >>> graph.d_separated("x", "y(x=1)", given="z"), graph.d_separated("x", "y(x=1)")
            (True, False)

        References:
            Richardson, Robins (2013), Single world intervention graphs.
        """
        targets = self._known(interventions, "swig")
        values = interventions if isinstance(interventions, Mapping) else {}
        fixed = {
            x: fresh_name(f"{x}={values[x]:g}" if x in values else f"{x}'", self) for x in targets
        }
        edges = [(fixed.get(a, a), b) for a, b in self.edges]
        split = CausalGraph(edges, nodes=[*self, *fixed.values()])
        above = {x: [fixed[t] for t in targets if fixed[t] in split.ancestors(x)] for x in self}
        names = {x: f"{x}({', '.join(above[x])})" if above[x] else x for x in self}
        graph = CausalGraph(
            [(names.get(a, a), names[b]) for a, b in edges],
            [names[x] for x in self if x in self.latent],
            [(names[a], names[b]) for a, b in self.bidirected_pairs()],
            nodes=[part for x in self for part in (names[x], *([fixed[x]] if x in fixed else []))],
        )
        nx.set_node_attributes(graph, {names[x]: x for x in self}, "variable")
        halves = {fixed[x]: {"variable": x, "intervened": True, "fixed": True} for x in targets}
        nx.set_node_attributes(graph, halves)
        return graph

    def paths(self, x: str, y: str, given: Names = (), *, limit: int | None = 1000) -> Paths:
        """Return every path between two variables, open or blocked, and what blocks it.

        A path is blocked by a variable along it that is held fixed, unless arrows collide there,
        and by a collider, unless it or one of its descendants is held fixed. ``x`` and ``y`` are
        d-separated exactly if all are blocked.

        Args:
            x: Where the paths start.
            y: Where they end.
            given: The variables that are held fixed.
            limit: Stop after so many, since their number can grow exponentially; None: all.

        Returns:
            The paths, the shortest first; ``open`` has those that nothing blocks.

        Raises:
            UnknownVariable: A name is no node.
            ValueError: ``x`` is ``y``, or one of them is held fixed.

        Example:
            >>> graph = CausalGraph([("z", "x"), ("z", "y"), ("x", "y"), ("x", "c"), ("y", "c")])
            >>> print(graph.paths("x", "y", given="z"))
            x -> y  (causal, open)
            x <- z -> y  (back-door, blocked: z held fixed)
            x -> c <- y  (non-causal, blocked: c a collider)
        """
        from pyrocausal.graph.paths import paths_between

        ends, held = self._known([x, y], "paths"), self._known(given, "paths(given=)")
        if len(ends) < 2 or set(ends) & set(held):
            raise ValueError(
                f"paths: got x={x!r}, y={y!r}, given={held}; expected two different variables, "
                "neither of them held fixed."
            )
        held += [name for name in self if name in self.fixed - {x, y, *held}]
        return paths_between(self, x, y, held, limit)

    def render(self, path: str | Path | None = None) -> graphviz.Digraph:
        """Return the picture, and write it to a file if a path is given.

        Latent variables are dashed, intervened ones have a double border, bidirected edges are
        dashed with two heads, and what ``do`` cut is dotted grey with scissors.

        Args:
            path: Where to write. Its suffix decides the format: a picture's (drawn by
                matplotlib where the program ``dot`` is missing), or ``.dot`` or ``.gv`` for the
                source; ``.svg`` is added if there is none.

        Returns:
            The picture as a ``graphviz.Digraph``.

        Raises:
            ModuleNotFoundError: Neither ``dot`` nor matplotlib is there to draw.
            ValueError: The suffix names no format that can be written.

        Example:
            >>> "x -> y" in CausalGraph([("x", "y")]).render().source
            True
        """
        from pyrocausal.graph import drawing

        if path is not None:
            drawing.draw(self, path)
        return drawing.render(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from pyrocausal.graph.shown import in_notebook

        return in_notebook(self)
