"""Pictures of causal graphs: by Graphviz where its program is there, else by matplotlib."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyrocausal.graph.mixed_graph import fresh_name

if TYPE_CHECKING:
    import graphviz

    from pyrocausal.graph.causal_graph import CausalGraph

__all__ = ["FORMATS", "INK", "draw", "picture", "render"]

FORMATS: Final = ("svg", "png", "pdf", "eps", "jpg", "jpeg", "webp")
"""What both ways to draw can write."""

# The colours of both ways to draw; red, green and blue play no part in the meaning.
INK: Final = {
    "line": "#33415c",
    "mixed": "#9a4d00",
    "fill": "#eef2f9",
    "set": "#fdf0d5",
    "cut": "#6c757d",
}


def draw(graph: CausalGraph, path: str | Path) -> None:
    """Write the picture of a graph, or its source in DOT, to a file.

    Args:
        graph: What to draw.
        path: Where to write. Its suffix decides the format: a picture's, or ``.dot`` or ``.gv``
            for the source, which needs no program; ``.svg`` is added if there is none.

    Raises:
        ModuleNotFoundError: Neither Graphviz's program ``dot`` nor matplotlib is installed.
        ValueError: The suffix names no format that can be written.

    Example:
        >>> import tempfile
        >>> from pyrocausal.graph.causal_graph import CausalGraph
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     draw(CausalGraph([("x", "y")]), f"{folder}/graph.svg")
        ...     "<svg" in Path(folder, "graph.svg").read_text()
        True
    """
    path = Path(path)
    if not path.suffix:
        path = path.with_suffix(".svg")
    file_format = path.suffix[1:].lower()
    if file_format in ("dot", "gv"):
        path.write_text(render(graph).source, encoding="utf-8")
    elif file_format in FORMATS:
        path.write_bytes(picture(graph, file_format))
    else:
        raise ValueError(
            f"Can't draw {path.name!r}: {path.suffix!r} is no format of pictures here. Use "
            f".{', .'.join(FORMATS)}, or .dot for the source."
        )


def picture(graph: CausalGraph, file_format: str) -> bytes:
    """Return the content of a file with the picture of a graph.

    Args:
        graph: What to draw.
        file_format: One of ``FORMATS``.

    Raises:
        ModuleNotFoundError: Neither Graphviz's program ``dot`` nor matplotlib is installed.

    Example:
        >>> from pyrocausal.graph.causal_graph import CausalGraph
        >>> b"<svg" in picture(CausalGraph([("x", "y")]), "svg")
        True
    """
    import graphviz

    try:
        drawn: bytes = render(graph).pipe(format=file_format)
    except (graphviz.ExecutableNotFound, graphviz.CalledProcessError) as error:
        message = "Graphviz's program `dot` is not at work (%s); matplotlib draws instead."
        logging.getLogger("pyrocausal").info(message, error)
        return _by_matplotlib(graph, file_format)
    return drawn


def render(graph: CausalGraph) -> graphviz.Digraph:
    """Return the picture of a graph as a ``graphviz.Digraph``, which a notebook shows.

    Example:
        >>> from pyrocausal.graph.causal_graph import CausalGraph
        >>> print(render(CausalGraph([("x", "y")]).do("y")).source)
        digraph {...
            x
            y [fillcolor="#fdf0d5" peripheries=2]
            x -> y [label="✂" color="#6c757d" ... style=dotted]
        }
    """
    import graphviz

    from pyrocausal.graph.shown import Shown

    digraph = Shown(
        graph_attr={"rankdir": "LR"},
        node_attr={
            "color": INK["line"],
            "fillcolor": INK["fill"],
            "fontname": "Helvetica",
            "style": "filled",
        },
        edge_attr={"color": INK["line"], "arrowsize": "0.8"},
    )
    digraph.causal_graph = graph
    ids = _node_ids(graph)
    for name in graph:
        label = None if ids[name] == name else graphviz.escape(name)
        latent = {"style": "dashed"} if name in graph.latent else {}
        double = {"fillcolor": INK["set"], "peripheries": "2"} if name in graph.intervened else {}
        digraph.node(ids[name], label, _attributes=latent | double)
    for a, b in graph.edges:
        digraph.edge(ids[a], ids[b])
    for a, b in graph.bidirected_pairs():
        digraph.edge(ids[a], ids[b], _attributes=_MIXED)
    for a, b in sorted(graph.cut):
        digraph.edge(ids[a], ids[b], "✂", _attributes=_CUT)
    for a, b in sorted(map(sorted, graph.cut_bidirected)):
        digraph.edge(ids[a], ids[b], "✂", _attributes=_MIXED | _CUT)
    return digraph


_MIXED: Final = {"dir": "both", "style": "dashed", "constraint": "false", "color": INK["mixed"]}
_CUT: Final = {
    "style": "dotted",
    "color": INK["cut"],
    "fontcolor": INK["cut"],
    "fontname": "DejaVu Sans",  # the usual fonts have no scissors
    "fontsize": "18",
    "penwidth": "1.6",
}


def _node_ids(graph: CausalGraph) -> dict[str, str]:
    """Return each node's identifier: its name, unless Graphviz would read more into it."""
    special = set(':\\<>"')  # a port, an escape, HTML
    odd = {name: fresh_name(f"node {i}", graph) for i, name in enumerate(graph)}
    return {name: odd[name] if special & set(name) else name for name in graph}


def _by_matplotlib(graph: CausalGraph, file_format: str) -> bytes:
    """Return the file that matplotlib draws, or say what to install."""
    from pyrocausal.graph import layered

    try:
        return layered.picture(graph, file_format)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Drawing needs Graphviz's program `dot` (https://graphviz.org/download) or matplotlib "
            "(pip install 'pyrocausal[plot]'); neither is there. render() without a path gives "
            "the picture's source."
        ) from error
