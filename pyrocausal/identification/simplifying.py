"""Sums, products and ratios that simplify as they are built."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from pyrocausal.identification.expressions import (
    ONE,
    Difference,
    Expression,
    Probability,
    Product,
    Ratio,
    Sum,
    factors_of,
)

__all__ = ["divided", "multiplied", "summed", "tidied"]


def multiplied(factors: Iterable[Expression]) -> Expression:
    """Return a product, flat and without ones.

    Example:
        >>> multiplied([ONE, Probability(frozenset("z"))])
        Probability(of=frozenset({'z'}), given=frozenset(), do=frozenset())
    """
    flat = [single for factor in factors for single in factors_of(factor)]
    return flat[0] if len(flat) == 1 else Product(tuple(flat))


def divided(numerator: Expression, denominator: Expression) -> Expression:
    """Return a ratio; equal factors cancel and ``P(A, B | C) / P(B | C) = P(A | B, C)``.

    Example:
        >>> divided(Probability(frozenset("xy")), Probability(frozenset("x")))
        Probability(of=frozenset({'y'}), given=frozenset({'x'}), do=frozenset())
    """
    above, under_above = _levels(numerator)
    under, above_under = _levels(denominator)
    above += above_under
    below = []
    for factor in under + under_above:
        if factor in above:
            above.remove(factor)
        elif not (isinstance(factor, Probability) and _conditioned(above, factor)):
            below.append(factor)
    return Ratio(multiplied(above), multiplied(below)) if below else multiplied(above)


def summed(over: Iterable[str], body: Expression) -> Expression:
    """Return a sum over variables, each left of the bar in one factor of the body at least.

    What is summed out and stands in one factor alone is removed from it; the rest of the sum
    moves inwards.

    Example:
        >>> summed("z", Product((Probability(frozenset("yz")), Probability(frozenset("x")))))
        Product(factors=(Probability(of=frozenset({'y'}), ...), Probability(of=frozenset({'x'}), ...)))
    """
    left, factors = list(over), list(factors_of(body))
    removed = True
    while removed and left:
        removed = False
        for name in reversed(left):
            places = [i for i, factor in enumerate(factors) if name in factor.free]
            reduced = _without(name, factors[places[0]]) if len(places) == 1 else None
            if reduced is not None:
                factors[places[0] : places[0] + 1] = factors_of(reduced)
                left.remove(name)
                removed = True
    return _inwards(left, factors)


def tidied(expression: Expression) -> Expression:
    """Return the expression with ``P(A | B, C) P(B | C)`` joined to ``P(A, B | C)`` throughout.

    Example:
        >>> factors = Probability(frozenset("y"), frozenset("x")), Probability(frozenset("x"))
        >>> tidied(Product(factors)) == Probability(frozenset("xy"))
        True
    """
    match expression:
        case Probability():
            return expression
        case Product(factors):
            return _joined([single for f in factors for single in factors_of(tidied(f))])
        case Ratio(numerator, denominator):
            return divided(tidied(numerator), tidied(denominator))
        case Difference(first, second):
            return Difference(tidied(first), tidied(second))
        case Sum(over, body):
            inner = tidied(body)
            again = summed(sorted(over), inner)
            return again if again == Sum(over, inner) else tidied(again)


def _levels(expression: Expression) -> tuple[list[Expression], list[Expression]]:
    """Return the factors of a product above and below its fraction bar."""
    above: list[Expression] = []
    below: list[Expression] = []
    for factor in factors_of(expression):
        if isinstance(factor, Ratio):
            above.extend(factors_of(factor.numerator))
            below.extend(factors_of(factor.denominator))
        else:
            above.append(factor)
    return above, below


def _conditioned(factors: list[Expression], divisor: Probability) -> bool:
    """Divide one of the factors by ``P(B | C)``, in place; tell whether one could be."""
    for i, factor in enumerate(factors):
        if isinstance(factor, Sum) and not divisor.free & factor.over:
            inside = list(factors_of(factor.body))
            if _conditioned(inside, divisor):
                factors[i] = summed(sorted(factor.over), multiplied(inside))
                return True
        if (
            isinstance(factor, Probability)
            and divisor.of < factor.of
            and (divisor.given, divisor.do) == (factor.given, factor.do)
        ):
            factors[i] = Probability(factor.of - divisor.of, divisor.of | factor.given, factor.do)
            return True
    return False


def _without(name: str, factor: Expression) -> Expression | None:
    """Return the sum of one factor over one variable, or None where it takes a sum sign."""
    match factor:
        case Probability(of, given, do) if name in of:
            return Probability(of - {name}, given, do) if len(of) > 1 else ONE
        case Ratio(numerator, denominator) if name not in denominator.free:
            return divided(summed([name], numerator), denominator)
        case Sum(over, body):
            return summed([name, *sorted(over)], body)
    return None


def _inwards(over: Collection[str], factors: Sequence[Expression]) -> Expression:
    """Return the product of one sum for each group of factors that share summed variables."""
    groups: list[tuple[frozenset[str], list[int]]] = []
    for i, factor in enumerate(factors):
        names, members = factor.free & set(over), [i]
        for group in [group for group in groups if group[0] & names]:
            groups.remove(group)
            names, members = names | group[0], sorted(members + group[1])
        groups.append((names, members))
    parts: list[Expression] = []
    for names, members in sorted(groups, key=lambda group: group[1][0]):
        body = multiplied(factors[i] for i in members)
        parts.append(Sum(names, body) if names else body)
    return multiplied(parts)


def _joined(factors: list[Expression]) -> Expression:
    """Return the product of factors, with each pair that the chain rule joins made one."""
    for i, first in enumerate(factors):
        for j, second in enumerate(factors):
            if (
                isinstance(first, Probability)
                and isinstance(second, Probability)
                and first.do == second.do
                and first.given == second.of | second.given
            ):
                joined = Probability(first.of | second.of, second.given, first.do)
                return _joined([joined if k == i else f for k, f in enumerate(factors) if k != j])
    return multiplied(factors)
