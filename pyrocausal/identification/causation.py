"""Probabilities of causation under monotonicity: PN, PS and PNS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyrocausal.identification.counterfactual_text import CounterfactualQuery, Event, Term
from pyrocausal.identification.expressions import Difference, Expression, probability
from pyrocausal.identification.simplifying import divided

if TYPE_CHECKING:
    from pyrocausal.identification.counterfactuals import Search

__all__ = ["under_monotonicity"]


def under_monotonicity(search: Search, query: CounterfactualQuery) -> Expression | None:
    """Return PN, PS or PNS where the outcome increases in the cause, or None for other queries.

    With ``x > x'`` and ``y > y'``:

    - necessity and sufficiency ``P(y_x, y'_x') = P(y_x) - P(y_x')``,
    - necessity ``P(y'_x' | x, y) = (P(y) - P(y_x')) / P(x, y)``,
    - sufficiency ``P(y_x | x', y') = (P(y_x) - P(y)) / P(x', y')``.

    References:
        Tian, Pearl (2000), Probabilities of causation: bounds and identification.
    """
    for y, x in sorted((a.effect, a.cause) for a in search.assumptions.monotone):
        worlds = [_world(event, y, x) for event in query.events]
        facts = {event.term: event.value or "" for event in query.given}
        if None in worlds:
            continue
        match [world for world in worlds if world]:
            case [one, other] if not facts:
                return _both(search, y, x, *sorted([one, other], key=_height))
            case [world] if set(facts) == {Term(x), Term(y)}:
                return _one(search, y, x, (facts[Term(x)], facts[Term(y)]), world)
    return None


World = tuple[str, str]
"""The values of the cause and of the outcome."""


def _both(search: Search, y: str, x: str, low: World, high: World) -> Expression | None:
    """Return ``P(y_x, y'_x') = P(y_x) - P(y_x')``."""
    if not _below(low, high):
        return None
    search.note("necessity and sufficiency: P(y_x, y'_x') = P(y_x) - P(y_x')", y, x)
    return Difference(*(_effect(search, y, x, setting, high[1]) for setting in (high[0], low[0])))


def _one(search: Search, y: str, x: str, fact: World, world: World) -> Expression | None:
    """Return ``P(y'_x' | x, y)`` or ``P(y_x | x', y')``."""
    name = {label: search.values.of(y, label) for label in (fact[1], world[1])}
    if _below(world, fact):
        search.note("necessity: P(y'_x' | x, y) = (P(y) - P(y_x')) / P(x, y)", y, x)
        gain = Difference(probability([name[fact[1]]]), _effect(search, y, x, world[0], fact[1]))
    elif _below(fact, world):
        search.note("sufficiency: P(y_x | x', y') = (P(y_x) - P(y)) / P(x', y')", y, x)
        gain = Difference(_effect(search, y, x, *world), probability([name[world[1]]]))
    else:
        return None
    seen = probability([search.values.of(x, fact[0]), name[fact[1]]])
    return divided(gain, seen)


def _effect(search: Search, y: str, x: str, setting: str, outcome: str) -> Expression:
    event = Event(Term(y, ((x, setting),)), outcome)
    return search.effect(event, search.values.of(y, outcome))


def _below(low: World, high: World) -> bool:
    return all(_height((a, "")) < _height((b, "")) for a, b in zip(low, high, strict=True))


def _height(world: World) -> tuple[float, ...]:
    """Return what orders values: numbers as they are, symbols with x' below x."""
    label = world[0]
    try:
        return (float(label),)
    except ValueError:
        return (-label.count("'"),)


def _world(event: Event, y: str, x: str) -> World | None:
    """Return the values of x and y in an event ``Y_{X=x} = y``, or None for another event."""
    subscripts = event.term.subscripts
    if event.term.variable != y or event.value is None or len(subscripts) != 1:
        return None
    (setting,) = subscripts
    return (setting[1], event.value) if not isinstance(setting, Term) and setting[0] == x else None
