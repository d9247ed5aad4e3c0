"""The expression tree of an estimand: probabilities, sums, products and ratios."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

__all__ = [
    "ONE",
    "Difference",
    "Expression",
    "Probability",
    "Product",
    "Ratio",
    "Sum",
    "factors_of",
    "parts_of",
    "probabilities_in",
    "probability",
    "renamed",
    "size",
    "variable_of",
    "verdict_of",
]

# Names are scoped as in a programming language: inside a sum over x, x is the sum's own; outside,
# it is the value that the query fixes, or a free one. A second value of a variable, as in
# counterfactuals, is the name with a prime.

Nodes = frozenset[str]


@dataclass(frozen=True)
class Probability:
    """``P(of | do(do), given)``, read off the table of the experiment ``do`` (or observation)."""

    of: Nodes
    given: Nodes = frozenset()
    do: Nodes = frozenset()

    @cached_property
    def free(self) -> Nodes:
        """The names whose values it depends on."""
        return self.of | self.given | self.do


@dataclass(frozen=True)
class Sum:
    """The sum of ``body`` over all values of the variables ``over``."""

    over: Nodes
    body: Expression

    @cached_property
    def free(self) -> Nodes:
        """The names whose values it depends on."""
        return self.body.free - self.over


@dataclass(frozen=True)
class Product:
    """The product of its factors; 1 without any."""

    factors: tuple[Expression, ...]

    @cached_property
    def free(self) -> Nodes:
        """The names whose values it depends on."""
        return frozenset[str]().union(*(factor.free for factor in self.factors))


@dataclass(frozen=True)
class Ratio:
    """``numerator / denominator``."""

    numerator: Expression
    denominator: Expression

    @cached_property
    def free(self) -> Nodes:
        """The names whose values it depends on."""
        return self.numerator.free | self.denominator.free


@dataclass(frozen=True)
class Difference:
    """``first - second``."""

    first: Expression
    second: Expression

    @cached_property
    def free(self) -> Nodes:
        """The names whose values it depends on."""
        return self.first.free | self.second.free


Expression = Probability | Sum | Product | Ratio | Difference

ONE = Product(())


def probability(
    of: Iterable[str], given: Iterable[str] = (), do: Iterable[str] = ()
) -> Probability:
    """Return ``P(of | do(do), given)``.

    Example:
        >>> probability("y", "xz").free == {"x", "y", "z"}
        True
    """
    return Probability(frozenset(of), frozenset(given), frozenset(do))


def factors_of(expression: Expression) -> tuple[Expression, ...]:
    """Return the factors of a product; anything else is its own only factor."""
    return expression.factors if isinstance(expression, Product) else (expression,)


def variable_of(name: str) -> str:
    """Return the variable whose value a name stands for.

    Example:
        >>> variable_of("X'")
        'X'
    """
    return name.rstrip("'")


def parts_of(expression: Expression) -> tuple[Expression, ...]:
    """Return the expressions that an expression is directly made of."""
    match expression:
        case Probability():
            return ()
        case Sum(_, body):
            return (body,)
        case Product(factors):
            return factors
        case Ratio(numerator, denominator):
            return numerator, denominator
        case Difference(first, second):
            return first, second


def renamed(expression: Expression, names: Mapping[str, str]) -> Expression:
    """Return the expression with other names for the values that it depends on.

    Example:
        >>> names = {"x": "x'", "z": "z'"}
        >>> renamed(Sum(frozenset("z"), probability("y", "xz")), names).free == {"y", "x'"}
        True
    """
    match expression:
        case Probability(of, given, do):
            sets = ([names.get(name, name) for name in part] for part in (of, given, do))
            return probability(*sets)
        case Sum(over, body):
            free = {name: new for name, new in names.items() if name not in over}
            return Sum(over, renamed(body, free))
        case Product(factors):
            return Product(tuple(renamed(factor, names) for factor in factors))
        case Ratio(numerator, denominator):
            return Ratio(renamed(numerator, names), renamed(denominator, names))
        case Difference(first, second):
            return Difference(renamed(first, names), renamed(second, names))


def probabilities_in(expression: Expression) -> Iterator[Probability]:
    """Yield the probabilities in an expression, from left to right."""
    if isinstance(expression, Probability):
        yield expression
    for part in parts_of(expression):
        yield from probabilities_in(part)


def verdict_of(expression: Expression) -> str:
    """Return what an expression is read off: ``"observation"``, or ``"experiments"`` too.

    Example:
        >>> verdict_of(probability("y", do="x"))
        'experiments'
    """
    return "experiments" if any(p.do for p in probabilities_in(expression)) else "observation"


def size(expression: Expression) -> int:
    """Return how many symbols an expression is written with.

    Example:
        >>> size(Sum(frozenset("z"), Product((probability("y", "xz"), probability("z")))))
        5
    """
    own = 0
    match expression:
        case Probability(of, given, do):
            own = len(of) + len(given) + len(do)
        case Sum(over, _):
            own = len(over)
    return own + sum(map(size, parts_of(expression)))
