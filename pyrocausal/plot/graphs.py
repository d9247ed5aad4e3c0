"""Pictures of graphs in axes: the graph, the twin network, the single-world graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pyrocausal.graph import CausalGraph
from pyrocausal.graph.layered import ROW, Place, half_width, paint, places_of
from pyrocausal.plot.style import INK, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["graph", "swig", "twin"]

GAP = 0.55  # between neighbouring columns of a twin network
LEVEL = 1.15  # between its rows
Names = str | list[str] | tuple[str, ...] | Mapping[str, Any]


def graph(scm_or_graph: Any, ax: Axes | None = None) -> Axes:
    """Draw a graph: latent variables dashed, intervened ones doubled, cut edges dotted.

    Args:
        scm_or_graph: An SCM, drawn under its interventions, or a graph.
        ax: Where to draw; a new figure by default.

    Example:
        >>> sorted(t.get_text() for t in graph(pc.CausalGraph([("x", "y")])).texts)
        ['x', 'y']
    """
    drawn = _graph_of(scm_or_graph)
    return _drawn(drawn, places_of(drawn), ax)


def twin(scm_or_graph: Any, do: Names, ax: Axes | None = None) -> Axes:
    """Draw the twin network of a counterfactual: two worlds on one set of noise.

    What was seen stands above, what would have been below; the noise between them, and the
    variables that the action doesn't reach, belong to both.

    Args:
        scm_or_graph: An SCM or a graph.
        do: What is set in the counterfactual world: names, or values by name.
        ax: Where to draw; a new figure by default.

    Raises:
        UnknownVariable: A name is no variable.

    Example:
        >>> ax = twin(pc.CausalGraph([("x", "y")]), do={"x": 1.0})
        >>> sorted(t.get_text() for t in ax.texts if t.get_text() != "✂")
        ['U_x', 'U_y', 'counterfactual', 'factual', 'shared', 'x', 'x*', 'y', 'y*']

    References:
        Balke, Pearl (1994), Probabilistic evaluation of counterfactual queries.
    """
    network = _graph_of(scm_or_graph).twin(do)
    axes = _drawn(network, _rows(network), ax)
    left = axes.get_xlim()[0]
    axes.set_xlim(left - 1.2)
    if ax is None:
        figure: Any = axes.figure
        width, height = figure.get_size_inches()
        figure.set_size_inches(width + 1.2, height)
    size = axes.texts[0].get_fontsize()
    look: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": size, "style": "italic"}
    for height, words in ((LEVEL, "factual"), (0.0, "shared"), (-LEVEL, "counterfactual")):
        axes.text(left, height, words, color=INK, **look)
    return axes


def swig(scm_or_graph: Any, do: Names, ax: Axes | None = None) -> Axes:
    """Draw the single-world intervention graph: what is set is split into two halves.

    The left half of a split variable is random and keeps its causes; the right half is the value
    it is set to and keeps its effects, which are named after it.

    Args:
        scm_or_graph: An SCM or a graph.
        do: What is set: names, or values by name.
        ax: Where to draw; a new figure by default.

    Raises:
        UnknownVariable: A name is no variable.

    Example:
        >>> ax = swig(pc.CausalGraph([("x", "y")]), do={"x": 1})
        >>> sorted(t.get_text() for t in ax.texts)
        ['x', 'x=1', 'y(x=1)']

    References:
        Richardson, Robins (2013), Single world intervention graphs.
    """
    whole = _graph_of(scm_or_graph)
    split = whole.swig(do)
    return _drawn(split, _halves(whole, split), ax)


def _graph_of(scm_or_graph: Any) -> CausalGraph:
    found = scm_or_graph if isinstance(scm_or_graph, CausalGraph) else scm_or_graph.graph
    if not isinstance(found, CausalGraph):
        raise TypeError(
            f"Got a {type(scm_or_graph).__name__}; expected an SCM or a CausalGraph, such as "
            "CausalGraph.from_networkx(...) gives."
        )
    return found


def _drawn(network: CausalGraph, places: Mapping[str, Place], ax: Axes | None) -> Axes:
    """Draw into axes, in which a letter gets the size that fits its node."""
    axes = new_axes(ax)
    figure: Any = axes.get_figure(root=True)
    size = paint(axes, network, places)
    axes.set_aspect("equal")
    if ax is None:
        figure.set_layout_engine("none")
        figure.set_size_inches(*size)
        axes.set_position((0.0, 0.0, 1.0, 1.0))
        return axes
    figure.draw_without_rendering()  # so that the axes have their place
    room = axes.get_window_extent().size / figure.dpi
    for text in axes.texts:
        text.set_fontsize(float(text.get_fontsize()) * min(1.0, (room / size).min()))
    return axes


def _rows(network: CausalGraph) -> dict[str, Place]:
    """Place a twin network: factual above, shared in the middle, counterfactual below."""
    noise = {data["noise_of"]: n for n, data in network.nodes(data=True) if "noise_of" in data}
    copies = {data["copy_of"]: n for n, data in network.nodes(data=True) if "copy_of" in data}
    places, left = dict[str, Place](), 0.0
    for name in network.topological_order():
        if name in noise.values() or name in copies.values():
            continue
        if name in copies:
            parts = {name: LEVEL, copies[name]: -LEVEL}
            columns = [parts | ({noise[name]: 0.0} if name in noise else {})]
        else:
            columns = [{noise[name]: 0.0}] if name in noise else []
            columns.append({name: 0.0})
        for column in columns:
            width = max(half_width(part) for part in column)
            for part, height in column.items():
                axes = np.array([half_width(part), ROW * 0.27])
                places[part] = Place(np.array([left + width, height]), axes)
            left += 2 * width + GAP
    return places


def _halves(whole: CausalGraph, split: CausalGraph) -> dict[str, Place]:
    """Place a single-world graph as the whole graph, each split variable in two halves."""
    fixed = {split.nodes[name]["variable"]: name for name in split.fixed}
    names = {data["variable"]: n for n, data in split.nodes(data=True) if n not in split.fixed}
    places = dict[str, Place]()

    def half(name: str) -> float:
        width = half_width(names[name])
        return width + half_width(fixed[name]) + 0.12 if name in fixed else width

    for name, place in places_of(whole, half).items():
        if name not in fixed:
            places[names[name]] = place
            continue
        left, right = 2 * half_width(names[name]) + 0.08, 2 * half_width(fixed[name]) + 0.08
        middle = place.centre + np.array([(left - right) / 2, 0.0])
        beside = np.array([0.04, 0.0])
        height = place.axes[1] + 0.04
        places[names[name]] = Place(middle - beside, np.array([left, height]), -1)
        places[fixed[name]] = Place(middle + beside, np.array([right, height]), 1)
    return places
