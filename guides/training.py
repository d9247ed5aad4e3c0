"""Training a guide on simulations of its own program."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyro
import torch
from torch import Tensor
from tqdm import tqdm

from pyrocausal.fitting.options import read_seed
from pyrocausal.fitting.paths import Compile
from pyrocausal.guides.amortized import Amortized
from pyrocausal.guides.attaching import attach
from pyrocausal.guides.fingerprints import fingerprint
from pyrocausal.guides.options import check_training
from pyrocausal.guides.simulating import simulate
from pyrocausal.guides.stepping import Steps, Units
from pyrocausal.verbs.standing import Standing

if TYPE_CHECKING:
    from pyrocausal.model import SCM

__all__ = ["AmortizationReport", "amortize", "train"]

CHUNK = 2**15  # units simulated at a time
VALUES = 2**22  # numbers of a chunk, at most
FRESH = 10_000  # units that the guide is judged on
WARM = 0.02  # of the steps, in which the rate rises


@dataclass(frozen=True, repr=False, eq=False)
class AmortizationReport:
    """How the training of a guide went, and what it is worth beside a guide without evidence.

    Attributes:
        losses: The negative log density of each step, for each missing value.
        loss: That on fresh units, after training.
        baseline: That of each variable's own distribution, which ignores the evidence (a normal
            distribution in standardised units, or frequencies).
        se: Standard error of the difference.
        fresh: Number of these units.
        simulated: Number of units trained on.
        parameters: Number of parameters of the network.
        seconds: How long it took.
        seed: Gives the same guide again.
        path: How the steps were taken: ``"eager"`` or ``"compiled"``.

    Example:
        >>> def chain():
        ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
        ...     pyro.sample("y", dist.Normal(x, 1.0))
        >>> model = pc.SCM(chain)

        >>> report = model.amortize(steps=20, hidden=8, seed=0)
        >>> isinstance(report, AmortizationReport), report.steps
        (True, 20)
    """

    losses: Tensor
    loss: float
    baseline: float
    se: float
    fresh: int
    simulated: int
    parameters: int
    seconds: float
    seed: int
    path: str

    @property
    def gain(self) -> float:
        """What the guide learns from the evidence, in nats for each missing value."""
        return self.baseline - self.loss

    @property
    def steps(self) -> int:
        """How many steps were run."""
        return len(self.losses)

    def __repr__(self) -> str:
        return (
            f"amortize: {self.parameters} parameters, {self.steps} steps on {self.simulated} "
            f"simulated units in {self.seconds:.1f} s ({self.path}), seed {self.seed}\n"
            f"negative log density for each missing value, on {self.fresh} fresh units: "
            f"{self.loss:.4g}\n"
            f"without evidence {self.baseline:.4g}, gain {self.gain:.4g} +- {self.se:.2g}"
        )


def amortize(
    scm: SCM,
    *,
    steps: int = 7000,
    batch_size: int = 512,
    lr: float = 3e-3,
    compile: Compile = "auto",
    seed: int | None = None,
    progress: bool | None = None,
    **shape: Any,
) -> AmortizationReport:
    """Make a guide of an SCM, train it on simulations, and attach it; see ``SCM.amortize``.

    Args:
        scm: The model.
        steps: Number of gradient steps.
        batch_size: Units a step.
        lr: Learning rate of Adam at its highest.
        compile: Whether to compile loss and gradient.
        seed: Gives the same guide again.
        progress: Whether to show a bar; None shows one on a terminal.
        shape: ``patterns``, ``head``, ``encoder``, ``hidden`` and ``layers``.

    Returns:
        How it went, and what the guide is worth on fresh units.

    Example:
        >>> def chain():
        ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
        ...     pyro.sample("y", dist.Normal(x, 1.0))
        >>> model = pc.SCM(chain)

        >>> amortize(model, steps=20, hidden=8, seed=0).steps, model.amortized is not None
        (20, True)
    """
    check_training(steps, batch_size, lr, compile)
    if scm._standing != Standing():
        raise ValueError(
            "amortize() takes an SCM without interventions and evidence: amortize the SCM itself."
        )
    seed = read_seed(seed, "amortize()")
    guide = Amortized.of(scm, seed=seed, **shape)
    report = train(
        guide,
        scm,
        steps=steps,
        batch_size=batch_size,
        lr=lr,
        compile=compile,
        seed=seed,
        progress=progress,
    )
    attach(scm._core, guide)
    return report


def train(
    guide: Amortized,
    scm: SCM,
    *,
    steps: int = 7000,
    batch_size: int = 512,
    lr: float = 3e-3,
    compile: Compile = "auto",
    seed: int | None = None,
    progress: bool | None = None,
) -> AmortizationReport:
    """Maximise ``E_p[log q(missing | evidence)]`` over simulations of the program, all fresh.

    It is the inclusive divergence from posterior to guide: no gradient of the program is needed,
    and the guide covers the posterior rather than its highest mode.

    Args:
        guide: The guide.
        scm: The SCM whose simulations it learns from.
        steps: Number of gradient steps.
        batch_size: Units a step.
        lr: Learning rate of Adam at its highest; it falls along a cosine.
        compile: Whether to capture loss and gradient and compile them; ``"auto"`` does where the
            steps to go are worth it.
        seed: Gives the same guide again.
        progress: Whether to show a bar; ``None`` shows one on a terminal.

    Returns:
        How it went, and what the guide is worth on fresh units.

    Raises:
        ValueError: The loss is not finite; numbers that are out of range.
        NotCapturable: ``compile=True``, and the step can't be captured.
        RuntimeError: ``compile=True``, and compiling doesn't work here.

    Example:
        >>> def chain():
        ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
        ...     pyro.sample("y", dist.Normal(x, 1.0))
        >>> model = pc.SCM(chain)

        >>> guide = Amortized.of(model)
        >>> train(guide, model, steps=20, seed=0).steps
        20
    """
    check_training(steps, batch_size, lr, compile)
    started, seed = time.perf_counter(), read_seed(seed, "train()")
    generator = torch.Generator().manual_seed(seed % 2**63)
    taking, losses = Steps(guide, lr, compile), list[Tensor]()
    source = _simulated(guide, scm, batch_size, generator)
    shown = None if progress is None else not progress
    with tqdm(total=steps, desc="amortize", disable=shown) as bar:
        for step, units in zip(range(steps), source, strict=False):
            losses.append(taking.take(units, _rate(step / steps), steps - step))
            if step % 100 == 99 or step == steps - 1:
                _check(losses[-100:])
                bar.update(step + 1 - bar.n)
                bar.set_postfix(loss=f"{losses[-1].item():.4g}")
    guide.fingerprint = fingerprint(scm._core)
    loss, dull = judge(guide, scm, FRESH, generator)
    gain = (dull - loss).to(torch.float64)
    return AmortizationReport(
        losses=torch.stack(losses).cpu(),
        loss=float(loss.mean()),
        baseline=float(dull.mean()),
        se=float(gain.std() / math.sqrt(len(gain))),
        fresh=len(gain),
        simulated=steps * batch_size,
        parameters=sum(p.numel() for p in guide.parameters()),
        seconds=time.perf_counter() - started,
        seed=seed,
        path=taking.path,
    )


@torch.no_grad()
def judge(
    guide: Amortized, scm: SCM, units: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return each fresh unit's negative log density for a missing value: the guide's, and a dull one.

    The dull one ignores the evidence.

    Returns:
        Two tensors of shape ``(units,)``.
    """
    features, targets, known, asked = _fresh(guide, scm, units, generator)
    with pyro.validation_enabled(False):
        density = guide.log_densities(features, targets, known)
    alone = torch.cat([_alone(target) for target in targets], 1)
    asked = asked[:, guide.drawn]
    some = asked.any(1)
    share = asked[some] / asked[some].sum(1, keepdim=True)
    return -(density[some] * share).sum(1), -(alone[some] * share).sum(1)


