"""Replaying a run that is asked for again as a graph of tensor operations, without its Python."""

from __future__ import annotations

import operator
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Final

import torch
from torch import Tensor

from pyrocausal.capture import Captured, capture
from pyrocausal.engine.querying import Query, Run, Tensors
from pyrocausal.engine.taping import Draw, Tape
from pyrocausal.errors import NotCapturable
from pyrocausal.low_precision import current_precision
from pyrocausal.requirements import deferred

__all__ = ["Replays"]

_Names = dict[str, tuple[str, ...]]
_KEPT: Final = 64  # kinds of run that one SCM remembers
_SLOW: Final = 1.0  # seconds: where an eager run takes longer, its Python does not count
_PATIENCE: Final = 0.5  # seconds, about what a capture costs


class Replays:
    """The runs of one SCM that were asked for before.

    Runs of a kind are eager until they have taken as long as a capture takes; then their
    operations are captured, and the graph is played as long as nothing that the program can reach
    has changed. What enters the graph are random numbers, evidence, arguments and the values of
    interventions; parameters are read where they live.

    Args:
        watched: The program, and whatever else a run calls.

    Attributes:
        patience: Seconds that runs of one kind may take before they are captured.
    """

    def __init__(self, *watched: Any) -> None:
        self.watched = watched
        self.patience = _PATIENCE
        self._known: dict[Hashable, _Graph | NotCapturable | float] = {}

    def forget(self) -> None:
        """Drop all graphs."""
        self._known.clear()

    def run(
        self, kind: Hashable, query: Query, tensors: Tensors, run: Run, held: Sequence[Tensor]
    ) -> tuple[Tensors, Any]:
        """Return what ``run(query, tensors)`` returns.

        Args:
            kind: Whatever a run depends on, besides tensors, seed and program.
            query: What a run needs to know.
            tensors: What it works on.
            run: Runs eagerly.
            held: The parameters; a graph serves these tensors only.
        """
        key = (kind, _signature(tensors), torch.get_default_dtype(), current_precision())
        known = self._known.pop(key, 0.0)
        if isinstance(known, _Graph):
            played = known.play(query, tensors) if known.serves(held) else None
            if played is not None:
                self._known[key] = known
                return played
            known = 0.0  # something has changed, or an error waits that the eager run explains
        start = perf_counter()
        tape = Tape()
        results = run(replace(query, streams=tape.stream), tensors)
        taken = perf_counter() - start
        if isinstance(known, float) and taken < _SLOW:
            known += taken
            if known > self.patience:
                known = self._captured(tape, query, tensors, run, held, results)
        self._known[key] = known
        while len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]
        return results

    def _captured(
        self,
        tape: Tape,
        query: Query,
        tensors: Tensors,
        run: Run,
        held: Sequence[Tensor],
        results: tuple[Tensors, Any],
    ) -> _Graph | NotCapturable:
        if tape.fixed:
            return NotCapturable("A site without structural equation draws by itself.")
        names, given_names = _names(results[0]), _names(tensors)

        def pure(*flat: Tensor) -> list[Tensor]:
            playing = Tape(flat[: len(tape.draws)])
            with deferred() as pending:
                given = _rebuilt(given_names, flat[len(tape.draws) :])
                values, _ = run(replace(query, streams=playing.stream), given)
            holds = torch.stack(pending).all() if pending else torch.ones((), dtype=torch.bool)
            return [*_flat(values), holds]

        try:
            numbers = [draw.numbers(query.seed, query.first) for draw in tape.draws]
            flat = [*numbers, *_flat(tensors)]
            graph = capture(pure, flat, watch=self.watched)
        except NotCapturable as refusal:
            return refusal
        graph.let_go()
        made = _Graph(graph, tape.draws, names, results[1], tuple(held))
        played = made.play(query, tensors)
        if played is None or not _agree(_flat(played[0]), _flat(results[0])):
            return NotCapturable("The captured run gives other values than the eager one.")
        return made


@dataclass(frozen=True)
class _Graph:
    graph: Captured
    draws: Sequence[Draw]
    names: _Names
    found: Any
    held: tuple[Tensor, ...]

    def serves(self, held: Sequence[Tensor]) -> bool:
        same = len(held) == len(self.held) and all(map(operator.is_, held, self.held))
        return same and self.graph.stale() is None

    def play(self, query: Query, tensors: Tensors) -> tuple[Tensors, Any] | None:
        """Return the results, ``None`` where something that was required does not hold."""
        numbers = [draw.numbers(query.seed, query.first) for draw in self.draws]
        *values, holds = self.graph(*numbers, *_flat(tensors))
        return (_rebuilt(self.names, values), self.found) if bool(holds) else None


def _names(tensors: Tensors) -> _Names:
    return {group: tuple(named) for group, named in tensors.items()}


def _flat(tensors: Tensors) -> list[Tensor]:
    return [tensor for named in tensors.values() for tensor in named.values()]


def _rebuilt(names: _Names, flat: Iterable[Tensor]) -> Tensors:
    following = iter(flat)
    return {group: {name: next(following) for name in named} for group, named in names.items()}


def _signature(tensors: Tensors) -> Hashable:
    return tuple(
        (group, name, tensor.shape, tensor.stride(), tensor.dtype, tensor.device)
        for group, named in tensors.items()
        for name, tensor in named.items()
    )


def _agree(played: Sequence[Tensor], eager: Sequence[Tensor]) -> bool:
    return all(
        one.shape == other.shape
        and one.dtype == other.dtype
        and torch.allclose(one, other, rtol=1e-5, atol=1e-6, equal_nan=True)
        for one, other in zip(played, eager, strict=True)
    )
