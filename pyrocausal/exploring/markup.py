"""The words of the page, as HTML; names come from programs, and are escaped."""

from __future__ import annotations

from html import escape
from typing import Final

from pyrocausal.exploring.views import Panel, View
from pyrocausal.graph import CausalGraph
from pyrocausal.graph.drawing import picture
from pyrocausal.plot.style import INK

__all__ = ["STYLE", "graph_markup", "heading", "panel_markup", "twin_markup"]

STYLE: Final = f"""
:host {{ font: 13px/1.4 system-ui, sans-serif; color: #222; }}
b {{ font-size: 14px; }}
.query {{ font-family: ui-monospace, monospace; font-size: 12px; }}
.words {{ color: {INK}; font-size: 12px; }}
:host(.rung) .query {{ min-height: 2.8em; }}
:host(.rung) .words {{ min-height: 2.8em; }}
svg {{ max-width: 100%; max-height: 250px; height: auto; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: right; padding: 2px 8px; border-bottom: 1px solid #ddd; }}
th:first-child, td:first-child {{ text-align: left; }}
.set {{ background: #fdf0d5; }}
.moved td {{ font-weight: 600; }}
.kept {{ color: {INK}; }}
"""
"""How words look; the colour of what is set is that of the graph."""

_drawn = dict[str, str]()


def heading(title: str, query: str, words: str) -> str:
    """Return a title, a question in symbols, and what there is to say.

    Example:
        >>> heading("1 (seeing)", "P(x < 2)", "mean 0")
        '<b>1 (seeing)</b><div class="query">P(x &lt; 2)</div><div class="words">mean 0</div>'
    """
    parts = ((part, text) for part, text in (("query", query), ("words", words)) if text)
    told = "".join(f'<div class="{part}">{escape(text)}</div>' for part, text in parts)
    return f"<b>{escape(title)}</b>{told}"


def panel_markup(panel: Panel) -> str:
    """Return the words above a distribution: its rung, its question, its numbers."""
    return heading(f"rung {panel.rung}", panel.query, panel.words)


def graph_markup(view: View) -> str:
    """Return the picture of the graph under the action, with its edges in words."""
    graph = view.graph
    cut = ", ".join(f"{a} -> {b}" for a, b in sorted(graph.cut))
    words = f"{graph}; cut: {cut}" if cut else f"{graph}"
    title = f"the graph under {view.action}" if view.action else "the graph as it is"
    return f"{heading(title, words, '')}{_svg(graph)}"


def twin_markup(view: View, unit: int) -> str:
    """Return the table of a unit beside its twin."""
    if not view.rows:
        return heading(f"unit {unit} has no twin here", "", view.imagining.words)
    lines = [
        f'<tr class="{row.role}"><td>{escape(row.variable)}</td><td>{row.fact:.4g}</td>'
        f"<td>{row.told}</td><td>{row.role}</td></tr>"
        for row in view.rows
    ]
    head = "<tr><th>variable</th><th>fact</th><th>twin</th><th></th></tr>"
    title = heading(f"unit {unit} and its twin, on the same noise", view.action or "no action", "")
    return f"{title}<table>{head}{''.join(lines)}</table>"


def _svg(graph: CausalGraph) -> str:
    """Return the picture of a graph, drawn once; nothing where no program draws."""
    key = f"{graph!r} {sorted(graph.cut)} {sorted(graph.intervened)}"
    if key not in _drawn:
        try:
            drawn = picture(graph, "svg").decode()
        except ModuleNotFoundError:
            drawn = ""  # the words above it say the same
        _drawn[key] = drawn[drawn.find("<svg") :] if drawn else ""
    return _drawn[key]
