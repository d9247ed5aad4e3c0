"""Counterfactual expressions: what variables would be in several worlds of the same unit."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pyrocausal.errors import UnknownVariable
from pyrocausal.interventions import read_worlds
from pyrocausal.naming import describe_worlds

__all__ = ["Expression", "Potential", "Y"]

Values = Mapping[str, Tensor]
Worlds = Callable[[Any], Values]


class Expression(ABC):
    """A number of each unit, made of potential outcomes in one or several worlds.

    Expressions are added, subtracted, multiplied, divided, compared and joined by ``&``, ``|``
    and ``~``, with each other and with numbers.
    """

    @abstractmethod
    def value(self, worlds: Worlds) -> Tensor:
        """Return each unit's value.

        Args:
            worlds: From an intervention, None for none, to the values of its world.
        """

    @abstractmethod
    def potentials(self) -> Iterator[Potential]:
        """Yield the potential outcomes that it is made of."""

    @property
    @abstractmethod
    def linear(self) -> bool:
        """Whether its mean is made of the means of its potential outcomes."""

    @property
    @abstractmethod
    def event(self) -> bool:
        """Whether it is true or false."""

    def __add__(self, other: Any) -> Expression:
        return _join(operator.add, "+", self, other)

    def __radd__(self, other: Any) -> Expression:
        return _join(operator.add, "+", other, self)

    def __sub__(self, other: Any) -> Expression:
        return _join(operator.sub, "-", self, other)

    def __rsub__(self, other: Any) -> Expression:
        return _join(operator.sub, "-", other, self)

    def __mul__(self, other: Any) -> Expression:
        return _join(operator.mul, "*", self, other)

    def __rmul__(self, other: Any) -> Expression:
        return _join(operator.mul, "*", other, self)

    def __truediv__(self, other: Any) -> Expression:
        return _join(operator.truediv, "/", self, other)

    def __rtruediv__(self, other: Any) -> Expression:
        return _join(operator.truediv, "/", other, self)

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        return _join(operator.eq, "=", self, other)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]
        return _join(operator.ne, "!=", self, other)

    def __lt__(self, other: Any) -> Expression:
        return _join(operator.lt, "<", self, other)

    def __le__(self, other: Any) -> Expression:
        return _join(operator.le, "<=", self, other)

    def __gt__(self, other: Any) -> Expression:
        return _join(operator.gt, ">", self, other)

    def __ge__(self, other: Any) -> Expression:
        return _join(operator.ge, ">=", self, other)

    def __and__(self, other: Any) -> Expression:
        return _join(operator.and_, ",", self, other)

    def __or__(self, other: Any) -> Expression:
        return _join(operator.or_, "or", self, other)

    def __invert__(self) -> Expression:
        return _join(operator.eq, "=", self, False)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise TypeError(
            "A counterfactual expression is neither true nor false before it is asked. Join "
            "events by &, | and ~, and pass the whole to pc.effect(scm, ...)."
        )


@dataclass(frozen=True, eq=False)
class Potential(Expression):
    """A variable in the world of an intervention, or in the factual world.

    Attributes:
        name: The variable.
        do: The intervention; the values in it may be expressions of other worlds.
    """

    name: str
    do: Any = None

    def value(self, worlds: Worlds) -> Tensor:
        values = worlds(None if self.do is None else _filled(self.do, worlds))
        if self.name not in values:
            raise UnknownVariable(self.name, values, "Y")
        return values[self.name]

    def potentials(self) -> Iterator[Potential]:
        yield self
        for expression in self.nested:
            yield from expression.potentials()

    @property
    def nested(self) -> list[Expression]:
        """The expressions that its intervention sets variables to."""
        return [v for v in _values(self.do) if isinstance(v, Expression)]

    @property
    def world(self) -> str:
        """Its world in symbols."""
        return "" if self.do is None else _text(self.do)

    @property
    def linear(self) -> bool:
        return not self.nested

    @property
    def event(self) -> bool:
        return False

    def __repr__(self) -> str:
        return self.name if self.do is None else f"{self.name}({self.world})"


@dataclass(frozen=True, eq=False)
class _Joined(Expression):
    """Two expressions, or one and a number, with an operation between them."""

    operation: Callable[[Any, Any], Any]
    symbol: str
    left: Any
    right: Any

    def value(self, worlds: Worlds) -> Tensor:
        left, right = (
            side.value(worlds) if isinstance(side, Expression) else side
            for side in (self.left, self.right)
        )
        found: Tensor = self.operation(left, right)
        return found

    def potentials(self) -> Iterator[Potential]:
        for side in (self.left, self.right):
            if isinstance(side, Expression):
                yield from side.potentials()

    @property
    def linear(self) -> bool:
        sides = [side for side in (self.left, self.right) if isinstance(side, Expression)]
        if self.symbol in "+-":
            return all(side.linear for side in sides)
        if self.symbol == "*" or (self.symbol == "/" and not isinstance(self.right, Expression)):
            return len(sides) == 1 and sides[0].linear
        return len({potential.world for potential in self.potentials()}) == 1 and all(
            side.linear for side in sides
        )

    @property
    def event(self) -> bool:
        return self.symbol not in "+-*/"

    def __repr__(self) -> str:
        space = "" if self.symbol in ("=", "!=", "<", "<=", ">", ">=") else " "
        before = "" if self.symbol == "," else space
        left, right = (self._side(side) for side in (self.left, self.right))
        return f"{left}{before}{self.symbol}{space}{right}"

    def _side(self, side: Any) -> str:
        if isinstance(side, _Joined) and (self.symbol in "*/" or side.event != self.event):
            return f"({side!r})"
        return repr(side) if isinstance(side, Expression) else f"{side:g}"


def Y(name: str, do: Any = None) -> Potential:
    """Return a variable as it would be under an intervention, for ``pc.effect``.

    Args:
        name: The variable.
        do: The intervention; ``None`` for the factual world. A mapping's values may be other
            expressions, for nested counterfactuals.

    Example:
        >>> Y("recovery", do={"treated": 1}) - Y("recovery", do={"treated": 0})
        recovery(treated=1) - recovery(treated=0)
        >>> Y("recovery", do={"treated": Y("treated", do={"dose": 0})})
        recovery(treated=treated(dose=0))
        >>> (Y("recovery", do={"treated": 0}) == 0) & (Y("recovery") == 1)
        recovery(treated=0)=0, recovery=1
    """
    if not isinstance(name, str):
        raise TypeError(f"Y() got {name!r}; expected the name of a variable.")
    return Potential(name, do)


def _join(operation: Callable[[Any, Any], Any], symbol: str, left: Any, right: Any) -> Expression:
    for side in (left, right):
        if not isinstance(side, Expression | int | float | bool):
            raise TypeError(
                f"A counterfactual expression was joined with {side!r}; expected a number or "
                "another expression such as pc.Y(name, do=...)."
            )
    return _Joined(operation, symbol, left, right)


def _values(do: Any) -> Iterator[Any]:
    if isinstance(do, Mapping):
        yield from do.values()
    elif isinstance(do, tuple):
        for part in do:
            yield from _values(part)


def _filled(do: Any, worlds: Worlds) -> Any:
    """Put numbers in the place of the expressions that an intervention holds."""
    if isinstance(do, tuple):
        return tuple(_filled(part, worlds) for part in do)
    if not isinstance(do, Mapping):
        return do
    return {
        name: value.value(worlds) if isinstance(value, Expression) else value
        for name, value in do.items()
    }


def _text(do: Any) -> str:
    if not any(isinstance(value, Expression) for value in _values(do)):
        return describe_worlds(read_worlds(do)[0])
    if isinstance(do, tuple):
        return ", ".join(_text(part) for part in do)
    return ", ".join(
        f"{name}={value!r}" if isinstance(value, Expression) else _text({name: value})
        for name, value in do.items()
    )
