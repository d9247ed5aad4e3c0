"""Putting a user's value in the place of a site's: shapes, types, support."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pyrocausal.engine.evidence import all_finite, as_tensor, cast
from pyrocausal.engine.rows import Layout, support_of
from pyrocausal.interventions import Action, Edit, Policy, Set, Shift

__all__ = ["changed", "check_finite", "check_support", "place", "spread"]


def place(value: Any, part: Tensor, event_dim: int, layout: Layout | None, name: str) -> Tensor:
    """Broadcast a user's value to the rows of one world.

    Args:
        value: A number or tensor; it broadcasts from the right to ``(units, *inner, *event)``, or
            where ``layout`` is ``None`` to the shape of ``part``.
        part: The value it replaces, in program shape.
        event_dim: Number of event dimensions.
        layout: How rows are ordered.
        name: The variable, for messages.

    Raises:
        ValueError: The value does not broadcast, or is not finite, or its cast changes it.
    """
    if value is None:
        raise TypeError(f"do({name!r}) got None; expected numbers. A function returns the values.")
    tensor = as_tensor(value, f"do({name!r})").to(part.device)
    if tensor.is_floating_point() and not all_finite(tensor):
        raise ValueError(
            f"do({name!r}) got NaN or infinite values; expected finite numbers. Check the value, "
            "or what its function meets."
        )
    tensor = cast(tensor, part.dtype, f"do({name!r})")
    if layout is None:
        return _expand(tensor, part.shape, name)
    inner = part.dim() - 1 - event_dim
    unit_shape = (*part.shape[:inner], *part.shape[inner + 1 :])
    tensor = _expand(tensor, (layout.units, *unit_shape), name)
    one = Layout(layout.units, 1, layout.draws)
    return one.to_rows(tensor.reshape(1, 1, *tensor.shape), inner)


def changed(
    action: Action,
    name: str,
    part: Tensor,
    values: Mapping[str, Tensor],
    event_dim: int,
    layout: Layout | None,
) -> Tensor:
    """Return what an action without noise of its own makes of a value.

    Args:
        action: A value, shift, edit or policy.
        name: The variable, for messages.
        part: The value it acts on, in program shape.
        values: The sites that ran before, for a policy.
        event_dim: Number of event dimensions.
        layout: How rows are ordered; ``None`` for a value that has no units of its own.

    Raises:
        ValueError: An action that draws.
    """
    match action:
        case Set(value):
            return place(value, part, event_dim, layout, name)
        case Shift(amount):
            return part + place(amount, part, event_dim, layout, name)
        case Edit(function):
            return place(function(part), part, event_dim, None, name)
        case Policy(function):
            return place(function(values), part, event_dim, None, name)
        case _:
            raise ValueError(
                f"do({name!r}): all units share this variable; it takes a value, shift, edit or "
                "policy."
            )


def spread(fn: Any, shape: tuple[int, ...], event_dim: int, name: str) -> Any:
    """Expand a distribution that replaces a site's to the site's batch shape.

    Raises:
        TypeError: Not a distribution.
        ValueError: Its shape is not that of the site.
    """
    if not isinstance(fn, torch.distributions.Distribution):
        raise TypeError(
            f"do({name!r}): the mechanism returned {type(fn).__name__}; expected a distribution. "
            "A function that returns values is a pc.policy()."
        )
    batch, event = shape[: len(shape) - event_dim], shape[len(shape) - event_dim :]
    try:
        if tuple(fn.event_shape) != tuple(event):
            raise ValueError
        return fn.expand(batch)
    except (ValueError, RuntimeError):
        raise ValueError(
            f"do({name!r}): the distribution has batch shape {tuple(fn.batch_shape)} and event shape "
            f"{tuple(fn.event_shape)}; expected {tuple(batch)} and {tuple(event)}."
        ) from None


def check_finite(value: Tensor, name: str) -> None:
    """Raise where an intervention has made a value that is no number."""
    if value.is_floating_point() and not all_finite(value):
        raise ValueError(
            f"do({name!r}) made NaN or infinite values. Check the function for the values it meets."
        )


def check_support(fn: Any, value: Tensor, what: str) -> None:
    """Raise where a discrete site was set to a value it can't take."""
    support = support_of(fn)
    if support is None or not support.is_discrete:
        return
    inside = support.check(value)
    if not bool(inside.all()):
        outside = value[~inside.expand(value.shape[: inside.dim()])]
        raise ValueError(
            f"{what} got {outside.flatten()[0].item():g}, which {type(fn).__name__} can't take; "
            f"expected a value in its support, {support}."
        )


def _expand(tensor: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    try:
        return tensor.expand(shape)
    except RuntimeError:
        raise ValueError(
            f"do({name!r}) got a value of shape {tuple(tensor.shape)}; expected what broadcasts to "
            f"{tuple(shape)}."
        ) from None
