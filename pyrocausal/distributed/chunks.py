"""Work cut into chunks: which rows each has, and the seed of its noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyrocausal.distributed.sources import Piece, Source
from pyrocausal.noise import Stream

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Chunk", "chunk_rows", "cut", "cut_units", "read", "seed_of"]

_ROWS: Final = 2**18  # of a chunk at most, by default
_BYTES: Final = 2**27  # or as many as take so many bytes as input and result


@dataclass(frozen=True)
class Chunk:
    """Units that are answered for together.

    Attributes:
        number: Counted from zero.
        first: The number of the first unit.
        rows: How many there are.
        pieces: Where they lie; none for units that are drawn.
        offset: The first one's place in the first piece.
    """

    number: int
    first: int
    rows: int
    pieces: tuple[Piece, ...] = ()
    offset: int = 0


def chunk_rows(bytes_per_unit: int) -> int:
    """Return how many units to take at a time: it depends on the question alone."""
    return max(1, min(_ROWS, _BYTES // max(1, bytes_per_unit)))


def cut(source: Source, rows: int) -> list[Chunk]:
    """Cut a source: small row groups are joined, large ones are cut, none is read twice."""
    chunks: list[Chunk] = []
    for pieces in _joined(source.pieces, rows):
        total = sum(piece.rows for piece in pieces)
        for offset in range(0, total, rows):
            first, count = pieces[0].first + offset, min(rows, total - offset)
            chunks.append(Chunk(len(chunks), first, count, pieces, offset))
    return chunks


def cut_units(units: int, rows: int) -> list[Chunk]:
    """Cut units that lie nowhere."""
    return [
        Chunk(number, first, min(rows, units - first))
        for number, first in enumerate(range(0, units, rows))
    ]


def read(source: Source, chunk: Chunk, columns: Sequence[str]) -> pa.Table:
    """Read the rows of a chunk."""
    import pyarrow as pa

    tables = [source.read(piece, columns) for piece in chunk.pieces]
    return pa.concat_tables(tables).slice(chunk.offset, chunk.rows).combine_chunks()


def seed_of(seed: int, chunk: Chunk) -> int:
    """Return the seed of a chunk: a hash of the query's and its number."""
    return Stream(seed, "chunk", 0).key(chunk.number) % 2**62


def _joined(pieces: Sequence[Piece], rows: int) -> Iterator[tuple[Piece, ...]]:
    group: list[Piece] = []
    for piece in pieces:
        if group and sum(p.rows for p in group) + piece.rows > rows:
            yield tuple(group)
            group = []
        group.append(piece)
    if group:
        yield tuple(group)
