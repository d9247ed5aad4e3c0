"""Which way a fit takes its steps: as they come, as a graph, or compiled."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from pyrocausal.capture.deciding import Compilation, choose_compilation, worth_capturing
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
        self.loss, self.parameters, self.optimizer = loss, parameters, optimizer
        self.adam = adam and loss.team is None  # what is shared comes between gradient and Adam
        self.compile = compile
        self.eager = Eager(loss, optimizer)
        self.steps: Eager | FlatSteps | Differentiated = self.eager
        self.times: list[float] = []
        self.undecided = compile is not False
        self.since, self.next, self.sure = 0, 10, 0  # steps since the capture
        self.known: tuple[list[Tensor], int] = ([], 0)
        self.how: Compilation | None = None

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

    def way(self) -> dict[str, Any]:
        """Return what it takes to go on in the same way, fit for JSON."""
        how = None if self.how is None or self.path != "compiled" else vars(self.how)
        return {"path": "undecided" if self.undecided else self.path, "how": how}

    def go_on(self, way: Mapping[str, Any]) -> None:
        """Take the steps from here on as another fit did."""
        if way["path"] == "undecided" or self.compile is False:
            return
        self.undecided = False
        if way["path"] != "eager":
            self._take_up(lambda: None if way["how"] is None else Compilation(**way["how"]))

    def optimizer_state(self) -> dict[Any, Any]:
        """Return the optimizer's state."""
        self.steps.hand_over()
        state: dict[Any, Any] = self.optimizer.state_dict()["state"]
        return state

    def put_optimizer(self, state: Mapping[Any, Any]) -> None:
        """Give the optimizer another state; its settings stay."""
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": dict(state), "param_groups": groups})

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
            if self.loss.team is not None:
                seconds = self.loss.team.agree(seconds)
        self.undecided = False
        if seconds is not None and not worth_capturing(left, seconds):
            _log.info("fit: %d steps of %.2g s stay eager", left, seconds)
            return
        self._take_up(lambda: self._choose(left, seconds))

    def _take_up(self, choose: Callable[[], Compilation | None]) -> None:
        """Capture, and compile where that is chosen."""
        try:
            self._capture()
        except NotCapturable as refusal:
            self._refuse(refusal)
            return
        self._compile(choose)
        self.since = 0
        if not isinstance(self.steps, Eager):
            self.known = (self.steps.state(), self.steps.done)

    def _capture(self) -> None:
        from pyrocausal.capture.flat import Flat
        from pyrocausal.fitting.captured import Differentiated, FlatSteps, capture_loss

        objective, noise = self.loss.objective, self.loss.noise
        watch: list[Any] = [objective.core.program, objective.guide.guide]
        if noise is not None:
            watch.append(noise.key)
        if not self.adam:
            graph = self._graph(lambda: capture_loss(self.loss, self.parameters, watch))
            self.steps = Differentiated(graph, self.loss, self.optimizer, self.eager.rates)
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

        if self.loss.noise is not None:
            return make()  # type: ignore[no-any-return] # it reads the noise of this fit
        core, guide = self.loss.objective.core, self.loss.objective.guide.guide
        key = (
            "fit",
            id(guide),  # watched, and so kept, by the graph
            tuple(map(id, self.parameters)),
            self.loss.objective.units.number,
            (len(self.loss.train), self.loss.size),
            tuple(self.loss.units.values),
            tuple(self.loss.units.missing),
            tuple(self.loss.units.limits),
            tuple(self.loss.objective.causes),
            _settings(self.loss),
            tuple((t.shape, t.dtype, t.device) for t in self.loss.data),
            torch.get_float32_matmul_precision(),
            torch.get_default_dtype(),
        )
        return cached(core, key, make)  # type: ignore[no-any-return]

    def _choose(self, left: int, seconds: float | None) -> Compilation | None:
        assert not isinstance(self.steps, Eager)
        nodes = self.steps.graph.captured.nodes
        how = choose_compilation(left, seconds, nodes, single=not self.adam)
        _log.info("fit: %d steps, %d operations, %s", left, nodes, how or "replayed")
        return how

    def _compile(self, choose: Callable[[], Compilation | None]) -> None:
        if isinstance(self.steps, Eager):
            return
        how = choose()
        if how is None:
            return
        try:
            self.steps.compile(how.stride, small=how.small)
            self.how = how
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
