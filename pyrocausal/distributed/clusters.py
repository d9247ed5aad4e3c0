"""Doing chunks on a cluster of Dask: its scheduler hands a lost worker's chunks to others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pyrocausal.distributed.chunks import Chunk

if TYPE_CHECKING:
    from pyrocausal.distributed.running import Job

__all__ = ["done_on"]


def done_on(cluster: Any, job: Job, chunks: Sequence[Chunk]) -> Iterator[Chunk]:
    """Yield the chunks as they are done; with the first that fails the others are given up."""
    with _client(cluster) as client:
        from dask.distributed import as_completed

        # On every worker, so that it outlives any of them.
        sent = client.scatter(job, broadcast=True, hash=False)
        futures = {
            client.submit(_do, sent, chunk, key=f"{id(job)}-{chunk.number}", pure=False): chunk
            for chunk in chunks
        }
        try:
            for future in as_completed(list(futures)):
                future.result()
                yield futures[future]
        finally:
            client.cancel(list(futures))


def _do(job: Job, chunk: Chunk) -> None:
    import torch

    from pyrocausal.distributed.running import attempt

    torch.set_num_threads(1)  # there is a worker for each core
    attempt(job.do, chunk)


@contextmanager
def _client(cluster: Any) -> Iterator[Any]:
    try:
        from dask.distributed import Client, LocalCluster
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "cluster= needs Dask: pip install 'pyrocausal[distributed]'. Leave it out to work "
            "here, chunk by chunk."
        ) from error
    if isinstance(cluster, Client):
        yield cluster
    elif isinstance(cluster, bool) or not isinstance(cluster, int | str):
        raise TypeError(
            f"cluster is {cluster!r}; expected a number of processes, the address of a Dask "
            "scheduler, or a dask.distributed.Client."
        )
    elif isinstance(cluster, str):
        with Client(cluster) as client:
            yield client
    else:
        with (
            LocalCluster(
                n_workers=cluster, threads_per_worker=1, processes=True, dashboard_address=None
            ) as local,
            Client(local) as client,
        ):
            yield client
