"""fit, save, load: how an SCM comes by its parameters, and keeps them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from pyrocausal.building import Edges, Mechanisms, build
from pyrocausal.distributed.sources import is_source
from pyrocausal.engine.evidence import count_of
from pyrocausal.engine.tracing import quiet_seed
from pyrocausal.errors import ConvergenceWarning
from pyrocausal.fitting.checkpointing import open_checkpoint
from pyrocausal.fitting.fit_report import FitReport
from pyrocausal.fitting.fitting import fit
from pyrocausal.fitting.guiding import posterior_draws
from pyrocausal.fitting.options import read_seed
from pyrocausal.fitting.paths import Compile
from pyrocausal.fitting.refitting import refitted
from pyrocausal.fitting.saving import load, save
from pyrocausal.fitting.training import Settings
from pyrocausal.fitting.uncertainty import (
    MOST_PARAMETERS,
    Uncertainty,
    number_of_parameters,
    parameter_law,
    read_uncertainty,
)
from pyrocausal.noise import Coupling
from pyrocausal.verbs.core import Core
from pyrocausal.verbs.learnt import Learnt
from pyrocausal.verbs.posterior import shared_sites
from pyrocausal.verbs.standing import Standing

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Learning"]


class Learning:
    """The verbs of ``SCM`` that have to do with its parameters."""

    name: str
    _core: Core
    _standing: Standing

    def fit(
        self,
        data: Any,
        guide: Any = None,
        *,
        steps: int = 2000,
        batch_size: int | None = None,
        lr: float = 0.01,
        optimizer: Callable[[list[Tensor]], torch.optim.Optimizer] | None = None,
        validation: float = 0.1,
        patience: int = 10,
        inputs: Mapping[str, Any] | None = None,
        progress: bool | None = None,
        compile: Compile = "auto",
        uncertainty: Uncertainty | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        every: int | None = None,
        device: torch.device | str | None = None,
        seed: int | None = None,
    ) -> FitReport:
        """Fit the mechanisms to data by maximum likelihood; with a guide, by its lower bound.

        Values that are missing (NaN) are left out where nothing below them was observed. A fit of
        100 steps or more that stops on its way says so by a ``ConvergenceWarning``.

        Args:
            data: Mapping or DataFrame of variables, units first; NaN where missing. Or the path of
                Parquet or Arrow files, or a ``pyarrow.dataset.Dataset``, which may be larger than
                memory: their row groups are read in random order. ``pc.between`` gives limits of
                values that are censored or rounded, of variables without observed effects.
            guide: Proposes what was not observed: a function ``guide(batch)`` of the rows at hand
                that runs in the program's units plate, an AutoGuide, or a class of AutoGuides.
            steps: Number of gradient steps at most.
            batch_size: Units a step; ``None`` for all of them up to 4096, else 1024.
            lr: Learning rate of Adam at first; it falls along a cosine.
            optimizer: Makes another torch optimizer of the parameters, with its own rate.
            validation: Fraction of units held out, for early stopping and to be scored on; fewer
                than 20 are none.
            patience: Looks (one every 50 steps or so) at them without a rise before stopping.
            inputs: The program's arguments by name, units first.
            progress: Whether to show a bar; ``None`` shows one on a terminal.
            compile: Whether to turn a step (program, guide, gradient and optimizer) into one
                compiled graph. ``"auto"`` does so where it pays and is certainly the same, else
                warns and runs the program as it stands; ``True`` raises instead.
            uncertainty: What effects of the fitted SCM say of its parameters: ``"sandwich"`` (also
                where the model is wrong), ``"laplace"``, ``"bootstrap"``, or ``"posterior"`` for
                variables that all units share; ``None`` for nothing. The parameters then go to
                the maximum of the likelihood of all data, which must be complete. Of networks of
                more than 500 parameters there is no such maximum: only ``"bootstrap"`` serves,
                which fits them 20 times to random halves of the rows.
            checkpoint: A folder to keep the fit in while it runs: the same call after a crash goes
                on from there, to the same end; one of another fit is refused.
            every: Steps between two writings to it; 100 by default.
            device: Where to fit, such as ``"cuda"``; the SCM stays there.
            seed: Gives the same fit again.

        Returns:
            How it went: losses, steps, scores on held-out units, and notes.

        Raises:
            IncompleteEvidence: A variable has neither data nor a site in the guide.
            NotCapturable: With ``compile=True``, a program that a graph can't stand for.
            RuntimeError: With ``compile=True``, where compiling doesn't work.
            ValueError: A loss that is not finite, parameters that are not registered; a
                checkpoint of another program, other data or other settings.

        Example:
            >>> def program():
            ...     loc = pyro.param("loc", torch.tensor(0.0))
            ...     pyro.sample("x", dist.Normal(loc, 1.0))
            >>> model = pc.SCM(program)
            >>> report = model.fit({"x": [1.0, 2.0, 6.0]}, steps=500, lr=0.1, seed=0)
            >>> round(model.sample(10_000, seed=0)["x"].mean().item(), 1)
            3.0
        """
        method = read_uncertainty(uncertainty)
        if method is not None and is_source(data):
            raise ValueError(
                f"uncertainty={uncertainty!r} looks at all data at once, which have to be in memory. "
                "Pass a table instead of files, or leave uncertainty out."
            )
        settings = Settings(
            steps=steps,
            batch_size=batch_size,
            lr=lr,
            optimizer=optimizer,
            patience=patience,
            progress=progress,
            compile=compile,
            checkpoint=open_checkpoint(checkpoint, every),
        )
        report, start = fit(
            self._core, self._standing, data, guide, inputs, validation, device, seed, settings
        )
        self._core.report, self._core.law = report, None
        self._core.learnt = Learnt(report.observed, report.ranges)
        if method == "bootstrap" and number_of_parameters(self._core) > MOST_PARAMETERS:
            self._core.law = refitted(
                self._core, self._standing, data, inputs, validation, settings, start, report.seed
            )
        elif method is not None:
            self._core.law = parameter_law(self._core, data, inputs, method, report.seed)
            if method != "posterior":  # it has gone to the maximum
                report = self._core.report = replace(report, falling=0.0)
        if not report.converged:
            warnings.warn(report.advice(steps, lr), ConvergenceWarning, stacklevel=2)
        return report

    @property
    def report(self) -> FitReport | None:
        """How the last fit went, that of ``from_graph`` included; ``None`` before any."""
        report: FitReport | None = self._core.report
        return report

    def posterior(self, num_draws: int = 1000, *, seed: int | None = None) -> xr.DataTree:
        """Return draws of the variables that all units share, as ArviZ reads them.

        Args:
            num_draws: How many.
            seed: Gives the same draws again.

        Returns:
            A tree whose group ``posterior`` has the dimensions chain (one) and draw.

        Raises:
            IncompleteEvidence: No guide was fitted.
            ValueError: All variables belong to units; ask ``counterfactual`` about these.
            ModuleNotFoundError: xarray is not installed, the extra ``arviz``.

        Example:
            >>> def coins():
            ...     bias = pyro.sample("bias", dist.Beta(1.0, 1.0))
            ...     with pc.units():
            ...         pyro.sample("heads", dist.Bernoulli(bias))
            >>> model = pc.SCM(coins)
            >>> guide = pyro.infer.autoguide.AutoNormal
            >>> report = model.fit({"heads": [1.0, 1.0, 0.0]}, guide, steps=50, seed=0)
            >>> model.posterior(100, seed=0)["posterior/bias"].dims
            ('chain', 'draw')
        """
        from pyrocausal.trees import posterior_tree

        if not shared_sites(self._core):
            raise ValueError(
                f"posterior(): all variables of {self.name} belong to units. Open `with pc.units():` "
                "below those that all units share, or ask counterfactual(..., num_draws=...)."
            )
        number, seed = count_of(num_draws, "num_draws"), read_seed(seed, "posterior()")
        return posterior_tree(posterior_draws(self._core, seed, number))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the parameters and buffers, what data left open of them, and the amortized guide.

        The program and another guide are code, and not in the file. Of what ``from_graph`` built it
        holds the graph, and what this library's mechanisms were made with, so that ``load(path)`` needs
        nothing else.

        Args:
            path: The file, in the safetensors format; replaced at once or not at all.

        Raises:
            OSError: A folder that is not there, or that can't be written to.
            ValueError: An SCM under ``do`` or ``condition``.

        Example:
            >>> import tempfile
            >>> from pathlib import Path
            >>> data = {"x": [0.0, 1.0] * 20, "y": [0.5, 2.0] * 20}
            >>> model = pc.SCM.from_graph([("x", "y")], data=data, steps=5)
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     model.save(Path(folder) / "model.safetensors")
            ...     again = pc.SCM.load(Path(folder) / "model.safetensors")
            >>> again.graph
            CausalGraph(x -> y)
        """
        save(self._core, self._standing, self.name, path)

    @classmethod
    def from_graph(
        cls,
        graph: Edges,
        mechanisms: Mechanisms | None = None,
        data: Any = None,
        *,
        steps: int = 1000,
        seed: int | None = None,
        **fit: Any,
    ) -> Self:
        """Build an SCM from a graph; with data, choose the mechanisms that lack, and fit all.

        How the fit went is in ``report``; ``print(scm)`` shows the mechanism of each variable.

        Args:
            graph: A causal graph, or its edges ``(cause, effect)``, also as a table. A latent
                variable needs a mechanism, and a ``guide`` to be fitted.
            mechanisms: Variable to what returns its distribution, called with its parents' values
                in the order of ``graph.predecessors``, which is that of the edges; or, for a
                root, the distribution itself.
            data: Mapping or DataFrame of the observed variables, units first. A variable without
                a mechanism gets one by what its column holds (binary, categorical, count or
                continuous, see `choose_mechanisms`), standardised inside.
            steps: Number of gradient steps at most.
            seed: Gives the same mechanisms and fit again.
            fit: Further options of ``fit``.

        Returns:
            The SCM, fitted where data are given.

        Raises:
            UnknownVariable: A mechanism or column that is no variable.
            TypeError: A column of words or dates; a mechanism that can't be called with the
                values of its parents.
            ValueError: A variable without mechanism or data, or with data that tell no mechanism.

        Example:
            >>> x = torch.linspace(-2.0, 2.0, 400)
            >>> table = {"x": x, "y": 3 * x + torch.randn(400)}
            >>> model = pc.SCM.from_graph([("x", "y")], data=table, steps=300, seed=0)
            >>> gain = model.do([{"x": 0.0}, {"x": 1.0}]).sample(500, seed=0)["y"].mean(1).diff()
            >>> bool((gain - 3).abs() < 0.5)
            True
        """
        if data is None and fit:
            raise ValueError(f"from_graph() got {', '.join(fit)} but no data to fit.")
        with quiet_seed(read_seed(seed, "from_graph()")):
            program = build(graph, mechanisms, data)
        model = cls(program, latent=program.latent, name="graph")  # type: ignore[call-arg]
        if data is not None:
            model.fit(data, steps=steps, seed=seed, **fit)
        return model

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        program: Callable[..., Any] | None = None,
        *,
        inputs: Mapping[str, Any] | None = None,
        noise: Mapping[str, Coupling] | None = None,
    ) -> Self:
        """Return an SCM of a program, with the parameters that ``save`` wrote.

        Args:
            path: The file.
            program: The program that was saved, or an SCM of it; its modules take over what is in
                the file. Not needed for what ``from_graph`` built of this library's mechanisms
                and plain distributions: the file says how to build it again.
            inputs: Some of the program's arguments by name, units first, if it takes any.
            noise: The couplings that are functions; named ones are in the file.

        Raises:
            FileNotFoundError: No file.
            ValueError: A damaged file, or one of another program; a file of code of one's own
                without the program.

        Example:
            >>> import tempfile
            >>> def program():
            ...     loc = pyro.param("loc", torch.tensor(0.0))
            ...     pyro.sample("x", dist.Normal(loc, 1.0))
            >>> model = pc.SCM(program)
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     model.save(f"{folder}/model.safetensors")
            ...     again = pc.SCM.load(f"{folder}/model.safetensors", program)
            >>> bool((again.sample(3, seed=0)["x"] == model.sample(3, seed=0)["x"]).all())
            True
        """
        return load(cls, path, program, inputs, noise)
