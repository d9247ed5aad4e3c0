"""counterfactual and sample of data larger than memory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from pyrocausal.distributed.outputs import Written
from pyrocausal.distributed.preparing import prepare
from pyrocausal.distributed.questions import Imagining, Sampling

if TYPE_CHECKING:
    from pyrocausal.model import SCM

__all__ = ["counterfactual", "sample"]

Path = str | os.PathLike[str]


def counterfactual(
    scm: SCM | Path,
    source: Any,
    do: Any,
    output: Path,
    *,
    evidence: Sequence[str] | str | None = None,
    keep: Sequence[str] | str = (),
    variables: Sequence[str] | str | None = None,
    num_draws: int | None = None,
    inputs: Mapping[str, Any] | None = None,
    rows: int | None = None,
    cluster: Any = None,
    device: torch.device | str | None = None,
    max_memory: int | None = None,
    progress: bool | None = None,
    seed: int | None = None,
) -> Written:
    """Tell what would have been for units in files, chunk by chunk, into files.

    The noise of a chunk depends on the seed and its number, so that the answer is the same on any
    number of workers. A run that was cut off is taken up by the same call.

    Args:
        scm: The SCM, or the path of a saved one.
        source: The path of Parquet or Arrow files, a list of them, or a
            ``pyarrow.dataset.Dataset``; a unit a row. A variable of several numbers has a column
            of lists, or the columns ``x[0]``, ``x[1]``, ...; arguments of the program that are
            columns are read too.
        do: The intervention, or a list of them (worlds); see ``SCM.do``.
        output: A folder for the answers, Parquet files with a row for each draw, world and unit.
        evidence: The variables that were seen; by default all that are not latent.
        keep: Columns of the source to write beside the answers, such as a key.
        variables: Return these only.
        num_draws: Number of draws of noise that the evidence does not determine.
        inputs: Other arguments of the program, the same for all units.
        rows: Units of a chunk; chosen by default by how much a unit takes.
        cluster: Where to work: ``None`` for this process, a number of processes on this machine,
            the address of a Dask scheduler, or a ``dask.distributed.Client``.
        device: Where to compute, such as ``"cuda"``.
        max_memory: Bytes to compute in, as in ``SCM.counterfactual``.
        progress: Whether to show a bar; ``None`` shows one on a terminal.
        seed: Gives the same answers again.

    Raises:
        OSError: A file that can't be read, a disk that is full; finished chunks are kept.
        TypeError: A column of no numbers.
        ValueError: A column that lacks; a folder with the results of another query.

    Example:
        >>> import tempfile
        >>> ward = pc.zoo.simpson()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     seen = sample(ward, 1000, f"{folder}/seen", seed=0)
        ...     other = counterfactual(ward, seen.path, {"surgery": 1.0}, f"{folder}/other")
        ...     other.dataset().count_rows()
        1000
    """
    prepared = prepare(
        Imagining,
        "counterfactual",
        scm,
        source,
        do,
        output,
        evidence=evidence,
        keep=keep,
        variables=variables,
        num_draws=num_draws,
        inputs=inputs,
        rows=rows,
        device=device,
        max_memory=max_memory,
        seed=seed,
    )
    return prepared.written(cluster, progress)


def sample(
    scm: SCM | Path,
    source: Any,
    output: Path,
    *,
    do: Any = None,
    keep: Sequence[str] | str = (),
    variables: Sequence[str] | str | None = None,
    inputs: Mapping[str, Any] | None = None,
    rows: int | None = None,
    cluster: Any = None,
    device: torch.device | str | None = None,
    max_memory: int | None = None,
    progress: bool | None = None,
    seed: int | None = None,
) -> Written:
    """Draw new units into files, chunk by chunk; see ``counterfactual`` for what is not told here.

    Args:
        scm: The SCM, or the path of a saved one.
        source: How many units; or files with the program's arguments, a unit a row.
        output: A folder for the units, Parquet files with a row for each world and unit.
        do: The intervention, or a list of them (worlds).
        keep: Columns of the source to write beside the units.
        variables: Return these only.
        inputs: Other arguments of the program, the same for all units.
        rows: Units of a chunk.
        cluster: Where to work.
        device: Where to compute.
        max_memory: Bytes to compute in.
        progress: Whether to show a bar.
        seed: Gives the same units again.

    Raises:
        OSError: A file that can't be read, a disk that is full; finished chunks are kept.
        ValueError: A folder with the results of another query.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     units = sample(pc.zoo.simpson(), 1000, folder, rows=300, seed=0)
        ...     units.chunks, units.dataset().count_rows()
        (4, 1000)
    """
    prepared = prepare(
        Sampling,
        "sample",
        scm,
        source,
        do,
        output,
        evidence=None,
        keep=keep,
        variables=variables,
        num_draws=None,
        inputs=inputs,
        rows=rows,
        device=device,
        max_memory=max_memory,
        seed=seed,
    )
    return prepared.written(cluster, progress)
