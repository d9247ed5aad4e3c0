"""Tapes: what a run draws from its streams, noted so that the numbers can be given from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pyrocausal.noise import Stream

__all__ = ["Draw", "Tape"]


@dataclass(frozen=True)
class Draw:
    """One array of random numbers: which stream, which shape, uniform or normal."""

    stream: Stream
    shape: tuple[int, ...]
    normal: torch.dtype | None

    def numbers(self, seed: int, first: int) -> Tensor:
        """Return the numbers under a seed, from a first unit on."""
        old = self.stream
        stream = Stream(seed, old.name, old.units, old.draws, old.device, first)
        if self.normal is None:
            return stream.uniforms(self.shape)
        return stream.normals(self.shape, self.normal)


class Tape:
    """Makes streams that note what is drawn from them, or play given numbers.

    Args:
        given: The numbers to play, in the order of the draws; ``None`` draws them.

    Attributes:
        draws: What was drawn.
        fixed: Whether a run used a seed itself, so that it can't be played under another.
    """

    def __init__(self, given: Sequence[Tensor] | None = None) -> None:
        self.draws: list[Draw] = []
        self.fixed = False
        self._given = given

    def stream(
        self,
        seed: int,
        name: str,
        units: int,
        draws: int | None = None,
        device: torch.device | str = "cpu",
        first: int = 0,
    ) -> Stream:
        """Return a stream on this tape."""
        return _TapedStream(seed, name, units, draws, device, first, tape=self)

    def numbers(self, draw: Draw) -> Tensor:
        """Return the numbers of one draw."""
        self.draws.append(draw)
        if self._given is None:
            return draw.numbers(draw.stream.seed, draw.stream.first)
        return self._given[len(self.draws) - 1]


@dataclass(frozen=True)
class _TapedStream(Stream):
    tape: Tape = field(default_factory=Tape)

    def uniforms(self, shape: tuple[int, ...] = ()) -> Tensor:
        return self.tape.numbers(Draw(self, tuple(shape), None))

    def normals(self, shape: tuple[int, ...] = (), dtype: torch.dtype | None = None) -> Tensor:
        dtype = dtype or torch.get_default_dtype()
        return self.tape.numbers(Draw(self, tuple(shape), dtype))

    def key(self, draw: int) -> int:
        self.tape.fixed = True
        return super().key(draw)
