"""Training that survives a kill: steps that depend on their number alone, and atomic checkpoints."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import cos, pi
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from tqdm import tqdm

__all__ = ["Schedule", "Training", "read_tensors", "write_tensors"]

WARM_UP: Final = 30
LEAST_RATE: Final = 0.01
"""Of the learning rate, what is left of it at the end."""
CLIP: Final = 1.0

Loss = Callable[[torch.Generator], Tensor]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a module is trained.

    Attributes:
        steps: Number of steps.
        lr: Learning rate, after 30 steps of warm-up and before its cosine decay.
        average: Most that the moving average of the weights keeps in a step.
        seed: Of all chance: a step depends on it and on the step's number alone.
    """

    steps: int
    lr: float = 2e-3
    average: float = 0.998
    seed: int = 0

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        decay = LEAST_RATE + (1 - LEAST_RATE) * (1 + cos(pi * step / self.steps)) / 2
        return self.lr * min(1.0, (step + 1) / WARM_UP) * decay

    def kept(self, step: int) -> float:
        """Return what the moving average keeps in a step; it is short at first."""
        return min(self.average, (1 + step) / (10 + step))


class Training:
    """Trains a module by AdamW, with a moving average of its weights, and can be resumed.

    Args:
        module: What is trained; its own weights become the average at the end.
        loss: Returns the loss of a step; all its chance comes from the generator it is given.
        schedule: How long and how fast.
        checkpoint: A file to write, and to go on from where it is there; ``None`` for none.
        recipe: What the loss is made of, kept with the checkpoint: one of another recipe is
            refused.

    Attributes:
        losses: The loss of each step so far.

    Example:
        >>> line = nn.Linear(1, 1)
        >>> def loss(generator):
        ...     x = torch.randn(32, 1, generator=generator)
        ...     return (line(x) - 3 * x).square().mean()
        >>> losses = Training(line, loss, Schedule(steps=200, lr=0.1)).run(progress=False)
        >>> losses[-1] < 1e-3 * losses[0]
        True
    """

    def __init__(
        self,
        module: nn.Module,
        loss: Loss,
        schedule: Schedule,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        recipe: Mapping[str, Any] | None = None,
    ) -> None:
        self.module, self.loss, self.schedule = module, loss, schedule
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        self.recipe = {**asdict(schedule), **(recipe or {})}
        self.weights: list[Tensor] = [p for p in module.parameters() if p.requires_grad]
        self.average = [p.detach().clone() for p in self.weights]
        self.optimizer = torch.optim.AdamW(
            self.weights, schedule.lr, betas=(0.9, 0.99), weight_decay=1e-4
        )
        self.losses: list[float] = []

    def run(
        self,
        *,
        every: int = 250,
        watch: Callable[[Training], None] | None = None,
        progress: bool = True,
        what: str = "train",
    ) -> list[float]:
        """Train to the end, from the checkpoint where there is one; return the loss of each step.

        Args:
            every: Steps from one checkpoint to the next.
            watch: Called after each checkpoint, with the averaged weights in place.
            progress: Whether to show a bar.
            what: What the bar is called.

        Raises:
            ValueError: A checkpoint of another recipe.
        """
        if self.checkpoint is not None and self.checkpoint.exists():
            self._resume(self.checkpoint)
        steps, start = self.schedule.steps, len(self.losses)
        with tqdm(total=steps, initial=start, desc=what, disable=not progress, leave=False) as bar:
            for step in range(start, steps):
                self._step(step)
                bar.update()
                if (step + 1) % every == 0 or step + 1 == steps:
                    bar.set_postfix(loss=f"{self.losses[-1]:.4g}")
                    self._pause(watch)
        self._swap()
        return self.losses

    def _step(self, step: int) -> None:
        generator = torch.Generator(self.weights[0].device)
        generator.manual_seed((self.schedule.seed << 32) + step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(step)
        self.optimizer.zero_grad()
        loss = self.loss(generator)
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights, CLIP)
        self.optimizer.step()
        torch._foreach_lerp_(self.average, self.weights, 1 - self.schedule.kept(step))
        self.losses.append(loss.item())

    def _pause(self, watch: Callable[[Training], None] | None) -> None:
        if self.checkpoint is not None:
            write_tensors(self.checkpoint, self._tensors(), self.recipe)
        if watch is not None:
            self._swap()
            watch(self)
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        """Exchange weights and average."""
        for weight, average in zip(self.weights, self.average, strict=True):
            kept = weight.clone()
            weight.copy_(average)
            average.copy_(kept)

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {"losses": torch.tensor(self.losses, dtype=torch.float64)}
        for i, (weight, average) in enumerate(zip(self.weights, self.average, strict=True)):
            tensors |= {f"weight.{i}": weight.detach(), f"average.{i}": average}
            state = self.optimizer.state[weight]
            tensors |= {f"{name}.{i}": value for name, value in state.items()}
        return tensors

    @torch.no_grad()
    def _resume(self, path: Path) -> None:
        tensors, recipe = read_tensors(path)
        differing = sorted(
            k for k in {*recipe, *self.recipe} if recipe.get(k) != self.recipe.get(k)
        )
        if differing:
            parts = [
                f"{k} {recipe.get(k)!r} there, {self.recipe.get(k)!r} here" for k in differing
            ]
            raise ValueError(
                f"{path} is the checkpoint of another training: {'; '.join(parts)}. Train with what "
                "it was made with, or give another file."
            )
        self.losses = tensors["losses"].tolist()
        for i, (weight, average) in enumerate(zip(self.weights, self.average, strict=True)):
            weight.copy_(tensors[f"weight.{i}"])
            average.copy_(tensors[f"average.{i}"])
            self.optimizer.state[weight] = {
                name: tensors[f"{name}.{i}"] for name in ("step", "exp_avg", "exp_avg_sq")
            }


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], notes: Mapping[str, Any]
) -> None:
    """Write tensors and notes to a safetensors file, at once or not at all.

    Args:
        path: The file; its folder is made where it is not there.
        tensors: Name to tensor.
        notes: What JSON can hold.
    """
    from safetensors.torch import save_file

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    whole = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    save_file(whole, temporary, {"notes": json.dumps(notes)})
    temporary.replace(path)


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what ``write_tensors`` wrote.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A file of another kind.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            notes = json.loads((file.metadata() or {})["notes"])
            return {name: file.get_tensor(name) for name in file.keys()}, notes  # noqa: SIM118
    except (SafetensorError, KeyError) as error:
        raise ValueError(
            f"{path} is no file of tensors with notes ({error}). Give one that this library wrote."
        ) from error
