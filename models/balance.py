"""Distances between the representations of two arms, for balance."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["linear_mmd", "rbf_mmd", "wasserstein"]


def linear_mmd(a: Tensor, b: Tensor) -> Tensor:
    """Return ``|mean a - mean b|^2``.

    Args:
        a: Representations of one arm, shape ``(n1, d)``.
        b: Those of the other, shape ``(n0, d)``.

    Example:
        >>> linear_mmd(torch.ones(3, 2), torch.zeros(4, 2))
        tensor(2.)
    """
    return ((a.mean(0) - b.mean(0)) ** 2).sum()


def rbf_mmd(a: Tensor, b: Tensor, sigma: float = 1.0) -> Tensor:
    r"""Return the unbiased squared maximum mean discrepancy with ``K = exp(-|a-b|^2 / sigma^2)``.

    Args:
        a: Representations of one arm, at least two, shape ``(n1, d)``.
        b: Those of the other, shape ``(n0, d)``.
        sigma: Width of the kernel.

    Example:
        >>> x = torch.zeros(3, 1)
        >>> rbf_mmd(x, x)
        tensor(0.)
    """

    def kernel(p: Tensor, q: Tensor) -> Tensor:
        return torch.exp(-((p[:, None] - q) ** 2).sum(-1) / sigma**2)

    def within(p: Tensor) -> Tensor:
        return (kernel(p, p).sum() - len(p)) / (len(p) * (len(p) - 1))

    return within(a) + within(b) - 2 * kernel(a, b).mean()


def wasserstein(a: Tensor, b: Tensor, rounds: int = 10) -> Tensor:
    r"""Return the entropic transport cost, by Sinkhorn's rounds.

    ``M_ij = |a_i - b_j|``, ``K = exp(-10 M / mean M)``; from ``c = 1`` each round sets
    ``r = (1/n1) / (K c)`` and ``c = (1/n0) / (K' r)``; the cost is ``sum r_i K_ij c_j M_ij``.

    Args:
        a: Representations of one arm, shape ``(n1, d)``.
        b: Those of the other, shape ``(n0, d)``.
        rounds: How many.

    Example:
        >>> print(f"{wasserstein(torch.full((3, 1), 2.0), torch.zeros(4, 1)):.3f}")
        2.000

    References:
        Cuturi (2013), Sinkhorn distances.
    """
    # A distance of 0 has no slope: a little more than 0 has.
    cost = (((a[:, None] - b) ** 2).sum(-1) + 1e-12).sqrt()
    kernel = torch.exp(-10 * cost / cost.mean().detach())
    column = cost.new_ones(len(b))
    row = cost.new_ones(len(a))
    for _ in range(rounds):
        row = 1 / len(a) / (kernel @ column)
        column = 1 / len(b) / (kernel.mT @ row)
    return (row[:, None] * kernel * column * cost).sum()
