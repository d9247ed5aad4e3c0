"""Arrays whose axes have names: products and sums of tables that line up by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod

import numpy as np

from pyrocausal.identification.tables import MOST_CELLS, Array

__all__ = ["NamedArray", "product", "sum_product"]


@dataclass(frozen=True, eq=False)
class NamedArray:
    """An array with a name for each axis.

    Attributes:
        names: Names of the axes.
        values: Values; NaN where a probability is conditioned on what never happens.
    """

    names: tuple[str, ...]
    values: Array

    def sum(self, name: str) -> NamedArray:
        """Return the sum over one axis."""
        axis = self.names.index(name)
        return NamedArray(self.names[:axis] + self.names[axis + 1 :], self.values.sum(axis))

    def aligned(self, names: Sequence[str]) -> Array:
        """Return the values with axes in the order of ``names``, of length 1 where absent."""
        order = [self.names.index(name) for name in names if name in self.names]
        absent = [i for i, name in enumerate(names) if name not in self.names]
        return np.expand_dims(self.values.transpose(order), absent)

    def times(self, other: NamedArray) -> NamedArray:
        """Return the product; an exact 0 times what is undefined is 0."""
        names = _union([self, other])
        a, b = self.aligned(names), other.aligned(names)
        return NamedArray(names, np.where((a == 0) | (b == 0), 0.0, a * b))

    def minus(self, other: NamedArray) -> NamedArray:
        """Return the difference."""
        names = _union([self, other])
        return NamedArray(names, self.aligned(names) - other.aligned(names))

    def over(self, other: NamedArray) -> NamedArray:
        """Return the ratio; undefined where the denominator is 0."""
        names = _union([self, other])
        a, b = self.aligned(names), other.aligned(names)
        return NamedArray(
            names, np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=b != 0)
        )


def product(arrays: Iterable[NamedArray]) -> NamedArray:
    """Return the product of arrays; 1 without any."""
    return reduce(NamedArray.times, arrays, NamedArray((), np.array(1.0)))


def sum_product(names: Iterable[str], arrays: Iterable[NamedArray]) -> NamedArray:
    """Return the product of arrays summed over some axes, one at a time, the cheapest first."""
    left, factors = sorted(names), list(arrays)
    while left:
        cost = {name: _cells([f for f in factors if name in f.names]) for name in left}
        name = min(left, key=cost.__getitem__)
        if cost[name] > MOST_CELLS:
            raise ValueError(
                f"evaluate: the sum over {name!r} needs a table of {cost[name]:.2g} cells; at most "
                f"{MOST_CELLS:.0e} are tried. Merge values of the variables, or estimate by a model."
            )
        touched = [f for f in factors if name in f.names]
        factors = [f for f in factors if name not in f.names] + [product(touched).sum(name)]
        left.remove(name)
    return product(factors)


def _union(arrays: Iterable[NamedArray]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for array in arrays for name in array.names))


def _cells(arrays: Sequence[NamedArray]) -> int:
    lengths = {n: size for a in arrays for n, size in zip(a.names, a.values.shape, strict=True)}
    return prod(lengths.values())
