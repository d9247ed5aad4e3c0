"""Pictures of causal graphs: by Graphviz where its program is there, else by matplotlib."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyrocausal.graph.mixed_graph import fresh_name

if TYPE_CHECKING:
    import graphviz

    from pyrocausal.graph.causal_graph import CausalGraph

__all__ = ["INK", "draw", "render"]

# The colours of both ways to draw; red, green and blue play no part in the meaning.
INK: Final = {"line": "#33415c", "fill": "#eef2f9", "set": "#fdf0d5", "cut": "#9aa0a6"}


def draw(graph: CausalGraph, path: str | Path) -> None:
    """Write the picture of a graph to a file.

    Args:
        graph: What to draw.
        path: Where to write; its suffix decides the format, ``.svg`` if there is none.

    Raises:
        ModuleNotFoundError: Neither Graphviz's program ``dot`` nor matplotlib is installed.

    Example:
        >>> import tempfile
        >>> from pyrocausal.graph.causal_graph import CausalGraph
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     draw(CausalGraph([("x", "y")]), f"{folder}/graph.svg")
        ...     "<svg" in Path(folder, "graph.svg").read_text()
        True
    """
    import graphviz

    path = Path(path)
    file_format = path.suffix[1:] or "svg"
    try:
        picture = render(graph).pipe(format=file_format)
    except (graphviz.ExecutableNotFound, graphviz.CalledProcessError) as error:
        message = "Graphviz's program `dot` is not at work (%s); matplotlib draws %s instead."
        logging.getLogger("pyrocausal").info(message, error, path)
        picture = _by_matplotlib(graph, file_format)
    path.write_bytes(picture)


def render(graph: CausalGraph) -> graphviz.Digraph:
    """Return the picture of a graph as a ``graphviz.Digraph``.

    Example:
        >>> from pyrocausal.graph.causal_graph import CausalGraph
        >>> print(render(CausalGraph([("x", "y")]).do("y")).source)
        digraph {...
            x
            y [fillcolor="#fdf0d5" peripheries=2]
            x -> y [label="✂" color="#9aa0a6" fontcolor="#9aa0a6" style=dotted]
        }
    """
    import graphviz

    picture = graphviz.Digraph(
        graph_attr={"rankdir": "LR"},
        node_attr={
            "color": INK["line"],
            "fillcolor": INK["fill"],
            "fontname": "Helvetica",
            "style": "filled",
        },
        edge_attr={"color": INK["line"], "arrowsize": "0.8"},
    )
    ids = _node_ids(graph)
    for name in graph:
        label = None if ids[name] == name else graphviz.escape(name)
        latent = {"style": "dashed"} if name in graph.latent else {}
        double = {"fillcolor": INK["set"], "peripheries": "2"} if name in graph.intervened else {}
        picture.node(ids[name], label, _attributes=latent | double)
    cut = {"style": "dotted", "color": INK["cut"], "fontcolor": INK["cut"]}
    mixed = {"dir": "both", "style": "dashed", "constraint": "false"}
    for a, b in graph.edges:
        picture.edge(ids[a], ids[b])
    for a, b in graph.bidirected_pairs():
        picture.edge(ids[a], ids[b], _attributes=mixed)
    for a, b in sorted(graph.cut):
        picture.edge(ids[a], ids[b], "✂", _attributes=cut)
    for a, b in sorted(map(sorted, graph.cut_bidirected)):
        picture.edge(ids[a], ids[b], "✂", _attributes=mixed | cut)
    return picture


def _node_ids(graph: CausalGraph) -> dict[str, str]:
    """Return each node's identifier: its name, unless Graphviz would read more into it."""
    special = set(':\\<>"')  # a port, an escape, HTML
    odd = {name: fresh_name(f"node {i}", graph) for i, name in enumerate(graph)}
    return {name: odd[name] if special & set(name) else name for name in graph}


def _by_matplotlib(graph: CausalGraph, file_format: str) -> bytes:
    """Return the file that matplotlib draws, or say what to install."""
    from pyrocausal.graph.layered import picture

    try:
        return picture(graph, file_format)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Drawing needs Graphviz's program `dot` (https://graphviz.org/download) or matplotlib "
            "(pip install 'pyrocausal[plot]'); neither is there. render() without a path gives "
            "the picture's source."
        ) from error
