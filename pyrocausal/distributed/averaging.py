"""effect: the mean difference of two worlds over units in files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import reduce
from math import prod
from operator import add
from typing import TYPE_CHECKING, Any

import torch

from pyrocausal.answers import Effect, normal_interval
from pyrocausal.distributed.preparing import Prepared, prepare
from pyrocausal.distributed.questions import Averaging, Moments
from pyrocausal.distributed.running import run
from pyrocausal.interventions import read_worlds
from pyrocausal.naming import describe_worlds

if TYPE_CHECKING:
    from pyrocausal.model import SCM

__all__ = ["effect"]

Path = str | os.PathLike[str]


def effect(
    scm: SCM | Path,
    source: Any,
    outcome: str,
    do: Any,
    versus: Any,
    output: Path | None = None,
    *,
    evidence: Sequence[str] | str | None = None,
    num_draws: int | None = None,
    inputs: Mapping[str, Any] | None = None,
    rows: int | None = None,
    cluster: Any = None,
    device: torch.device | str | None = None,
    max_memory: int | None = None,
    progress: bool | None = None,
    level: float = 0.95,
    seed: int | None = None,
) -> Effect:
    """Average over units in files how an outcome differs between two worlds.

    Args:
        scm: The SCM, or the path of a saved one.
        source: The units; see ``counterfactual``, also for what is not told here.
        outcome: A variable of one number.
        do: The first world's intervention.
        versus: The second world's.
        output: A folder for the sums of the chunks: then a run that was cut off can be taken up. A
            cluster needs one.
        evidence: The variables that were seen; by default all that are not latent.
        num_draws: Number of draws of noise that the evidence does not determine.
        inputs: Other arguments of the program, the same for all units.
        rows: Units of a chunk.
        cluster: Where to work.
        device: Where to compute.
        max_memory: Bytes to compute in.
        progress: Whether to show a bar.
        level: Level of the interval.
        seed: Gives the same answer again.

    Returns:
        The mean difference; its error says how far that of other units like them would be.

    Raises:
        OSError: A file that can't be read, a disk that is full; finished chunks are kept.
        ValueError: An outcome of several numbers; a folder with the results of another query.

    Example:
        >>> import tempfile
        >>> from pyrocausal.distributed import sample
        >>> ward = pc.zoo.simpson()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     seen = sample(ward, 2000, folder, seed=0)
        ...     gain = effect(ward, seen.path, "recovery", {"surgery": 1}, {"surgery": 0}, seed=0)
        >>> abs(gain.value - (0.8325 - 0.7788)) < 4 * gain.se
        True
    """
    if output is None and cluster is not None:
        raise ValueError(
            "effect() got a cluster but no output. Name a folder that all workers can write to."
        )
    prepared = prepare(
        Averaging,
        "effect",
        scm,
        source,
        [do, versus],
        output,
        evidence=evidence,
        keep=(),
        variables=[outcome],
        num_draws=num_draws,
        inputs=inputs,
        rows=rows,
        device=device,
        max_memory=max_memory,
        seed=seed,
        suffix="json",
    )
    core = prepared.question.model.scm._core
    if prod(core.anatomy.variables[outcome].unit_shape) != 1:
        raise ValueError(f"effect() got {outcome!r}, which has several numbers; expected one.")
    total = reduce(add, _moments(prepared, cluster, progress))
    text = " - ".join(
        f"{outcome}({describe_worlds(read_worlds(world)[0])})" for world in (do, versus)
    )
    return Effect(
        total.mean,
        total.se,
        normal_interval(total.mean, {"units": total.se}, level),
        f"E[{text}]",
        rung=3,
        routes=prepared.first.routes,
        assumptions=prepared.first.assumptions,
        details={
            "units": f"{total.number} seen, {len(prepared.chunks)} chunks",
            "seed": str(prepared.question.seed),
        },
    )


def _moments(prepared: Prepared, cluster: Any, progress: bool | None) -> list[Moments]:
    """Return what the chunks' means are made of, in their order, whoever did them."""
    question, chunks = prepared.question, prepared.chunks
    assert isinstance(question, Averaging)
    if question.output is not None:
        prepared.run(cluster, progress)
        files = [question.output.file(chunk.number, "json") for chunk in chunks]
        return [Moments(*json.loads(file.read_text())) for file in files]
    noting = _Noting(question, {})
    run(noting, chunks, None, progress)
    return [noting.found[chunk.number] for chunk in chunks]


class _Noting:
    """Keeps the chunks' sums in memory."""

    def __init__(self, question: Averaging, found: dict[int, Moments]) -> None:
        self.question, self.found = question, found

    def do(self, chunk: Any) -> None:
        """Note what the mean of a chunk is made of."""
        self.found[chunk.number] = self.question.moments(chunk)
