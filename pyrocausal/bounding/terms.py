"""One c-factor of a query: limits for each cell, or what is left to a linear program."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pyrocausal.bounding.c_factors import Factor, reductions
from pyrocausal.bounding.components import Component
from pyrocausal.bounding.program import Laws
from pyrocausal.bounding.projection import project
from pyrocausal.bounding.response_functions import ResponseFunctions, TooManyTypes
from pyrocausal.identification.admg import Nodes
from pyrocausal.identification.arrays import NamedArray

__all__ = ["Open", "Tabled", "Term", "exact_term", "limited_term"]

Array = npt.NDArray[np.float64]
Codes = Mapping[str, int]
Ends = tuple[NamedArray, NamedArray]


@dataclass(frozen=True, eq=False)
class Tabled:
    """A c-factor ``Q[C]`` with limits for each cell.

    Attributes:
        nodes: C.
        ends: Least and greatest values; one and the same array where they are known.
    """

    nodes: Nodes
    ends: Ends

    @property
    def known(self) -> bool:
        """Whether each cell is one number."""
        return self.ends[0] is self.ends[1]


@dataclass(frozen=True, eq=False)
class Open:
    """A c-factor ``Q[C]`` that is linear in the law of response functions of T, around C.

    Attributes:
        nodes: C.
        types: The response functions of T.
        laws: The laws that the table allows.
        whole: Whether T is a c-component of the graph, rather than a part of one.
        fixed: Codes of what the query fixes.
    """

    nodes: Nodes
    types: ResponseFunctions
    laws: Laws
    whole: bool
    fixed: Codes

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The axes of ``Q[C]``."""
        own = (node for node in self.types.nodes if node in self.nodes)
        return (*self.types.inputs(self.nodes), *own)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        return tuple(self.types.sizes[name] for name in self.names)

    @cached_property
    def _cells(self) -> npt.NDArray[np.intp]:
        return self.types.cells(self.nodes)

    def amount(self, coefficient: NamedArray) -> Array:
        """Return the value of each type in the sum of ``Q[C]`` with coefficients."""
        table = np.broadcast_to(coefficient.aligned(self.names), self.shape)
        table = table.reshape(len(self._cells), -1)
        return np.asarray(np.take_along_axis(table, self._cells, 1).sum(0))

    @cached_property
    def ends(self) -> Ends:
        """Least and greatest value of each cell that the query reads."""
        low, high = np.zeros(self.shape), np.zeros(self.shape)
        fixed = [self.fixed.get(name) for name in self.names]
        for cell in np.ndindex(*self.shape):
            if all(code in (None, i) for code, i in zip(fixed, cell, strict=True)):
                one = np.zeros(self.shape)
                one[cell] = 1.0
                ends = self.laws.range(self.amount(NamedArray(self.names, one)))
                low[cell], high[cell] = np.clip(ends, 0, 1)
        return NamedArray(self.names, low), NamedArray(self.names, high)


Term = Tabled | Open


def exact_term(component: Component, inner: Nodes, fixed: Codes) -> Term:
    """Return ``Q[C]``, a number where Tian's algorithm gives it, else left to a program.

    Raises:
        TooManyTypes: It is left to a program with too many response functions.
    """
    chain = list(reductions(component.g, inner, component.factor))
    last = chain[-1]
    if last.nodes == inner and _defined(last.values, fixed):
        return Tabled(inner, (last.values, last.values))
    # The greatest set on Tian's way says most of the law: what was summed out counts too.
    for factor in chain[:-1]:
        with suppress(TooManyTypes):
            return _open(component, factor, inner, fixed)
    return _open(component, last, inner, fixed)


def limited_term(component: Component, inner: Nodes, fixed: Codes, ends: Ends) -> Term:
    """Return ``Q[C]`` where ``Q[S]`` is known between limits.

    Raises:
        TooManyTypes: ``C`` is a part of S, which has too many response functions.
    """
    if inner == component.nodes and not component.monotone:
        return Tabled(inner, ends)
    types = component.listed()
    low, high = (_flat(types, end) for end in ends)
    return Open(inner, types, Laws(types.cells(types.nodes), low, high), True, fixed)


def _open(component: Component, factor: Factor, inner: Nodes, fixed: Codes) -> Open:
    """Return ``Q[C]`` as left to the program of ``Q[T]``."""
    types = component.listed(factor.nodes)
    whole = factor.nodes == component.nodes
    table, cells = _flat(types, factor.values), types.cells(types.nodes)
    laws = Laws(cells, table, table)
    if not whole and not laws.feasible():
        # Q[S], too large to be projected, left Q[T] with its sampling error.
        share = np.nan_to_num(table)
        image = np.where(np.isnan(table), np.nan, project(cells, share / share.sum())[0])
        laws = Laws(cells, image, image)
    return Open(inner, types, laws, whole, fixed)


def _flat(types: ResponseFunctions, values: NamedArray) -> Array:
    """Return a c-factor, a row for each context of all nodes."""
    table = values.aligned((*types.outside, *types.nodes))
    return table.reshape(-1, int(np.prod([types.sizes[node] for node in types.nodes])))


def _defined(array: NamedArray, fixed: Codes) -> bool:
    """Tell whether every cell that the query reads has a number."""
    place = tuple(fixed.get(name, slice(None)) for name in array.names)
    return not np.isnan(array.values[place]).any()
