"""What the tests of pictures share: rendering for good, and reading what stands in axes."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

__all__ = ["bars", "drawn", "legend", "rendered", "words"]


def rendered(figure: Any) -> Any:
    """Draw a figure for good, so that whatever is wrong with it shows."""
    figure.canvas.draw()
    return figure


def drawn(ax: Axes) -> Any:
    """Draw the figure of some axes, and give them back without their types."""
    rendered(ax.figure)
    return ax


def words(ax: Any) -> set[str]:
    return {text.get_text() for text in ax.texts if text.get_text() != "✂"}


def legend(ax: Any) -> list[str]:
    found = ax.get_legend()
    return [] if found is None else [text.get_text() for text in found.get_texts()]


def bars(ax: Any) -> list[tuple[float, float]]:
    """Where each bar starts, and its height."""
    return [(p.get_y(), p.get_height()) for p in ax.patches if hasattr(p, "get_height")]
