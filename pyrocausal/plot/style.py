"""How pictures look: one palette for all eyes, quiet axes, a figure where none is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BAND", "INK", "PALETTE", "new_axes", "new_row", "points", "reference", "tidy"]

PALETTE: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colours, which all eyes tell apart, but for yellow, which is too pale on white."""

INK: Final = "#4d4d4d"
"""What is neither one group nor another."""

BAND: Final = 0.2
"""The opacity of an interval that is drawn as an area."""


def new_axes(ax: Axes | None, size: tuple[float, float] = (6.0, 4.0)) -> Axes:
    """Return the axes that were given, or those of a new figure of some inches.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    return new_row(1, size)[0] if ax is None else ax


def new_row(panels: int, size: tuple[float, float], **shared: Any) -> list[Axes]:
    """Return the axes of a new figure with panels in a row, each of some inches.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Pictures need matplotlib: pip install 'pyrocausal[plot]'."
        ) from error
    width, height = size
    _, axes = pyplot.subplots(
        1,
        panels,
        figsize=(width * panels, height),
        layout="constrained",
        squeeze=False,
        **shared,
    )
    return list(axes[0])


def tidy(ax: Axes, *, x: str = "", y: str = "", title: str = "") -> Axes:
    """Label axes and take away what says nothing."""
    ax.spines[["top", "right"]].set_visible(False)
    if x:
        ax.set_xlabel(x)
    if y:
        ax.set_ylabel(y)
    if title:
        ax.set_title(title, fontsize="medium", loc="left")
    return ax


def reference(ax: Axes, *, x: float | None = None, y: float | None = None) -> None:
    """Draw the line that values are held against, such as no effect."""
    look: Mapping[str, Any] = {
        "color": INK,
        "linewidth": 0.8,
        "linestyle": (0, (4, 3)),
        "zorder": 0,
    }
    if x is not None:
        ax.axvline(x, **look)
    if y is not None:
        ax.axhline(y, **look)


def points(color: str, *, filled: bool = True) -> dict[str, Any]:
    """Return the look of points, filled or open."""
    return {
        "linestyle": "none",
        "marker": "o",
        "markersize": 6,
        "color": color,
        "markerfacecolor": color if filled else "white",
    }
