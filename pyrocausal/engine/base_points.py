"""Base points: the rows of values at which a program is pinned, from likely ones to far ones."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil, prod
from typing import Any, Final

import torch
from torch import Tensor

from pyrocausal.engine.far_values import far_values
from pyrocausal.engine.pinning import SitesChanged
from pyrocausal.engine.points import BREAKDOWNS, Column, Points
from pyrocausal.engine.rows import Program, over_events
from pyrocausal.engine.tracing import Anatomy, sample_values
from pyrocausal.errors import NotVectorized

__all__ = ["BasePoints", "base_points"]

_LIKELY: Final = 250  # about as many rows are drawn from the prior
_ALONE: Final = 36  # for each variable, rows where it alone is far
_MIXED: Final = 256  # rows where several variables are far
_KNOWN: Final = 64  # rows with values that were asked for, each of these at least once
_SCENES: Final = 3  # far values of what all units share
_FEW: Final = 28  # rows drawn from the prior where more are too many


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
    limit = _limit(anatomy, inputs(1))
    drawn = _drawn(program, anatomy, inputs, min(_LIKELY, limit // 8))
    alone = min(_ALONE, limit // (2 * len(drawn.columns) + 1))
    few = drawn.take(slice(0, anatomy.prime_rows(above=max(2, alone))))
    far, shared = _far(few, few.run(program))
    known = dict(bases or {})
    told = {name: known.pop(name) for name in drawn.shared if name in known}
    scenes = [drawn.shared]
    if shared:
        scenes += [
            {name: value[scene] for name, value in shared.items()}
            for scene in range(min(_SCENES, len(few.ids)))
        ]
    if told:
        scenes.append({**drawn.shared, **told})
    for scene in scenes:
        yield _around(program, replace(drawn, shared=scene), far, shared, known)


def _limit(anatomy: Anatomy, inputs: Mapping[str, Any]) -> int:
    """Return about how many rows are worth their time and memory."""
    largest = max(
        *(prod(variable.unit_shape) for variable in anatomy.variables.values()),
        *(value.numel() for value in inputs.values() if isinstance(value, Tensor)),
        1,
    )
    return min(2048, max(128, 2**16 // largest))


def _drawn(
    program: Program, anatomy: Anatomy, inputs: Callable[[int], Mapping[str, Any]], above: int
) -> Points:
    """Draw rows from the prior, but few where a rare value makes the program fail."""
    try:
        return _drawn_rows(program, anatomy, inputs, anatomy.prime_rows(max(above, _FEW)))
    except (SitesChanged, NotVectorized):
        raise
    except BREAKDOWNS:
        return _drawn_rows(program, anatomy, inputs, anatomy.prime_rows(_FEW))


def _drawn_rows(
    program: Program, anatomy: Anatomy, inputs: Callable[[int], Mapping[str, Any]], rows: int
) -> Points:
    given = inputs(rows)
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
    rows, each = len(drawn.ids), len(next(iter(far.values()), ()))
    index = torch.cat([torch.arange(rows), torch.arange(each).repeat(len(far))])
    alone = {
        key: (torch.arange(len(index)) - rows).div(each, rounding_mode="floor") == position
        for position, key in enumerate(far)
    }
    moved = {key: value[index % each] for key, value in far.items()}
    single = _settled(program, drawn.take(index), alone, moved)
    kept = {key: single.columns[key][alone[key][single.ids]] for key in far}
    others = {key: torch.cat([value, kept[key]]) for key, value in drawn.columns.items()}
    tables = [_mixed(program, drawn, kept, {}, min(_MIXED, 2 * rows))]
    if known:
        evidence = {_column(drawn, name): value for name, value in known.items()}
        tables.append(_mixed(program, drawn, kept, evidence, _KNOWN))
    return BasePoints(single.joined(tables), others, shared)


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
    rows = size * ceil(rows / size)
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
        found = points.run(program, settle=True)
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
