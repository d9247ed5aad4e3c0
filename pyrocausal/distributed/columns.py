"""Columns of a table as values of a program's variables and arguments."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from pyrocausal.distributed.sources import Source
from pyrocausal.engine.evidence import read_inputs
from pyrocausal.errors import UnknownVariable
from pyrocausal.summaries import component_names
from pyrocausal.verbs.core import Core

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Columns", "columns_for", "row_bytes"]

_FEW = 32  # rows to probe a program with arguments


@dataclass(frozen=True)
class Columns:
    """Which columns hold what.

    Attributes:
        variables: Variable to its columns.
        shapes: Variable to the shape of one value.
        inputs: Arguments of the program, each a column.
    """

    variables: Mapping[str, tuple[str, ...]]
    shapes: Mapping[str, tuple[int, ...]]
    inputs: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """All columns that are read."""
        return [*(c for part in self.variables.values() for c in part), *self.inputs]

    def values(self, table: pa.Table) -> dict[str, Any]:
        """Return the variables' values, units first; NaN where there is none."""
        return {name: self._value(table, name) for name in self.variables}

    def arguments(self, table: pa.Table) -> dict[str, Any]:
        """Return the values of the program's arguments, units first."""
        return {name: torch.from_numpy(_array(table.column(name))) for name in self.inputs}

    def _value(self, table: pa.Table, name: str) -> Any:
        parts = [_array(table.column(column)) for column in self.variables[name]]
        value = parts[0] if len(parts) == 1 else np.stack(parts, 1)
        return torch.from_numpy(value.reshape(table.num_rows, *self.shapes[name]))


def columns_for(core: Core, source: Source, only: Sequence[str] | None = None) -> Columns:
    """Find the columns of a program's variables and arguments; other columns are left aside.

    A variable of several numbers has a column of lists, or the columns ``x[0]``, ``x[1]``, ...

    Args:
        core: The SCM.
        source: The table.
        only: The variables that there must be; ``None`` for those that there are.

    Raises:
        TypeError: A column of no numbers.
        UnknownVariable: A name that is no variable.
        ValueError: A column that lacks.
    """
    program = core.program.forward if isinstance(core.program, nn.Module) else core.program
    there = source.schema.names
    inputs = tuple(name for name in inspect.signature(program).parameters if name in there)
    if inputs:
        source.check(inputs)
        few = source.read(source.pieces[0], inputs).slice(0, _FEW)
        given = {name: torch.from_numpy(_array(few.column(name))) for name in inputs}
        core.remember({**core.examples, **read_inputs(given, few.num_rows, core.place())})
    variables = core.anatomy.variables
    wanted = [n for n, v in variables.items() if not v.deterministic and not v.shared]
    for name in only or ():
        if name not in variables:
            raise UnknownVariable(name, variables, "the columns to read")
    found: dict[str, tuple[str, ...]] = {}
    for name in wanted if only is None else only:
        parts = tuple(component_names(name, variables[name].unit_shape))
        if name in there:
            found[name] = (name,)
        elif set(parts) <= set(there):
            found[name] = parts
        elif only is not None:
            raise ValueError(
                f"The source has no column {name!r}. It has: {', '.join(there)}. Name the "
                f"variables that it does hold, such as evidence={sorted(found) or wanted[:1]}, "
                "or rename its columns."
            )
    if only is None and not found:
        raise ValueError(
            f"The source has none of the program's variables, {', '.join(wanted)}. Its columns are "
            f"{', '.join(there)}. Rename them."
        )
    columns = Columns(found, {n: tuple(variables[n].unit_shape) for n in found}, inputs)
    source.check(columns.names)
    return columns


def _array(column: Any) -> Any:
    """Return an Arrow column as a numpy array that may be written to; NaN for nulls."""
    import pyarrow as pa

    whole = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    kind = whole.type
    if hasattr(kind, "value_type"):
        return _lists(whole)
    if whole.null_count:
        whole = whole.cast(pa.float64())
    array = whole.to_numpy(zero_copy_only=False)
    return array if array.flags.writeable else array.copy()


def _lists(whole: Any) -> Any:
    flat = _array_of(whole.flatten())
    valid = np.asarray(whole.is_valid())
    width, rest = divmod(len(flat), max(1, int(valid.sum())))
    if rest:
        raise ValueError("A column holds lists of several lengths; expected one length.")
    if valid.all():
        return flat.reshape(len(whole), width).copy()
    found = np.full((len(whole), width), np.nan)
    found[valid] = flat.reshape(-1, width)
    return found


def _array_of(flat: Any) -> Any:
    import pyarrow as pa

    if hasattr(flat.type, "value_type"):
        return _lists(flat).reshape(-1)
    return _array(pa.chunked_array([flat]))


def row_bytes(columns: Columns) -> int:
    """Return about how many bytes the values of a row take as numbers of 8 bytes."""
    return 8 * (sum(map(prod, columns.shapes.values())) + len(columns.inputs))
