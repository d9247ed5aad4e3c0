"""A layered picture of a causal graph by matplotlib, for where Graphviz is not installed.

Causes stand left of their effects. All lengths are inches, so that a node has the size its name
needs; each edge is the least bent of a few curves that run through no other node.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from pyrocausal.graph.drawing import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pyrocausal.graph.causal_graph import CausalGraph

__all__ = ["ROW", "Place", "half_width", "paint", "picture", "places_of"]

Points = NDArray[np.float64]

_FONT_SIZE: Final = 11.0
_HALF_HEIGHT: Final = 0.24
ROW: Final = 0.9
"""The distance between the centres of the nodes of one layer."""

_GAP: Final = 0.8  # between the nodes of neighbouring layers
_HEAD: Final = 0.13  # the length of an arrow's head
_STRAIGHT_FIRST: Final = (0.0, 0.2, -0.2, 0.35, -0.35, 0.5, -0.5, 0.7, -0.7)
_BENT: Final = (0.35, -0.35, 0.5, -0.5, 0.7, -0.7, 1.0, -1.0)


class _Look(NamedTuple):
    """How an edge is drawn: ``heads`` is 1, or 2 for a bidirected one."""

    color: str
    dashes: Any
    heads: int


class Place(NamedTuple):
    """A node's place: the centre and the two half-axes; ``half`` is -1 for the left half alone."""

    centre: Points
    axes: Points
    half: int = 0

    @property
    def middle(self) -> Points:
        """The middle of what is drawn."""
        middle: Points = self.centre + self.half * self.axes * np.array([0.43, 0.0])
        return middle

    def border(self, towards: Points) -> Points:
        """Return where the line from the centre to a point leaves the ellipse."""
        ray = towards - self.centre
        if self.half and ray[0] * self.half <= 0:  # from behind the other half: over the edge
            corner: Points = np.array([0.6 * self.half, np.copysign(0.8, ray[1])])
            return self.centre + self.axes * corner
        return self.centre + ray / np.linalg.norm(ray / self.axes)

    def meets(self, points: Points) -> bool:
        """Tell whether one of the points, shape ``(n, 2)``, is inside or close."""
        scaled = (points - self.centre) / (self.axes + 0.06)
        return bool((np.linalg.norm(scaled, axis=1) < 1.0).any())


