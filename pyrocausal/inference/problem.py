"""One inference problem: some missing variables of some units, and what was seen of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pyrocausal.engine.evidence import Evidence
from pyrocausal.engine.intervals import Interval
from pyrocausal.engine.querying import Query
from pyrocausal.inference.numbers import UnitStream
from pyrocausal.inference.patterns import Component, Pattern
from pyrocausal.interventions import Edge, Set, Shift, World

__all__ = ["Problem", "problem_of"]


@dataclass(frozen=True)
class Problem:
    """Missing variables that are inferred together, of units of one pattern.

    Attributes:
        query: The program and its arguments, for these units.
        units: The places of the units among those of the query, ``(units,)``.
        values: Variable to what was seen, ``(units, *inner, *event)``.
        seen: Variable to the observed elements, shape ``inner``, where only some were.
        missing: The variables to infer, in the order of execution.
        factors: The observed variables whose densities tell of them, or the probabilities of
            limits that they were seen to lie within.
        limits: Variable to limits that it was seen to lie within.
        world: Interventions that were in force.
        shared: Values of the variables that all units share.
    """

    query: Query
    units: Tensor
    values: Mapping[str, Tensor]
    seen: Mapping[str, Tensor]
    missing: tuple[str, ...]
    factors: tuple[str, ...]
    world: World = ()
    shared: Mapping[str, Tensor] = field(default_factory=dict)
    limits: Mapping[str, Interval] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many units there are."""
        return len(self.units)

    @property
    def name(self) -> str:
        """What the random numbers of this problem go by."""
        return ", ".join(self.missing)

    @property
    def told(self) -> str:
        """The variables that tell of those that are missing, in quotes."""
        within = [name for name in self.missing if name in self.limits]
        return ", ".join(map(repr, (*self.factors, *within)))

    @property
    def set_values(self) -> dict[str, Tensor] | None:
        """What interventions set, ``(units, *inner, *event)``; ``None`` where they do more.

        To a guide of the SCM without interventions these are evidence. That it then takes them for
        signs of their causes does no harm: its proposals are weighed where they are set.
        """
        found = {}
        for item in self.world:
            if isinstance(item, Edge) or not isinstance(item[1], Set):
                return None
            variable = self.query.variables[item[0]]
            if variable.shared:
                return None
            value = torch.as_tensor(item[1].value, dtype=variable.dtype, device=self.query.device)
            found[item[0]] = value.expand(self.size, *variable.unit_shape)
        return found

    @property
    def whole(self) -> bool:
        """Whether each missing variable is missing with all its elements."""
        return not any(name in self.seen for name in self.missing)

    def absent(self, name: str) -> Tensor:
        """Return the elements of a missing variable that are missing, shape ``inner``."""
        if name in self.seen:
            return ~self.seen[name]
        inner = self.query.variables[name].inner
        return torch.ones(inner, dtype=torch.bool, device=self.query.device)

    def of(self, chosen: Tensor) -> Problem:
        """Return the problem of some of the units, by their places here."""
        place = chosen.to(self.query.device)

        def cut(value: Any) -> Any:
            return value[place] if isinstance(value, Tensor) else value

        units = self.units[chosen.cpu()]
        query = replace(
            self.query,
            inputs={name: cut(value) for name, value in self.query.inputs.items()},
            streams=partial(UnitStream, numbers=units + self.query.first),
        )
        return replace(
            self,
            query=query,
            units=units,
            values={name: value[place] for name, value in self.values.items()},
            limits={name: limits.of(place) for name, limits in self.limits.items()},
            world=_cut_world(self.world, self.size, cut, self.query.variables),
        )

    def with_noise(self, what: str) -> Problem:
        """Return the problem with noise that nothing else uses."""
        return replace(self, query=replace(self.query, seed=self.stream(what).key(0)))

    def stream(self, what: str, draws: int | None = None) -> UnitStream:
        """Return random numbers of these units that nothing else uses."""
        name, query = f"{self.name}: {what}", self.query
        numbers = self.units + query.first
        return UnitStream(query.seed, name, self.size, draws, query.device, numbers=numbers)


def problem_of(
    query: Query,
    evidence: Evidence,
    pattern: Pattern,
    component: Component,
    world: World,
    shared: Mapping[str, Tensor],
) -> Problem:
    """Return the problem of one component of a pattern."""
    whole = Problem(
        query=query,
        units=torch.arange(evidence.units, device="cpu"),
        values={name: evidence.values[name] for name in pattern.observed},
        seen=pattern.seen,
        missing=component.missing,
        factors=component.factors,
        world=world,
        shared=shared,
        limits={name: evidence.limits[name] for name in pattern.within},
    )
    return whole.of(pattern.units)


def _cut_world(
    world: World, units: int, cut: Callable[[Tensor], Tensor], variables: Mapping[str, Any]
) -> World:
    """Return interventions with the values of some units only."""

    def of(value: Any, name: str) -> Any:
        whole = (units, *variables[name].unit_shape) if name in variables else (units,)
        value = torch.as_tensor(value)
        return cut(value) if tuple(value.shape) == whole else value

    items: list[Any] = []
    for item in world:
        if isinstance(item, Edge):
            items.append(replace(item, value=of(item.value, item.source)))
        elif isinstance(item[1], Set):
            items.append((item[0], Set(of(item[1].value, item[0]))))
        elif isinstance(item[1], Shift):
            items.append((item[0], Shift(of(item[1].amount, item[0]))))
        else:
            items.append(item)
    return tuple(items)
