"""An estimand as a list of conditional distributions, each value with a name of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count

from pyrocausal.identification.expressions import (
    Difference,
    Expression,
    Probability,
    Product,
    Ratio,
    Sum,
    variable_of,
)

__all__ = ["Factor", "Value", "unfolded"]


@dataclass(frozen=True, order=True)
class Value:
    """One of the values that a variable has in a formula.

    Attributes:
        variable: The variable.
        copy: 0 outside of sums; a number of its own for each sum.
    """

    variable: str
    copy: int = 0


@dataclass(frozen=True)
class Factor:
    """``P(of | given)`` in a product."""

    of: frozenset[Value]
    given: frozenset[Value]


def unfolded(expression: Expression) -> list[Factor]:
    """Return the factors of a sum of products, what is summed over being renamed apart.

    Raises:
        ValueError: A ratio or a difference, or a distribution from an experiment.

    Example:
        >>> from pyrocausal.identification.expressions import probability
        >>> sum_z = Sum(frozenset("z"), Product((probability("y", "z"), probability("z"))))
        >>> [sorted(f"{v.variable}{v.copy}" for v in f.of) for f in unfolded(sum_z)]
        [['y0'], ['z1']]
    """
    return list(_unfolded(expression, {}, count(1)))


def _unfolded(
    expression: Expression, names: Mapping[str, Value], copies: Iterator[int]
) -> Iterator[Factor]:
    match expression:
        case Probability(of, given, do):
            if do:
                raise ValueError(
                    f"estimate: the formula needs the experiment do({', '.join(sorted(do))}); "
                    "plug-in reads one table of observations. Use evaluate, for discrete variables."
                )
            values = [
                frozenset(names.get(name, Value(variable_of(name))) for name in part)
                for part in (of, given)
            ]
            yield Factor(*values)
        case Sum(over, body):
            inside = {name: Value(variable_of(name), next(copies)) for name in sorted(over)}
            yield from _unfolded(body, {**names, **inside}, copies)
        case Product(parts):
            for part in parts:
                yield from _unfolded(part, names, copies)
        case Ratio() | Difference():
            raise ValueError(
                "estimate: plug-in draws from sums of products, and from one ratio of them; this "
                "formula has a ratio inside. Use evaluate, with continuous variables cut into "
                "classes."
            )
