"""Which units each step of a fit takes, as a function of the seed and the step alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from pyrocausal.noise import Stream
from pyrocausal.noise.counters import uniforms

__all__ = ["Feed", "Shuffled", "Split", "generator_at", "shuffled"]


@dataclass(frozen=True)
class Split:
    """Which units are trained on, and which are held out.

    Attributes:
        train: Numbers of the units at hand that are trained on.
        held_out: Numbers of those held out.
        trained: How many are trained on in all.
        digests: Says what the data are: a hash, or a number, of each of their parts.
    """

    train: Tensor
    held_out: Tensor
    trained: int
    digests: Callable[[], Mapping[str, Any]]


class Feed(Protocol):
    """Says which units each step takes."""

    def ahead(self, number: int) -> int:
        """Return how many of the next steps may be taken at once, at most ``number``."""

    def take(self, number: int) -> list[Tensor]:
        """Return the rows of the next steps."""

    def at(self) -> list[int]:
        """Say where it stands."""

    def go_to(self, place: list[int]) -> None:
        """Go where it once stood."""


class Shuffled:
    """Takes the units of each epoch in an order of its own; the last few are left out.

    Args:
        rows: Numbers of the units.
        size: How many a step takes; all of them in their order where there are no more.
        seed: The orders depend on it and the epoch.

    Example:
        >>> feed = Shuffled(torch.arange(10), 5, seed=0)
        >>> one, other = feed.take(2)
        >>> torch.cat([one, other]).sort().values.tolist()
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """

    def __init__(self, rows: Tensor, size: int, seed: int) -> None:
        self.rows, self.size, self.seed = rows, size, seed
        self.steps = max(1, len(rows) // size)  # an epoch's
        self.go_to([0, 0])

    def ahead(self, number: int) -> int:
        """Return ``number``: all units are at hand."""
        return number

    def take(self, number: int) -> list[Tensor]:
        """Return the rows of the next steps."""
        return [self._next() for _ in range(number)]

    def at(self) -> list[int]:
        """Return the epoch, and how many of its steps were taken."""
        return [self.epoch, self.taken]

    def go_to(self, place: list[int]) -> None:
        """Go where it once stood."""
        self.epoch, self.taken = place[:2]
        self.order = self._shuffled()

    def _next(self) -> Tensor:
        if self.taken == self.steps:
            self.go_to([self.epoch + 1, 0])
        self.taken += 1
        return self.order[(self.taken - 1) * self.size : self.taken * self.size]

    def _shuffled(self) -> Tensor:
        if self.size >= len(self.rows):
            return self.rows
        return shuffled(self.rows, self.seed, self.epoch)


def shuffled(rows: Tensor, seed: int, number: int) -> Tensor:
    """Return rows in an order that depends on ``(seed, number)``, the same on every device."""
    key = Stream(seed, "order of units", 0).key(number)
    return rows[uniforms(key, 0, len(rows), rows.device).argsort(stable=True)]


def generator_at(seed: int, name: str, number: int) -> torch.Generator:
    """Return a generator that depends on ``(seed, name, number)`` alone."""
    return torch.Generator().manual_seed(Stream(seed, name, 0).key(number))
