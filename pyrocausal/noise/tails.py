"""Both tails of a distribution function in one number: the logit ``u = log F - log S``."""

from math import log, pi

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

__all__ = [
    "excess",
    "from_log_pair",
    "log1mexp",
    "normal_quantile",
    "normal_score",
    "stirling_remainder",
    "to_log_pair",
]

_HALF_LOG_2PI = 0.5 * log(2 * pi)
# Bernoulli numbers over 2k(2k-1): the remainder of Stirling's series in 1/z.
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
_INVERSE_FACTORIALS = [1 / 2]
for _k in range(3, 16):
    _INVERSE_FACTORIALS.append(_INVERSE_FACTORIALS[-1] / _k)


def log1mexp(t: Tensor) -> Tensor:
    """Return ``log(1 - exp(t))`` for ``t <= 0``, exact at both ends.

    Args:
        t: Log probabilities, any shape.

    Example:
        >>> log1mexp(torch.tensor([-1e-20, -50.0], dtype=torch.float64))
        tensor([-4.6052e+01, -1.9287e-22], dtype=torch.float64)

    References:
        Maechler (2012), Accurately computing log(1 - exp(-|a|)).
    """
    near = t > -log(2.0)
    # Each branch sees harmless arguments where it isn't taken: its gradient stays finite.
    close = torch.log(-torch.expm1(torch.where(near, t, -1.0)))
    return torch.where(near, close, torch.log1p(-torch.exp(torch.where(near, -1.0, t))))


def from_log_pair(log_cdf: Tensor, log_sf: Tensor) -> Tensor:
    """Return the logit ``u = log F - log S`` of a pair of log tail probabilities.

    Args:
        log_cdf: ``log F``, any shape.
        log_sf: ``log S = log(1 - F)``, same shape.

    Example:
        >>> from_log_pair(torch.tensor(0.25).log(), torch.tensor(0.75).log())
        tensor(-1.0986)
    """
    return log_cdf - log_sf


def to_log_pair(u: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``log F`` and ``log S`` of the logit ``u``: the inverse of ``from_log_pair``.

    Example:
        >>> log_cdf, log_sf = to_log_pair(torch.tensor(0.0))
        >>> log_cdf.exp(), log_sf.exp()
        (tensor(0.5000), tensor(0.5000))
    """
    return logsigmoid(u), logsigmoid(-u)


def normal_quantile(p: Tensor) -> Tensor:
    """Return the standard normal quantile of the probabilities ``p``.

    Example:
        >>> normal_quantile(torch.tensor([0.5, 0.975]))
        tensor([0.0000, 1.9600])
    """
    quantile: Tensor = torch.special.ndtri(p)
    return quantile


def normal_score(log_cdf: Tensor, log_sf: Tensor) -> Tensor:
    """Return the standard normal quantile of a pair of log tail probabilities.

    Example:
        >>> p = torch.tensor([0.025, 0.975])
        >>> normal_score(p.log(), (1 - p).log())
        tensor([-1.9600,  1.9600])
    """
    smaller = torch.minimum(log_cdf, log_sf).exp().clamp(min=torch.finfo(log_cdf.dtype).tiny)
    return normal_quantile(smaller) * torch.where(log_cdf < log_sf, 1.0, -1.0)


def excess(t: Tensor) -> Tensor:
    """Return ``exp(t) - 1 - t`` without cancellation at small ``t``.

    Example:
        >>> excess(torch.tensor(1e-10, dtype=torch.float64))
        tensor(5.0000e-21, dtype=torch.float64)
    """
    small = t.clamp(-0.5, 0.5)
    series = torch.full_like(small, _INVERSE_FACTORIALS[-1])
    for coefficient in reversed(_INVERSE_FACTORIALS[:-1]):
        series = series * small + coefficient
    return torch.where(t.abs() < 0.5, series * small.square(), torch.expm1(t) - t)


def stirling_remainder(z: Tensor) -> Tensor:
    """Return ``lgamma(z) - (z - 1/2) log z + z - log(2 pi) / 2`` for ``z > 0``.

    Example:
        >>> stirling_remainder(torch.tensor(10.0, dtype=torch.float64))
        tensor(0.0083, dtype=torch.float64)
    """
    inverse = z.clamp(min=10.0).reciprocal()
    square = inverse.square()
    series = torch.full_like(inverse, _STIRLING[-1])
    for coefficient in reversed(_STIRLING[:-1]):
        series = series * square + coefficient
    small = z.clamp(max=10.0)
    direct = torch.lgamma(small) - (small - 0.5) * small.log() + small - _HALF_LOG_2PI
    return torch.where(z < 10.0, direct, series * inverse)