def picture(graph: CausalGraph, file_format: str = "svg") -> bytes:
    """Return the drawn graph as the content of a file.

    Args:
        graph: What to draw.
        file_format: A format that matplotlib writes, such as ``svg``, ``png`` or ``pdf``.

    Example:
        >>> from pyrocausal.graph.causal_graph import CausalGraph
        >>> b"<svg" in picture(CausalGraph([("x", "y")]))
        True
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    content = io.BytesIO()
    # Text stays text, and the same graph gives the same file.
    style: Any = {"svg.fonttype": "none", "svg.hashsalt": "pyrocausal", "font.size": _FONT_SIZE}
    with rc_context(style), warnings.catch_warnings():
        # The viewer of an SVG has its own fonts: a glyph that matplotlib lacks does no harm.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure()
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        figure.set_size_inches(*paint(axes, graph))
        metadata = {"Date": None} if file_format == "svg" else None
        figure.savefig(content, format=file_format, dpi=200, metadata=metadata)
    return content.getvalue()


def paint(axes: Axes, graph: CausalGraph, places: Mapping[str, Place] | None = None) -> Points:
    """Draw a graph into axes.

    Args:
        axes: Where to draw; their limits are set, and their frame is taken away.
        graph: What to draw.
        places: Where its nodes stand; in layers by default.

    Returns:
        The width and the height that the picture has in inches, shape ``(2,)``.
    """
    places = places_of(graph) if places is None else places
    corners = [np.zeros((1, 2))]
    corners += [place.centre + sign * place.axes for place in places.values() for sign in _CORNERS]
    for name, place in places.items():
        _paint_node(axes, graph, name, place)
    plain, mixed = _Look(INK["line"], "-", 1), _Look(INK["mixed"], (0, (4, 2.5)), 2)
    cut: dict[str, Any] = {"color": INK["cut"], "dashes": (0, (1, 1.8))}
    groups: list[tuple[Iterable[Iterable[str]], tuple[float, ...], _Look]] = [
        (graph.edges, _STRAIGHT_FIRST, plain),
        (graph.bidirected_pairs(), _BENT, mixed),
        (sorted(graph.cut), _STRAIGHT_FIRST, plain._replace(**cut)),
        (sorted(map(sorted, graph.cut_bidirected)), _BENT, mixed._replace(**cut)),
    ]
    for edges, bends, look in groups:
        for a, b in edges:
            corners.append(_paint_edge(axes, _route(places, a, b, bends), look))
    points = np.concatenate(corners)
    low, high = points.min(axis=0) - 0.12, points.max(axis=0) + 0.12
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes.axis("off")
    size: Points = high - low
    return size


def _paint_node(axes: Axes, graph: CausalGraph, name: str, place: Place) -> None:
    from matplotlib.patches import Ellipse

    latent, intervened = name in graph.latent, name in graph.intervened
    fill = "white" if latent else INK["set" if intervened else "fill"]
    line: dict[str, Any] = {
        "edgecolor": INK["line"],
        "linewidth": 1.1,
        "linestyle": "--" if latent else "-",
    }
    for inset in (0.0, 0.045)[: 1 + (intervened and not place.half)]:
        width, height = 2 * (place.axes - inset)
        patch = Ellipse(tuple(place.centre), width, height, facecolor=fill, zorder=2, **line)
        axes.add_patch(_half_of(patch, place) if place.half else patch)
    x, y = place.middle
    style: dict[str, Any] = {"ha": "center", "va": "center_baseline", "zorder": 3}
    axes.text(x, y, _plain(name), color="black", fontsize=_FONT_SIZE, **style)


def _half_of(ellipse: Any, place: Place) -> Any:
    """Return the left or the right half of an ellipse, closed along the middle."""
    from matplotlib.patches import Polygon

    angles = np.linspace(-np.pi / 2, np.pi / 2, 60)
    sides = np.stack([place.half * np.cos(angles), np.sin(angles)], axis=1)
    half = Polygon(place.centre + place.axes * sides, closed=True)
    half.update_from(ellipse)
    return half


def _paint_edge(axes: Axes, curve: Points, look: _Look) -> Points:
    """Draw an edge along a quadratic Bézier curve, shape ``(3, 2)``; return points on it."""
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path

    # The heads are solid, whatever the line is, which ends where they begin.
    lengths = 2 * np.linalg.norm(np.diff(curve, axis=0), axis=1)
    start, end = np.minimum(_HEAD / lengths, 0.45)
    shaft = _part(curve, start if look.heads == 2 else 0.0, 1.0 - end)
    path = Path(shaft, [Path.MOVETO, Path.CURVE3, Path.CURVE3])
    line: dict[str, Any] = {"edgecolor": look.color, "linestyle": look.dashes, "linewidth": 1.3}
    axes.add_patch(PathPatch(path, facecolor="none", capstyle="butt", zorder=1, **line))
    for tip, base in [(curve[2], shaft[2]), (curve[0], shaft[0])][: look.heads]:
        axes.add_patch(Polygon(_head(tip, base), facecolor=look.color, linewidth=0, zorder=1))
    points = _along(curve)
    if look.color == INK["cut"]:
        x, y = points[len(points) // 2]
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
        axes.text(x, y, "✂", ha="center", va="center", color=INK["cut"], bbox=box, zorder=1.5)
    return points


def places_of(graph: CausalGraph, half: Callable[[str], float] | None = None) -> dict[str, Place]:
    """Lay the nodes out in columns, each as wide as its widest node.

    Args:
        graph: Whose nodes.
        half: Half the width of a node by its name; by default, that of an ellipse around the name.
    """
    half = half_width if half is None else half
    # What was cut keeps its place, so that pictures before and after `do` compare.
    directed = nx.DiGraph()
    directed.add_nodes_from(graph)
    directed.add_edges_from([*graph.edges, *sorted(graph.cut)])
    places, left = dict[str, Place](), 0.0
    for layer in _layers(directed):
        widths = [half(name) for name in layer]
        x = left + max(widths)
        for i, (name, width) in enumerate(zip(layer, widths, strict=True)):
            centre = np.array([x, ROW * ((len(layer) - 1) / 2 - i)])
            places[name] = Place(centre, np.array([width, _HALF_HEIGHT]))
        left = x + max(widths) + _GAP
    return places


def _layers(directed: Any) -> list[list[str]]:
    """Return the topological generations, ordered so that few edges cross.

    A node without causes stands just before its first effect.
    """
    generations = list(nx.topological_generations(directed))
    rank = {name: i for i, names in enumerate(generations) for name in names}
    for name in directed:
        if directed.in_degree(name) == 0 and directed.out_degree(name) > 0:
            rank[name] = min(rank[effect] for effect in directed.successors(name)) - 1
    layers = [[name for name in directed if rank[name] == i] for i in range(len(generations))]
    for _ in range(3):
        layers = _by_barycentre(layers, directed.predecessors)
        layers = _by_barycentre(layers, directed.successors)
    return layers


def _by_barycentre(
    layers: list[list[str]], near: Callable[[str], Iterator[str]]
) -> list[list[str]]:
    """Order each layer by the mean height of each node's neighbours."""
    height = {name: i - (len(layer) - 1) / 2 for layer in layers for i, name in enumerate(layer)}

    def mean(name: str) -> float:
        heights = [height[other] for other in near(name)]
        return sum(heights) / len(heights) if heights else height[name]

    return [sorted(layer, key=mean) for layer in layers]


