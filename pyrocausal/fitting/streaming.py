"""Units from files: a window of them at a time, in an order that the seed alone decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from pyrocausal.distributed.columns import Columns, columns_for, row_bytes
from pyrocausal.distributed.sources import Piece, Source, open_source
from pyrocausal.engine.evidence import read_inputs
from pyrocausal.fitting.feeding import Feed, Split, generator_at, shuffled
from pyrocausal.fitting.observing import read_units
from pyrocausal.fitting.reading import read_data
from pyrocausal.fitting.supplying import BATCH, FEW, HELD_OUT, WHOLE, InMemory, Supply
from pyrocausal.verbs.core import Core

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Stream", "open_stream"]

_WINDOW: Final = 2**17  # rows at hand at most, among which a batch is drawn
_BYTES: Final = 2**27  # or as many as fit into so many bytes
_SPREAD: Final = 32  # row groups at most that the held-out units come from


def open_stream(
    core: Core,
    data: Any,
    inputs: Mapping[str, Any] | None,
    validation: float,
    batch_size: int | None,
    seed: int,
) -> Supply:
    """Open files of units; those that fit into a window are read as a whole."""
    import pyarrow as pa

    source = open_source(data)
    if inputs:
        core.examples = {**core.examples, **inputs}
    columns = columns_for(core, source)
    size = batch_size or BATCH
    window = min(_WINDOW, _BYTES // row_bytes(columns)) // size * size or size
    if source.rows > max(window, WHOLE) + HELD_OUT:
        held_out = min(round(validation * source.rows), HELD_OUT)
        return Stream(core, source, columns, inputs, held_out, size, window, seed)
    table = pa.concat_tables([source.read(piece, columns.names) for piece in source.pieces])
    arguments = {**(inputs or {}), **columns.arguments(table)}
    return InMemory(core, columns.values(table), arguments or None, batch_size)


class Stream:
    """Units in files, in endless order: epoch by epoch the row groups, each time shuffled.

    The units at hand are a window of the endless order, in the first places, and behind it those
    held out. Which units a step takes is a function of the seed and the step.

    Args:
        core: The SCM.
        source: The files.
        columns: Which columns hold what.
        inputs: Settings that are arguments of the program.
        held_out: About how many units to hold out, from a few row groups.
        size: How many units a step takes.
        window: How many are at hand, a multiple of it.
        seed: The seed of the fit.
    """

    def __init__(
        self,
        core: Core,
        source: Source,
        columns: Columns,
        inputs: Mapping[str, Any] | None,
        held_out: int,
        size: int,
        window: int,
        seed: int,
    ) -> None:
        self.core, self.source, self.columns, self.seed = core, source, columns, seed
        self.settings, self.size, self.window, self.place = (
            inputs or {},
            size,
            window,
            core.place(),
        )
        self.held: dict[Piece, Tensor] = {}
        self._remaining = self._sizes()
        held = self._held_tables(held_out) if held_out >= FEW else []
        self._held_rows = sum(table.num_rows for table in held)
        table = _joined([*self._tables(0), *held])
        arguments = {**self.settings, **columns.arguments(table)}
        self.units, self.causes = read_data(core, columns.values(table), arguments or None)

    def split(self, validation: float) -> Split:
        """Return the window, and the units that were held out from the start."""
        return Split(
            train=torch.arange(self.window, device=self.place),
            held_out=self.window + torch.arange(self._held_rows, device=self.place),
            trained=self.source.rows - self._held_rows,
            digests=self.source.fingerprint,
        )

    def feed(self, split: Split, seed: int, check: Callable[[Tensor], None]) -> Feed:
        """Return what moves the window on."""
        return _Windows(self, split.train, check)

    def load(self, number: int) -> None:
        """Put a window of the endless order into the first places.

        Raises:
            ValueError: Values are missing of a variable that had none in the first window.
        """
        table = _joined(list(self._tables(number)))
        seen = self.core.read(
            self.columns.values(table),
            {**self.settings, **self.columns.arguments(table)} or None,
            where="data",
        )
        inputs = read_inputs(
            {**self.settings, **self.columns.arguments(table)}, seen.units, self.place
        )
        units = read_units(seen, inputs, self.units.variables)
        new, old = units.named(), self.units.named()
        for name in new.keys() - old.keys():
            raise ValueError(
                f"The data have NaN for {name.removeprefix('what is missing of ')!r} after row "
                f"{number * self.window} of the order they are read in, but none before. Write "
                "NaN as null, so that the files tell, or leave these units out."
            )
        for name, tensor in old.items():
            dim = self._dim(name, tensor)
            part = tensor.narrow(dim, 0, self.window)
            if name in new:
                part.copy_(new[name])
            else:
                part.zero_()  # nothing is missing in this window

    def _dim(self, name: str, tensor: Tensor) -> int:
        variable = self.units.variables.get(name.removeprefix("what is missing of "))
        return 0 if variable is None else len(variable.inner)

    def _sizes(self) -> dict[Piece, int]:
        """Return how many units of each row group are trained on."""
        return {p: p.rows - len(self.held.get(p, ())) for p in self.source.pieces}

    def _held_tables(self, number: int) -> list[pa.Table]:
        """Choose and read the units that are held out."""
        generator = generator_at(self.seed, "units held out", 0)
        pieces = self.source.pieces
        order = torch.randperm(len(pieces), generator=generator).tolist()
        chosen = [pieces[i] for i in sorted(order[:_SPREAD])]
        total, tables = sum(piece.rows for piece in chosen), []
        before = 0
        for piece in chosen:
            share = number * (before + piece.rows) // total - number * before // total
            before += piece.rows
            rows = torch.randperm(piece.rows, generator=generator)[:share].sort().values
            self.held[piece] = rows
            tables.append(self.source.read(piece, self.columns.names).take(rows.numpy()))
        self._remaining = self._sizes()
        return tables

    def _tables(self, number: int) -> Iterator[pa.Table]:
        """Yield the parts of a window, in the endless order, then shuffled together."""
        epoch_rows = sum(self._remaining.values())
        start, stop = number * self.window, (number + 1) * self.window
        while start < stop:
            epoch, offset = divmod(start, epoch_rows)
            generator = generator_at(self.seed, "order of row groups", epoch)
            order = torch.randperm(len(self.source.pieces), generator=generator).tolist()
            pieces = [self.source.pieces[i] for i in order]
            ends = list(accumulate(self._remaining[piece] for piece in pieces))
            for piece, end in zip(pieces, ends, strict=True):
                first = end - self._remaining[piece]
                if end <= offset or start >= stop:
                    continue
                count = min(end - offset, stop - start)
                yield self._trained(piece).slice(offset - first, count)
                start, offset = start + count, offset + count

    def _trained(self, piece: Piece) -> pa.Table:
        table = self.source.read(piece, self.columns.names)
        held = self.held.get(piece)
        if held is None or not len(held):
            return table
        kept = torch.ones(piece.rows, dtype=torch.bool)
        kept[held] = False
        return table.filter(_mask(kept))


class _Windows:
    """Takes the units of each window in an order of its own, then loads the next.

    Args:
        stream: The units.
        rows: Numbers of the places of a window.
        check: Looks at rows when they are new.
    """

    def __init__(self, stream: Stream, rows: Tensor, check: Callable[[Tensor], None]) -> None:
        self.stream, self.rows, self.check = stream, rows, check
        self.steps = stream.window // stream.size
        self.loaded = 0
        self.go_to([0, 0])

    def ahead(self, number: int) -> int:
        """Return how many steps the window has left, but one at least."""
        return min(number, max(1, self.steps - self.taken))

    def take(self, number: int) -> list[Tensor]:
        """Return the rows of the next steps."""
        if self.taken == self.steps:
            self.go_to([self.window + 1, 0])
        first = self.taken * self.stream.size
        self.taken += number
        rows = self.order[first : first + number * self.stream.size]
        return list(rows.split(self.stream.size))

    def at(self) -> list[int]:
        """Return the window, and how many of its steps were taken."""
        return [self.window, self.taken]

    def go_to(self, place: list[int]) -> None:
        """Go where it once stood."""
        self.window, self.taken = place[:2]
        if self.window != self.loaded:
            self.stream.load(self.window)
            self.loaded = self.window
            if self.window * self.stream.window < self.stream.source.rows:
                self.check(self.rows)  # in later epochs they were seen before
        self.order = shuffled(self.rows, self.stream.seed, self.window)


def _joined(tables: list[pa.Table]) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables(tables).combine_chunks()


def _mask(kept: Tensor) -> Any:
    import pyarrow as pa

    return pa.array(kept.numpy())
