"""Lifting the numbers out of interventions, so that one graph serves all values."""

from __future__ import annotations

import operator
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pyrocausal.engine.casting import as_tensor
from pyrocausal.interventions import Action, Edge, Set, Shift, World

__all__ = ["Lifted", "lift", "same_worlds"]

Item = tuple[str, Action] | Edge


@dataclass(frozen=True)
class Lifted:
    """Worlds, apart from the values that they set.

    Attributes:
        values: The values, named by their place.
        template: The worlds.
        kind: What is left without the values; ``None`` where an action is a function or a
            distribution, whose numbers can't be told apart.
    """

    values: dict[str, Tensor]
    template: Sequence[World]
    kind: Hashable | None

    def worlds(self, values: Mapping[str, Tensor]) -> list[World]:
        """Return the worlds with other values."""
        if self.kind is None:
            return list(self.template)
        given = iter(values.values())
        return [tuple(_filled(item, given) for item in world) for world in self.template]


def lift(worlds: Sequence[World]) -> Lifted:
    """Take the values out of worlds.

    Raises:
        TypeError: A value that is no number.
    """
    items = [item for world in worlds for item in world]
    if not all(isinstance(item, Edge) or isinstance(item[1], Set | Shift) for item in items):
        return Lifted({}, worlds, None)
    values = {str(i): as_tensor(_value(item), _what(item)) for i, item in enumerate(items)}
    return Lifted(values, worlds, tuple(tuple(map(_kind, world)) for world in worlds))


def same_worlds(one: Sequence[World], other: Sequence[World]) -> bool:
    """Say whether two lists of worlds do the same."""
    if one is other or all(map(operator.is_, one, other)):
        return len(one) == len(other)
    first, second = lift(one), lift(other)
    if first.kind is None or first.kind != second.kind:
        return False
    return all(map(torch.equal, first.values.values(), second.values.values()))


def _value(item: Item) -> object:
    match item:
        case Edge(_, _, value) | (_, Set(value) | Shift(value)):
            return value
    raise TypeError(f"No number: {item!r}.")


def _what(item: Item) -> str:
    return f"edge({item.source!r})" if isinstance(item, Edge) else f"do({item[0]!r})"


def _kind(item: Item) -> Hashable:
    if isinstance(item, Edge):
        return item.source, item.target
    return item[0], type(item[1])


def _filled(item: Item, given: Iterator[Tensor]) -> Item:
    value = next(given)
    if isinstance(item, Edge):
        return replace(item, value=value)
    name, action = item
    return name, Shift(value) if isinstance(action, Shift) else Set(value)
