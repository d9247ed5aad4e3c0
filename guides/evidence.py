"""What was seen of units, as features, and which variables are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pyrocausal.guides.spaces import Space

__all__ = ["partial_evidence", "whole_evidence"]


def whole_evidence(
    spaces: Sequence[Space], values: Mapping[str, Tensor], like: Tensor
) -> tuple[Tensor, Tensor]:
    """Read evidence on the same variables of all units.

    Args:
        spaces: The random variables, in order.
        values: What was seen, each of shape ``(*batch, *inner, *event)``.
        like: A tensor of the dtype and device of the features.

    Returns:
        Features of all variables, ``(*batch, widths)``, and 1 for the known ones, ``(variables,)``.

    Raises:
        ValueError: A value that is no finite number, or of another shape.
    """
    parts = {
        number: _features(space, values[space.name])
        for number, space in enumerate(spaces)
        if space.name in values
    }
    shapes = [part.shape[:-1] for part in parts.values()]
    batch = torch.broadcast_shapes(*shapes) if shapes else torch.Size((1,))
    columns = [
        parts[number].expand(*batch, -1) if number in parts else like.new_zeros(*batch, s.width)
        for number, s in enumerate(spaces)
    ]
    return torch.cat(columns, -1), like.new_tensor([float(n in parts) for n in range(len(spaces))])


def partial_evidence(
    spaces: Sequence[Space], batch: Mapping[str, Any], like: Tensor
) -> tuple[Tensor, Tensor]:
    """Read evidence with NaN where it is missing; variables that are not there are missing too.

    Args:
        spaces: The random variables, in order.
        batch: What was seen, each of shape ``(rows, *event)``.
        like: A tensor of the dtype and device of the features.

    Returns:
        Features of all variables, ``(rows, widths)``, and 1 for the known ones,
        ``(rows, variables)``.

    Raises:
        ValueError: A variable lies in a plate inside the unit.
    """
    columns, known = [], []
    rows = next(len(batch[space.name]) for space in spaces if space.name in batch)
    for space in spaces:
        if space.inner:
            raise ValueError(
                f"{space.name!r} lies in a plate inside the unit, and fit() can't take this guide "
                "for its program. Give a guide of your own, or make it a vector."
            )
        if space.name not in batch:
            columns.append(like.new_zeros(rows, space.width))
            known.append(like.new_zeros(rows))
            continue
        value = batch[space.name]
        seen = ~value.isnan().reshape(rows, -1).any(1)
        columns.append(torch.where(seen[:, None], space.features(value), 0.0))
        known.append(seen.to(like.dtype))
    return torch.cat(columns, -1), torch.stack(known, -1)


def _features(space: Space, value: Tensor) -> Tensor:
    if tuple(value.shape[value.dim() - len(space.shape) :]) != tuple(space.shape):
        raise ValueError(
            f"The evidence on {space.name!r} has the shape {tuple(value.shape)}; expected "
            f"{('units', *space.shape)}."
        )
    if not bool(value.isfinite().all()):
        raise ValueError(
            f"The evidence on {space.name!r} holds values that are no finite numbers. Group units "
            "by what was observed, or name it as missing."
        )
    return space.features(value)
