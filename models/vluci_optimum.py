"""Maxima of the likelihood: with constraints, from several starts, along a grid of effects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Optimum", "curvature", "minimise"]

Loss = Callable[[Tensor], Tensor]
Constraint = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Optimum:
    """Where a loss is least, among parameters that keep a constraint.

    Attributes:
        theta: The parameters.
        loss: The loss there.
    """

    theta: Tensor
    loss: float


def free(theta: Tensor) -> Tensor:
    """Constrain nothing."""
    return theta


def minimise(
    loss: Loss,
    start: Tensor,
    constrain: Constraint = free,
    iterations: int = 200,
    tolerance: float = 1e-6,
) -> Optimum:
    """Minimise a smooth loss by L-BFGS with a strong Wolfe line search, in double precision.

    Args:
        loss: From parameters to a number.
        start: Where to begin, shape ``(p,)``.
        constrain: Overwrites some parameters, by numbers or functions of the others.
        iterations: At most so many.
        tolerance: Of the largest slope; the loss is then off by about its square.

    Example:
        >>> found = minimise(lambda v: ((v - 1) ** 2).sum(), torch.zeros(2, dtype=torch.float64))
        >>> found.theta
        tensor([1., 1.], dtype=torch.float64)
    """
    theta = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [theta],
        max_iter=iterations,
        tolerance_grad=tolerance,
        tolerance_change=tolerance**2,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(constrain(theta))
        value.backward()
        return value

    optimizer.step(closure)
    with torch.no_grad():
        best = constrain(theta).detach()
        return Optimum(best, float(loss(best)))


def curvature(loss: Loss, theta: Tensor, constrain: Constraint = free) -> Tensor:
    """Return the second derivatives of a loss, by central differences of its gradient.

    Args:
        loss: From parameters to a number.
        theta: Where, shape ``(p,)``.
        constrain: As in `minimise`.

    Returns:
        Shape ``(p, p)``; zero in the rows of parameters that the constraint overwrites.

    Example:
        >>> curvature(lambda v: (v**2).sum(), torch.zeros(1, dtype=torch.float64))
        tensor([[2.]], dtype=torch.float64)
    """

    @torch.enable_grad()
    def gradient(at: Tensor) -> Tensor:
        at = at.clone().requires_grad_()
        (slope,) = torch.autograd.grad(loss(constrain(at)), at)
        return slope

    step = 1e-4
    shifts = step * torch.eye(len(theta), dtype=theta.dtype)
    rows = [(gradient(theta + h) - gradient(theta - h)) / (2 * step) for h in shifts]
    matrix = torch.stack(rows)
    return (matrix + matrix.mT) / 2
