"""Interventions and evidence in symbols, for the text form of answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pyrocausal.interventions import (
    Action,
    Edge,
    Edit,
    Mechanism,
    Policy,
    Set,
    Shift,
    Stochastic,
    World,
)

__all__ = ["describe_evidence", "describe_worlds"]


def describe_worlds(worlds: Sequence[World], limit: int = 3) -> str:
    """Write worlds as ``x=0 | x=1 | ...``."""
    texts = [", ".join(map(_item, world)) or "nothing" for world in worlds]
    more = f" | ... {len(texts)} worlds" if len(texts) > limit else ""
    return " | ".join(texts[:limit]) + more


def describe_evidence(evidence: Mapping[str, Any]) -> str:
    """Write evidence as ``x=0.3, y=1``; a variable of many units by its name."""
    return ", ".join(
        f"{name}={text}" if (text := _number(value)) else name for name, value in evidence.items()
    )


def _item(item: tuple[str, Action] | Edge) -> str:
    if isinstance(item, Edge):
        return f"{item.source}={_number(item.value) or '...'} on {item.source}->{item.target}"
    name, action = item
    match action:
        case Set(value):
            return f"{name}={_number(value) or '...'}"
        case Shift(amount):
            return f"{name}={name}+{_number(amount) or '...'}"
        case Edit():
            return f"{name}=f({name})"
        case Policy():
            return f"{name}=policy(...)"
        case Stochastic(distribution):
            return f"{name}~{type(distribution).__name__}"
        case Mechanism():
            return f"{name}~mechanism(...)"


def _number(value: Any) -> str:
    tensor = value if isinstance(value, torch.Tensor) else None
    if tensor is not None and tensor.numel() == 1:
        value = tensor.item()
    return f"{value:g}" if isinstance(value, int | float) else ""
