"""amortize: how an SCM comes by the guide that infers what evidence lacks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Literal

from pyrocausal.fitting.paths import Compile
from pyrocausal.verbs.core import Core

if TYPE_CHECKING:
    from pyrocausal.guides import AmortizationReport, Amortized

__all__ = ["Amortizing"]


class Amortizing:
    """The verbs of ``SCM`` that have to do with its amortized guide."""

    _core: Core

    def amortize(
        self,
        *,
        steps: int = 7000,
        patterns: Literal["all"] | Sequence[Collection[str]] = "all",
        head: Literal["gaussian", "diagonal", "mixture", "flow"] = "gaussian",
        encoder: Literal["mlp", "transformer"] = "mlp",
        hidden: int = 64,
        layers: int = 3,
        batch_size: int = 512,
        lr: float = 3e-3,
        compile: Compile = "auto",
        seed: int | None = None,
        progress: bool | None = None,
    ) -> AmortizationReport:
        """Train a network that infers missing variables from evidence, and keep it.

        It learns from simulations of the SCM, fresh ones in each step, with random parts of each
        unit masked; the guide is then ``amortized``, and saved with the SCM.

        Args:
            steps: Number of gradient steps.
            patterns: The sets of variables that may be observed; ``"all"`` for any.
            head: The distribution of a continuous variable: Gaussian given those inferred before
                it, Gaussian given the evidence alone (``"diagonal"``), a mixture of Gaussians, or
                a spline flow (with zuko). Discrete variables have categories or counts.
            encoder: What reads the evidence: a gated multilayer perceptron, or a set transformer.
            hidden: Width of the network.
            layers: Depth of the network.
            batch_size: Units a step.
            lr: Learning rate of Adam at its highest; it falls along a cosine.
            compile: Whether to compile loss and gradient, ``"auto"`` to decide by the time of a
                step and the number of steps: a compiled step takes about 0.6 of the time, and to
                compile takes about 15 seconds, so that it rarely pays below 10,000 steps.
            seed: Gives the same guide again, to rounding where it is compiled.
            progress: Whether to show a bar; ``None`` shows one on a terminal.

        Returns:
            How it went, and what the guide is worth on fresh units beside no evidence.

        Raises:
            UnknownVariable: A pattern with a name that is no random variable.
            ValueError: An SCM under ``do`` or ``condition``, a program with arguments or with
                variables that all units share, numbers out of range.
            RuntimeError: ``compile=True``, and compiling doesn't work here.

        Example:
            >>> def chain():
            ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
            ...     pyro.sample("y", dist.Normal(x, 1.0))
            >>> model = pc.SCM(chain)
            >>> report = model.amortize(steps=300, hidden=16, seed=0)
            >>> values, log_q = model.amortized.draw(
            ...     {"y": torch.tensor([2.0])}, ["x"], 1000, torch.Generator().manual_seed(0)
            ... )
            >>> bool((values["x"].mean() - 1.0).abs() < 0.2)
            True
        """
        from pyrocausal.guides import amortize

        return amortize(
            self,  # type: ignore[arg-type]
            steps=steps,
            batch_size=batch_size,
            lr=lr,
            compile=compile,
            seed=seed,
            progress=progress,
            patterns=patterns,
            head=head,
            encoder=encoder,
            hidden=hidden,
            layers=layers,
        )

    @property
    def amortized(self) -> Amortized | None:
        """The guide that infers what evidence lacks; ``None`` before any.

        One that ``fit`` has trained along with the program is kept by assigning it.
        """
        guide: Amortized | None = self._core.amortized
        return guide

    @amortized.setter
    def amortized(self, guide: Amortized | None) -> None:
        from pyrocausal.guides.attaching import attach

        attach(self._core, guide)
