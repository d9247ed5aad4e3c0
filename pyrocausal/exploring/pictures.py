"""The pictures of the page: a distribution held against what is seen, and units that move."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from bokeh.models import BasicTicker, ColumnDataSource, FixedTicker, Slope, Span
from bokeh.plotting import figure

from pyrocausal.exploring.controls import Array
from pyrocausal.exploring.views import Bars
from pyrocausal.plot.style import BAND, INK

__all__ = ["Distribution", "Pairs"]

MOST_TICKS: Final = 8
EMPTY: Final[dict[str, Any]] = {"left": [], "right": [], "top": []}


class Distribution:
    """Bars of one rung, with what is seen without an action behind them in grey.

    Args:
        name: Of the rung; its bars bear it in the document.
        color: Of the bars.
        shares: What the heights are shares of.

    Attributes:
        figure: What Bokeh draws.
    """

    def __init__(self, name: str, color: str, shares: str) -> None:
        self.figure: Any = _figure(f"share of {shares}")
        self.figure.y_range.start = 0
        self._ticks = list[float]()
        self._bars = ColumnDataSource(EMPTY, name=f"{name} bars")
        self._behind = ColumnDataSource(EMPTY)
        sides: Any = {"left": "left", "right": "right", "top": "top", "bottom": 0}
        self.figure.quad(
            **sides, source=self._behind, fill_color=INK, fill_alpha=BAND, line_color=None
        )
        self.figure.quad(
            **sides, source=self._bars, fill_color=color, fill_alpha=0.6, line_color=color
        )
        self._fact = Span(dimension="height", line_color=INK, line_width=2, line_dash=[6, 3])
        self._fact.visible = False
        self.figure.add_layout(self._fact)

    def show(self, values: Array, seen: Array, bars: Bars, name: str) -> None:
        """Draw values, in front of those that are seen.

        Args:
            values: What is drawn, flat; empty where there is no answer.
            seen: Those of all units, as they are.
            bars: Where the bars stand.
            name: The variable.
        """
        sides = {"left": bars.left, "right": bars.right}
        self._behind.data = {**sides, "top": bars.shares(seen)}
        self._bars.data = {**sides, "top": bars.shares(values)}
        axis = self.figure.xaxis[0]
        axis.axis_label = name
        ticks = bars.levels.tolist() if len(bars.levels) <= MOST_TICKS else []
        if ticks != self._ticks:  # another ticker makes Bokeh read the whole document again
            self._ticks = ticks
            axis.ticker = FixedTicker(ticks=ticks) if ticks else BasicTicker()

    def mark(self, fact: float) -> None:
        """Draw a line at what was seen of the unit."""
        self._fact.location, self._fact.visible = fact, True


class Pairs:
    """Each unit's outcome in fact and after the action; one unit is picked by a tap.

    Args:
        color: Of the dots.
        pick: Called with the unit that was tapped.

    Attributes:
        figure: What Bokeh draws.
    """

    def __init__(self, color: str, pick: Callable[[int], None]) -> None:
        self.figure: Any = _figure("after the action", tools="tap")
        self._units = ColumnDataSource({"fact": [], "after": []})
        self._picked = ColumnDataSource({"fact": [], "after": []})
        self._pick = pick
        self.figure.add_layout(Slope(gradient=1, y_intercept=0, line_color=INK, line_dash=[6, 3]))
        look: Any = {"x": "fact", "y": "after"}
        self.figure.scatter(
            **look,
            source=self._units,
            size=5,
            color=color,
            alpha=0.5,
            nonselection_alpha=0.5,
        )
        self.figure.scatter(
            **look, source=self._picked, size=12, fill_color="white", line_color="black"
        )
        self._units.selected.on_change("indices", self._tapped)

    def show(self, pairs: Array, unit: int, name: str, *, discrete: bool) -> None:
        """Draw the units, the picked one in front.

        Args:
            pairs: Fact and after the action, shape ``(2, units)``.
            unit: The one that is picked.
            name: The variable.
            discrete: Whether many units have the same values, which are then drawn side by side.
        """
        spread = np.zeros_like(pairs)
        if discrete:
            spread = np.random.default_rng(0).uniform(-0.25, 0.25, pairs.shape)
        at = pairs + spread
        self._units.data = {"fact": at[0], "after": at[1]}
        self._picked.data = {"fact": at[0, unit : unit + 1], "after": at[1, unit : unit + 1]}
        self.figure.xaxis[0].axis_label = f"{name} in fact"
        self.figure.yaxis[0].axis_label = f"{name} after the action"

    def _tapped(self, attr: str, old: list[int], new: list[int]) -> None:
        if new:
            self._pick(new[0])
            self._units.selected.indices = []


def _figure(y: str, tools: str = "") -> Any:
    """Return an empty picture with quiet axes."""
    drawn: Any = figure(
        height=260,
        min_width=180,
        tools=tools,
        toolbar_location=None,
        y_axis_label=y,
        x_axis_label="",
        sizing_mode="stretch_width",
        output_backend="canvas",
    )
    drawn.grid.grid_line_alpha = BAND
    drawn.outline_line_color = None
    drawn.axis.axis_label_text_font_style = "normal"
    return drawn
