"""Where a fit has its units from: memory, or files that are larger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import torch
from torch import Tensor

from pyrocausal.distributed.sources import is_source
from pyrocausal.fitting.feeding import Feed, Shuffled, Split
from pyrocausal.fitting.identity import digest
from pyrocausal.fitting.observing import Units
from pyrocausal.fitting.reading import read_data
from pyrocausal.verbs.core import Core
from pyrocausal.verbs.standing import Standing

__all__ = ["BATCH", "FEW", "HELD_OUT", "WHOLE", "InMemory", "Supply", "open_supply"]

WHOLE: Final = 4096  # up to so many units are taken at a time, unless batch_size says otherwise
BATCH: Final = 1024
HELD_OUT: Final = 10_000  # more would cost time and tell nothing
FEW: Final = 20  # fewer would tell nothing


class Supply(Protocol):
    """The units of a fit.

    Attributes:
        units: Those at hand, all of them or some.
        causes: Variables that are missing above observed ones, with the words that say where.
        size: How many units a step takes.
        place: The device of the units.
    """

    units: Units
    causes: dict[str, str]
    size: int
    place: torch.device

    def split(self, validation: float) -> Split:
        """Choose the units that are held out; a fraction, or none where they would be few."""

    def feed(self, split: Split, seed: int, check: Callable[[Tensor], None]) -> Feed:
        """Return what says which units each step takes; ``check`` looks at rows that are new."""


class InMemory:
    """All units at hand.

    Args:
        core: The SCM.
        data: Mapping or table of variables.
        inputs: The program's arguments.
        batch_size: How many units a step takes, where that was said.
    """

    def __init__(
        self, core: Core, data: Any, inputs: Mapping[str, Any] | None, batch_size: int | None
    ) -> None:
        self.units, self.causes = read_data(core, data, inputs)
        number = self.units.number
        self.size = batch_size or (number if number <= WHOLE else BATCH)
        self.place = core.place()

    def split(self, validation: float) -> Split:
        """Choose the units that are held out."""
        number = self.units.number
        order = torch.randperm(number, device=self.place)
        held_out = min(round(validation * number), HELD_OUT)
        if held_out < FEW:
            held_out = 0
        return Split(
            train=order[held_out:].sort().values,
            held_out=order[:held_out].sort().values,
            trained=number - held_out,
            digests=lambda: {"number of units": number, **digest(self.units.named())},
        )

    def feed(self, split: Split, seed: int, check: Callable[[Tensor], None]) -> Feed:
        """Return the units in an order of their own for each epoch."""
        return Shuffled(split.train, self.size, seed)


def open_supply(
    core: Core,
    standing: Standing,
    data: Any,
    inputs: Mapping[str, Any] | None,
    validation: float,
    batch_size: int | None,
    seed: int,
) -> Supply:
    """Read data, or open the files they are in."""
    if standing.acts or standing.listed:
        raise ValueError(
            "fit() takes an SCM without interventions: fit the SCM itself, then ask do(...). Data "
            "from an experiment are fitted by a program that has the experiment as its mechanism."
        )
    if not is_source(data):
        data = standing.with_evidence(data, "data") if standing.evidence else data
        return InMemory(core, data, inputs, batch_size)
    from pyrocausal.fitting.streaming import open_stream

    if standing.evidence:
        raise ValueError(
            "fit() got files, and an SCM under condition(...). Write what was seen into the files."
        )
    return open_stream(core, data, inputs, validation, batch_size, seed)
