"""Answering a query in chunks of units, so that its work fits into memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from typing import Final, TypeVar

from torch import Tensor
from tqdm import tqdm

from pyrocausal.engine.abduction import Abduction
from pyrocausal.engine.evidence import Evidence, count_of, counting_from
from pyrocausal.engine.memory import bytes_per_row, free_memory
from pyrocausal.engine.querying import Query, Tensors
from pyrocausal.engine.rows import Layout
from pyrocausal.engine.structural import StructuralRun
from pyrocausal.verbs.core import Core

__all__ = ["ABDUCTION", "abduction_part", "chunk_size", "evidence_part", "in_chunks", "query_part"]

ABDUCTION: Final = 3
"""How many rows of a run the abduction of one row weighs: noise, values and densities."""
_MODEST: Final = 2**28  # bytes: a query that surely needs less is answered at once
_ROOMY: Final = 512  # bytes for a number that a site holds, and for what it is computed from
_SPARE: Final = 2  # for the noise that numpy makes, and for what a trial did not meet
_QUIET: Final = 2.0  # seconds without a progress bar
Found = TypeVar("Found")


def chunk_size(
    core: Core, query: Query, units: int, rows_per_unit: int, max_memory: int | None
) -> int:
    """Return how many units to answer for at a time.

    Args:
        core: The SCM.
        query: The program and its arguments.
        units: How many units are asked about.
        rows_per_unit: How many rows of a run a unit takes.
        max_memory: Bytes that the work may take; a quarter of what is free by default.

    Raises:
        ValueError: ``max_memory`` is no positive whole number.
    """
    if max_memory is not None:
        limit = count_of(max_memory, "max_memory, in bytes,")
    elif units * rows_per_unit * _numbers(core) * _ROOMY <= _MODEST:
        return units
    else:
        limit = free_memory(query.device) // 4
    if core.bytes_per_row is None:
        core.bytes_per_row = _SPARE * bytes_per_row(lambda rows: _trial(core, query, rows))
    return min(units, max(1, limit // (core.bytes_per_row * rows_per_unit)))


def in_chunks(
    units: int,
    size: int,
    answer: Callable[[int, int], tuple[Tensors, Found]],
    dims: Mapping[str, int | None],
) -> tuple[Tensors, Found]:
    """Answer for some units at a time, and join the results.

    Args:
        units: How many units there are.
        size: How many to answer for at a time.
        answer: Answers for the units from a first one on, given how many.
        dims: The dimension of the units in each group of results; ``None`` where all units share
            them.

    Returns:
        The joined results, and what else the first chunk found.
    """
    if size >= units:
        return answer(0, units)
    joined, found = Tensors(), None
    with tqdm(total=units, desc="units", unit_scale=True, delay=_QUIET, leave=False) as bar:
        for first in range(0, units, size):
            count = min(size, units - first)
            with counting_from(first):
                part, also = answer(first, count)
            if found is None:
                joined, found = _room(part, dims, units), also
            for group, dim in dims.items():
                if dim is not None:
                    for name, value in part[group].items():
                        joined[group][name].narrow(dim, first, count).copy_(value)
            bar.update(count)
    assert found is not None
    return joined, found


def query_part(query: Query, first: int, count: int) -> Query:
    """Return what a run needs to know for some of the units."""
    inputs = {
        name: value[first : first + count] if isinstance(value, Tensor) else value
        for name, value in query.inputs.items()
    }
    return replace(query, inputs=inputs, first=first)


def evidence_part(seen: Evidence, core: Core, first: int, count: int) -> Evidence:
    """Return what was seen of some of the units."""
    if count == seen.units:
        return seen
    shared = core.anatomy.shared
    values, observed = (
        {n: v if n in shared else v[first : first + count] for n, v in part.items()}
        for part in (seen.values, seen.observed)
    )
    limits = {n: part.of(slice(first, first + count)) for n, part in seen.limits.items()}
    return replace(seen, values=values, observed=observed, limits=limits, units=count, labels=None)


def abduction_part(whole: Abduction, seen: Evidence, first: int, count: int) -> Abduction:
    """Return the abducted noise of some of the units, of which ``seen`` was seen."""
    if count == whole.evidence.units:
        return whole
    known, errors = whole.noise.parted()
    part = {name: value.narrow(2, first, count) for name, value in known.items()}
    return replace(
        whole,
        evidence=seen,
        noise=replace(whole.noise, units=count, first=first, known={**part, **errors}),
        factual={name: v.narrow(2, first, count) for name, v in whole.factual.items()},
        densities={name: v.narrow(2, first, count) for name, v in whole.densities.items()},
    )


def _numbers(core: Core) -> int:
    """Return how many numbers a unit has."""
    return sum(prod(v.unit_shape) for v in core.anatomy.variables.values() if not v.shared)


def _trial(core: Core, query: Query, rows: int) -> None:
    few = replace(query, inputs=core.example_inputs(rows))
    StructuralRun(few, Layout(rows), few.noise(rows)).run()


def _room(part: Tensors, dims: Mapping[str, int | None], units: int) -> Tensors:
    """Return tensors for all units, like those of a part."""

    def widened(value: Tensor, dim: int) -> Tensor:
        return value.new_empty(*value.shape[:dim], units, *value.shape[dim + 1 :])

    return {
        group: part[group] if dim is None else {n: widened(v, dim) for n, v in part[group].items()}
        for group, dim in dims.items()
    }
