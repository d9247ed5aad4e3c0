"""The missing values as vectors of real numbers, and as the states of what is discrete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import torch
from torch import Tensor

from pyrocausal.engine.rows import unmasked
from pyrocausal.inference.inferred import NoRoute
from pyrocausal.inference.problem import Problem
from pyrocausal.inference.walk import Walk

__all__ = ["Coordinates", "states_of"]


@dataclass(frozen=True)
class Coordinates:
    """How the real numbers behind a problem's continuous missing values lie in one vector.

    Attributes:
        shapes: Variable to the shape of its numbers, ``(elements, *event)``.
    """

    shapes: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, problem: Problem, walk: Walk) -> Coordinates:
        """Read them off a walk.

        Raises:
            NoRoute: A support that no real numbers stand for.
        """
        variables = problem.query.variables
        names = [name for name in problem.missing if not variables[name].discrete]
        for name in names:
            if name not in walk.real:
                raise NoRoute(f"{name!r} has a support that no vector of real numbers stands for")
        return cls({name: tuple(walk.real[name].shape[2:]) for name in names})

    @property
    def size(self) -> int:
        """The length of the vector."""
        return sum(prod(shape) for shape in self.shapes.values())

    def split(self, vector: Tensor) -> dict[str, Tensor]:
        """Cut vectors, ``(count, units, size)``, into the numbers of each variable."""
        parts = vector.split([prod(shape) for shape in self.shapes.values()], -1)
        return {
            name: part.reshape(*vector.shape[:2], *shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def join(self, real: Mapping[str, Tensor]) -> Tensor:
        """Put the numbers of each variable side by side, ``(count, units, size)``, in float64."""
        return torch.cat([real[name].flatten(2).double() for name in self.shapes], -1)


def states_of(problem: Problem, walk: Walk, limit: int) -> dict[str, Tensor]:
    """Return all states of the discrete missing variables.

    Args:
        problem: The problem.
        walk: A walk that has met its variables.
        limit: How many states are too many.

    Returns:
        Variable to values, ``(states, 1, *inner, *event)``; empty where none is discrete.

    Raises:
        NoRoute: A support without end, or too many states.
    """
    places = list(_places(problem, walk))
    number = prod(len(support) for _, _, support in places)
    if number > limit:
        raise NoRoute(f"its discrete variables have {number} states; at most {limit} are counted")
    if not places:
        return {}
    index = torch.tensor(list(product(*(range(len(support)) for _, _, support in places))))
    states: dict[str, Tensor] = {}
    for column, (name, element, support) in enumerate(places):
        variable = problem.query.variables[name]
        if name not in states:
            flat = (prod(variable.inner), *variable.event_shape)
            states[name] = support[0].expand(number, *flat).clone()
        states[name][:, element] = support[index[:, column].to(support.device)]
    return {
        name: value.reshape(number, 1, *problem.query.variables[name].unit_shape)
        for name, value in states.items()
    }


def _places(problem: Problem, walk: Walk) -> Iterator[tuple[str, int, Tensor]]:
    """Yield each discrete missing value with its support, ``(states, *event)``."""
    for name in problem.missing:
        variable = problem.query.variables[name]
        if not variable.discrete:
            continue
        support = _support(name, walk.laws[name], len(variable.event_shape))
        for element in problem.absent(name).flatten().nonzero().flatten().tolist():
            yield name, element, support


def _support(name: str, law: Any, event_dim: int) -> Tensor:
    law, _ = unmasked(law)
    while hasattr(law, "reinterpreted_batch_ndims"):
        if law.reinterpreted_batch_ndims:
            raise NoRoute(f"{name!r} is a vector of discrete numbers, whose states aren't counted")
        law = law.base_dist
    if not getattr(law, "has_enumerate_support", False):
        raise NoRoute(f"{name!r} has a support without end")
    try:
        support: Tensor = law.enumerate_support(expand=False)
    except NotImplementedError:
        raise NoRoute(f"{name!r} has a support that differs between units") from None
    event = support.shape[support.dim() - event_dim :]
    return support.reshape(len(support), *event)
