"""From what a user asks of files to a question, its chunks, and a folder that knows them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from pyrocausal.distributed.chunks import Chunk, chunk_rows, cut, cut_units
from pyrocausal.distributed.columns import Columns, columns_for, row_bytes
from pyrocausal.distributed.models import Model
from pyrocausal.distributed.outputs import Output, Written
from pyrocausal.distributed.questions import Question
from pyrocausal.distributed.running import run
from pyrocausal.distributed.sources import Source, open_source
from pyrocausal.engine.evidence import as_sequence, count_of
from pyrocausal.fitting.options import read_seed
from pyrocausal.guides.fingerprints import fingerprint
from pyrocausal.interventions import read_worlds
from pyrocausal.naming import describe_worlds
from pyrocausal.results import Samples

__all__ = ["Prepared", "prepare"]


@dataclass(frozen=True)
class Prepared:
    """A question that has been read.

    Attributes:
        question: What is asked of each chunk.
        chunks: All of them.
        suffix: What the names of their files end with.
        identity: What tells it from other queries.
        first: The answer for a few units.
    """

    question: Question
    chunks: list[Chunk]
    suffix: str
    identity: dict[str, dict[str, Any]]
    first: Samples

    def run(self, cluster: Any, progress: bool | None) -> int:
        """Do what is not done yet; return how many chunks were."""
        output = self.question.output
        if cluster is not None:
            self.question.model.check_sendable()
        assert output is not None
        output.begin(self.identity)
        left = [chunk for chunk in self.chunks if not output.has(chunk.number, self.suffix)]
        run(self.question, left, cluster, progress)
        output.sweep()
        return len(self.chunks) - len(left)

    def written(self, cluster: Any, progress: bool | None) -> Written:
        """Do what is not done yet, and say what there is."""
        started = time.perf_counter()
        skipped, output = self.run(cluster, progress), self.question.output
        assert output is not None
        units = sum(chunk.rows for chunk in self.chunks)
        sizes = [self.first[n].shape for n in self.first if n not in self.first.shared]
        lead = sizes[0][: len(self.first.dims)] if sizes else (1,)
        return Written(
            path=output.path,
            query=self.first.query,
            units=units,
            rows=units * prod(lead[:-1]),
            chunks=len(self.chunks),
            skipped=skipped,
            seconds=time.perf_counter() - started,
            seed=self.question.seed,
        )


def prepare(
    kind: Callable[..., Question],
    verb: str,
    scm: Any,
    source: Any,
    acts: Any,
    output: Any,
    *,
    evidence: Sequence[str] | str | None,
    keep: Sequence[str] | str,
    variables: Sequence[str] | str | None,
    num_draws: int | None,
    inputs: Mapping[str, Any] | None,
    rows: int | None,
    device: Any,
    max_memory: int | None,
    seed: int | None,
    suffix: str = "parquet",
) -> Prepared:
    """Read a question; nothing is written yet.

    Raises:
        ValueError: What ``pyrocausal.distributed.counterfactual`` raises before its first chunk.
    """
    model, folder = Model(scm, device), None if output is None else Output(output)
    opened = None if verb == "sample" and isinstance(source, int) else open_source(source)
    columns = Columns({}, {}, ())
    if opened is not None:
        only = _evidence(model, evidence, inputs, opened) if verb != "sample" else ()
        columns = _columns(model, opened, inputs, only)
    worlds = ((),) if acts is None else read_worlds(acts)[0]
    taken = row_bytes(columns) + _bytes(model, len(worlds) * (num_draws or 1), inputs)
    size = chunk_rows(taken) if rows is None else count_of(rows, "rows, the units of a chunk,")
    question = kind(
        model=model,
        output=folder,
        source=opened,
        columns=columns,
        acts=acts,
        inputs=inputs or {},
        variables=variables,
        keep=_kept(opened, keep),
        num_draws=num_draws,
        max_memory=max_memory,
        seed=read_seed(seed if folder is None else folder.seed(seed), f"{verb}()"),
    )
    if opened is None:
        chunks = cut_units(count_of(source, "source, the number of units,"), size)
    else:
        chunks = cut(opened, size)
    first, numbers = question.first(chunks[0])
    names = as_sequence(variables, "variables")
    identity: dict[str, dict[str, Any]] = {
        "query": {
            "verb": verb,
            "do": describe_worlds(worlds, len(worlds)),
            "evidence": sorted(columns.variables),
            "variables": None if names is None else list(names),
            "kept columns": list(question.keep),
            "number of draws": num_draws,
            "units of a chunk": size,
            "seed": question.seed,
        },
        "program": {"parameters": fingerprint(model.scm._core)},
        "answers": numbers,
        "source": {"units": source} if opened is None else opened.fingerprint(),
    }
    return Prepared(question, chunks, suffix, identity, first)


def _columns(
    model: Model, source: Source, inputs: Mapping[str, Any] | None, only: Sequence[str]
) -> Columns:
    core = model.scm._core
    with core.session():
        core.examples = {**core.examples, **(inputs or {})}
        return columns_for(core, source, only)


def _evidence(
    model: Model, given: Sequence[str] | str | None, inputs: Any, source: Source
) -> Sequence[str]:
    """Return the variables to read: those named, or all that can be seen."""
    names = as_sequence(given, "evidence")
    if names is not None:
        return names
    _columns(model, source, inputs, ())  # a program with arguments can be probed after this
    core = model.scm._core
    return [
        name
        for name, v in core.anatomy.variables.items()
        if not (v.deterministic or v.shared or name in core.latent)
    ]


def _kept(source: Source | None, keep: Sequence[str] | str) -> tuple[str, ...]:
    names = as_sequence(keep, "keep") or ()
    there = [] if source is None else source.schema.names
    for name in names:
        if name not in there:
            raise ValueError(
                f"keep got {name!r}, but the source has no such column. It has: {', '.join(there)}."
            )
    return names


def _bytes(model: Model, worlds: int, inputs: Mapping[str, Any] | None) -> int:
    """Return about how many bytes the answer for a unit takes, as numbers of 8 bytes."""
    core = model.scm._core
    with core.session():
        core.examples = {**core.examples, **(inputs or {})}
        variables = core.anatomy.variables.values()
    return 8 * worlds * sum(prod(v.unit_shape) for v in variables if not v.shared)
