"""The query as it was asked: names and values checked, and turned into codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyrocausal.graph.mixed_graph import MixedGraph
from pyrocausal.identification.arrays import NamedArray
from pyrocausal.identification.query_text import Query

__all__ = ["Asked", "written"]

Levels = Mapping[str, npt.NDArray[Any]]
Values = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Asked:
    """A probability or a mean in one world, or its difference between two.

    Attributes:
        outcome: A name, for its mean; or values, for their probability.
        do: What is set.
        versus: What is set in the world that is subtracted.
        given: What is then observed.
    """

    outcome: str | Values
    do: Values
    versus: Values | None
    given: Values

    @property
    def worlds(self) -> tuple[Values, ...]:
        """What is set in each world, one or two."""
        return (self.do,) if self.versus is None else (self.do, self.versus)

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The names of the outcome."""
        return (self.outcome,) if isinstance(self.outcome, str) else tuple(self.outcome)

    def __str__(self) -> str:
        if isinstance(self.outcome, str):
            form = "E[{} | {}]"
            inner = self.outcome
        else:
            form = "P({} | {})"
            inner = written(self.outcome)
        seen = f", {written(self.given)}" if self.given else ""
        return " - ".join(form.format(inner, f"do({written(do)}){seen}") for do in self.worlds)

    def check(self, graph: MixedGraph) -> None:
        """Refuse a query that makes no sense in a graph.

        Raises:
            UnknownVariable: A name is no node.
            TypeError: Values are missing.
            ValueError: A latent variable; a name in two places; no outcome.
        """
        for role, values in (("do", self.do), ("versus", self.versus), ("given", self.given)):
            if values is not None and not isinstance(values, Mapping):
                raise TypeError(
                    f"bounds: got {role}={values!r}; expected values by name, such as "
                    f"{role}={{'X': 1}}."
                )
        if not isinstance(self.outcome, str | Mapping):
            raise TypeError(
                f"bounds: got outcome={self.outcome!r}; expected a name, for its mean, or values "
                "by name, for their probability, such as {'Y': 1}."
            )
        for do in self.worlds:
            Query(self.outcomes, tuple(do), tuple(self.given)).check(graph, "bounds")

    def amount(self, levels: Levels) -> NamedArray:
        """Return what the mean is taken of, with an axis for each outcome."""
        if isinstance(self.outcome, str):
            values = levels[self.outcome]
            if values.dtype.kind not in "biuf":
                raise ValueError(
                    f"bounds: the values of {self.outcome!r} are no numbers "
                    f"({', '.join(map(str, values))}), so it has no mean. Ask for a probability, "
                    f"such as outcome={{{self.outcome!r}: {values[0]!r}}}."
                )
            return NamedArray((self.outcome,), values.astype(np.float64))
        indicator = np.zeros([len(levels[name]) for name in self.outcomes])
        indicator[tuple(self.codes(self.outcome, levels).values())] = 1.0
        return NamedArray(self.outcomes, indicator)

    def codes(self, values: Values, levels: Levels) -> dict[str, int]:
        """Return the places of values among the levels of their variables."""
        return {name: _code(name, value, levels[name]) for name, value in values.items()}


def written(values: Values) -> str:
    """Return values as text, such as ``X=1, Z=0``."""
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _code(name: str, value: Any, levels: npt.NDArray[Any]) -> int:
    places = np.flatnonzero(levels == np.asarray(value))
    if len(places) != 1:
        raise ValueError(
            f"bounds: {name}={value!r} occurs in no row; the rows have "
            f"{', '.join(map(str, levels))}. Ask about one of these values."
        )
    return int(places[0])
