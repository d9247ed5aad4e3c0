"""Timing contestants in turn, so that a noisy machine is noisy for all of them."""

from collections.abc import Callable
from statistics import median
from time import process_time

__all__ = ["interleaved"]

_WARM = 2.0  # seconds: a query is played from a graph once it has been asked for half a second


def interleaved(contestants: list[Callable[[], object]], repeats: int) -> list[float]:
    """Return each contestant's median processor time in milliseconds, when it is warm."""
    times: list[list[float]] = [[] for _ in contestants]
    for contestant in contestants:
        start = process_time()
        while process_time() - start < _WARM:
            contestant()
    for _ in range(repeats):
        for contestant, taken in zip(contestants, times, strict=True):
            start = process_time()
            contestant()
            taken.append(1e3 * (process_time() - start))
    return [median(taken) for taken in times]
