"""The held-out units of a fit, and how well they are predicted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pyrocausal.engine.parameters import evaluating
from pyrocausal.engine.tracing import quiet_seed
from pyrocausal.errors import NotCapturable
from pyrocausal.fitting.keyed_noise import KeyedNoise
from pyrocausal.fitting.objective import Objective, faults
from pyrocausal.fitting.team import Team

if TYPE_CHECKING:
    from pyrocausal.capture import Captured

__all__ = ["HeldOut"]

Scores = tuple[Tensor, dict[str, Tensor]]
_log = logging.getLogger(__name__)


class HeldOut:
    """Scores the held-out units, with the same draws of the guide every time.

    Args:
        objective: What is minimized.
        rows: Numbers of the units.
        size: How many are taken at a time.
        modules: The modules of program and guide, which are run in evaluation mode.
        team: The processes that share them.
    """

    def __init__(
        self,
        objective: Objective,
        rows: Tensor,
        size: int,
        modules: Sequence[nn.Module],
        team: Team | None = None,
    ) -> None:
        self.objective, self.modules, self.team = objective, modules, team
        if team is not None and len(rows):
            rows = team.share(rows)
        self.parts = [(part, objective.units.rows(part)) for part in rows.split(size) if len(part)]
        # Of its own, so that every look draws the same; each process for its units.
        self.noise = None if team is None else KeyedNoise(0, rows.device)
        self._graphs: dict[int, Captured] = {}
        self._tried = False

    def __len__(self) -> int:
        """Return how many runs it takes."""
        return len(self.parts)

    def total(self) -> Tensor:
        """Return each unit's part of the bound."""
        return self._joined([total for total, _ in self._scores()])

    def by_variable(self) -> dict[str, Tensor]:
        """Return the log-likelihood of each unit by variable."""
        parts = [scores for _, scores in self._scores()]
        return {name: self._joined([part[name] for part in parts]) for name in parts[0]}

    def faults(self) -> str:
        """Say which sites have densities that are NaN or infinite."""
        with torch.no_grad(), evaluating(self.modules):
            found = [faults(*self.objective.traces(*part, 1.0)) for part in self.parts]
        return ", ".join(filter(None, found))

    def follow(self, watch: Sequence[Any] | None) -> None:
        """Replay a graph from now on where one can stand for the program, as the steps do.

        Args:
            watch: Program and guide; ``None`` to run them as they are.
        """
        if watch is None:
            self._graphs.clear()
        elif not self._tried:
            self._tried = True
            self._capture(watch)

    def _capture(self, watch: Sequence[Any]) -> None:
        from pyrocausal.capture import capture

        if self.noise is not None:
            watch = [*watch, self.noise.key]
        examples = {len(rows): [rows, *units.tensors()] for rows, units in self.parts}
        try:
            with torch.no_grad(), evaluating(self.modules):
                self._graphs = {
                    size: capture(self._function, example, watch=watch)
                    for size, example in examples.items()
                }
        except NotCapturable as refusal:
            _log.info("fit: held-out units are scored as Pyro does. %s", refusal)

    def _joined(self, parts: Sequence[Tensor]) -> Tensor:
        mine = torch.cat(list(parts))
        return mine if self.team is None else self.team.gather(mine)

    def _scores(self) -> list[Scores]:
        found = []
        with torch.no_grad(), evaluating(self.modules), quiet_seed(0):
            for rows, units in self.parts:
                run = self._graphs.get(len(rows), self._function)
                found.append(run(rows, *units.tensors()))
        return found

    def _function(self, rows: Tensor, *data: Tensor) -> Scores:
        with nullcontext() if self.noise is None else self.noise.of(rows):
            return self.objective.scores(rows, self.parts[0][1].holding(data))