def _route(places: Mapping[str, Place], a: str, b: str, bends: tuple[float, ...]) -> Points:
    """Return the first of the curves from a to b, shape ``(3, 2)``, that meets fewest nodes."""
    others = [place for name, place in places.items() if name not in {a, b}]
    if places[a].centre[1] < 0 and places[b].centre[1] < 0:  # bend to where there is room
        bends = tuple(-bend for bend in bends)
    curves = [_curve(places[a], places[b], bend) for bend in bends]
    return min(curves, key=lambda curve: sum(place.meets(_along(curve)) for place in others))


def _curve(a: Place, b: Place, bend: float) -> Points:
    """Return the control points of a curve between two borders; a positive bend goes up."""
    across = b.middle - a.middle
    normal = np.array([-across[1], across[0]]) * (1.0 if across[0] >= 0 else -1.0)
    control = (a.middle + b.middle) / 2 + bend * normal
    return np.stack([a.border(control), control, b.border(control)])


def _along(curve: Points) -> Points:
    """Return points on a quadratic Bézier curve, shape ``(41, 2)``."""
    t = np.linspace(0.0, 1.0, 41)[:, None]
    weights = np.hstack([(1 - t) ** 2, 2 * t * (1 - t), t**2])
    return weights @ curve


def _part(curve: Points, start: float, end: float) -> Points:
    """Return the control points of a part of a quadratic Bézier curve, by its blossom."""

    def blossom(s: float, t: float) -> Points:
        weights = np.array([(1 - s) * (1 - t), (1 - s) * t + s * (1 - t), s * t])
        return weights @ curve

    return np.stack([blossom(start, start), blossom(start, end), blossom(end, end)])


def _head(tip: Points, base: Points) -> Points:
    """Return the corners of an arrow's head, shape ``(3, 2)``."""
    along = tip - base
    across = 0.4 * np.array([-along[1], along[0]])
    return np.stack([tip, base + across, base - across])


def half_width(name: str) -> float:
    """Return half the width of the ellipse that holds a name."""
    from matplotlib.textpath import TextPath

    extent = TextPath((0, 0), _plain(name), size=_FONT_SIZE).get_extents()
    return max(0.53 * float(extent.width) / 72 + 0.14, 0.3)


def _plain(name: str) -> str:
    """Return a name as matplotlib's text, in which dollars would begin a formula."""
    return name.replace("$", r"\$")


_CORNERS: Final = tuple(np.array([[x, y]]) for x in (-1.0, 1.0) for y in (-1.0, 1.0))
