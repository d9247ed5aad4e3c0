"""fit, save, load: how an SCM comes by its parameters, and keeps them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor

from pyrocausal.core import Core, Standing
from pyrocausal.fit_report import FitReport
from pyrocausal.fitting import fit
from pyrocausal.noise import Coupling
from pyrocausal.saving import load, save
from pyrocausal.training import Settings

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
        device: torch.device | str | None = None,
        seed: int | None = None,
    ) -> FitReport:
        """Fit the mechanisms to data by maximum likelihood; with a guide, by its lower bound.

        Values that are missing (NaN) are left out where nothing below them was observed.

        Args:
            data: Mapping or DataFrame of variables, units first; NaN where missing.
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
            device: Where to fit, such as ``"cuda"``; the SCM stays there.
            seed: Gives the same fit again.

        Raises:
            IncompleteEvidence: A variable has neither data nor a site in the guide.
            ValueError: A loss that is not finite, parameters that are not registered.

        Example:
            >>> def program():
            ...     loc = pyro.param("loc", torch.tensor(0.0))
            ...     pyro.sample("x", dist.Normal(loc, 1.0))
            >>> model = pc.SCM(program)
            >>> report = model.fit({"x": [1.0, 2.0, 6.0]}, steps=500, lr=0.1, seed=0)
            >>> round(model.sample(10_000, seed=0)["x"].mean().item(), 1)
            3.0
        """
        settings = Settings(steps, batch_size, lr, optimizer, patience, progress)
        return fit(
            self._core, self._standing, data, guide, inputs, validation, device, seed, settings
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the parameters and buffers to one file.

        The program and a guide are code, and not in it.

        Args:
            path: The file, in the safetensors format; replaced at once or not at all.

        Raises:
            ValueError: An SCM under ``do`` or ``condition``.
        """
        save(self._core, self._standing, self.name, path)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        program: Callable[..., Any],
        *,
        inputs: Mapping[str, Any] | None = None,
        noise: Mapping[str, Coupling] | None = None,
    ) -> Self:
        """Return an SCM of a program, with the parameters that ``save`` wrote.

        Args:
            path: The file.
            program: The program that was saved; its modules take over what is in the file.
            inputs: Some of the program's arguments by name, units first, if it takes any.
            noise: The couplings that are functions; named ones are in the file.

        Raises:
            ValueError: A damaged file, or one of another program.

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
