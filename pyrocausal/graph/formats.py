"""Causal graphs as networkx graphs and as text: Graphviz's DOT and dagitty's dialect of it."""

import re
from collections.abc import Mapping
from typing import Any, Final

import networkx as nx

from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.graph.dot import Parser

__all__ = [
    "from_dagitty",
    "from_dot",
    "from_networkx",
    "to_dagitty",
    "to_dot",
    "to_networkx",
]


def from_networkx(graph: Any) -> CausalGraph:
    """Read a directed networkx graph.

    Latent variables are the nodes with attribute ``latent=True`` (or ``observed="no"``);
    bidirected edges are pairs in the graph attribute ``bidirected``. Other attributes are left.

    Args:
        graph: A networkx.DiGraph whose nodes are strings.

    Raises:
        TypeError: The graph is undirected, or a node is no string.
        ValueError: The graph has a cycle, a self loop or a parallel edge.

    Example:
        >>> graph = nx.DiGraph([("u", "x"), ("x", "y")], bidirected=[("x", "y")])
        >>> graph.nodes["u"]["latent"] = True
        >>> from_networkx(graph)
        CausalGraph(u -> x; x -> y; x <-> y | latent: u)
    """
    if not graph.is_directed():
        raise TypeError(f"A causal graph is directed, got an undirected {type(graph).__name__}.")
    if hasattr(graph, "latents"):
        raise TypeError(
            f"Got pgmpy's {type(graph).__name__}: read it by CausalGraph.from_pgmpy(graph), which "
            "knows its latent variables and the kinds of its edges."
        )
    return CausalGraph(
        list(graph.edges()),
        latent=[name for name, data in graph.nodes(data=True) if _is_latent(data)],
        bidirected=graph.graph.get("bidirected", ()),
        nodes=graph.nodes,
    )


def to_networkx(graph: CausalGraph) -> Any:
    """Return a plain networkx.DiGraph, in the form that `from_networkx` reads.

    Example:
        >>> to_networkx(CausalGraph([("x", "y")], bidirected=[("x", "y")])).graph["bidirected"]
        [('x', 'y')]
    """
    plain = nx.DiGraph(bidirected=graph.bidirected_pairs())
    plain.add_nodes_from((name, {"latent": name in graph.latent}) for name in graph)
    plain.add_edges_from(graph.edges)
    return plain


def from_dot(text: str) -> CausalGraph:
    """Read a graph in Graphviz's DOT language.

    Latent variables are the nodes with ``style=dashed`` (or ``observed=no``), bidirected edges
    have ``dir=both``. Chains, groups ``a -> {b c}``, subgraphs, defaults, ports and comments are
    understood, and edges that a ``strict`` graph repeats; other attributes are left.

    Raises:
        ValueError: The text is no directed acyclic graph in DOT; the line is named.

    Example:
        >>> from_dot('digraph { U [style=dashed]; U -> "blood pressure"; a -> b [dir=both] }')
        CausalGraph(U -> blood pressure; a <-> b | latent: U)

    References:
        https://graphviz.org/doc/info/lang.html
    """
    return _read(text, "DOT", "digraph")


def to_dot(graph: CausalGraph) -> str:
    """Return the graph in Graphviz's DOT language, in the form that `from_dot` reads.

    Raises:
        ValueError: A name can't be written in DOT.

    Example:
        >>> print(to_dot(CausalGraph([("x", "y")], latent=["x"], bidirected=[("x", "y")])))
        digraph {
            x [style=dashed]
            y
            x -> y
            x -> y [dir=both, style=dashed]
        }
    """
    pairs = [
        f"{_quote(a)} -> {_quote(b)} [dir=both, style=dashed]" for a, b in graph.bidirected_pairs()
    ]
    return _write(graph, "digraph", "style=dashed", pairs)


def from_dagitty(text: str) -> CausalGraph:
    """Read a graph in dagitty's language.

    Latent variables have the attribute ``latent``, bidirected edges are written ``x <-> y``.
    Positions, exposures and outcomes are left.

    Raises:
        ValueError: The text is no ``dag``, or has an edge that is neither directed nor
            bidirected; the line is named.

    Example:
        >>> from_dagitty('dag { bb="0,0,1,1" x [exposure,pos="0,1"]; u [latent]; x <- u -> y }')
        CausalGraph(u -> x, y | latent: u)

    References:
        Textor, van der Zander, Gilthorpe, Liskiewicz, Ellison (2016), Robust causal inference
        using directed acyclic graphs: the R package "dagitty".
    """
    return _read(text, "dagitty", "dag")


def to_dagitty(graph: CausalGraph) -> str:
    """Return the graph in dagitty's language, in the form that `from_dagitty` reads.

    Raises:
        ValueError: A name can't be written in dagitty.

    Example:
        >>> print(to_dagitty(CausalGraph([("x", "y")], bidirected=[("x", "y")])))
        dag {
            x
            y
            x -> y
            x <-> y
        }
    """
    for name in graph:
        if name in {"graph", "node"} or not name.isprintable():
            raise ValueError(f"dagitty allows no variable named {name!r}: rename it first.")
    return _write(
        graph,
        "dag",
        "latent",
        [f"{_quote(a)} <-> {_quote(b)}" for a, b in graph.bidirected_pairs()],
    )


def _read(text: str, language: str, keyword: str) -> CausalGraph:
    """Return the graph that a text in DOT or dagitty describes."""
    parsed = Parser(text, language)
    parsed.read(keyword)
    latent = [name for name, attributes in parsed.nodes.items() if _is_latent(attributes)]
    return CausalGraph(parsed.edges, latent, parsed.bidirected, nodes=parsed.nodes)


def _write(graph: CausalGraph, keyword: str, latent: str, pairs: list[str]) -> str:
    """Return a graph in braces: nodes, edges, and the bidirected edges as already written."""
    nodes = [_quote(name) + (f" [{latent}]" if name in graph.latent else "") for name in graph]
    edges = [f"{_quote(a)} -> {_quote(b)}" for a, b in graph.edges]
    return "\n".join([f"{keyword} {{", *(f"    {line}" for line in [*nodes, *edges, *pairs]), "}"])


def _quote(name: str) -> str:
    """Return a name as an identifier, quoted where it is no plain word."""
    if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) and name.lower() not in _KEYWORDS:
        return name
    if re.search(r'\\("|$)', name):
        raise ValueError(
            f"The name {name!r} has a backslash before a quote or at its end, which DOT can't "
            "write, nor can dagitty: rename it first."
        )
    return '"' + name.replace('"', r"\"") + '"'


def _is_latent(attributes: Mapping[str, object]) -> bool:
    """Tell whether a node's attributes mark it as latent, in any of the three notations."""
    words = {key: str(value).lower() for key, value in attributes.items()}
    return (
        any(
            words.get(key, "no") not in {"no", "false", "0"}
            for key in ("latent", "l", "unobserved", "u")
        )
        or words.get("observed") in {"no", "false", "0"}
        or "dashed" in words.get("style", "")
    )


_KEYWORDS: Final = frozenset({"strict", "graph", "digraph", "subgraph", "node", "edge"})
