"""What `pyrocausal.bounds` returns: a card with two numbers and what they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pyrocausal.bounding.response_functions import ResponseFunctions
from pyrocausal.results import RUNGS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Bounds", "Witness"]

_LEAST_SHARE = 1e-12


@dataclass(frozen=True, eq=False)
class Witness:
    """A law over response functions that attains an end: with it the model is explicit.

    A latent common cause picks a type; each node then takes the value that the type's function
    has at the values of its parents.

    Attributes:
        parents: Node to its parents; its keys are the c-component, causes first.
        functions: Node to the places of its values, shape ``(types, *sizes of the parents)``.
        probabilities: Probability of each type, shape ``(types,)``.

    Example:
        >>> import pandas as pd
        >>> import pyrocausal as pc
        >>> bow = pc.CausalGraph([("X", "Y")], bidirected=[("X", "Y")])
        >>> table = pd.DataFrame({"X": [0, 1], "Y": [0, 1], "p": [0.5, 0.5]})
        >>> low, high = pc.bounds(bow, table, "Y", do={"X": 1}, weights="p").witnesses
        >>> print(high.functions["X"], high.functions["Y"][:, 1], high.probabilities)
        [0 1] [1 1] [0.5 0.5]
    """

    parents: Mapping[str, tuple[str, ...]]
    functions: Mapping[str, npt.NDArray[np.intp]]
    probabilities: npt.NDArray[np.float64]

    @classmethod
    def of(cls, types: ResponseFunctions, law: npt.NDArray[np.float64]) -> Witness:
        """Return the law without the types that never occur."""
        kept = np.flatnonzero(law > _LEAST_SHARE)
        functions = {n: types.functions[n][types.function_of[n][kept]] for n in types.nodes}
        return cls(types.parents, functions, law[kept] / law[kept].sum())


@dataclass(frozen=True)
class Bounds:
    """The range of answers that a graph, data and assumptions leave open.

    Attributes:
        query: The question in symbols.
        lower: Least answer.
        upper: Greatest answer.
        sharp: Whether some model of the graph with the same table attains each end.
        interval: Limits that hold the bounds of the population with probability 95 % or more;
            None for a table of exact probabilities, or where they can't be computed.
        route: How the ends were had.
        distance: Kullback-Leibler distance of the table from the model that it was projected on,
            in nats a row.
        rows: Number of rows; None for a table of exact probabilities.
        assumptions: What the answer rests on and the data can't check.
        witnesses: Two laws that attain the ends, where a program was solved.
        rung: 2 doing, 3 imagining.

    Example:
        >>> import pandas as pd
        >>> import pyrocausal as pc
        >>> bow = pc.CausalGraph([("X", "Y")], bidirected=[("X", "Y")])
        >>> table = pd.DataFrame({"X": [0, 0, 1], "Y": [0, 1, 1], "p": [0.3, 0.1, 0.6]})
        >>> found = pc.bounds(bow, table, {"Y": 1}, do={"X": 1}, weights="p")
        >>> print(f"[{found.lower:.1f}, {found.upper:.1f}], width {found.width:.1f}, {found.sharp}")
        [0.6, 1.0], width 0.4, True
    """

    query: str
    lower: float
    upper: float
    sharp: bool
    interval: tuple[float, float] | None
    route: str
    distance: float
    rows: int | None
    assumptions: tuple[str, ...]
    witnesses: tuple[Witness, Witness] | None = field(default=None, repr=False, compare=False)
    rung: int = 2

    @property
    def width(self) -> float:
        """Upper less lower end."""
        return self.upper - self.lower

    def to_frame(self) -> pd.DataFrame:
        """Return a table of one row."""
        import pandas as pd

        low, high = self.interval or (np.nan, np.nan)
        row = {
            "lower": self.lower,
            "upper": self.upper,
            "sharp": self.sharp,
            "interval lower": low,
            "interval upper": high,
            "distance": self.distance,
        }
        return pd.DataFrame(row, index=pd.Index([self.query], name="query"))

    def __str__(self) -> str:
        sharp = (
            "yes, a model of the graph with this table attains each end"
            if self.sharp
            else "not claimed: valid, but a narrower range may hold"
        )
        lines = [
            f"{self.query} in [{self.lower:.4f}, {self.upper:.4f}]",
            f"rung: {RUNGS[self.rung]}",
            f"sharp: {sharp}",
            f"route: {self.route}",
        ]
        if self.rows is not None:
            ends = "[{:.4f}, {:.4f}]".format(*self.interval) if self.interval else "none"
            lines.append(f"95 % interval (outer, {self.rows} rows): {ends}")
        if self.distance > 0:
            lines.append(f"projected on the model, at {self.distance:.3g} nats a row")
        return "\n".join([*lines, *(f"assumes: {text}" for text in self.assumptions)])
