"""One step of a fit as Pyro takes it: run guide and program, differentiate, move."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from pyrocausal.fitting.keyed_noise import KeyedNoise
from pyrocausal.fitting.objective import Objective, negative_elbo
from pyrocausal.fitting.team import Team

__all__ = ["Eager", "Loss"]


class Loss:
    """The loss per unit of some rows, and its gradient, as functions of tensors alone.

    Args:
        objective: What is minimized.
        train: Numbers of the units that are trained on.
        size: How many of them a step takes.
        trained: How many units are trained on in all.
        team: The processes that share each step; ``None`` for this one alone.
        noise: Its noise, where that is keyed by unit.

    Attributes:
        whole: Whether every step takes all units.
        data: All that is observed of the units, a contiguous tensor for each variable: equal
            mechanisms can then share compiled code.
    """

    def __init__(
        self,
        objective: Objective,
        train: Tensor,
        size: int,
        trained: int,
        team: Team | None = None,
        noise: KeyedNoise | None = None,
    ) -> None:
        self.objective, self.trained, self.team, self.noise = objective, trained, team, noise
        self.whole = size >= len(train)
        self.part = 1.0  # of a step's units that is this process's
        if team is not None:
            mine = team.share(train[:size])
            self.part = len(mine) / min(size, len(train))
            train, size = mine if self.whole else train, len(mine)
        self.train, self.size = train, size
        self.units = objective.units.rows(train) if self.whole else objective.units
        self.data = [
            (tensor.clone() if tensor.storage_offset() else tensor).contiguous()
            for tensor in self.units.tensors()
        ]

    def __call__(self, rows: Tensor, *data: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss, and what to differentiate."""
        units = self.units.holding(data)
        if not self.whole:
            units = units.rows(rows)
        scale = self.trained / len(rows)
        with nullcontext() if self.noise is None else self.noise.of(rows):
            value, gradient = negative_elbo(*self.objective.traces(rows, units, scale))
        return value / self.trained, gradient / self.trained

    def joined(self, value: Tensor, optimizer: torch.optim.Optimizer) -> Tensor:
        """Return the loss of all who share a step, and give the parameters their gradient."""
        if self.team is None:
            return value
        moved = [p for group in optimizer.param_groups for p in group["params"]]
        return self.team.reduce(value, moved, self.part)


class Eager:
    """Steps as they come: Pyro runs program and guide, torch's optimizer moves.

    Args:
        loss: What is minimized.
        optimizer: What moves the parameters.

    Attributes:
        stride: How many steps are taken at once where there are so many.
        path: The way, in a word or two.
    """

    stride = 1
    path = "eager"

    def __init__(self, loss: Loss, optimizer: torch.optim.Optimizer) -> None:
        self.loss, self.optimizer = loss, optimizer
        self.rates = [group["lr"] for group in optimizer.param_groups]

    def take(self, rows: Sequence[Tensor], fractions: Sequence[float]) -> list[Tensor]:
        """Take steps.

        Args:
            rows: Numbers of the units of each step.
            fractions: The fraction of the learning rates at each.

        Returns:
            Their losses, tensors without dimensions.
        """
        return [self._step(*pair) for pair in zip(rows, fractions, strict=True)]

    def hand_over(self) -> None:
        """Do nothing: the optimizer's state is its own."""

    def _step(self, rows: Tensor, fraction: float) -> Tensor:
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * fraction
        value, gradient = self.loss(rows, *self.loss.data)
        self.optimizer.zero_grad()
        gradient.backward()
        value = self.loss.joined(value, self.optimizer)
        self.optimizer.step()
        return value
