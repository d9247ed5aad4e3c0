"""Putting a user's value in the place of a site's: shapes, types, support."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import constraints
from torch.distributions.transforms import Transform, _InverseTransform

from pyrocausal.engine.casting import as_tensor, cast
from pyrocausal.engine.rows import Layout, support_of
from pyrocausal.interventions import Action, Edit, Policy, Set, Shift
from pyrocausal.requirements import is_captured, require, require_finite

__all__ = [
    "changed",
    "check_finite",
    "check_support",
    "leaves_support",
    "map_tensors",
    "place",
    "place_numbers",
    "spread",
]


def place(value: Any, part: Tensor, event_dim: int, layout: Layout | None, name: str) -> Tensor:
    """Broadcast a user's value to the rows of one world.

    Args:
        value: A number or tensor; it broadcasts from the right to ``(units, *inner, *event)``, or
            where ``layout`` is ``None`` to the shape of ``part``. What an earlier answer about the
            same draws gave, ``(draws, units, *inner, *event)``, is taken draw by draw.
        part: The value it replaces, in program shape.
        event_dim: Number of event dimensions.
        layout: How rows are ordered.
        name: The variable, for messages.

    Raises:
        ValueError: The value does not broadcast, or is not finite, or its cast changes it.
    """
    tensor = _checked(value, part, name)
    if layout is None:
        return _expand(tensor, part.shape, name)
    inner = part.dim() - 1 - event_dim
    unit_shape = (*part.shape[:inner], *part.shape[inner + 1 :])
    one = Layout(layout.units, 1, layout.draws)
    whole = (layout.draws, layout.units, *unit_shape)
    if tensor.shape == whole:
        return one.to_rows(tensor.unsqueeze(1), inner)
    tensor = _expand(tensor, whole[1:], name)
    return one.to_rows(tensor.reshape(1, 1, *tensor.shape), inner)


def place_numbers(
    numbers: Sequence[Any], like: Tensor, event_dim: int, layout: Layout, name: str
) -> Tensor:
    """Give every world a number of its own, on all its rows.

    Args:
        numbers: One for each world, without dimensions.
        like: What the site's value is like, in program shape.
        event_dim: Number of event dimensions.
        layout: How rows are ordered.
        name: The variable, for messages.

    Raises:
        ValueError: A number is not finite, or its cast changes it.
    """
    what, dim = f"do({name!r})", like.dim() - 1 - event_dim
    column = _checked(
        torch.stack([as_tensor(n, what).to(like.device) for n in numbers]), like, name
    )
    shape = (*like.shape[:dim], *layout.shape, *like.shape[dim + 1 :])
    column = column.view(-1, *[1] * (len(shape) - dim - 2))
    return column.expand(shape).reshape(like.shape).contiguous()


def _checked(value: Any, part: Tensor, name: str) -> Tensor:
    if value is None:
        raise TypeError(f"do({name!r}) got None; expected numbers. A function returns the values.")
    tensor = as_tensor(value, f"do({name!r})").to(part.device)
    require_finite(
        tensor,
        lambda: ValueError(
            f"do({name!r}) got NaN or infinite values; expected finite numbers. Check the value, "
            "or what its function meets."
        ),
    )
    return cast(tensor, part.dtype, f"do({name!r})")


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


def spread(fn: Any, value: Tensor, event_dim: int, name: str) -> Any:
    """Expand a distribution that replaces a site's to the site's batch shape, on its device.

    Args:
        fn: The distribution.
        value: A value of the site, in program shape.
        event_dim: Number of event dimensions.
        name: The variable, for messages.

    Raises:
        TypeError: Not a distribution.
        ValueError: Its shape is not that of the site.
    """
    if not isinstance(fn, torch.distributions.Distribution):
        raise TypeError(
            f"do({name!r}): the mechanism returned {type(fn).__name__}; expected a distribution. "
            "A function that returns values is a pc.policy()."
        )
    batch, event = value.shape[: value.dim() - event_dim], value.shape[value.dim() - event_dim :]
    fn = map_tensors(fn, lambda tensor: tensor.to(value.device))
    try:
        if tuple(fn.event_shape) != tuple(event):
            raise ValueError
        return fn.expand(batch)
    except (ValueError, RuntimeError):
        raise ValueError(
            f"do({name!r}): the distribution has batch shape {tuple(fn.batch_shape)} and event shape "
            f"{tuple(fn.event_shape)}; expected {tuple(batch)} and {tuple(event)}."
        ) from None


def map_tensors(part: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a distribution, or a part of one, with its tensors changed; modules stay as they are.

    Example:
        >>> map_tensors(dist.Normal(torch.zeros(2), 1.0), lambda tensor: tensor + 1).loc
        tensor([1., 1.])
    """
    if isinstance(part, Tensor):
        return change(part)
    if isinstance(part, list | tuple):
        return type(part)(map_tensors(inner, change) for inner in part)
    if isinstance(part, _InverseTransform):
        return map_tensors(part.inv, change).inv
    if isinstance(part, torch.distributions.Distribution | Transform) and not isinstance(
        part, nn.Module
    ):
        twin = copy(part)
        for name, inner in vars(part).items():
            # A transform's inverse refers back to it, and is made anew when it is asked for.
            vars(twin)[name] = None if name == "_inv" else map_tensors(inner, change)
        return twin
    return part


def check_finite(value: Tensor, name: str) -> None:
    """Raise where an intervention has made a value that is no number."""
    require_finite(
        value,
        lambda: ValueError(
            f"do({name!r}) made NaN or infinite values. Check the function for the values it meets."
        ),
    )


def check_support(fn: Any, value: Tensor, what: str) -> None:
    """Raise where a discrete site was set to a value it can't take."""
    support = support_of(fn)
    if support is None or not support.is_discrete:
        return
    inside = support.check(value)

    def error() -> ValueError:
        outside = value[~inside.expand(value.shape[: inside.dim()])]
        return ValueError(
            f"{what} got {outside.flatten()[0].item():g}, which {type(fn).__name__} can't take; "
            f"expected a value in its support, {support}."
        )

    require(inside, error)


def leaves_support(fn: Any, value: Tensor) -> bool:
    """Say whether a continuous site was set to a value that its distribution never takes."""
    support = support_of(fn)
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    anywhere = support in (None, constraints.real, constraints.real_vector)
    if anywhere or support.is_discrete:
        return False
    inside = support.check(value)
    if is_captured():
        require(inside, RuntimeError)  # the eager run that follows tells what comes of it
        return False
    return not bool(inside.all())


def _expand(tensor: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    try:
        return tensor.expand(shape)
    except RuntimeError:
        raise ValueError(
            f"do({name!r}) got a value of shape {tuple(tensor.shape)}; expected what broadcasts to "
            f"{tuple(shape)}. For a world for each value write pc.grid([...])."
        ) from None