def _simulated(
    guide: Amortized, scm: SCM, batch_size: int, generator: torch.Generator
) -> Iterator[Units]:
    """Yield fresh units, a batch at a time."""
    width = sum(space.width for space in guide._spaces())
    batches = max(1, min(CHUNK, VALUES // width) // batch_size)
    while True:
        features, targets, *masks = _fresh(guide, scm, batches * batch_size, generator)
        split = [part.split(batch_size) for part in (features, *masks, *targets)]
        for batch, known, asked, *rest in zip(*split, strict=True):
            yield batch, rest, known, asked


def _fresh(guide: Amortized, scm: SCM, units: int, generator: torch.Generator) -> Units:
    """Simulate units: features and targets, what is known and what is asked about."""
    seed = int(torch.randint(2**31, (), generator=generator))
    features, targets = guide.encoded(simulate(scm._core, units, seed))
    known, asked = guide.patterns.draw(units, guide.chained, generator)
    return features, targets, known.to(features), asked.to(features.device)


def _rate(done: float) -> float:
    return min(1.0, done / WARM + 0.01) * (1 + math.cos(math.pi * done)) / 2


def _check(losses: list[Tensor]) -> None:
    if not bool(torch.stack(losses).isfinite().all()):
        raise ValueError(
            "The loss of the guide is not finite: a simulated variable may be infinite, or lr is "
            "too high. Look at scm.sample(), or lower lr."
        )


def _alone(target: Tensor) -> Tensor:
    """Return log densities without evidence, by the best normal distribution or frequencies."""
    if target.dtype == torch.get_default_dtype():
        scale = target.std(0).clamp(min=1e-6)
        density: Tensor = torch.distributions.Normal(target.mean(0), scale).log_prob(target)
        return density.sum(-1)
    parts = [_frequency(column) for column in target.flatten(1).unbind(1)]
    return torch.stack(parts, 1).reshape(target.shape).sum(-1)


def _frequency(codes: Tensor) -> Tensor:
    where, counts = torch.unique(codes, return_inverse=True, return_counts=True)[1:]
    often: Tensor = (counts / len(codes)).log()
    return often[where]
