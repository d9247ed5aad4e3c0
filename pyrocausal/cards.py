"""A card of lines, each a label and its text, as plain text and for notebooks."""

from collections.abc import Sequence
from html import escape

__all__ = ["as_html", "as_text"]

Lines = Sequence[tuple[str, str]]


def as_text(card: Lines) -> str:
    """Write a card as lines; one without a label is the title.

    Example:
        >>> print(as_text([("", "ATE = 2"), ("rung", "2")]))
        ATE = 2
        rung: 2
    """
    return "\n".join(f"{label}: {line}" if label else line for label, line in card)


def as_html(card: Lines) -> str:
    """Write a card as a table under its first line.

    Example:
        >>> as_html([("", "ATE < 2"), ("rung", "2")])
        '<table><caption>ATE &lt; 2</caption><tr><th>rung</th><td>2</td></tr></table>'
    """
    (_, title), *lines = card
    cells = "".join(f"<tr><th>{escape(a)}</th><td>{escape(b)}</td></tr>" for a, b in lines)
    return f"<table><caption>{escape(title)}</caption>{cells}</table>"
