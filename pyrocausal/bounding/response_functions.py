"""Response functions: how the nodes of a c-component react to their parents, listed one by one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt

from pyrocausal.bounding.monotone import monotone_in
from pyrocausal.identification.admg import Admg
from pyrocausal.identification.assumptions import Monotone

__all__ = ["MOST_TYPES", "Codes", "ResponseFunctions", "TooManyTypes"]

Codes = npt.NDArray[np.intp]

MOST_TYPES = 200_000
"""Response functions that a program may have."""


class TooManyTypes(ValueError):
    """A c-component with more response functions than can be listed."""


@dataclass(frozen=True, eq=False)
class ResponseFunctions:
    """All joint reactions of some nodes to their parents.

    A *type* is one response function for each node; a law over types, the same in all contexts,
    is what a latent common cause of the nodes amounts to.

    Attributes:
        nodes: The nodes, causes first.
        parents: Node to its parents, inside and outside.
        sizes: Number of values of each node and parent.
        functions: Node to its response functions, shape ``(functions, *sizes of the parents)``.
    """

    nodes: tuple[str, ...]
    parents: Mapping[str, tuple[str, ...]]
    sizes: Mapping[str, int]
    functions: Mapping[str, Codes]

    @classmethod
    def of(
        cls,
        g: Admg,
        nodes: Collection[str],
        sizes: Mapping[str, int],
        monotone: Sequence[Monotone] = (),
    ) -> ResponseFunctions:
        """List the response functions of some nodes of a graph, less those that are assumed away.

        Raises:
            TooManyTypes: There are more than ``MOST_TYPES``.
        """
        ordered = g.sorted(nodes)
        parents = {node: g.sorted(g.parents[node]) for node in ordered}
        functions = {}
        for node in ordered:
            every = _functions(node, sizes[node], [sizes[name] for name in parents[node]])
            for assumption in monotone:
                if assumption.effect == node:
                    axis = parents[node].index(assumption.cause)
                    every = every[monotone_in(every, axis + 1, assumption.sign)]
            functions[node] = every
        counts = {node: len(table) for node, table in functions.items()}
        if prod(counts.values()) > MOST_TYPES:
            worst = max(counts, key=counts.__getitem__)
            raise _too_many(worst, counts[worst], ordered, prod(counts.values()))
        return cls(ordered, parents, sizes, functions)

    @property
    def count(self) -> int:
        """The number of types."""
        return prod(len(table) for table in self.functions.values())

    @cached_property
    def outside(self) -> tuple[str, ...]:
        """The parents outside."""
        return self.inputs(self.nodes)

    def inputs(self, inner: Collection[str]) -> tuple[str, ...]:
        """Return the parents of some of the nodes, less these nodes themselves."""
        names = (name for node in self.nodes if node in inner for name in self.parents[node])
        return tuple(dict.fromkeys(name for name in names if name not in inner))

    @cached_property
    def function_of(self) -> Mapping[str, Codes]:
        """Node to the place of each type's function among its functions, shape ``(types,)``."""
        shape = [len(self.functions[node]) for node in self.nodes]
        places = np.unravel_index(np.arange(self.count), shape)
        return dict(zip(self.nodes, places, strict=True))

    def run(
        self, types: Mapping[str, Codes], values: Mapping[str, Codes | int]
    ) -> dict[str, Codes | int]:
        """Return the nodes' values under some values of the parents.

        Args:
            types: Node to the place of its function, shape ``(types,)``; nodes that are not here
                are set, by ``values``.
            values: Value of each other node and parent.
        """
        out = dict(values)
        for node in self.nodes:
            if node in types:
                seen = tuple(out[name] for name in self.parents[node])
                out[node] = self.functions[node][(types[node], *seen)]
        return out

    def cells(self, inner: Collection[str]) -> Codes:
        """Return which values some nodes take when all other nodes are set.

        Args:
            inner: C, a set of nodes.

        Returns:
            Place among the joint values of C of what each type gives in each context, an
            assignment of ``inputs(C)``; shape ``(contexts, types)``.
        """
        moving = [node for node in self.nodes if node in inner]
        types = {node: self.function_of[node] for node in moving}
        shape = [self.sizes[node] for node in moving]
        rows = []
        for context in np.ndindex(*(self.sizes[name] for name in self.inputs(inner))):
            values = self.run(types, dict(zip(self.inputs(inner), context, strict=True)))
            rows.append(np.ravel_multi_index([values[node] for node in moving], shape))
        return np.array(rows)


def _functions(node: str, size: int, parents: Sequence[int]) -> Codes:
    """Return all functions from the parents' values to the node's."""
    inputs = prod(parents)
    # The exponent first: the power itself may not fit into any memory.
    if inputs * np.log(size) > np.log(MOST_TYPES) + 1e-9:
        raise _too_many(node, float(size) ** min(inputs, 300), [node], None)
    count = size**inputs
    digits = np.arange(count)[:, None] // size ** np.arange(inputs)[None, ::-1] % size
    return digits.reshape(count, *parents)


def _too_many(
    node: str, functions: float, nodes: Sequence[str], total: float | None
) -> TooManyTypes:
    together = f", the c-component {{{', '.join(nodes)}}} {total:.3g}" if total else ""
    assume = f", or assume that {node!r} increases in one of them" if total else ""
    return TooManyTypes(
        f"bounds: {node!r} has {functions:.3g} response functions{together}; at most "
        f"{MOST_TYPES:,} can be listed. Merge values of {node!r} or of its parents, drop parents"
        f"{assume}."
    )
