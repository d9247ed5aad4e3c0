"""The intervention algebra: set, grid, shift, edit, policy, mechanism, edge."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product as cartesian
from typing import Any, final

import torch
from torch import Tensor

from pyrocausal.engine.casting import holds_words

__all__ = [
    "Action",
    "Edge",
    "Edit",
    "Grid",
    "Mechanism",
    "Policy",
    "Set",
    "Shift",
    "Stochastic",
    "World",
    "edge",
    "edit",
    "grid",
    "mechanism",
    "policy",
    "read_worlds",
    "shift",
]


@final
@dataclass(frozen=True)
class Set:
    """``X := value``."""

    value: Any


@final
@dataclass(frozen=True)
class Shift:
    """``X := X + amount``, on the value X has there."""

    amount: Any


@final
@dataclass(frozen=True)
class Edit:
    """``X := function(X)``, on the value X has there."""

    function: Callable[[Tensor], Tensor]


@final
@dataclass(frozen=True)
class Policy:
    """``X := function(values)``, of this world's values of the sites run before X."""

    function: Callable[[Mapping[str, Tensor]], Any]


@final
@dataclass(frozen=True)
class Stochastic:
    """``X ~ distribution``, the same draw in all worlds of a unit."""

    distribution: Any


@final
@dataclass(frozen=True)
class Mechanism:
    """``X ~ function(values)``: a new distribution given the run so far."""

    function: Callable[[Mapping[str, Tensor]], Any]


@final
@dataclass(frozen=True)
class Edge:
    """The target's equation is evaluated with the source replaced by ``value``."""

    source: str
    target: str
    value: Any


@final
@dataclass(frozen=True)
class Grid:
    """One world for each value."""

    values: tuple[Any, ...]
    product: bool = False


Action = Set | Shift | Edit | Policy | Stochastic | Mechanism
# The ordered assignments of one world: (site, action) pairs and edges.
World = tuple[tuple[str, Action] | Edge, ...]


def grid(values: Sequence[Any] | Tensor, *others: Any, product: bool = False) -> Grid:
    """Ask for one world for each of ``values``.

    Args:
        values: The values, one a world.
        product: With several grids in one intervention, whether to combine each value of one with
            each of the other; otherwise they are zipped.
        others: None: all values stand in one list.

    Returns:
        The interventions, for a variable in ``do``: one world each.

    Raises:
        TypeError: No list of values.
        ValueError: An empty list.

    Example:
        >>> grid([0.0, 1.0])
        Grid(values=(0.0, 1.0), product=False)
    """
    if others:
        raise TypeError(
            f"grid() got {1 + len(others)} arguments; expected one list: grid([0.0, 1.0])."
        )
    if (
        isinstance(values, str)
        or not getattr(values, "shape", True)
        or not hasattr(values, "__iter__")
    ):
        raise TypeError(
            f"grid() got {values!r}; expected a list or tensor of values, one a world."
        )
    worlds = tuple(values.unbind() if isinstance(values, Tensor) else values)
    if not worlds:
        raise ValueError("grid() got no values. Give at least one value, each makes a world.")
    return Grid(worlds, product)


def shift(amount: Any) -> Shift:
    """Add ``amount`` to the value the variable has: ``X := X + amount``.

    Args:
        amount: A number, or numbers that broadcast to ``(units, *inner, *event)``.

    Returns:
        The intervention, for a variable in ``do``.

    Raises:
        TypeError: What is no number.

    Example:
        >>> shift(1.0)
        Shift(amount=1.0)
    """
    if amount is None or callable(amount) or isinstance(amount, str | Action | Edge | Mapping):
        raise TypeError(f"shift() got {amount!r}; expected a number or a tensor.")
    return Shift(amount)


def edit(function: Callable[[Tensor], Tensor]) -> Edit:
    """Replace the value the variable has by a function of it: ``X := function(X)``.

    Args:
        function: Takes and returns values of the rows, shape ``(rows, *event)``.

    Returns:
        The intervention, for a variable in ``do``.

    Example:
        >>> edit(torch.relu).function(torch.tensor(-1.0))
        tensor(0.)
    """
    return Edit(_callable(function, "edit"))


def policy(function: Callable[[Mapping[str, Tensor]], Any]) -> Policy:
    """Let a rule of other variables choose the value: ``X := function(values)``.

    Args:
        function: Gets a mapping from name to this world's values, shape ``(rows, *event)``, of all
            sites that run before X.

    Returns:
        The intervention, for a variable in ``do``.

    Example:
        >>> treat_severe = policy(lambda values: (values["severity"] > 1.0).float())
    """
    return Policy(_callable(function, "policy"))


def mechanism(function: Callable[[Mapping[str, Tensor]], Any]) -> Mechanism:
    """Give the variable a new mechanism: ``X ~ function(values)``.

    The unit keeps its noise where the new distribution has the same noise law; otherwise fresh
    noise is drawn, and the route of the answer says so.

    Args:
        function: Gets a mapping from name to values, as for ``policy``; returns a distribution.

    Returns:
        The intervention, for a variable in ``do``.

    Example:
        >>> gentler = mechanism(lambda values: dist.Normal(0.5 * values["x"], 1.0))
    """
    return Mechanism(_callable(function, "mechanism"))


