"""Doing the chunks of a query that are not done yet, here or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from tqdm import tqdm

from pyrocausal.distributed.chunks import Chunk

__all__ = ["Job", "run"]

_QUIET = 2.0  # seconds without a progress bar


class Job(Protocol):
    """The work of a query; it can be sent to another process."""

    def do(self, chunk: Chunk) -> None:
        """Answer for a chunk and write what comes out; once more is no harm."""


def run(job: Job, chunks: Sequence[Chunk], cluster: Any, progress: bool | None) -> None:
    """Do some chunks.

    Args:
        job: What to do.
        chunks: The chunks to do.
        cluster: ``None`` for here; else see ``pyrocausal.distributed.counterfactual``.
        progress: Whether to show a bar; ``None`` shows one on a terminal, after a while.

    Raises:
        Exception: What the first chunk raised that failed; its message says which one.
    """
    if not chunks:
        return
    hidden = None if progress is None else not progress
    with tqdm(
        total=sum(chunk.rows for chunk in chunks),
        desc="units",
        unit_scale=True,
        delay=_QUIET,
        disable=hidden,
    ) as bar:
        for chunk in _done(job, chunks, cluster):
            bar.update(chunk.rows)


def _done(job: Job, chunks: Sequence[Chunk], cluster: Any) -> Iterator[Chunk]:
    if cluster is not None:
        from pyrocausal.distributed.clusters import done_on

        yield from done_on(cluster, job, chunks)
        return
    for chunk in chunks:
        attempt(job.do, chunk)
        yield chunk


def attempt(do: Callable[[Chunk], None], chunk: Chunk) -> None:
    """Do a chunk; an error says which one it was."""
    try:
        do(chunk)
    except Exception as error:
        error.add_note(
            f"This was chunk {chunk.number}, units {chunk.first} to {chunk.first + chunk.rows - 1} "
            "(the message counts them from the chunk's first). Finished chunks are kept."
        )
        raise
