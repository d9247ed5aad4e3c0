"""The state of a running fit as tensors and numbers, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from pyrocausal.fitting.identity import named_state

if TYPE_CHECKING:
    from pyrocausal.fitting.training import Training

__all__ = ["generators", "restore", "snapshot"]

_NUMBERS: Final = ("left", "done", "hastened", "best", "best_step", "stopped")
_TENSOR: Final = "a tensor"  # stands for one in what goes into JSON


def snapshot(training: Training) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return all that decides what the fit will do from here on."""
    tensors = {f"state {name}": tensor for name, tensor in named_state(training).items()}
    if training.held_out:
        names = named_state(training)
        tensors |= {f"best {n}": t for n, t in zip(names, training.kept, strict=True)}
        tensors |= {"units best": training.best_units, "units last": training.last_units}
    tensors["losses"] = torch.stack(training.losses) if training.losses else torch.zeros(0)
    tensors |= {
        f"generator {name}": state
        for name, state in generators(training.split.train.device).items()
    }
    rest = _without_tensors(training.paths.optimizer_state(), "optimizer", tensors)
    numbers = {name: getattr(training, name) for name in _NUMBERS}
    numbers |= {"feed": training.feed.at(), "way": training.paths.way(), "optimizer": rest}
    return {k: t.detach().cpu().clone().contiguous() for k, t in tensors.items()}, numbers


def restore(training: Training, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    """Bring a fit that has not begun to where another one was."""
    device = training.split.train.device
    names = named_state(training)
    with torch.no_grad():
        for name, tensor in names.items():
            tensor.copy_(tensors[f"state {name}"])
    if training.held_out:
        training.kept = [tensors[f"best {name}"].to(device) for name in names]
        training.best_units, training.last_units = (
            tensors[f"units {which}"].to(device) for which in ("best", "last")
        )
    training.losses = list(tensors["losses"].to(device).unbind())
    training.looked = len(training.losses)
    for name in _NUMBERS:
        setattr(training, name, numbers[name])
    training.feed.go_to(numbers["feed"])
    training.paths.put_optimizer(_with_tensors(numbers["optimizer"], "optimizer", tensors))
    training.paths.go_on(numbers["way"])
    # Last, since what is captured on the way may draw random numbers.
    _put_generators(training, tensors)


def generators(device: torch.device) -> dict[str, Tensor]:
    """Return the states of the generators that a fit on a device draws from."""
    found = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    return found


def _put_generators(training: Training, tensors: dict[str, Tensor]) -> None:
    torch.set_rng_state(tensors["generator cpu"])
    device = training.split.train.device
    if device.type == "cuda" and "generator cuda" in tensors:
        torch.cuda.set_rng_state(tensors["generator cuda"], device)


def _without_tensors(thing: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """Put the tensors of nested containers among others, under their paths."""
    if isinstance(thing, Tensor):
        tensors[path] = thing
        return _TENSOR
    if isinstance(thing, dict):
        return [
            [key, _without_tensors(part, f"{path} {key}", tensors)] for key, part in thing.items()
        ]
    if isinstance(thing, list | tuple):
        return {"list": [_without_tensors(p, f"{path} {i}", tensors) for i, p in enumerate(thing)]}
    return thing


def _with_tensors(thing: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """Undo ``_without_tensors``; a mapping is a list of pairs there, since JSON has no int keys."""
    if thing == _TENSOR:
        return tensors[path]
    if isinstance(thing, list):
        return {key: _with_tensors(part, f"{path} {key}", tensors) for key, part in thing}
    if isinstance(thing, dict):
        return [_with_tensors(p, f"{path} {i}", tensors) for i, p in enumerate(thing["list"])]
    return thing
