r"""Quantiles of drawn outcomes, discrete ones too, and how far chance moves them.

The quantile ``Q(q)`` of some draws is that of the outcome at a probability which strays about ``q``
by the error of a share. What this error makes of the quantile is its own error: about
:math:`\sqrt{q (1 - q) / n} / f` where there is a density :math:`f`, and the jump to a neighbouring
value, as often as it happens, where the outcome is discrete.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist
from typing import Final

import torch
from torch import Tensor

__all__ = ["quantile", "quantile_error"]

STRAYS: Final = 199  # equally likely values of a standard normal

Error = Callable[[Tensor], Tensor]


def quantile(values: Tensor, q: Tensor | float) -> Tensor:
    """Return quantiles over the first dimension, interpolated between two draws.

    Args:
        values: The draws, any number of them.
        q: Probabilities below the quantiles.

    Example:
        >>> quantile(torch.tensor([1.0, 4.0, 2.0]), 0.75)
        tensor(3.)
    """
    ordered = values.sort(0).values
    at = torch.as_tensor(q, dtype=ordered.dtype, device=ordered.device) * (len(ordered) - 1)
    low, high = at.floor().long(), at.ceil().long()
    weight = (at - at.floor()).reshape(at.shape + (1,) * (values.ndim - 1))
    return torch.lerp(ordered[low], ordered[high], weight)


def quantile_error(outcomes: list[Tensor], q: float, error: Error) -> Tensor:
    """Return the Monte Carlo error of a quantile, or of the difference of two.

    Args:
        outcomes: The outcome of the same draws in one world, or in two.
        q: The probability below the quantile.
        error: From one number for each draw to the error of their mean.

    Example:
        >>> coins = torch.arange(1000) % 2 * 1.0
        >>> quantile_error([coins], 0.2, lambda share: share.std() / 1000**0.5)
        tensor(0.)
        >>> float(quantile_error([coins], 0.5, lambda share: share.std() / 1000**0.5)) > 0.4
        True

    References:
        Maritz, Jarrett (1978), A Note on Estimating the Variance of the Sample Median.
    """
    below = [_below(values, q) for values in outcomes]
    spreads = [
        _spread(values, q, error(share)) for values, share in zip(outcomes, below, strict=True)
    ]
    if len(outcomes) == 1:
        return spreads[0]
    both, one, other = error(below[0] - below[1]), error(below[0]), error(below[1])
    alike = (one**2 + other**2 - both**2) / (2 * one * other)
    alike = alike.nan_to_num(0.0).clamp(-1, 1)
    variance = spreads[0] ** 2 + spreads[1] ** 2 - 2 * alike * spreads[0] * spreads[1]
    return variance.clamp(min=0).sqrt()


def _below(values: Tensor, q: float) -> Tensor:
    """Say which draws lie below a quantile; of those that lie on it, as many as ``q`` needs."""
    generator = torch.Generator().manual_seed(0)  # parts ties in the same way in all worlds
    parting = torch.rand(values.shape, generator=generator).to(values.device)
    at = quantile(values.flatten(), q)
    under, on = values < at, values == at
    share = (q - under.double().mean()) / on.double().mean()
    return (under | (on & (parting < share))).to(values.dtype)


def _spread(values: Tensor, q: float, error: Tensor) -> Tensor:
    """Return the standard deviation of a quantile whose probability strays by an error."""
    steps = [NormalDist().inv_cdf((i + 0.5) / STRAYS) for i in range(STRAYS)]
    strays = q + error * torch.tensor(steps, dtype=error.dtype, device=error.device)
    return quantile(values.flatten(), strays.clamp(0, 1)).std()
