"""The causal graph: a mixed graph, what interventions do to it, and its other notations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import networkx as nx

from pyrocausal.graph.mixed_graph import MixedGraph, Names, fresh_name

if TYPE_CHECKING:
    from pathlib import Path

    import graphviz

    from pyrocausal.graph.paths import Paths

__all__ = ["CausalGraph"]


class CausalGraph(MixedGraph):
    """A causal diagram: a directed acyclic graph with latent variables and bidirected edges.

    An edge ``x -> y`` says that y's equation reads x; a bidirected edge ``x <-> y`` stands for a
    common cause that is never observed (an acyclic directed mixed graph, ADMG). The methods of
    this class return new graphs and leave their own as it is. Everything in networkx works on it,
    but networkx sees directed edges alone: give it ``explicit()`` where bidirected edges matter,
    and before nodes are renamed.

    Args:
        edges: Pairs ``(cause, effect)``.
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
            graph.add_node(noise, latent=True)
            graph.add_edge(noise, x)
        factual_edges = list(graph.edges)
        copy = {x: fresh_name(f"{x}*", graph) for x in moved}
        graph.add_nodes_from((copy[x], graph.nodes[x]) for x in moved)
        graph.add_edges_from((copy.get(a, a), copy[b]) for a, b in factual_edges if b in copy)
        return graph.do(*(copy[x] for x in targets))

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
        return paths_between(self, x, y, held, limit)

    @classmethod
    def from_networkx(cls, graph: Any) -> CausalGraph:
        """Read a directed networkx graph; see `pyrocausal.graph.formats.from_networkx`.

        Example:
            >>> CausalGraph.from_networkx(nx.DiGraph([("x", "y")]))
            CausalGraph(x -> y)
        """
        from pyrocausal.graph.formats import from_networkx

        return from_networkx(graph)

    @classmethod
    def from_dot(cls, text: str) -> CausalGraph:
        """Read a graph in Graphviz's DOT language; see `pyrocausal.graph.formats.from_dot`.

        Example:
            >>> CausalGraph.from_dot("digraph { U [style=dashed]; U -> x -> y }")
            CausalGraph(U -> x; x -> y | latent: U)
        """
        from pyrocausal.graph.formats import from_dot

        return from_dot(text)

    @classmethod
    def from_dagitty(cls, text: str) -> CausalGraph:
        """Read a graph in dagitty's language; see `pyrocausal.graph.formats.from_dagitty`.

        Example:
            >>> CausalGraph.from_dagitty("dag { x [exposure]; x -> y; x <-> y }")
            CausalGraph(x -> y; x <-> y)
        """
        from pyrocausal.graph.formats import from_dagitty

        return from_dagitty(text)

    @classmethod
    def from_mermaid(cls, text: str) -> CausalGraph:
        """Read a Mermaid flowchart; see `pyrocausal.graph.mermaid.from_mermaid`.

        Example:
            >>> CausalGraph.from_mermaid("graph LR; A[dose] --> B[response]")
            CausalGraph(dose -> response)
        """
        from pyrocausal.graph.mermaid import from_mermaid

        return from_mermaid(text)

    def to_networkx(self) -> Any:
        """Return a plain ``networkx.DiGraph``; see `pyrocausal.graph.formats.to_networkx`.

        Example:
            >>> type(CausalGraph([("x", "y")]).to_networkx()).__name__
            'DiGraph'
        """
        from pyrocausal.graph.formats import to_networkx

        return to_networkx(self)

    def to_dot(self) -> str:
        """Return the graph in Graphviz's DOT language; see `pyrocausal.graph.formats.to_dot`.

        Example:
            >>> print(CausalGraph([("x", "y")]).to_dot())
            digraph {
                x
                y
                x -> y
            }
        """
        from pyrocausal.graph.formats import to_dot

        return to_dot(self)

    def to_dagitty(self) -> str:
        """Return the graph in dagitty's language; see `pyrocausal.graph.formats.to_dagitty`.

        Example:
            >>> print(CausalGraph([("x", "y")], latent=["x"]).to_dagitty())
            dag {
                x [latent]
                y
                x -> y
            }
        """
        from pyrocausal.graph.formats import to_dagitty

        return to_dagitty(self)

    def to_mermaid(self) -> str:
        """Return the graph as a Mermaid flowchart; see `pyrocausal.graph.mermaid.to_mermaid`.

        Example:
            >>> print(CausalGraph([("x", "y")]).to_mermaid())
            graph LR
                x
                y
                x --> y
        """
        from pyrocausal.graph.mermaid import to_mermaid

        return to_mermaid(self)

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
