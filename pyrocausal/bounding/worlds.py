"""The query in one world: its c-factors put together, exactly or as intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pyrocausal.bounding.terms import Open, Tabled, Term
from pyrocausal.identification.admg import Admg, Nodes
from pyrocausal.identification.arrays import NamedArray, sum_product
from pyrocausal.identification.do_calculus import conditions_that_act

__all__ = ["Linear", "Range", "World", "impossible_condition"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Range:
    """An answer between two numbers.

    Attributes:
        low: The least.
        high: The greatest.
        known: Whether the table gives the answer, so that the two are one.
    """

    low: float
    high: float
    known: bool


@dataclass(frozen=True, eq=False)
class Linear:
    """An answer that is the expectation of an amount over types, or a ratio of two.

    Attributes:
        open: The c-factor that is open, with its laws over types.
        amount: Value of each type, shape ``(types,)``.
        per: The denominator's value, for a conditional.
    """

    open: Open
    amount: Array
    per: Array | None = None


@dataclass(frozen=True, eq=False)
class World:
    r"""``E[f(Y) | do(x), z]``, by Tian's form of the ID algorithm.

    .. math:: P(y, z \mid do(x)) = \sum_{D \setminus (Y \cup Z)} \prod_i Q[D_i],
        \quad D = An(Y \cup Z) \text{ in } G[V \setminus X]

    A condition that acts as an action does (rule 2 of the do-calculus) is made one first.

    Attributes:
        g: The graph.
        amount: f, an axis for each outcome.
        do: Codes of what is set.
        given: Codes of what is then observed.
    """

    g: Admg
    amount: NamedArray
    do: Mapping[str, int]
    given: Mapping[str, int]

    @classmethod
    def of(
        cls, g: Admg, amount: NamedArray, do: Mapping[str, int], given: Mapping[str, int]
    ) -> World:
        """Return the query with as many conditions as possible turned into actions."""
        acting = conditions_that_act(g, amount.names, do, given)
        acts = {**do, **{name: given[name] for name in g.sorted(acting)}}
        return cls(g, amount, acts, {n: code for n, code in given.items() if n not in acting})

    @property
    def fixed(self) -> Mapping[str, int]:
        """Codes of all that is set or observed."""
        return {**self.do, **self.given}

    @property
    def inner(self) -> tuple[Nodes, ...]:
        """The sets ``D_i`` whose c-factors the query is made of."""
        acted = self.g.induced(self.g.nodes - self.do.keys())
        relevant = acted.ancestors({*self.amount.names, *self.given})
        return acted.induced(relevant).districts

    def answer(self, term: Callable[[Nodes], Term]) -> Range | Linear:
        """Return the answer, linear in a law over types if one c-factor at most is open.

        Raises:
            ValueError: The condition has probability 0.
        """
        terms = [term(nodes) for nodes in self.inner]
        uncertain = [t for t in terms if not (isinstance(t, Tabled) and t.known)]
        left = [t for t in uncertain if isinstance(t, Open)]
        if left and len(left) == len(uncertain) and len({t.types.nodes for t in left}) == 1:
            # Parts of one c-component are jointly linear in its law: Q[C1] Q[C2] = Q[C1 + C2].
            whole = frozenset[str]().union(*(t.nodes for t in left))
            numbers = [t.ends[0] for t in terms if t not in left]
            return self._linear(replace(left[0], nodes=whole), numbers)
        return self._range([t.ends for t in terms], not uncertain)

    def _linear(self, term: Open, numbers: list[NamedArray]) -> Linear:
        kept = set(term.names)
        fixed = {name: code for name, code in self.fixed.items() if name in kept}
        factors = [_at(number, self.fixed, kept) for number in numbers]
        factors += [_indicator(n, term.types.sizes[n], code) for n, code in fixed.items()]

        def amount(*more: NamedArray) -> Array:
            arrays = [*factors, *more]
            hidden = {name for array in arrays for name in array.names} - kept
            return term.amount(sum_product(hidden, arrays))

        return Linear(term, amount(self.amount), amount() if self.given else None)

    def _range(self, ends: list[tuple[NamedArray, NamedArray]], known: bool) -> Range:
        low, high = (self._joint([pair[i] for pair in ends]) for i in (0, 1))
        high = np.minimum(high, 1.0)
        if self.given:
            if not high.any():
                raise impossible_condition()
            low, high = _conditional(low, high)
        f = self.amount.values.reshape(-1)
        return Range(-_greatest(-f, low, high), _greatest(f, low, high), known)

    def _joint(self, factors: list[NamedArray]) -> Array:
        """Return the sum of a product of c-factors, for each value of the outcome."""
        at = [_at(factor, self.fixed, set()) for factor in factors]
        outcome = self.amount.names
        hidden = {name for factor in at for name in factor.names} - set(outcome)
        values = sum_product(hidden, at).aligned(outcome)
        return np.broadcast_to(values, self.amount.values.shape).reshape(-1)


def impossible_condition() -> ValueError:
    """Return the error about values in ``given`` that don't occur after the action."""
    return ValueError(
        "bounds: no model of the graph gives the condition a positive probability after the "
        "action. Ask given= about values that can occur then."
    )


def _at(array: NamedArray, fixed: Mapping[str, int], keep: set[str]) -> NamedArray:
    """Return an array at what the query fixes, except for some axes."""
    place = tuple(
        slice(None) if name in keep else fixed.get(name, slice(None)) for name in array.names
    )
    names = tuple(n for n, index in zip(array.names, place, strict=True) if index == slice(None))
    return NamedArray(names, array.values[place])


def _indicator(name: str, size: int, code: int) -> NamedArray:
    return NamedArray((name,), np.eye(size)[code])


def _conditional(low: Array, high: Array) -> tuple[Array, Array]:
    """Return the ends of ``N / sum N`` from those of ``N``."""
    least, greatest = low + high.sum() - high, high + low.sum() - low
    return (
        np.divide(low, least, out=np.zeros_like(low), where=least > 0),
        np.divide(high, greatest, out=np.ones_like(high), where=greatest > 0),
    )


def _greatest(f: Array, low: Array, high: Array) -> float:
    """Return the greatest mean of f under probabilities between two limits that sum to 1."""
    p = low.copy()
    left = 1.0 - p.sum()
    for i in np.argsort(-f, kind="stable"):
        step = min(max(left, 0.0), high[i] - low[i])
        p[i] += step
        left -= step
    return float(f @ p)
