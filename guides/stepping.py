"""One step of a guide's training: as it comes, or with loss and gradient compiled."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Final

import pyro
import torch
from torch import Tensor

from pyrocausal.capture.deciding import choose_compilation
from pyrocausal.errors import CaptureWarning, NotCapturable
from pyrocausal.fitting.paths import Compile
from pyrocausal.guides.amortized import Amortized

if TYPE_CHECKING:
    from pyrocausal.capture import Captured

__all__ = ["Steps", "Units"]

Units = tuple[Tensor, list[Tensor], Tensor, Tensor]
"""Features, targets, which variables are known, which are asked about; units first."""
BETAS: Final = (0.9, 0.99)
CLIP: Final = 10.0
TRIED: Final = 6  # steps after which "auto" decides


class Steps:
    """Takes the steps of a guide's training.

    A replayed graph would save a twentieth of a step, whose time goes into the network; so a
    graph is compiled at once, or not made. The optimizer stays torch's own.

    Args:
        guide: The guide.
        lr: The learning rate at its highest.
        compile: Whether to capture and compile; ``"auto"`` decides after some steps, by their time
            and how many there are to go.

    Attributes:
        path: ``"eager"`` or ``"compiled"``.
    """

    def __init__(self, guide: Amortized, lr: float, compile: Compile) -> None:
        self.guide, self.lr, self.compile = guide, lr, compile
        self.parameters = list(guide.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=lr, betas=BETAS, fused=True)
        self.captured: Captured | None = None
        self.undecided = compile is not False
        self.times: list[float] = []

    @property
    def path(self) -> str:
        """The way that the steps take now, in a word."""
        return "eager" if self.captured is None else "compiled"

    def take(self, units: Units, rate: float, left: int) -> Tensor:
        """Take a step; return its loss.

        Args:
            units: What it learns from.
            rate: The fraction of the learning rate.
            left: How many steps there are to go, this included.

        Raises:
            NotCapturable: ``compile=True``, and the step can't be captured.
            RuntimeError: ``compile=True``, and compiling doesn't work here.
        """
        features, targets, known, asked = units
        point = [features, known, asked, *targets]
        if self.undecided:
            self._decide(point, left)
        started = time.process_time() if self.undecided else 0.0
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * rate
        loss, *gradients = (self.captured or self._differentiated)(*point)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(self.parameters, CLIP)
        self.optimizer.step()
        if self.undecided:
            self.times.append(time.process_time() - started)
        return loss

    def _differentiated(self, *point: Tensor) -> list[Tensor]:
        """Return the loss, and its gradient by each parameter."""
        features, known, asked, *targets = point
        with torch.enable_grad(), pyro.validation_enabled(False):
            density = self.guide.log_densities(features, targets, known)
            wanted = asked[:, self.guide.drawn]
            loss = -torch.where(wanted, density, 0.0).sum() / wanted.sum()
        gradients = torch.autograd.grad(
            loss, self.parameters, allow_unused=True, materialize_grads=True
        )
        return [loss.detach(), *gradients]

    def _decide(self, point: Sequence[Tensor], left: int) -> None:
        seconds = None
        if self.compile == "auto":
            if len(self.times) < TRIED:
                return
            seconds = median(self.times[1:])
        self.undecided = False
        # Without its operations the graph would cost at least so much.
        if choose_compilation(left, seconds, nodes=0, single=True) is None:
            return
        try:
            self.captured = self._compiled(point, left, seconds)
        except (NotCapturable, RuntimeError) as error:
            if self.compile is True:
                raise
            warnings.warn(
                f"The guide is trained without being compiled. {error}",
                CaptureWarning,
                stacklevel=4,
            )

    def _compiled(
        self, point: Sequence[Tensor], left: int, seconds: float | None
    ) -> Captured | None:
        from pyrocausal.capture import capture

        another = [tensor.flip(0) for tensor in point]
        captured = capture(self._differentiated, point, another=another, watch=[self.guide])
        how = choose_compilation(left, seconds, captured.nodes, single=True)
        if how is None:
            return None
        captured.compile(small=how.small)
        captured.let_go()
        return captured