def edge(source: str, target: str, value: Any) -> Edge:
    """Intervene on one edge: only ``target`` sees ``source`` at ``value``.

    Every other named site, deterministic ones included, keeps its value in this world.

    Args:
        source: The cause.
        target: The effect; there must be an edge from the one to the other.
        value: What the effect sees in place of the cause: a number, or values that broadcast to
            ``(units, *inner, *event)``.

    Returns:
        The intervention, for ``do`` as it is or in a tuple with others.

    Example:
        >>> edge("smoking", "cancer", 0.0)
        Edge(source='smoking', target='cancer', value=0.0)
    """
    return Edge(source, target, value)


def read_worlds(
    interventions: Any = None, by_name: Mapping[str, Any] | None = None
) -> tuple[tuple[World, ...], bool]:
    """Read what a user passed as ``do``.

    Args:
        interventions: A mapping, an edge, a tuple of these (one intervention), or a list (worlds).
        by_name: Interventions given as keywords.

    Returns:
        The worlds, and whether the answer has a world dimension.

    Raises:
        ValueError: Nothing was given, or grids of different lengths are zipped.
        TypeError: Something that is no intervention.
    """
    if isinstance(interventions, list):
        if by_name:
            raise ValueError(
                "do() got a list of worlds and keywords. Put the keywords into each world."
            )
        if not interventions:
            raise ValueError("do() got an empty list of worlds. Give at least one intervention.")
        if any(isinstance(one, list) for one in interventions):
            raise TypeError("do() got a list in a list of worlds. Give one list of interventions.")
        worlds = [world for one in interventions for world in read_worlds(one)[0]]
        return tuple(worlds), True
    if interventions is None and not by_name:
        raise ValueError('do() got no intervention. Say what to set, such as do({"x": 1.0}).')
    items = [*_items(interventions), *_items(by_name)]
    return _expand_grids(items)


def _items(given: Any) -> Iterator[tuple[str, Any] | Edge]:
    if given is None:
        return
    if isinstance(given, Edge):
        yield given
    elif isinstance(given, Mapping):
        for name, value in given.items():
            if not isinstance(name, str):
                raise TypeError(f"do() got the key {name!r}; keys are names of variables.")
            yield name, value
    elif isinstance(given, tuple):
        for part in given:
            yield from _items(part)
    else:
        raise TypeError(
            f"do() got {type(given).__name__}; it takes a mapping from variable to value, an "
            "edge, a tuple of these, or a list of worlds."
        )


def _expand_grids(items: list[tuple[str, Any] | Edge]) -> tuple[tuple[World, ...], bool]:
    grids = [value for value in map(_value, items) if isinstance(value, Grid)]
    if not grids:
        return (_world(items, ()),), False
    if any(g.product for g in grids):
        choices = list(cartesian(*(g.values for g in grids)))
    else:
        lengths = {len(g.values) for g in grids}
        if len(lengths) > 1:
            raise ValueError(
                f"Grids of lengths {sorted(lengths)} are zipped into worlds and must be equally "
                "long. Give product=True to one of them for all combinations."
            )
        choices = list(zip(*(g.values for g in grids), strict=True))
    return tuple(_world(items, choice) for choice in choices), True


def _world(items: list[tuple[str, Any] | Edge], choice: tuple[Any, ...]) -> World:
    chosen = iter(choice)
    world: list[tuple[str, Action] | Edge] = []
    for item in items:
        value = _value(item)
        value = next(chosen) if isinstance(value, Grid) else value
        if isinstance(item, Edge):
            world.append(_edge(item, value))
        else:
            world.append((item[0], _action(item[0], value)))
    return tuple(world)


def _value(item: tuple[str, Any] | Edge) -> Any:
    return item.value if isinstance(item, Edge) else item[1]


def _edge(item: Edge, value: Any) -> Edge:
    if isinstance(value, str | Action | Edge | Grid) or value is None or callable(value):
        raise TypeError(
            f"edge({item.source!r}, {item.target!r}, ...) got {type(value).__name__}; expected a "
            "number, a tensor or a grid of them."
        )
    return Edge(item.source, item.target, value)


def _action(name: str, value: Any) -> Action:
    if isinstance(value, Action):
        return value
    if isinstance(value, Grid):
        raise TypeError(f"do({name!r}=grid(...)) holds a grid in a grid. Give one list of values.")
    if isinstance(value, Edge):
        raise TypeError(
            f"do({name!r}=edge(...)): an edge names its own target. Pass it as "
            f"do((edge(...), ...)) beside the mapping."
        )
    if isinstance(value, torch.distributions.Distribution):
        return Stochastic(value)
    if callable(value):
        raise TypeError(
            f"do({name!r}=...) got a function. Say what it is a function of: pc.edit(f) for the "
            "variable's own value, pc.policy(f) for the other variables, pc.mechanism(f) for a "
            "function that returns a distribution."
        )
    if isinstance(value, str):
        raise holds_words(f"do({name!r})", value)
    if value is None:
        raise TypeError(f"do({name!r}={value!r}): expected a number, a tensor or an intervention.")
    return Set(value)


def _callable(function: Any, verb: str) -> Any:
    if isinstance(function, torch.distributions.Distribution):
        raise TypeError(
            f"{verb}() takes a function; got the distribution {type(function).__name__}. Pass it "
            "itself: do(x=distribution)."
        )
    if not callable(function):
        raise TypeError(f"{verb}() takes a function; got {type(function).__name__}.")
    return function


def targets(world: World) -> list[str]:
    """Return the sites whose equation a world changes, in order."""
    return [item.target if isinstance(item, Edge) else item[0] for item in world]
