"""Causal graphs from and to other libraries: pgmpy, DoWhy, causal-learn.

Graphs are read by their attributes, so that reading needs no library but the one they come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any, NamedTuple

from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.graph.formats import from_networkx

__all__ = [
    "from_causal_learn",
    "from_dowhy",
    "from_pgmpy",
    "to_causal_learn",
    "to_dowhy",
    "to_pgmpy",
]


class _Edge(NamedTuple):
    """An edge with what stands at its ends: ``-`` a tail, ``>`` a head, or a mark undecided."""

    a: str
    at_a: str
    at_b: str
    b: str

    def __str__(self) -> str:
        left = {">": "<"}.get(self.at_a, self.at_a)
        return f"{self.a} {left}-{self.at_b} {self.b}"


def from_pgmpy(graph: Any) -> CausalGraph:
    """Read a graph of pgmpy: a ``DAG``, a Bayesian network, an ``ADMG`` or a ``MAG``.

    Its latent variables and bidirected edges are kept; other roles are left.

    Args:
        graph: The graph, whose nodes are strings.

    Raises:
        TypeError: It is no graph of pgmpy, or a node is no string.
        ValueError: An edge has no direction, as in a ``PDAG``.

    Example:
        >>> from pgmpy.base import DAG  # doctest: +SKIP
        >>> from_pgmpy(DAG([("u", "x"), ("u", "y")], latents={"u"}))  # doctest: +SKIP
        CausalGraph(u -> x, y | latent: u)

    References:
        Ankan, Textor (2024), pgmpy: a Python toolkit for Bayesian networks.
    """
    if not hasattr(graph, "latents") or not hasattr(graph, "edges"):
        raise TypeError(
            f"Got a {type(graph).__name__}; expected a graph of pgmpy, such as a DAG or an ADMG."
        )
    latent = [name for name in graph.nodes if name in graph.latents]
    return _joined(_pgmpy_edges(graph), graph.nodes, latent)


def to_pgmpy(graph: CausalGraph) -> Any:
    """Return the graph as pgmpy's ``DAG``, or as its ``ADMG`` where edges are bidirected.

    Raises:
        ModuleNotFoundError: pgmpy is not installed.

    Example:
        >>> to_pgmpy(CausalGraph([("x", "y")]))  # doctest: +SKIP
        <pgmpy.base.DAG.DAG object at ...>
    """
    base = _library("pgmpy.base", "pgmpy")
    if graph.bidirected:
        made = base.ADMG(list(graph.edges), graph.bidirected_pairs())
    else:
        made = base.DAG(list(graph.edges))
    made.add_nodes_from(graph)
    made.latents = set(graph.latent)
    return made


def from_dowhy(model: Any) -> CausalGraph:
    """Read the graph of a DoWhy model: ``CausalModel``, or one of ``dowhy.gcm``.

    Variables that DoWhy marks as unobserved are latent.

    Args:
        model: The model, or its graph.

    Raises:
        TypeError: It has no graph.

    Example:
        >>> from dowhy import CausalModel  # doctest: +SKIP
        >>> from_dowhy(CausalModel(data, "x", "y", common_causes=["z"]))  # doctest: +SKIP
        CausalGraph(x -> y; z -> x, y)

    References:
        Sharma, Kiciman (2020), DoWhy: an end-to-end library for causal inference.
    """
    graph = model
    while not hasattr(graph, "is_directed"):  # a networkx graph at last
        inner = getattr(graph, "_graph", None)
        inner = getattr(graph, "graph", None) if inner is None else inner
        if inner is None:
            raise TypeError(
                f"Got a {type(model).__name__}; expected a model of DoWhy that has a graph."
            )
        graph = inner
    return from_networkx(graph)


def to_dowhy(graph: CausalGraph) -> Any:
    """Return the graph as DoWhy takes it: a networkx.DiGraph with every cause as a node.

    A bidirected edge becomes a node that is not observed. ``CausalModel`` takes for observed what
    is a column of its data; ``dowhy.gcm`` knows no latent variables.

    Example:
        >>> made = to_dowhy(CausalGraph([("x", "y")], bidirected=[("x", "y")]))
        >>> made.nodes["U_x_y"]
        {'observed': 'no'}
    """
    import networkx as nx

    explicit = graph.explicit()
    plain = nx.DiGraph()
    plain.add_nodes_from(
        (name, {"observed": "no" if name in explicit.latent else "yes"}) for name in explicit
    )
    plain.add_edges_from(explicit.edges)
    return plain


def from_causal_learn(graph: Any) -> CausalGraph:
    """Read a graph of causal-learn: what ``pc`` or ``ges`` found, once every edge is directed.

    Args:
        graph: A ``GeneralGraph`` or ``Dag``, or a result that holds one as ``G``.

    Raises:
        TypeError: It is no graph of causal-learn.
        ValueError: Edges have no direction, or one that is undecided; they are named.

    Example:
        >>> from causallearn.search.ConstraintBased.PC import pc  # doctest: +SKIP
        >>> from_causal_learn(pc(data))  # doctest: +SKIP
        CausalGraph(X1 -> X3; X2 -> X3)

    References:
        Zheng et al. (2024), Causal-learn: causal discovery in Python.
    """
    graph = graph.get("G", graph) if isinstance(graph, dict) else getattr(graph, "G", graph)
    if not hasattr(graph, "get_graph_edges"):
        raise TypeError(
            f"Got a {type(graph).__name__}; expected a graph of causal-learn. fci() returns a "
            "pair, whose first part is one."
        )
    marks = {"TAIL": "-", "ARROW": ">", "CIRCLE": "o"}
    edges = [
        _Edge(
            edge.get_node1().get_name(),
            marks.get(str(edge.get_endpoint1()), "?"),
            marks.get(str(edge.get_endpoint2()), "?"),
            edge.get_node2().get_name(),
        )
        for edge in graph.get_graph_edges()
    ]
    nodes = list(graph.get_nodes())
    latent = [node.get_name() for node in nodes if str(node.get_node_type()) == "LATENT"]
    return _joined(edges, [node.get_name() for node in nodes], latent)


def to_causal_learn(graph: CausalGraph) -> Any:
    """Return the graph as causal-learn's ``GeneralGraph``.

    Raises:
        ModuleNotFoundError: causal-learn is not installed.

    Example:
        >>> print(to_causal_learn(CausalGraph([("x", "y")])))  # doctest: +SKIP
        Graph Nodes:
        x;y
        Graph Edges:
        1. x --> y
    """
    parts = {
        name: getattr(_library(f"causallearn.graph.{name}", "causal-learn"), name)
        for name in ("Edge", "Endpoint", "GeneralGraph", "GraphNode", "NodeType")
    }
    nodes = {name: parts["GraphNode"](name) for name in graph}
    for name in graph.latent:
        nodes[name].set_node_type(parts["NodeType"].LATENT)
    made = parts["GeneralGraph"](list(nodes.values()))
    tail, head = parts["Endpoint"].TAIL, parts["Endpoint"].ARROW
    # Its matrix takes a directed edge beside a bidirected one in this order alone.
    for a, b in graph.bidirected_pairs():
        made.add_edge(parts["Edge"](nodes[a], nodes[b], head, head))
    for a, b in graph.edges:
        made.add_edge(parts["Edge"](nodes[a], nodes[b], tail, head))
    return made


def _pgmpy_edges(graph: Any) -> Iterator[_Edge]:
    """Yield the edges of pgmpy's graphs, each of which says in its own way what an edge is."""
    undirected = {frozenset(pair) for pair in getattr(graph, "undirected_edges", ())}
    seen = set[frozenset[str]]()
    for a, b, data in graph.edges(data=True):
        pair = frozenset((a, b))
        if "marks" in data:
            yield _Edge(a, data["marks"][a], data["marks"][b], b)
        elif data.get("type") != "bidirected" and pair not in undirected:
            yield _Edge(a, "-", ">", b)
        elif pair not in seen:  # it stands there in both directions
            seen.add(pair)
            mark = "-" if pair in undirected else ">"
            yield _Edge(a, mark, mark, b)


def _joined(edges: Iterable[_Edge], nodes: Iterable[str], latent: Iterable[str]) -> CausalGraph:
    """Return the graph of some edges, refusing those without a direction."""
    edges = list(edges)
    kinds = {("-", ">"): "->", (">", "-"): "<-", (">", ">"): "<->"}
    undecided = [str(edge) for edge in edges if (edge.at_a, edge.at_b) not in kinds]
    if undecided:
        raise ValueError(
            f"The direction of {', '.join(undecided)} is open: the graph stands for several "
            "causal graphs. Direct these edges first, by what is known."
        )
    kind = [(kinds[edge.at_a, edge.at_b], edge) for edge in edges]
    directed = [(e.a, e.b) if k == "->" else (e.b, e.a) for k, e in kind if k != "<->"]
    return CausalGraph(directed, latent, [(e.a, e.b) for k, e in kind if k == "<->"], nodes=nodes)


def _library(module: str, name: str) -> Any:
    """Import a module of a library that is no dependency."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"A graph of {name} needs {name}: pip install {name}."
        ) from error
