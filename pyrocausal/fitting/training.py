"""The loop of a fit: steps, looks at the held-out units, and the best parameters so far."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from pyro.optim import PyroOptim
from torch import Tensor, nn
from tqdm import tqdm

from pyrocausal.engine.parameters import put_back
from pyrocausal.engine.tracing import quiet_seed
from pyrocausal.fitting.checkpointing import Checkpoint
from pyrocausal.fitting.converging import LEAST_STEPS, still_falling
from pyrocausal.fitting.feeding import Feed, Split
from pyrocausal.fitting.judging import HeldOut
from pyrocausal.fitting.keyed_noise import KeyedNoise
from pyrocausal.fitting.objective import Objective, faults
from pyrocausal.fitting.paths import Compile, Paths
from pyrocausal.fitting.snapshots import generators
from pyrocausal.fitting.stepping import Loss
from pyrocausal.fitting.team import SharedFeed, Team

__all__ = ["Settings", "Training", "not_finite", "training_mode"]

LOOK = 50  # steps between looks at the losses, so that a step never waits for the device
LAST = 10  # steps over which the loss at the end is averaged
ENOUGH = 4096  # units that are looked at, to tell whether a fit has converged
SECONDS = 0.5  # or as many seconds, where steps are slow


@dataclass(frozen=True)
class Settings:
    """How to optimize; see ``SCM.fit``."""

    steps: int
    batch_size: int | None
    lr: float
    optimizer: Any
    patience: int
    progress: bool | None
    compile: Compile = False
    checkpoint: Checkpoint | None = None
    seed: int = 0
    team: Team | None = None


class Training:
    """One run of the optimizer.

    The learning rate falls along a cosine. Once the held-out log-likelihood has not risen for
    ``patience`` looks the fall is hastened, and the run soon ends. Then the best parameters are
    put back, unless the last ones are as good within one standard error, unit by unit: the
    best of many looks at few units would else be chosen by their noise.

    Attributes:
        losses: The negative bound of each step, per unit.
        stopped: Why the run ended.
        path: The way its steps took.
        falling: By how many standard errors the loss still falls; see ``converging``.
    """

    def __init__(
        self,
        objective: Objective,
        split: Split,
        feed: Feed,
        parameters: Sequence[Tensor],
        modules: Sequence[nn.Module],
        settings: Settings,
    ) -> None:
        self.objective, self.split, self.feed, self.settings = objective, split, feed, settings
        self.parameters, self.modules = parameters, modules
        # Program and guide may share a module.
        buffers = {id(b): b for m in modules for b in m.buffers()}
        self.state = [*parameters, *buffers.values()]
        size, team = settings.batch_size or len(split.train), settings.team
        noise = None
        if team is not None:
            team.begin(self.state)
            noise = self._noise()
            self.feed = SharedFeed(feed, team, noise, settings.seed)
        self.paths = Paths(
            Loss(objective, split.train, size, split.trained, team, noise),
            parameters,
            _optimizer(settings, list(parameters)),
            adam=settings.optimizer is None,
            compile=settings.compile,
        )
        self.held_out = HeldOut(objective, split.held_out, size, modules, team)
        runs = -(-len(split.held_out) // size)
        self.every = min(max(LOOK, 2 * runs), max(1, settings.steps // 10))
        self.losses: list[Tensor] = []
        self.path = self.paths.path
        self.stopped = f"all {settings.steps} steps were run"
        self.left, self.done, self.hastened = settings.steps, 0.0, False
        self.looked, self.since = 0, time.monotonic()
        self.midway: list[Tensor] | None = None
        self.falling = 0.0
        self.best, self.best_step, self.kept = -math.inf, 0, self._copy()
        self.best_units = self.last_units = torch.zeros(0)

    def run(self) -> None:
        """Optimize; on an error all parameters are as they were before.

        Raises:
            ValueError: The loss is not finite.
        """
        initial, shown = self.kept, self.settings.progress
        checkpoint = self.settings.checkpoint
        try:
            if checkpoint is None or not checkpoint.resume(self):
                self._weigh_start()
            with tqdm(
                total=self.settings.steps,
                initial=len(self.losses),
                desc="fit",
                disable=None if shown is None else not shown,
            ) as bar:
                try:
                    while self.left:
                        self._step()
                        self._look(bar)
                        if checkpoint is not None and checkpoint.due(len(self.losses)):
                            self._check(bar)
                            checkpoint.write(self)
                except KeyboardInterrupt:
                    done = len(self.losses)
                    self.stopped = f"interrupted from the keyboard after {done} steps"
                self._check(bar)
                self._weigh()
            if checkpoint is not None and not self.left:
                checkpoint.write(self)
        except Exception:
            put_back(self.state, initial)
            raise
        finally:
            self.path = self.paths.path
            self.paths.finish()
        if self.held_out and _worse(self.last_units, self.best_units):
            put_back(self.state, self.kept)
            self.stopped += f"; the parameters are those of step {self.best_step}"
        elif not self.left and not self.hastened:
            self._look_ahead()

    def _step(self) -> None:
        # Several at once only as far as the next look at the held-out units.
        ahead = min(self.left, self.every - len(self.losses) % self.every)
        ahead = self.feed.ahead(ahead)
        number = self.paths.stride if ahead >= self.paths.stride else 1
        rows, left = self.feed.take(number), self.left
        if self.midway is None and 2 * len(self.losses) >= self.settings.steps:
            self.midway = [parameter.detach().clone() for parameter in self.parameters]
        fractions = []
        for _ in rows:
            fractions.append((1 + math.cos(math.pi * self.done)) / 2)
            self.done += (1 - self.done) / self.left
            self.left -= 1
        self.rows = rows[-1]
        self.losses += self.paths.take(rows, fractions, left)

    def _look_ahead(self) -> None:
        """Say whether more steps would have fitted clearly better."""
        if self.midway is None or self.settings.steps < LEAST_STEPS or self.settings.team:
            return
        if self.objective.core.anatomy.shared:
            return  # one draw of these for all units: their gains are not independent
        rows = self.split.train[:ENOUGH]
        size = self.settings.batch_size or len(rows)
        if self.split.trained > len(self.split.train):  # of files, not all of which are at hand
            rows = self.split.held_out[:ENOUGH]
        if len(rows) > 1:
            trained = HeldOut(self.objective, rows, size, self.modules)
            with torch.no_grad():
                gained = self.losses[0] - torch.stack(self.losses[-LAST:]).mean()
                self.falling = still_falling(
                    trained, self.held_out, self.parameters, self.midway, float(gained)
                )

    def _look(self, bar: Any) -> None:
        step = len(self.losses)
        # Those who share a fit look at the same steps, whatever their clocks say.
        late = self.settings.team is None and time.monotonic() - self.since > SECONDS
        if step - self.looked >= LOOK or late:
            self._check(bar)
        if step % self.every or self._weigh() or self.hastened or not self.held_out:
            return
        waited = step - self.best_step
        if waited >= self.settings.patience * self.every:
            self.hastened = True
            self.left = min(self.left, self.settings.steps // 10)
            self.stopped = f"the held-out log-likelihood had not risen for {waited} steps"

    def _weigh(self) -> bool:
        """Keep the parameters if the held-out units like them better than all before."""
        if not self.held_out:
            return False
        self.held_out.follow(self.paths.watch)
        self.last_units = self.held_out.total()
        mean = self.last_units.mean().item()
        if not mean > self.best:
            return False
        self.best, self.best_step, self.kept = mean, len(self.losses), self._copy()
        self.best_units = self.last_units
        return True

    def _weigh_start(self) -> None:
        if self.held_out and not self._weigh():
            raise not_finite("on the held-out units", self.held_out.faults())

    def _check(self, bar: Any) -> None:
        """Show the progress, and raise if a loss or a parameter is not finite."""
        step, fresh = len(self.losses), self.losses[self.looked :]
        if not fresh:
            return
        wrong = self.paths.verify(self.rows)
        if wrong:
            self.left += wrong
            del self.losses[-wrong:]
            self.looked = min(self.looked, len(self.losses))
            return
        every = torch.stack([p.isfinite().all() for p in self.parameters])
        finite = torch.cat([torch.stack(fresh).isfinite(), every])
        if not bool(finite.all()):
            first = self.looked + 1 + min(int((~finite).nonzero()[0]), len(fresh))
            units = self.objective.units.rows(self.rows)
            with torch.no_grad():
                traces = self.objective.traces(self.rows, units, 1.0)
            raise not_finite(f"at step {first}", faults(*traces))
        bar.update(len(fresh))
        bar.set_postfix(loss=f"{fresh[-1].item():.4g}", held_out=f"{self.best:.4g}")
        self.looked, self.since = step, time.monotonic()

    def _noise(self) -> KeyedNoise | None:
        """Return the noise that is shared; ``None`` where the loss draws none."""
        kept, rows = self._copy(), self.split.train[: self.settings.batch_size]
        units = self.objective.units.rows(rows)
        with torch.no_grad(), quiet_seed(0):
            before = generators(rows.device)
            self.objective.traces(rows, units, 1.0)
            after = generators(rows.device)
        put_back(self.state, kept)
        if all(torch.equal(state, after[name]) for name, state in before.items()):
            return None
        return KeyedNoise(self.settings.seed, rows.device)

    def _copy(self) -> list[Tensor]:
        return [tensor.detach().clone() for tensor in self.state]


@contextmanager
def training_mode(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Put modules into training mode, and every submodule back into the mode it had."""
    idle = [m for module in modules for m in module.modules() if not m.training]
    for module in idle:
        module.training = True
    try:
        yield
    finally:
        for module in idle:
            module.training = False


def not_finite(when: str, where: str) -> ValueError:
    """Return the error for a loss that is NaN or infinite."""
    return ValueError(
        f"The loss is not finite {when}; sites: {where or 'none, the parameters are NaN'}. If the "
        "densities are infinite, the distribution can't take such data: compare them with its "
        "support. If they are NaN, lower lr, standardize the data, or keep scales away from zero, "
        "such as softplus(s) + 1e-3. The parameters are as they were before."
    )


def _worse(last: Tensor, best: Tensor) -> bool:
    loss = (best - last).to(torch.float64)
    return not bool(loss.mean() <= loss.std() / math.sqrt(len(loss)))


def _optimizer(settings: Settings, parameters: list[Tensor]) -> torch.optim.Optimizer:
    make = settings.optimizer
    if make is None:
        return torch.optim.Adam(parameters, lr=settings.lr)
    if isinstance(make, PyroOptim) or not callable(make):
        raise TypeError(
            f"optimizer is a {type(make).__name__}; expected a function from parameters to a "
            "torch optimizer, such as partial(torch.optim.SGD, lr=0.1)."
        )
    return make(parameters)  # type: ignore[no-any-return]
