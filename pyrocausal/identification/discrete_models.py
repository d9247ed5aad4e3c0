"""Discrete models with latent causes, small enough to be enumerated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from pyrocausal.graph.mixed_graph import MixedGraph
from pyrocausal.identification.tables import Array, DiscreteTable

__all__ = ["DiscreteModel"]


@dataclass(frozen=True, eq=False)
class DiscreteModel:
    """A structural model whose variables take few values, with its exact distributions.

    Attributes:
        observed: The variables that a distribution is over, in the order of its axes.
        tables: Variable, latent ones too, to its parents and ``P(variable | parents)``, an axis
            for each parent and the last for the variable.

    Example:
        >>> coin = (), np.array([0.5, 0.5])
        >>> copy = ("X",), np.eye(2)
        >>> DiscreteModel(("X", "Y"), {"X": coin, "Y": copy}).law()
        array([[0.5, 0. ],
               [0. , 0.5]])
    """

    observed: tuple[str, ...]
    tables: Mapping[str, tuple[tuple[str, ...], Array]]

    @classmethod
    def random(cls, graph: MixedGraph, seed: int, states: int = 2) -> DiscreteModel:
        """Draw a model of a graph; latent nodes and each bidirected edge are latent causes."""
        rng = np.random.default_rng(seed)
        explicit = graph.explicit()
        tables = {}
        for node in explicit.topological_order():
            parents = tuple(explicit.predecessors(node))
            shape = (states,) * len(parents)
            tables[node] = parents, rng.dirichlet(np.ones(states), shape)
        return cls(tuple(n for n in explicit if n not in explicit.latent), tables)

    def law(self, do: Iterable[str] = ()) -> Array:
        """Return ``P(observed | do)``; along the axes of what is set run the values it is set to."""
        acted = set(do)
        place = {name: i for i, name in enumerate(self.tables)}
        operands: list[object] = []
        for name, (parents, table) in self.tables.items():
            values = np.ones(table.shape[-1]) if name in acted else table
            axes = [name] if name in acted else [*parents, name]
            operands += [values, [place[axis] for axis in axes]]
        out = [place[name] for name in self.observed]
        law: Array = np.einsum(*operands, out, optimize=len(place) > 12)  # type: ignore[call-overload]
        return law

    def table(self, do: Iterable[str] = ()) -> DiscreteTable:
        """Return the distribution as a table to evaluate an estimand on.

        After an action, what is set takes each of its values equally often.
        """
        acted = set(do)
        law = self.law(acted)
        states = np.indices(law.shape).reshape(law.ndim, -1)
        worlds = np.prod(
            [n for n, name in zip(law.shape, self.observed, strict=True) if name in acted]
        )
        return DiscreteTable(
            {name: np.arange(n) for name, n in zip(self.observed, law.shape, strict=True)},
            dict(zip(self.observed, states, strict=True)),
            law.reshape(-1) / worlds,
        )

    def effect(
        self, outcome: Iterable[str], do: Iterable[str], given: Iterable[str] = ()
    ) -> Array:
        """Return ``P(outcome | do, given)``, axes in this order: do, given, outcome."""
        acted, seen, asked = tuple(do), tuple(given), tuple(outcome)
        law = self.law(acted)
        hidden = set(self.observed) - {*acted, *seen, *asked}
        law = law.sum(tuple(i for i, name in enumerate(self.observed) if name in hidden))
        names = [name for name in self.observed if name not in hidden]
        law = law.transpose([names.index(name) for name in (*acted, *seen, *asked)])
        total: Array = law.sum(tuple(range(law.ndim - len(asked), law.ndim)), keepdims=True)
        effect: Array = law / total
        return effect
