"""The forms that textbooks name: no effect, no confounding, back door, front door."""

from __future__ import annotations

from dataclasses import dataclass

from pyrocausal.identification.adjustment import adjusting
from pyrocausal.identification.admg import Admg, Nodes
from pyrocausal.identification.expressions import Expression, Probability, Sum
from pyrocausal.identification.simplifying import multiplied

__all__ = ["NamedForm", "named_form"]


@dataclass(frozen=True)
class NamedForm:
    """A formula that has a name.

    Attributes:
        name: Such as ``"front door"``.
        why: The criterion that holds.
        expression: The formula.
        adjustment: The variables adjusted for, where that is the form.
    """

    name: str
    why: str
    expression: Expression
    adjustment: tuple[str, ...] | None = None


def named_form(g: Admg, y: Nodes, x: Nodes, given: Nodes) -> NamedForm | None:
    """Return the first named form that the query ``P(y | do(x), given)`` has, if any."""
    acting = x - g.ancestors(given)
    if not x or g.cut(into=acting).separated(x, y, given):
        return NamedForm(
            "no effect", "rule 3 of the do-calculus: no action matters", Probability(y, given)
        )
    if given:
        if g.cut(out_of=x).separated(x, y, given):
            why = "rule 2 of the do-calculus: acting is as good as seeing"
            return NamedForm("no confounding", why, Probability(y, x | given))
        return None
    return _adjusted(g, y, x) or _front_door(g, y, x)


def _adjusted(g: Admg, y: Nodes, x: Nodes) -> NamedForm | None:
    # First few variables, then early ones.
    cost = {node: float(len(g.order) ** 2 + rank) for node, rank in g.rank.items()}
    smallest = adjusting(g, x, y, g.nodes - x - y).cheapest(cost)
    if smallest is None:
        return None
    z = g.sorted(smallest)
    if not z:
        why = "the empty set meets the adjustment criterion"
        return NamedForm("no confounding", why, Probability(y, x), ())
    body = multiplied([Probability(y, x | set(z)), Probability(frozenset(z))])
    why = f"{{{', '.join(z)}}} meets the adjustment criterion, and no smaller set does"
    return NamedForm("adjustment", why, Sum(frozenset(z), body), z)


def _front_door(g: Admg, y: Nodes, x: Nodes) -> NamedForm | None:
    """Return the front-door form through one mediator."""
    for m in g.order:
        mediator = frozenset({m})
        if m in x | y or m not in g.descendants(x):
            continue
        intercepts = not g.induced(g.nodes - mediator).descendants(x) & y
        if (
            intercepts
            and g.cut(out_of=x).separated(x, mediator)
            and g.cut(out_of=mediator).separated(mediator, y, x)
        ):
            inner = multiplied([Probability(y, x | mediator), Probability(x)])
            outer = multiplied([Probability(mediator, x), Sum(x, inner)])
            why = f"{m} meets the front-door criterion"
            return NamedForm("front door", why, Sum(mediator, outer))
    return None
