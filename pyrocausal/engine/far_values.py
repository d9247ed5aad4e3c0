"""Values that a variable can take but seldom does: rare categories, large counts, far numbers."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints, transform_to

from pyrocausal.engine.rows import support_of

__all__ = ["far_values"]

_COUNTS = 21  # counts below it are tried one by one, larger ones in powers of 2


def far_values(value: Tensor, dim: int, event_dim: int, fn: Any = None) -> Tensor:
    """Return values all over the support of a variable, each row another one.

    Members of a discrete support come one after another, so that the first rows hold each of them;
    counts go on to powers of 2 beyond those drawn. Real numbers lie on both sides at scales from
    1 to 1000; those of another support are moved along its unconstrained line.

    Args:
        value: Values drawn from the prior, of the shape that ``fn`` gives them.
        dim: The dimension of its rows.
        event_dim: How many dimensions one value has.
        fn: The variable's distribution; ``None`` for one that has none, whose support is then
            guessed from what was drawn.

    Returns:
        Values of the same shape and type, finite where those drawn are.
    """
    support = None if fn is None else support_of(fn)
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    if value.dtype == torch.bool or support is constraints.boolean:
        return _members(torch.tensor([0, 1], device=value.device), value, dim)
    if getattr(support, "is_discrete", False):
        return _discrete(value, dim, event_dim, support, fn)
    if not value.is_floating_point():
        return _integers(value, dim)
    return _reals(value, dim, support)


def _discrete(value: Tensor, dim: int, event_dim: int, support: Any, fn: Any) -> Tensor:
    if hasattr(support, "lower_bound"):
        # Where the bounds differ from row to row, each row keeps to its own.
        low = torch.as_tensor(support.lower_bound, device=value.device).to(value.dtype)
        high = getattr(support, "upper_bound", None)
        high = None if high is None else torch.as_tensor(high, device=value.device).to(value.dtype)
        return _members(_counts(value, low, high), value, dim).clamp(low, high)
    if getattr(fn, "has_enumerate_support", False):
        event = value.shape[value.dim() - event_dim :]
        return _members(fn.enumerate_support(expand=False).reshape(-1, *event), value, dim)
    return _shuffled(value, dim)


def _counts(value: Tensor, low: Tensor, high: Tensor | None) -> Tensor:
    """Return the whole numbers to try."""
    start = int(low.min())
    top = 4 * max(16, int(value.max()) - start) if high is None else int(high.max()) - start
    powers = [2**power for power in range(5, max(top, 1).bit_length())]
    steps = {*range(_COUNTS), *powers, top, top - 1}
    chosen = [start + step for step in sorted(steps) if 0 <= step <= top]
    return torch.tensor(chosen, device=value.device)


def _members(members: Tensor, value: Tensor, dim: int) -> Tensor:
    """Give each of the first rows another member, and every element of the rest any of them."""
    count, batch = len(members), value.shape[: value.dim() - members.dim() + 1]
    choice = torch.randint(count, batch, device=value.device)
    first = choice.movedim(dim, 0)[:count]
    order = torch.randperm(count, device=value.device)[: len(first)]
    first.copy_(order.reshape(-1, *[1] * (first.dim() - 1)).expand_as(first))
    return members[choice].to(value.dtype)


def _integers(value: Tensor, dim: int) -> Tensor:
    # Any other whole number may be an index past the end of something.
    return _shuffled(value, dim) if bool((value != value.flatten()[0]).any()) else value + 1


def _shuffled(value: Tensor, dim: int) -> Tensor:
    rows = value.shape[dim]
    return value.index_select(dim, torch.randperm(rows, device=value.device))


def _reals(value: Tensor, dim: int, support: Any) -> Tensor:
    if support is None:
        return _guessed(value, dim)
    if support is constraints.real:
        return _both_sides(value, dim)
    try:
        line = transform_to(support)
        start = line.inv(value).nan_to_num(0.0, 30.0, -30.0)
    except NotImplementedError:
        return _shuffled(value, dim)
    # On the unconstrained line 16 is e^16 times as large, or as near to a bound.
    rank, sign = _ladder(start, dim)
    found: Tensor = line(start + 16 * rank * sign)
    return torch.where(found.isfinite(), found, value)


def _guessed(value: Tensor, dim: int) -> Tensor:
    """Return far numbers in what looks like the range of those drawn."""
    if bool((value == value.flatten()[0]).all()):
        return _both_sides(value, dim)
    if bool(((value >= 0) & (value <= 1)).all()):
        return torch.rand_like(value)
    found = _both_sides(value, dim)
    return found.abs() if bool((value >= 0).all()) else found


def _both_sides(value: Tensor, dim: int) -> Tensor:
    # Scales of the variation and of the size: the one shows what lies in the tails, the other
    # what lies beyond zero for a variable that varies little.
    finite = value[value.isfinite()]
    size = finite.abs().amax() + 1 if finite.numel() else value.new_ones(())
    spread = finite.std() if finite.numel() > 1 and bool(finite.std() > 0) else size
    unit = torch.where(torch.rand_like(value) < 0.5, spread, size)
    rank, sign = _ladder(value, dim)
    return torch.where(value.isfinite(), value + sign * unit * 10 ** (3 * rank), value)


def _ladder(value: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return the steps of a ladder from 0 to 1 in random order on the rows, and signs for them."""
    step = torch.rand_like(value).argsort(dim)
    return step / value.shape[dim], 1 - 2 * (step % 2)
