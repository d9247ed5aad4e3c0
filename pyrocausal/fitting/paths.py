"""Which way a fit takes its steps: as they come, as a graph, or compiled."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from pyrocausal.capture.deciding import choose_compilation, worth_capturing
from pyrocausal.errors import CaptureWarning, NotCapturable
from pyrocausal.fitting.stepping import Eager, Loss

if TYPE_CHECKING:
    from pyrocausal.fitting.captured import Differentiated, FlatSteps, StepGraph

__all__ = ["Compile", "Paths"]

Compile = Literal["auto"] | bool

TRIED = 6  # eager steps after which "auto" decides
_log = logging.getLogger(__name__)


class Paths:
    """Takes the steps of a fit, on the way that is fastest and certainly right.

    Args:
        loss: What is minimized.
        parameters: What is moved.
        optimizer: A torch optimizer of the parameters.
        adam: Whether it is the Adam that ``fit`` makes itself.
        compile: Whether to capture and compile; ``"auto"`` decides after some eager steps.
    """

    def __init__(
        self,
        loss: Loss,
        parameters: Sequence[Tensor],
        optimizer: torch.optim.Optimizer,
        *,
        adam: bool,
        compile: Compile,
    ) -> None:
        self.loss, self.parameters, self.optimizer, self.adam = loss, parameters, optimizer, adam
        self.compile = compile
        self.eager = Eager(loss, optimizer)
        self.steps: Eager | FlatSteps | Differentiated = self.eager
        self.times: list[float] = []
        self.undecided = compile is not False
        self.since, self.next, self.sure = 0, 10, 0  # steps since the capture
        self.known: tuple[list[Tensor], int] = ([], 0)

    @property
    def path(self) -> str:
        """The way that the steps take now, in a word."""
        return self.steps.path

    @property
    def watch(self) -> tuple[Any, Any] | None:
        """Program and guide, if a graph stands for them now."""
        if isinstance(self.steps, Eager):
            return None
        return self.loss.objective.core.program, self.loss.objective.guide.guide

    @property
    def stride(self) -> int:
        """How many steps are taken at once where there are so many."""
        return self.steps.stride

    def take(self, rows: Sequence[Tensor], fractions: Sequence[float], left: int) -> list[Tensor]:
        """Take steps; return their losses.

        Args:
            rows: Numbers of the units of each step.
            fractions: The fraction of the learning rate at each.
            left: How many steps there are to go, these included.

        Raises:
            NotCapturable: ``compile=True``, and the program can't be captured.
            RuntimeError: ``compile=True``, and compiling doesn't work here.
        """
        if self.undecided:
            self._decide(left)
        started = time.process_time() if self.undecided else 0.0
        losses = self.steps.take(rows, fractions)
        self.since += len(losses)
        if self.undecided:
            self.times.append(time.process_time() - started)
        return losses

    def verify(self, rows: Tensor) -> int:
        """Check that what was captured is still the program; fall back to eager steps if not.

        The Python state is compared each time; the program is traced again after 10, 100,
        1,000, ... steps.

        Args:
            rows: Numbers of the units of some step.

        Returns:
            How many of the last steps were taken back, because they may have been wrong.

        Raises:
            NotCapturable: They may, and ``compile=True``.
        """
        if isinstance(self.steps, Eager):
            return 0
        fault = self.steps.graph.stale()
        try:
            if fault is not None:
                raise NotCapturable(f"During the fit something else changed {fault}.")
            if self.since >= self.next:
                self.next *= 10
                self.steps.graph.check_again(self.loss, rows)
        except NotCapturable as refusal:
            wrong = self.since - self.sure
            self.steps.put_back(*self.known)
            self.finish()
            self._refuse(refusal)
            return wrong
        self.sure, self.known = self.since, (self.steps.state(), self.steps.done)
        return 0

    def finish(self) -> None:
        """Leave the parameters as they would be without a graph."""
        if not isinstance(self.steps, Eager):
            self.steps.finish()
        self.steps, self.undecided = self.eager, False

    def _decide(self, left: int) -> None:
        seconds = None
        if self.compile == "auto":
            if len(self.times) < TRIED:
                return
            seconds = median(self.times[1:])
        self.undecided = False
        if seconds is not None and not worth_capturing(left, seconds):
            _log.info("fit: %d steps of %.2g s stay eager", left, seconds)
            return
        try:
            self._capture()
        except NotCapturable as refusal:
            self._refuse(refusal)
            return
        self._compile(left, seconds)
        self.since = 0
        if not isinstance(self.steps, Eager):
            self.known = (self.steps.state(), self.steps.done)

    def _capture(self) -> None:
        from pyrocausal.capture.flat import Flat
        from pyrocausal.fitting.captured import Differentiated, FlatSteps, capture_loss

        objective = self.loss.objective
        watch = (objective.core.program, objective.guide.guide)
        if not self.adam:
            graph = self._graph(lambda: capture_loss(self.loss, self.parameters, watch))
            self.steps = Differentiated(graph, self.loss, self.optimizer)
            return
        flat = Flat(self.parameters)
        try:
            graph = self._graph(lambda: capture_loss(self.loss, self.parameters, watch))
            self.steps = FlatSteps(graph, flat, self.loss, self.optimizer)
        except BaseException:
            flat.let_go()
            raise

    def _graph(self, make: Any) -> StepGraph:
        from pyrocausal.capture.caching import cached

        core, guide = self.loss.objective.core, self.loss.objective.guide.guide
        key = (
            "fit",
            id(guide),  # watched, and so kept, by the graph
            tuple(map(id, self.parameters)),
            self.loss.objective.units.number,
            (len(self.loss.train), self.loss.size),
            tuple(self.loss.units.values),
            tuple(self.loss.units.missing),
            tuple(self.loss.objective.causes),
            _settings(self.loss),
            tuple((t.shape, t.dtype, t.device) for t in self.loss.data),
            torch.get_float32_matmul_precision(),
            torch.get_default_dtype(),
        )
        return cached(core, key, make)  # type: ignore[no-any-return]

    def _compile(self, left: int, seconds: float | None) -> None:
        if isinstance(self.steps, Eager):
            return
        nodes = self.steps.graph.captured.nodes
        how = choose_compilation(left, seconds, nodes, single=not self.adam)
        _log.info("fit: %d steps, %d operations, %s", left, nodes, how or "replayed")
        if how is None:
            return
        try:
            self.steps.compile(how.stride, small=how.small)
        except (NotCapturable, RuntimeError) as error:
            if self.compile is True:
                self.finish()
                raise
            _warn(f"The fit's steps are replayed without being compiled. {error}")

    def _refuse(self, refusal: NotCapturable) -> None:
        if self.compile is True:
            raise refusal
        _warn(f"The fit runs the program step by step, as Pyro does. {refusal}")


def _settings(loss: Loss) -> tuple[tuple[str, str], ...]:
    inputs = loss.units.inputs.items()
    return tuple((name, repr(v)) for name, v in inputs if not isinstance(v, Tensor))


def _warn(words: str) -> None:
    warnings.warn(words, CaptureWarning, stacklevel=2)
