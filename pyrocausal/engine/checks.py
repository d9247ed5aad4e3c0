"""The row check: does a program give each row the same answer alone and in company?"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pyrocausal.engine.pinning import run_pinned
from pyrocausal.engine.rows import Program
from pyrocausal.engine.tracing import Anatomy, parts_of, quiet_seed, sample_values
from pyrocausal.errors import NotVectorized

__all__ = ["check_rows"]

_HINT_MIXED = (
    "a row gets another distribution alone than beside other rows. Rows are the rightmost batch "
    "dimension (dim -1); a sum, mean, softmax or norm over it mixes units. Reduce an inner plate "
    "at dim -2, and an event dimension at dim -1 of a vector."
)
_HINT_RANDOM = (
    "the same values gave another distribution on a second run. All randomness must be pyro.sample "
    "statements: torch.randn, numpy.random or an active dropout is noise nobody can abduct."
)


def check_rows(
    program: Program, anatomy: Anatomy, inputs: Callable[[int], Mapping[str, Any]]
) -> None:
    """Check that a few rows run together equal the same rows run in two smaller groups.

    All values are pinned, and distribution parameters are compared (rtol 1e-4), since matrix
    products differ in the last bits between batch sizes. A second seed catches randomness outside
    of Pyro's statements.

    Args:
        program: The program.
        anatomy: What ``dissect`` found.
        inputs: Returns the program's arguments for a number of rows.

    Raises:
        NotVectorized: A site's distribution depends on the other rows, or on hidden randomness.
    """
    rows = anatomy.prime_rows(above=6)
    first = rows // 2
    given = dict(inputs(rows))
    values = sample_values(program, anatomy, given, rows)

    def found(seed: int, start: int, stop: int) -> dict[str, Any]:
        part = {name: _cut(value, rows, start, stop) for name, value in values.items()}
        arguments = {name: _cut(value, rows, start, stop) for name, value in given.items()}
        with quiet_seed(seed):
            return run_pinned(
                program, part, stop - start, arguments, opens_units=anatomy.opens_units
            )

    together = found(0, 0, rows)
    again = found(1, 0, rows)
    for name in anatomy.variables:
        if not _close(together[name], again[name], rows, 0, rows):
            raise NotVectorized(name, _HINT_RANDOM)
    for start, stop in ((0, first), (first, rows)):
        alone = found(0, start, stop)
        for name in anatomy.variables:
            if not _close(together[name], alone[name], rows, start, stop):
                raise NotVectorized(name, _HINT_MIXED)


def _cut(value: Any, rows: int, start: int, stop: int) -> Any:
    if not isinstance(value, Tensor):
        return value
    for dim, size in enumerate(value.shape):
        if size == rows:
            return value.narrow(dim, start, stop - start)
    return value


def _close(together: Any, alone: Any, rows: int, start: int, stop: int) -> bool:
    if type(together) is not type(alone):
        return False
    first, second = dict(parts_of(together)), dict(parts_of(alone))
    return all(
        _close_parts(_cut(first[key], rows, start, stop), second[key])
        for key in first.keys() & second.keys()
    )


def _close_parts(first: Tensor, second: Tensor) -> bool:
    if first.shape != second.shape:
        return False
    if not first.is_floating_point():
        return torch.equal(first, second)
    tolerance = 1e-4 if first.dtype != torch.float64 else 1e-7
    return torch.allclose(first, second, rtol=tolerance, atol=tolerance / 10, equal_nan=True)
