"""What is asked of each chunk: rung 3 of units that were seen, rungs 1 and 2 of new ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING, Any, Final

from torch import Tensor

from pyrocausal.distributed.chunks import Chunk, read, seed_of
from pyrocausal.distributed.columns import Columns
from pyrocausal.distributed.models import Model
from pyrocausal.distributed.outputs import Output
from pyrocausal.distributed.sources import Source
from pyrocausal.distributed.tables import table_of
from pyrocausal.results import Samples
from pyrocausal.writing import replacing

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Averaging", "Imagining", "Moments", "Question", "Sampling"]

_FEW: Final = 64  # units by whose answers a query is known again


@dataclass(frozen=True)
class Question:
    """What is asked, and where the answers go: all that another process needs.

    Attributes:
        model: The SCM.
        output: Where the answers go; ``None`` for nowhere.
        source: The units that were seen, or arguments of the program; ``None`` for neither.
        columns: Which columns hold what.
        acts: The interventions.
        inputs: Arguments of the program that are the same for all units.
        variables: Which variables to return; ``None`` for all.
        keep: Columns of the source to write beside the answers.
        num_draws: Draws of noise that the evidence does not determine.
        max_memory: Bytes to work in.
        seed: The seed of the query.
    """

    model: Model
    output: Output | None
    source: Source | None
    columns: Columns
    acts: Any
    inputs: Mapping[str, Any]
    variables: Sequence[str] | str | None
    keep: tuple[str, ...]
    num_draws: int | None
    max_memory: int | None
    seed: int

    def answer(self, chunk: Chunk, table: pa.Table, seed: int) -> Samples:
        """Return the answer for the units of a chunk, given their rows of the source."""
        raise NotImplementedError

    def do(self, chunk: Chunk) -> None:
        """Answer for a chunk and write it."""
        table = self.read(chunk)
        answer = self.answer(chunk, table, seed_of(self.seed, chunk))
        kept = {name: table.column(name).combine_chunks() for name in self.keep}
        assert self.output is not None
        self.output.write(chunk.number, table_of(answer, chunk.first, chunk.rows, kept))

    def read(self, chunk: Chunk) -> Any:
        """Return the rows of a chunk; ``None`` without a source."""
        if self.source is None:
            return None
        columns = list(dict.fromkeys([*self.columns.names, *self.keep]))
        return read(self.source, chunk, columns)

    def arguments(self, table: Any) -> dict[str, Any] | None:
        """Return the program's arguments; ``None`` where it has none."""
        given = {} if table is None else self.columns.arguments(table)
        return {**self.inputs, **given} or None

    def first(self, chunk: Chunk) -> tuple[Samples, dict[str, Any]]:
        """Answer for the first few units: a sight of the question, and numbers to know it by.

        Raises:
            ValueError: What the query itself would raise, before anything is written.
        """
        few = replace(chunk, rows=min(_FEW, chunk.rows))
        answer = self.answer(few, self.read(few), self.seed % 2**62)
        means = {
            name: _means(value, () if name in answer.shared else answer.dims)
            for name, value in answer.data.items()
        }
        return answer, means


class Imagining(Question):
    """Counterfactuals of units that were seen."""

    def answer(self, chunk: Chunk, table: pa.Table, seed: int) -> Samples:
        return self.model.scm.counterfactual(
            self.columns.values(table),
            self.acts,
            inputs=self.arguments(table),
            num_draws=self.num_draws,
            variables=self.variables,
            max_memory=self.max_memory,
            seed=seed,
        )


class Sampling(Question):
    """New units."""

    def answer(self, chunk: Chunk, table: pa.Table, seed: int) -> Samples:
        scm = self.model.scm if self.acts is None else self.model.scm.do(self.acts)
        return scm.sample(
            chunk.rows,
            inputs=self.arguments(table),
            variables=self.variables,
            max_memory=self.max_memory,
            seed=seed,
        )


@dataclass(frozen=True)
class Moments:
    """Number, mean and sum of squared deviations; two of them make one."""

    number: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def __add__(self, other: Moments) -> Moments:
        number = self.number + other.number
        gap = other.mean - self.mean
        return Moments(
            number,
            self.mean + gap * other.number / number,
            self.squares + other.squares + gap**2 * self.number * other.number / number,
        )

    @property
    def se(self) -> float:
        """Standard error of the mean."""
        if self.number < 2:
            return float("nan")
        return sqrt(self.squares / (self.number - 1) / self.number)


class Averaging(Imagining):
    """The difference of one variable between two worlds, summed up; has one variable."""

    def do(self, chunk: Chunk) -> None:
        assert self.output is not None
        with replacing(self.output.file(chunk.number, "json")) as beside:
            beside.write_text(json.dumps(astuple(self.moments(chunk))))

    def moments(self, chunk: Chunk) -> Moments:
        """Return what the mean of a chunk is made of."""
        answer = self.answer(chunk, self.read(chunk), seed_of(self.seed, chunk))
        values = next(iter(answer.data.values())).double()
        world = answer.dims.index("world")
        gains = values.select(world, 0) - values.select(world, 1)
        gains = gains.reshape(-1, chunk.rows).mean(0)  # over draws
        mean = gains.mean()
        return Moments(chunk.rows, float(mean), float((gains - mean).square().sum()))


def _means(value: Tensor, dims: Sequence[str]) -> list[float]:
    """Return the mean of a variable in each world, over all else."""
    world = [place for place, dim in enumerate(dims) if dim == "world"]
    flat = value.detach().cpu().double()
    flat = flat.movedim(world[0], 0).flatten(1) if world else flat.reshape(1, -1)
    found: list[float] = flat.mean(1).tolist()
    return found
