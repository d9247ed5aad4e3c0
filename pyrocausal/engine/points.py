"""Points: rows of values of all that a program depends on, where it can be pinned."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, TypeVar

import torch
from torch import Tensor

from pyrocausal.engine.pinning import SitesChanged, run_pinned
from pyrocausal.engine.rows import Program
from pyrocausal.engine.tracing import Anatomy, seed_all
from pyrocausal.errors import NotVectorized

__all__ = ["BREAKDOWNS", "Column", "Points", "unbroken"]

Found = TypeVar("Found")

BREAKDOWNS: Final = (RuntimeError, ValueError, IndexError)
"""How a program fails where values are out of its range."""


class Column(NamedTuple):
    """What varies from row to row: a variable, or an input of the program."""

    name: str
    given: bool = False


@dataclass(frozen=True)
class Points:
    """Values of all that a program depends on, on rows.

    Attributes:
        columns: Values by variable and input, rows first.
        shared: Values of the variables that all units share, the same on all rows.
        settings: Inputs that are no tensors.
        anatomy: What ``dissect`` found.
        ids: A number for each row, to know it by when others are left out.
    """

    columns: Mapping[Column, Tensor]
    shared: Mapping[str, Tensor]
    settings: Mapping[str, Any]
    anatomy: Anatomy
    ids: Tensor

    @property
    def all(self) -> slice:
        """All rows."""
        return slice(0, len(self.ids))

    def take(self, rows: Tensor | slice) -> "Points":
        """Return some of the rows."""
        columns = {key: value[rows] for key, value in self.columns.items()}
        return replace(self, columns=columns, ids=self.ids[rows])

    def having(self, columns: Mapping[Column, Tensor]) -> "Points":
        """Return the points with other values in some columns."""
        return replace(self, columns={**self.columns, **columns})

    def joined(self, others: Iterable["Points"]) -> "Points":
        """Return these rows and those of others, which have the same shared values."""
        tables = [self, *others]
        columns = {key: torch.cat([t.columns[key] for t in tables]) for key in self.columns}
        return replace(self, columns=columns, ids=torch.cat([t.ids for t in tables]))

    def of(self, name: str) -> Tensor:
        """Return the values of a variable in program shape."""
        if name in self.shared:
            return self.shared[name]
        inner = len(self.anatomy.variables[name].inner)
        value = self.columns[Column(name)]
        return value.movedim(0, inner).contiguous() if inner else value

    def run(self, program: Program, *, settle: bool = False) -> dict[str, Any]:
        """Run the program here, with the same hidden randomness each time; see ``run_pinned``."""
        seed_all(3)
        values = {name: self.of(name) for name in self.anatomy.variables}
        inputs = {key.name: value for key, value in self.columns.items() if key.given}
        return run_pinned(
            program,
            values,
            len(self.ids),
            {**self.settings, **inputs},
            opens_units=self.anatomy.opens_units,
            settle=settle,
        )

    def unbroken(self, attempt: Callable[["Points"], "Points"]) -> "Points":
        """Return what an attempt makes of these points, without those where it fails."""
        found = unbroken(self.all, lambda rows: attempt(self.take(rows)))
        return self.take(slice(0, 0)).joined(found)


def unbroken(rows: slice, attempt: Callable[[slice], Found]) -> list[Found]:
    """Attempt something on all rows but those where the program breaks down.

    Far from the prior a program may fail (a matrix that is no covariance, an index past the end).
    Rows that fail are halved until the one that does is found and left out.

    Args:
        rows: The rows.
        attempt: What to do there.

    Returns:
        What the attempts returned, together on all rows but those left out.

    Raises:
        SitesChanged: The program has other sites than when it was probed.
        NotVectorized: The program asks for the truth of several rows at once.
    """
    try:
        return [attempt(rows)]
    except (SitesChanged, NotVectorized):
        raise
    except BREAKDOWNS:
        if rows.stop - rows.start <= 1:
            return []
        middle = (rows.start + rows.stop) // 2
        halves = slice(rows.start, middle), slice(middle, rows.stop)
        return [found for half in halves for found in unbroken(half, attempt)]
