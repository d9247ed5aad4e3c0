"""What tells one fit from another: program, data, settings; compared before one is resumed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyro
import torch
from torch import Tensor

from pyrocausal.differing import BYTES
from pyrocausal.engine.parameters import evaluating
from pyrocausal.engine.tracing import quiet_seed
from pyrocausal.fitting.objective import base_of, is_variable
from pyrocausal.low_precision import current_precision

if TYPE_CHECKING:
    from pyrocausal.fitting.training import Training

__all__ = ["WORDS", "digest", "identity_of", "named_state", "probe"]

_ROWS: Final = 64  # units at which the program is looked at
WORDS: Final = {
    "sites": "the program's site",
    "parameters": "the parameter",
    "settings": "the setting",
    "data": "the data of",
    "densities": "the log density of",
}


def identity_of(training: Training) -> dict[str, dict[str, Any]]:
    """Say what a fit is of: sites, parameters, settings, data; all by name, fit for JSON."""
    settings, optimizer = training.settings, training.paths.optimizer
    kind = type(optimizer)
    defaults = {key: value for key, value in optimizer.defaults.items() if _is_plain(value)}
    return {
        "sites": {name: site.kind for name, site in _sites(training).items()},
        "parameters": {name: _kind(tensor) for name, tensor in named_state(training).items()},
        "settings": {
            "steps": settings.steps,
            "batch_size": settings.batch_size,
            "patience": settings.patience,
            "optimizer": f"{kind.__module__}.{kind.__qualname__}",
            **{f"optimizer's {key}": value for key, value in defaults.items()},
            "units held out": len(training.split.held_out),
            "precision": current_precision(),
        },
        "data": dict(training.split.digests()),
    }


def probe(training: Training) -> dict[str, float]:
    """Return the log density of each site at a few units: a program's behaviour in numbers."""
    return {name: site.density for name, site in _sites(training).items()}


def digest(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return a hash of each tensor: its type, its shape and its bytes."""
    return {name: _digest(tensor) for name, tensor in tensors.items()}


def named_state(training: Training) -> dict[str, Tensor]:
    """Return parameters and buffers by name, in the order of ``training.state``."""
    names = {id(tensor): name for name, tensor in pyro.get_param_store().named_parameters()}
    for number, module in enumerate(training.modules):
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            names.setdefault(id(tensor), f"module {number}: {name}")
    return {names.get(id(t), f"parameter {i}"): t for i, t in enumerate(training.state)}


@dataclass(frozen=True)
class _Site:
    kind: str
    density: float


def _sites(training: Training) -> dict[str, _Site]:
    objective = training.objective
    rows = training.split.train[:_ROWS]
    with torch.no_grad(), evaluating(training.modules), quiet_seed(0):
        model, guide = objective.traces(rows, objective.units.rows(rows), 1.0)
    return {
        f"{prefix}{name}": _Site(_family(site), float(site["log_prob_sum"]))
        for prefix, trace in (("", model), ("guide: ", guide))
        for name, site in trace.nodes.items()
        if is_variable(site)
    }


def _family(site: Any) -> str:
    shape = "x".join(map(str, site["value"].shape[1:])) or "scalar"
    return f"{type(base_of(site['fn'])).__name__}, {shape}, {_type(site['value'])}"


def _kind(tensor: Tensor) -> str:
    return f"{_type(tensor)} {tuple(tensor.shape)}"


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _digest(tensor: Tensor) -> str:
    whole = tensor.detach().cpu().contiguous()
    found = hashlib.blake2b(_kind(whole).encode(), digest_size=BYTES)
    if whole.numel():
        found.update(whole.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str | list | tuple)
