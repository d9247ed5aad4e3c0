"""Base points: the rows of values at which a program is pinned, from likely ones to far ones."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from pyrocausal.engine.far_values import far_values
from pyrocausal.engine.pinning import SitesChanged, run_pinned, run_settled
from pyrocausal.engine.rows import Program, over_events
from pyrocausal.engine.tracing import Anatomy, sample_values, seed_all
from pyrocausal.errors import NotVectorized

__all__ = ["BasePoints", "Column", "Points", "base_points", "unbroken"]

_MIXED = 256  # rows where far values of several variables meet
_SCENES = 4  # far values of what all units share

Run = Callable[..., dict[str, Any]]
Found = TypeVar("Found")


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

    def unbroken(self, attempt: Callable[["Points"], "Points"]) -> "Points":
        """Return what an attempt makes of these points, without those where it fails."""
        found = unbroken(self.all, lambda rows: attempt(self.take(rows)))
        return self.take(slice(0, 0)).joined(found)

    def of(self, name: str) -> Tensor:
        """Return the values of a variable in program shape."""
        if name in self.shared:
            return self.shared[name]
        inner = len(self.anatomy.variables[name].inner)
        return self.columns[Column(name)].movedim(0, inner).contiguous()

    def run(self, program: Program, run: Run = run_pinned) -> dict[str, Any]:
        """Run the program here, with the same hidden randomness each time."""
        seed_all(3)
        values = {name: self.of(name) for name in self.anatomy.variables}
        inputs = {key.name: value for key, value in self.columns.items() if key.given}
        return run(
            program,
            values,
            len(self.ids),
            {**self.settings, **inputs},
            opens_units=self.anatomy.opens_units,
        )


@dataclass(frozen=True)
class BasePoints:
    """Rows to pin a program at, and what each variable may be changed to there.

    Attributes:
        points: The rows.
        others: Values of each column, any number of them.
        shared: The same for the variables that all units share.
    """

    points: Points
    others: Mapping[Column, Tensor]
    shared: Mapping[str, Tensor]


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
    except (RuntimeError, ValueError, IndexError):
        if rows.stop - rows.start <= 1:
            return []
        middle = (rows.start + rows.stop) // 2
        halves = slice(rows.start, middle), slice(middle, rows.stop)
        return [found for half in halves for found in unbroken(half, attempt)]


def base_points(
    program: Program,
    anatomy: Anatomy,
    inputs: Callable[[int], Mapping[str, Any]],
    bases: Mapping[str, Tensor] | None = None,
) -> Iterator[BasePoints]:
    """Choose the rows at which a program is pinned.

    There are rows drawn from the prior; for each variable and input, rows where it alone has
    values from all over its support; and rows where some or many have. Deterministic variables
    follow from the others on most rows. What all units share can't differ between rows: for it
    there are several sets of rows.

    Args:
        program: The program.
        anatomy: What ``dissect`` found.
        inputs: Returns the program's arguments for a number of rows.
        bases: Values that some variables or inputs shall have on further rows, rows first; NaN
            where not known. A variable that all units share has one value.

    Yields:
        Rows, one set for each value of what is shared.
    """
    rows = anatomy.prime_rows(above=28)
    drawn = _drawn(program, anatomy, inputs(rows), rows)
    far, shared = _far(drawn, drawn.run(program))
    known = dict(bases or {})
    told = {name: known.pop(name) for name in drawn.shared if name in known}
    scenes = [drawn.shared]
    if shared:
        scenes += [{k: v[scene] for k, v in shared.items()} for scene in range(_SCENES)]
    if told:
        scenes.append({**drawn.shared, **told})
    for scene in scenes:
        yield _around(program, replace(drawn, shared=scene), far, shared, known)


def _drawn(program: Program, anatomy: Anatomy, given: Mapping[str, Any], rows: int) -> Points:
    values = sample_values(program, anatomy, given, rows)
    columns = {
        Column(name): values[name].movedim(len(variable.inner), 0)
        for name, variable in anatomy.variables.items()
        if not variable.shared
    }
    tensors = {name: value for name, value in given.items() if isinstance(value, Tensor)}
    return Points(
        columns={**{Column(name, True): value for name, value in tensors.items()}, **columns},
        shared={name: values[name] for name in anatomy.shared},
        settings={name: value for name, value in given.items() if name not in tensors},
        anatomy=anatomy,
        ids=torch.arange(rows),
    )


def _far(
    drawn: Points, found: Mapping[str, Any]
) -> tuple[dict[Column, Tensor], dict[str, Tensor]]:
    """Return far values of each column, as many as there are rows, and of what is shared."""
    far, shared = {}, {}
    for key, value in drawn.columns.items():
        if key.given:
            far[key] = far_values(value, 0, value.dim() - 1)
            continue
        variable = drawn.anatomy.variables[key.name]
        inner, event_dim = len(variable.inner), len(variable.event_shape)
        moved = far_values(drawn.of(key.name), inner, event_dim, _distribution(found[key.name]))
        far[key] = moved.movedim(inner, 0)
    for name, value in drawn.shared.items():
        event_dim = len(drawn.anatomy.variables[name].event_shape)
        repeated = value.expand(len(drawn.ids), *value.shape)
        shared[name] = far_values(repeated, 0, event_dim, _distribution(found[name]))
    return far, shared


def _distribution(found: Any) -> Any:
    return None if isinstance(found, Tensor) else found


def _around(
    program: Program,
    drawn: Points,
    far: Mapping[Column, Tensor],
    shared: Mapping[str, Tensor],
    known: Mapping[str, Tensor],
) -> BasePoints:
    """Return the rows where the shared variables have the values they have in ``drawn``."""
    rows, count = len(drawn.ids), len(far)
    limit = _limit(drawn)
    each = min(rows, max(2, limit // (2 * max(count, 1))))
    index = torch.cat([torch.arange(rows), torch.arange(each).repeat(count)])
    alone = {
        key: (torch.arange(len(index)) - rows).div(each, rounding_mode="floor") == position
        for position, key in enumerate(far)
    }
    single = _settled(
        program, drawn.take(index), alone, {key: value[index] for key, value in far.items()}
    )
    kept = {key: single.columns[key][alone[key][single.ids]] for key in far}
    others = {key: torch.cat([value, kept[key]]) for key, value in drawn.columns.items()}
    tables = [_mixed(program, drawn, kept, {}, min(_MIXED, limit // 2))]
    if known:
        evidence = {_column(drawn, name): value for name, value in known.items()}
        tables.append(_mixed(program, drawn, kept, evidence, 64))
    return BasePoints(single.joined(tables), others, shared)


def _limit(drawn: Points) -> int:
    """Return about how many rows are worth their time and memory."""
    cells = sum(value[0].numel() for value in drawn.columns.values())
    return min(2048, max(128, 2**18 // max(cells, 1)))


def _column(drawn: Points, name: str) -> Column:
    variable = Column(name)
    return variable if variable in drawn.columns else Column(name, True)


def _mixed(
    program: Program,
    drawn: Points,
    kept: Mapping[Column, Tensor],
    known: Mapping[Column, Tensor],
    rows: int,
) -> Points:
    """Return rows where far values of several variables meet, and some are as known."""
    size = max((len(value) for value in known.values()), default=1)
    rows = size * -(-rows // size)
    background = drawn.take(torch.randint(len(drawn.ids), (rows,)))
    # Every other row has two or three far values, since many of them may hide an effect.
    rate = torch.where(torch.arange(rows) % 2 == 0, 0.5, min(0.5, 2.5 / max(len(kept), 1)))
    held, values = {}, {}
    for key, choice in kept.items():
        if key in known:
            column = background.columns[key]
            told = (
                known[key]
                .expand(size, *column.shape[1:])
                .repeat(rows // size, *[1] * (column.dim() - 1))
            )
            values[key] = torch.where(told.isnan(), column, told).to(column.dtype)
            held[key] = torch.ones(rows, dtype=torch.bool)
        elif len(choice):
            values[key] = choice[torch.randint(len(choice), (rows,))]
            held[key] = torch.rand(rows) < rate
    return _settled(program, background, held, values)


def _settled(
    program: Program,
    background: Points,
    held: Mapping[Column, Tensor],
    values: Mapping[Column, Tensor],
) -> Points:
    """Put values on rows, and let deterministic variables follow where they are not held."""

    def followed(points: Points) -> Points:
        found = points.run(program, run_settled)
        columns = {}
        for name, variable in points.anatomy.variables.items():
            if variable.deterministic and not variable.shared:
                key = Column(name)
                follows = found[name].movedim(len(variable.inner), 0)
                columns[key] = _where(held.get(key), points.ids, points.columns[key], follows)
        return points.having(columns)

    placed = {
        key: _where(mask, slice(None), values[key], background.columns[key])
        for key, mask in held.items()
    }
    ids = torch.arange(len(background.ids))
    return replace(background.having(placed), ids=ids).unbroken(followed)


def _where(mask: Tensor | None, rows: Tensor | slice, value: Tensor, other: Tensor) -> Tensor:
    if mask is None:
        return other
    return torch.where(over_events(mask[rows].to(value.device), value), value, other)
