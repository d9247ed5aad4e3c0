"""Interventions, evidence and what answers rest on in words, for their text form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from pyrocausal.interventions import (
    Action,
    Edge,
    Edit,
    Mechanism,
    Policy,
    Set,
    Shift,
    Stochastic,
    World,
    targets,
)

if TYPE_CHECKING:
    from pyrocausal.engine.tracing import Variable

__all__ = [
    "describe_couplings",
    "describe_evidence",
    "describe_worlds",
    "grouped",
    "undetermined",
]

# Ways to have noise that leave it random given the value.
COUPLINGS = ("gumbel-max", "quantile", "independent")
# Ways to have the value itself, where it was not seen.
INFERRED = ("gaussian", "enumeration", "guide", "importance", "nuts", "truncated")


def describe_worlds(worlds: Sequence[World], limit: int = 3) -> str:
    """Write worlds as ``x=0 | x=1 | ...``."""
    texts = [", ".join(map(_item, world)) or "nothing" for world in worlds]
    more = f" | ... {len(texts)} worlds" if len(texts) > limit else ""
    return " | ".join(texts[:limit]) + more


def describe_evidence(evidence: Mapping[str, Any]) -> str:
    """Write evidence as ``x=0.3, y=1``; a variable of many units by its name."""
    return ", ".join(
        f"{name}={text}" if (text := _number(value)) else _name(name, value)
        for name, value in evidence.items()
    )


def _name(name: str, value: Any) -> str:
    """Write a variable of which no one value was seen, with its limits if there are any."""
    low, high = (_number(getattr(value, end, "")) for end in ("low", "high"))
    if not (low and high):
        return name
    below, above = ("" if low == "-inf" else f"{low}<="), ("" if high == "inf" else f"<={high}")
    return f"{below}{name}{above}"


def describe_couplings(
    routes: Mapping[str, str], variables: Mapping[str, Variable]
) -> Iterator[str]:
    """Name the variables whose noise one value allows many couplings of."""
    coupled: dict[str, list[str]] = {}
    for name, route in routes.items():
        if route.startswith(COUPLINGS):
            # The noise of a continuous mixture says which component it is.
            kind = "discrete variables" if variables[name].discrete else "mixture components of"
            coupled.setdefault(kind, []).append(f"{name} ({route.split(',')[0]})")
    for kind, names in coupled.items():
        yield f"the coupling of the {kind} {', '.join(names)}"


def undetermined(
    routes: Mapping[str, str],
    worlds: Sequence[World],
    descendants: Callable[[str], Iterable[str]],
) -> tuple[str, ...]:
    """Return the variables whose noise a counterfactual uses and the evidence leaves random.

    An observed discrete variable is one only where the action reaches it: else it keeps its value.

    Args:
        routes: Variable to the way its noise was had.
        worlds: The interventions of each world.
        descendants: What an intervention on a site reaches.
    """
    moved = {below for world in worlds for name in targets(world) for below in descendants(name)}
    moved |= {name for world in worlds for name in _remade(world)}
    fixed = set.intersection(*(_fixed(world) for world in worlds))
    return tuple(
        name
        for name, route in routes.items()
        if name not in fixed
        and (
            "prior" in route
            or "fresh" in route
            or any(way in route for way in INFERRED)
            or (route.startswith(COUPLINGS) and name in moved)
        )
    )


def grouped(routes: Mapping[str, str]) -> str:
    """Write routes as ``exact: x, y; prior: z``."""
    by_route: dict[str, list[str]] = {}
    for name, route in routes.items():
        by_route.setdefault(route, []).append(name)
    return "; ".join(f"{route}: {', '.join(names)}" for route, names in by_route.items())


def _remade(world: World) -> Iterator[str]:
    """Yield the variables whose noise meets another equation."""
    for item in world:
        if isinstance(item, Edge):
            yield item.target
        elif isinstance(item[1], Mechanism):
            yield item[0]


def _fixed(world: World) -> set[str]:
    """Return the variables whose value owes nothing to their noise."""
    fixed: set[str] = set()
    for item in world:
        if isinstance(item, Edge) or isinstance(item[1], Shift | Edit):
            continue
        name, action = item
        (fixed.add if isinstance(action, Set | Policy) else fixed.discard)(name)
    return fixed


def _item(item: tuple[str, Action] | Edge) -> str:
    if isinstance(item, Edge):
        return f"{item.source}={_number(item.value) or '...'} on {item.source}->{item.target}"
    name, action = item
    match action:
        case Set(value):
            return f"{name}={_number(value) or '...'}"
        case Shift(amount):
            return f"{name}={name}+{_number(amount) or '...'}"
        case Edit():
            return f"{name}=f({name})"
        case Policy():
            return f"{name}=policy(...)"
        case Stochastic(distribution):
            return f"{name}~{type(distribution).__name__}"
        case Mechanism():
            return f"{name}~mechanism(...)"


def _number(value: Any) -> str:
    if hasattr(value, "item") and prod(getattr(value, "shape", (2,))) == 1:
        value = value.item()
    return f"{value:g}" if isinstance(value, int | float) else ""
