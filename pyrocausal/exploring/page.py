"""The page: controls, the graph, the three rungs and the twin, drawn by Bokeh.

A session, which is a tab of the browser, holds one page. What is moved is answered once all moves
that have arrived are read, so that a slider that is dragged doesn't wait for places it has left.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from bokeh.document import Document
from bokeh.layouts import column, row
from bokeh.models import Checkbox, Div, InlineStyleSheet, Select, Slider, Spinner

from pyrocausal.exploring.controls import Control
from pyrocausal.exploring.explorer import Explorer
from pyrocausal.exploring.markup import STYLE, graph_markup, heading, panel_markup, twin_markup
from pyrocausal.exploring.pictures import Distribution, Pairs
from pyrocausal.exploring.views import View, bins
from pyrocausal.plot.style import PALETTE

__all__ = ["Page"]

RUNGS: Final = ("seeing", "doing", "imagining")
AS_IT_IS: Final = "as it is"
SOON: Final = 10
"""Milliseconds in which further moves are waited for."""


class Page:
    """One reader's page about a model.

    Args:
        explorer: The model, with its units.
        document: What the browser shows.

    Attributes:
        view: What is shown now.

    Example:
        >>> from pyrocausal import zoo
        >>> page = Page(Explorer(zoo.simpson(), units=100), Document())
        >>> page.act("surgery", 1.0)
        >>> page.update()
        >>> page.view.doing.query
        'P(recovery | do(surgery=1))'
    """

    view: View

    def __init__(self, explorer: Explorer, document: Document) -> None:
        self.explorer, self.document = explorer, document
        self._action = dict[str, float]()
        self._waiting = False
        names = [control.name for control in explorer.controls]
        last = names[-1]
        self._outcome = Select(
            title="show", options=names, value=last, css_classes=["outcome"], width=120
        )
        self._unit = Spinner(
            title="unit",
            low=0,
            high=explorer.units - 1,
            value=0,
            mode="int",
            css_classes=["unit"],
            width=90,
        )
        self._outcome.on_change("value", self._changed)
        self._unit.on_change("value", self._changed)
        self._words = {name: _div(name) for name in ("graph", "twin")}
        self._titles = {rung: _div(rung, "rung") for rung in (*RUNGS, "pairs")}
        self._distributions = _side_by_side()
        self._pairs = Pairs(PALETTE[2], self._pick)
        document.title = f"{explorer.scm.name} · pyrocausal"
        document.add_root(self._laid_out())
        self.update()

    def act(self, name: str, value: float | None) -> None:
        """Set a variable, or with ``None`` let it be as it is; ``update`` then shows it."""
        if value is None:
            self._action.pop(name, None)
        else:
            self._action[name] = value
        self._soon()

    def update(self) -> None:
        """Ask the model, and show its answers."""
        self._waiting = False
        outcome, unit = self._outcome.value, int(self._unit.value or 0)
        order = [control.name for control in self.explorer.controls]
        action = {name: self._action[name] for name in order if name in self._action}
        self.view = view = self.explorer.look(action, outcome, unit)
        self._words["graph"].text = graph_markup(view)
        self._words["twin"].text = twin_markup(view, unit)
        facts = self.explorer.seen[outcome]
        panels = dict(zip(RUNGS, (view.seeing, view.doing, view.imagining), strict=True))
        bars = bins([facts, *(panel.values for panel in panels.values())])
        for rung, panel in panels.items():
            self._titles[rung].text = panel_markup(panel)
            self._distributions[rung].show(panel.values, facts, bars, outcome)
        self._distributions["imagining"].mark(float(facts[unit]))
        self._titles["pairs"].text = heading(
            "rung 3, every unit",
            f"{outcome} in fact, and after the action",
            view.pairs_told,
        )
        self._pairs.show(view.pairs, unit, outcome, discrete=bool(len(bars.levels)))

    def _changed(self, attr: str, old: Any, new: Any) -> None:
        self._soon()

    def _soon(self) -> None:
        """Update once the moves that have arrived are read."""
        if self.document.session_context is not None and not self._waiting:
            self._waiting = True
            self.document.add_timeout_callback(self.update, SOON)

    def _pick(self, unit: int) -> None:
        self._unit.value = unit

    def _control(self, control: Control, place: int) -> Any:
        """Return the widgets that set a variable; off, it is as it is."""
        name, kind = control.name, f"do-{place}"
        if control.levels:
            options = [AS_IT_IS, *(f"{level:g}" for level in control.levels)]
            choice = Select(
                title=f"do({name})", options=options, value=AS_IT_IS, css_classes=[kind]
            )
            choice.on_change("value", partial(self._chosen, control))
            return choice
        switch = Checkbox(label=f"do({name})", active=False, css_classes=[f"{kind}-on"])
        slider = Slider(
            start=control.low,
            end=control.high,
            step=control.step,
            value=control.middle,
            title=name,
            css_classes=[kind],
        )

        def moved(attr: str, old: Any, new: Any) -> None:
            switch.active = True  # whoever moves a slider acts
            self.act(name, control.snap(slider.value))

        def switched(attr: str, old: Any, new: Any) -> None:
            self.act(name, control.snap(slider.value) if switch.active else None)

        slider.on_change("value", moved)
        switch.on_change("active", switched)
        return column(switch, slider, sizing_mode="stretch_width")

    def _chosen(self, control: Control, attr: str, old: str, new: str) -> None:
        if new == AS_IT_IS:
            self.act(control.name, None)
        else:
            texts = [f"{level:g}" for level in control.levels]
            self.act(control.name, control.levels[texts.index(new)])

    def _laid_out(self) -> Any:
        """Return the layout: what is moved on the left, what moves on the right."""
        wide: Any = {"sizing_mode": "stretch_width"}
        controls = [self._control(c, i) for i, c in enumerate(self.explorer.controls)]
        about = _div("about")
        about.text = heading(
            self.explorer.scm.name,
            f"{self.explorer.units} simulated units, seed {self.explorer.seed}",
            "What is set is cut from its causes; every unit keeps its noise. Grey: what is seen "
            "without an action. Dashed: the unit in fact, or no change.",
        )
        left = column(about, *controls, width=230, css_classes=["controls"])
        rungs = [
            column(self._titles[rung], picture.figure, **wide)
            for rung, picture in self._distributions.items()
        ]
        every = column(self._titles["pairs"], self._pairs.figure, **wide)
        twin = column(row(self._outcome, self._unit), self._words["twin"], **wide)
        right = column(row(self._words["graph"], twin, **wide), row(*rungs, every, **wide), **wide)
        return row(left, right, margin=(8, 24, 8, 8), spacing=16, **wide)


def _side_by_side() -> dict[str, Distribution]:
    """Return the pictures of the three rungs, on one scale where they are compared."""
    seeing, doing, imagining = pictures = [
        Distribution(rung, color, shares)
        for rung, color, shares in zip(RUNGS, PALETTE, ("units", "units", "draws"), strict=False)
    ]
    doing.figure.x_range = imagining.figure.x_range = seeing.figure.x_range
    doing.figure.y_range = seeing.figure.y_range
    return dict(zip(RUNGS, pictures, strict=True))


def _div(*names: str) -> Div:
    return Div(
        css_classes=[*names],
        stylesheets=[InlineStyleSheet(css=STYLE)],
        sizing_mode="stretch_width",
    )
