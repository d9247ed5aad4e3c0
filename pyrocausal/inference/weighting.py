"""Weights: Pareto smoothing, what they are worth, and draws of equal weight."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["RELIABLE", "Smoothed", "fit_pareto", "resample", "smooth"]

RELIABLE = 0.7
"""The shape of the tail up to which weights can be relied on."""
_FEWEST = 5  # exceedances to which a tail is fitted
_SHAPE_PRIOR = 10.0  # exceedances of shape 1/2 that the fit counts in


class Smoothed(NamedTuple):
    """Smoothed weights of some units.

    Attributes:
        log_weights: Normalised over the proposals, shape ``(proposals, units)``.
        khat: The shape of each unit's tail, ``(units,)``.
        ess: The effective number of draws, ``1 / sum w^2``, ``(units,)``.
    """

    log_weights: Tensor
    khat: Tensor
    ess: Tensor


def smooth(log_weights: Tensor) -> Smoothed:
    """Smooth the largest importance weights by a generalised Pareto distribution.

    The ``min(S / 5, 3 sqrt(S))`` largest of ``S`` weights are replaced by the quantiles of the
    distribution fitted to them. ``khat`` above 0.7 says that the weights have too heavy a tail for
    averages to be trusted; it is infinite where hardly any proposal counts, and minus infinity
    where no weight stands out.

    Args:
        log_weights: Shape ``(proposals, units)``, up to a constant of each unit; minus infinity
            for what is impossible.

    Example:
        >>> result = smooth(torch.zeros(100, 1))
        >>> result.khat.item(), round(result.ess.item())
        (-inf, 100)

    References:
        Vehtari, Simpson, Gelman, Yao, Gabry (2024), Pareto smoothed importance sampling.
        Zhang, Stephens (2009), A new and efficient estimation method for the generalized Pareto
        distribution.
    """
    count, units = log_weights.shape
    raw = log_weights.double()
    raw = raw.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    raw = raw - raw.amax(0).nan_to_num(neginf=0.0, posinf=0.0)
    ordered, places = raw.sort(0)
    length = min(count - 1, min(int(count / 5), int(3 * sqrt(count))))
    if length < _FEWEST:
        normal = raw.log_softmax(0)
        return Smoothed(normal, raw.new_full((units,), torch.inf), _ess(normal))
    lowest = torch.finfo(torch.float64).tiny
    cutoff = ordered[-length - 1].exp().clamp(min=lowest)
    excess = ordered[-length:].exp() - cutoff
    counted = excess > 0
    khat, scale = fit_pareto(torch.where(counted, excess, 0.0), counted)
    number = counted.sum(0)
    rank = torch.arange(length, device=raw.device)[:, None] - (length - number) + 0.5
    quantile = -torch.log1p(-(rank / number.clamp(min=1)).clamp(0.0, 1.0))
    tail = scale * _expm1_over(khat, quantile)
    smoothed = torch.log(tail + cutoff).clamp(max=0.0)
    fitted = counted & khat.isfinite()
    tail = torch.where(fitted, smoothed, ordered[-length:])
    ordered = torch.cat((ordered[:-length], tail))
    normal = torch.empty_like(raw).scatter_(0, places, ordered).log_softmax(0)
    return Smoothed(normal, khat, _ess(normal))


def fit_pareto(excess: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """Fit a generalised Pareto distribution to each column, by Zhang and Stephens' posterior mean.

    Args:
        excess: How far the values lie above the threshold, in rising order, ``(values, units)``.
        counted: Which of them count; those that don't come first, and are 0.

    Returns:
        Shape and scale, each ``(units,)``; a shape of minus infinity where none counts, and of
        infinity where there are too few to tell.
    """
    number = counted.sum(0)
    safe = number.clamp(min=_FEWEST).double()
    first = len(excess) - number
    quarter = (first + (safe / 4 + 0.5).long() - 1).clamp(0, len(excess) - 1)
    at_quarter = excess.gather(0, quarter[None])[0].clamp(min=torch.finfo(torch.float64).tiny)
    largest = excess[-1].clamp(min=torch.finfo(torch.float64).tiny)
    tries = 30 + safe.sqrt().long()
    step = torch.arange(1, 31 + int(len(excess) ** 0.5)).to(excess)[:, None]
    inverse = (1 - (tries / (step - 0.5)).sqrt()) / (3 * at_quarter) + 1 / largest
    shapes = _mean_log(inverse, excess, safe)
    likelihood = safe * (torch.log(-inverse / shapes) - shapes - 1)
    likelihood = likelihood.masked_fill(step > tries, -torch.inf).nan_to_num(nan=-torch.inf)
    weight = likelihood.softmax(0)
    weight = torch.where(weight >= 10 * torch.finfo(torch.float64).eps, weight, 0.0)
    theta = (inverse * weight / weight.sum(0)).sum(0)
    shape = _mean_log(theta[None], excess, safe)[0]
    scale = -shape / theta
    shape = (safe * shape + _SHAPE_PRIOR * 0.5) / (safe + _SHAPE_PRIOR)
    shape = shape.nan_to_num(nan=torch.inf)
    shape = torch.where(number < _FEWEST, torch.inf, shape)
    return torch.where(number == 0, -torch.inf, shape), scale


def resample(log_weights: Tensor, draws: int, uniforms: Tensor, order: Tensor) -> Tensor:
    """Choose draws of equal weight by systematic resampling, in random order.

    Args:
        log_weights: Normalised, shape ``(proposals, units)``.
        draws: How many draws of each unit.
        uniforms: One number a unit, where its grid starts, ``(units,)``.
        order: Numbers whose ranks give the order of the draws, ``(draws, units)``.

    Returns:
        The numbers of the proposals, ``(draws, units)``.

    Example:
        >>> weights = torch.tensor([[0.75], [0.25]]).log()
        >>> resample(weights, 4, torch.tensor([0.5]), torch.arange(4.0)[:, None])[:, 0]
        tensor([0, 0, 0, 1])
    """
    cumulative = log_weights.double().exp().cumsum(0)
    grid = torch.arange(draws, device=log_weights.device)[:, None] + uniforms
    places = grid / draws * cumulative[-1]
    chosen = torch.searchsorted(cumulative.T.contiguous(), places.T.contiguous(), right=True)
    chosen = chosen.T.clamp(max=len(log_weights) - 1)
    return chosen.gather(0, order.argsort(0))


def _ess(log_weights: Tensor) -> Tensor:
    return (-(2 * log_weights).logsumexp(0)).exp().nan_to_num(nan=0.0)


def _mean_log(inverse: Tensor, excess: Tensor, number: Tensor) -> Tensor:
    """Return the mean of ``log(1 - b x)`` for each b, ``(tries, units)``; what is 0 adds nothing."""
    logs = torch.log1p(-inverse[:, None, :] * excess[None])
    return logs.sum(1) / number


def _expm1_over(shape: Tensor, quantile: Tensor) -> Tensor:
    """Return ``(exp(k q) - 1) / k``, and its limit ``q`` at 0."""
    safe = torch.where(shape.abs() < 1e-12, 1.0, shape)
    return torch.where(shape.abs() < 1e-12, quantile, torch.expm1(safe * quantile) / safe)
