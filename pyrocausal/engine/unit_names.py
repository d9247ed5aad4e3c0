"""Naming units in messages, by their place among all that are asked about."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

__all__ = ["counting_from", "names_of_units"]

_first_unit: ContextVar[int] = ContextVar("first_unit", default=0)


def names_of_units(mask: Tensor, limit: int = 5) -> str:
    """Name the units where ``mask`` holds, for a message.

    Example:
        >>> names_of_units(torch.tensor([True, False, True]))
        'units 0, 2'
    """
    numbers = (mask.nonzero().flatten() + _first_unit.get()).tolist()
    more = f" and {len(numbers) - limit} more" if len(numbers) > limit else ""
    return f"unit{'s' * (len(numbers) != 1)} {', '.join(map(str, numbers[:limit]))}{more}"


@contextmanager
def counting_from(first: int) -> Iterator[None]:
    """Name units by their place among all, while a chunk of them is looked at."""
    token = _first_unit.set(first)
    try:
        yield
    finally:
        _first_unit.reset(token)
