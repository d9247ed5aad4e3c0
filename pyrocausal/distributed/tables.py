"""Answers as Arrow tables: a row for each draw, world and unit."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from pyrocausal.results import Samples
from pyrocausal.summaries import component_names

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["table_of"]


def table_of(answer: Samples, first: int, units: int, kept: Mapping[str, Any]) -> pa.Table:
    """Return an answer as a table, in the order draw, world, unit.

    Args:
        answer: Its values have the units as their last leading dimension.
        first: The number of the first unit.
        units: How many there are.
        kept: Columns of the source to repeat beside it, an Arrow array for each.
    """
    import pyarrow as pa

    dims = answer.dims
    shape = next(v.shape for n, v in answer.data.items() if n not in answer.shared)
    lead = tuple(shape[: len(dims)])
    columns: dict[str, Any] = {}
    for place, dim in enumerate(dims):
        start = first if dim == "unit" else 0
        kind = np.int64 if dim == "unit" else np.int32
        numbers = np.arange(start, start + lead[place], dtype=kind)
        after, before = prod(lead[place + 1 :]), prod(lead[:place])
        columns[dim] = np.tile(np.repeat(numbers, after), before)
    times = prod(lead) // units
    for name, array in kept.items():
        columns[name] = array if times == 1 else pa.chunked_array([array] * times)
    for name, value in answer.data.items():
        inner = value.shape if name in answer.shared else value.shape[len(lead) :]
        flat = value.detach().cpu().expand(*lead, *inner).reshape(prod(lead), prod(inner))
        for part, component in enumerate(component_names(name, inner)):
            columns[component] = np.ascontiguousarray(flat[:, part].numpy())
    return pa.table(columns)
