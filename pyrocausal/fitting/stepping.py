"""One step of a fit as Pyro takes it: run guide and program, differentiate, move."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyrocausal.fitting.objective import Objective, negative_elbo

__all__ = ["Eager", "Loss"]


class Loss:
    """The loss per unit of some rows, and its gradient, as functions of tensors alone.

    Args:
        objective: What is minimized.
        train: Numbers of the units that are trained on.
        size: How many of them a step takes.

    Attributes:
        whole: Whether every step takes all units.
        data: All that is observed of the units, a contiguous tensor for each variable: equal
            mechanisms can then share compiled code.
    """

    def __init__(self, objective: Objective, train: Tensor, size: int) -> None:
        self.objective, self.train, self.size = objective, train, size
        self.whole = size >= len(train)
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
        trained = len(self.train)
        value, gradient = negative_elbo(*self.objective.traces(rows, units, trained / len(rows)))
        return value / trained, gradient / trained


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

    def _step(self, rows: Tensor, fraction: float) -> Tensor:
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * fraction
        value, gradient = self.loss(rows, *self.loss.data)
        self.optimizer.zero_grad()
        gradient.backward()
        self.optimizer.step()
        return value
