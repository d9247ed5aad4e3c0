"""What is averaged: a variable, an event, or any function of a world's values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pyrocausal.engine.intervals import Between
from pyrocausal.engine.tracing import Variable
from pyrocausal.errors import UnknownVariable
from pyrocausal.queries.reading import number_of

__all__ = ["Condition", "Outcome", "continuous", "read_condition", "read_outcome"]

Values = Mapping[str, Tensor]


@dataclass(frozen=True)
class Outcome:
    """A number of each unit, made of the values of one world.

    Attributes:
        text: What it is called in a formula.
        names: The variables that it reads; none where that is not known before it is run.
        function: From a world's values to numbers, shape ``(unit,)`` or ``(draw, unit)``.
        event: Whether it is 0 or 1.
    """

    text: str
    names: tuple[str, ...]
    function: Callable[[Values], Tensor]
    event: bool = False

    def __call__(self, values: Values) -> Tensor:
        return self.function(values).to(torch.float64)

    def named(self, world: str) -> Outcome:
        """Return the same outcome of a world that is named in its text, such as ``Y(X=1)``."""
        text = f"{self.text}({world})"
        if self.event:
            text = f"{self.names[0]}({world}){self.text[len(self.names[0]) :]}"
        return replace(self, text=text)

    def mean(self, world: str) -> str:
        """Write its mean in a world, such as ``E[Y | do(X=1)]`` or ``P(Y=1 | do(X=1))``."""
        bar = f" | {world}" if world else ""
        return f"P({self.text}{bar})" if self.event else f"E[{self.text}{bar}]"


@dataclass(frozen=True)
class Condition:
    """Which units are meant, by what they are in the factual world.

    Attributes:
        text: The condition in symbols.
        names: The variables that it reads.
        function: From the factual values to booleans, shape ``(unit,)`` or ``(draw, unit)``.
    """

    text: str
    names: tuple[str, ...]
    function: Callable[[Values], Tensor]

    def __call__(self, values: Values) -> Tensor:
        return self.function(values)


def read_outcome(outcome: Any, variables: Mapping[str, Variable]) -> Outcome:
    """Read what a user passed as outcome.

    Args:
        outcome: The name of a variable with one number a unit; a mapping from variable to value,
            for the event that all are so; or a function of a world's values.
        variables: The variables of the model.

    Raises:
        UnknownVariable: A name that is no variable.
        ValueError: A variable with several numbers a unit.
        TypeError: Something else.
    """
    if isinstance(outcome, str):
        _check_scalar(outcome, variables)
        return Outcome(outcome, (outcome,), lambda values: values[outcome])
    if isinstance(outcome, Mapping):
        condition = _event(outcome, variables, "outcome")
        for name, value in outcome.items():
            if continuous(variables[name]) and not isinstance(value, Between):
                raise ValueError(
                    f"outcome {name!r} is continuous: {name}={value} has probability 0. Give a "
                    f"range, {{{name!r}: pc.between(low, high)}}, or a function, such as "
                    f"lambda v: v[{name!r}] > 0.5."
                )
        return Outcome(condition.text, condition.names, condition.function, event=True)
    if callable(outcome):

        def numbers(values: Values) -> Tensor:
            return _numbers(outcome(_Reading(values, variables, "outcome")), values)

        return Outcome(_name(outcome), (), numbers)
    raise TypeError(
        f"outcome got {type(outcome).__name__}; expected the name of a variable, an event such as "
        '{"Y": 1}, or a function of the values of a world.'
    )


def read_condition(
    given: Any, variables: Mapping[str, Variable], example: Values
) -> Condition | None:
    """Read what a user passed as ``given``.

    Args:
        given: A mapping from variable to value or ``pc.between``, a predicate of the factual
            values, or None.
        variables: The variables of the model.
        example: Some factual values, to see which of them a predicate reads.

    Raises:
        UnknownVariable: A name that is no variable.
        TypeError: Something else, or a predicate that doesn't return booleans.
    """
    if given is None:
        return None
    if isinstance(given, Mapping):
        return _event(given, variables, "given")
    if not callable(given):
        raise TypeError(
            f"given got {type(given).__name__}; expected a mapping from variable to value, or a "
            'predicate such as lambda v: v["age"] > 50.'
        )
    reading = _Reading(example, variables, "given")
    found = given(reading)
    if not isinstance(found, Tensor) or found.dtype != torch.bool:
        raise TypeError(
            f"given returned {type(found).__name__}"
            f"{f' of {found.dtype}' if isinstance(found, Tensor) else ''}; expected a tensor of "
            'booleans, one a unit, such as v["age"] > 50.'
        )
    names = tuple(reading.names)
    return Condition(f"{_name(given)}({', '.join(names)})", names, given)


class _Reading(Mapping[str, Tensor]):
    """Values that note which of them are read."""

    def __init__(self, values: Values, variables: Mapping[str, Variable], where: str) -> None:
        self.values_, self.variables, self.where = values, variables, where
        self.names = dict[str, None]()

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.values_:
            raise UnknownVariable(name, self.variables, self.where)
        self.names[name] = None
        return self.values_[name]

    def __iter__(self) -> Any:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


def continuous(variable: Variable) -> bool:
    """Say whether no single value of a variable has a probability."""
    return not (variable.discrete or variable.deterministic)


def _event(event: Mapping[str, Any], variables: Mapping[str, Variable], where: str) -> Condition:
    if not event:
        raise ValueError(f'{where} is an empty mapping; expected a variable, such as {{"Y": 1}}.')
    for name in event:
        _check_scalar(name, variables, where)
    ranges = {name: _range(value, f"{where}[{name!r}]") for name, value in event.items()}
    text = ", ".join(
        f"{name}={low:g}" if low == high else f"{name} in [{low:g}, {high:g}]"
        for name, (low, high) in ranges.items()
    )

    def function(values: Values) -> Tensor:
        hits = [
            values[name] == low if low == high else (low <= values[name]) & (values[name] <= high)
            for name, (low, high) in ranges.items()
        ]
        return torch.stack(hits).all(0)

    return Condition(text, tuple(event), function)


def _range(value: Any, where: str) -> tuple[float, float]:
    """Return the ends of a range; a single value is both of its own."""
    if not isinstance(value, Between):
        return (number_of(value, where),) * 2
    if value.values is not None:
        raise TypeError(f"{where} got between(..., values=...); expected two limits alone.")
    return number_of(value.low, where), number_of(value.high, where)


def _check_scalar(name: str, variables: Mapping[str, Variable], where: str = "outcome") -> None:
    if name not in variables:
        raise UnknownVariable(name, variables, where)
    shape = variables[name].unit_shape
    if shape:
        raise ValueError(
            f"{where} {name!r} has {' x '.join(map(str, shape))} numbers a unit; expected one. Give "
            f"a function that makes one of them, such as lambda v: v[{name!r}].sum(-1)."
        )


def _numbers(found: Any, values: Values) -> Tensor:
    like = next(iter(values.values()))
    if not isinstance(found, Tensor) or found.shape != like.shape[: found.dim()]:
        got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"The outcome's function returned {got}; expected one number a unit.")
    return found


def _name(function: Any) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return "f" if name == "<lambda>" else str(name)
