"""The held-out units of a fit, and how well they are predicted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pyrocausal.engine.parameters import evaluating
from pyrocausal.engine.tracing import quiet_seed
from pyrocausal.errors import NotCapturable
from pyrocausal.fitting.objective import Objective, faults

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
    """

    def __init__(
        self, objective: Objective, rows: Tensor, size: int, modules: Sequence[nn.Module]
    ) -> None:
        self.objective, self.modules = objective, modules
        self.parts = [(part, objective.units.rows(part)) for part in rows.split(size) if len(part)]
        self._graphs: dict[int, Captured] = {}
        self._tried = False

    def __len__(self) -> int:
        """Return how many runs it takes."""
        return len(self.parts)

    def total(self) -> Tensor:
        """Return each unit's part of the bound."""
        return torch.cat([total for total, _ in self._scores()])

    def by_variable(self) -> dict[str, Tensor]:
        """Return the log-likelihood of each unit by variable."""
        parts = [scores for _, scores in self._scores()]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

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

        examples = {len(rows): [rows, *units.tensors()] for rows, units in self.parts}
        try:
            with torch.no_grad(), evaluating(self.modules):
                self._graphs = {
                    size: capture(self._function, example, watch=watch)
                    for size, example in examples.items()
                }
        except NotCapturable as refusal:
            _log.info("fit: held-out units are scored as Pyro does. %s", refusal)

    def _scores(self) -> list[Scores]:
        found = []
        with torch.no_grad(), evaluating(self.modules), quiet_seed(0):
            for rows, units in self.parts:
                run = self._graphs.get(len(rows), self._function)
                found.append(run(rows, *units.tensors()))
        return found

    def _function(self, rows: Tensor, *data: Tensor) -> Scores:
        return self.objective.scores(rows, self.parts[0][1].holding(data))
