"""Gamma, Chi2, InverseGamma: the incomplete gamma function in logs, and its inverse."""

from math import pi
from typing import Any

import pyro.distributions as dist
import torch
import torch.distributions as torch_dist
from torch import Tensor

from pyrocausal.noise.equation import register
from pyrocausal.noise.logistic_scale import LogisticScale, ScalarLaw
from pyrocausal.noise.tails import (
    excess,
    from_log_pair,
    log1mexp,
    normal_score,
    stirling_remainder,
)

__all__ = ["GammaEquation", "InverseGammaEquation", "LogGamma", "log_cdf"]

_TERMS = 12  # of the continued fractions far out: 1e-14 at log F = -5000
_SMALLEST = 1e-290  # below it torch's gammainc loses digits, then underflows


def log_cdf(a: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``log P(a, x)`` and ``log Q(a, x)``, the regularized incomplete gamma functions.

    Both tails keep their relative precision (2e-9, that of torch's own functions in the
    middle) far below the smallest float, for shapes up to 2e6: above, torch's lose digits beyond
    4.5 standard deviations. Not differentiable; float64 only.

    Args:
        a: Shape parameter, positive, float64.
        x: Points, non-negative, float64; broadcasts with ``a``.

    Returns:
        ``log F`` and ``log S`` of Gamma(a, 1) at ``x``.

    Example:
        >>> a, x = torch.tensor([1.0, 1.0]).double(), torch.tensor([1.0, 800.0]).double()
        >>> log_cdf(a, x)[1]
        tensor([  -1.0000, -800.0000], dtype=torch.float64)
    """
    return _tails(a, x, x.log())[:2]


class LogGamma(ScalarLaw):
    """The law of ``y = log X``, ``X ~ Gamma(a, 1)``; its log density is concave.

    Example:
        >>> half, one = torch.tensor(0.0).double(), torch.tensor(1.0).double()
        >>> LogGamma().quantile(half, one).exp()  # the median of Exponential(1)
        tensor(0.6931, dtype=torch.float64)
    """

    def tails(self, y: Tensor, *theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return _tails(theta[0], y.exp(), y)

    def score(self, y: Tensor, *theta: Tensor) -> Tensor:
        return theta[0] - y.exp()

    def bracket(
        self, log_cdf: Tensor, log_sf: Tensor, *theta: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        (a,) = theta
        low = (log_cdf + torch.lgamma(a + 1)) / a
        high = torch.log(a + torch.sqrt(-2 * a * log_sf) - log_sf)
        # Wilson and Hilferty: the cube root of X is nearly normal.
        root = 1 - 1 / (9 * a) + normal_score(log_cdf, log_sf) / (3 * a.sqrt())
        guess = a.log() + 3 * root.clamp(min=0.1).log()
        return torch.where(root > 0.1, guess, low), low, high

    def sensitivity(self, y: Tensor, *theta: Tensor) -> tuple[Tensor, ...]:
        # torch has no derivative of gammainc in a: central differences of fourth order.
        (a,) = theta
        h = 1e-3 * a

        def rise(width: int) -> Tensor:
            upper, lower = (from_log_pair(*log_pair(a + s * h)) for s in (width, -width))
            return upper - lower

        def log_pair(a: Tensor) -> tuple[Tensor, Tensor]:
            return _tails(a, y.exp(), y)[:2]

        return ((8 * rise(1) - rise(2)) / (12 * h),)


class GammaEquation(LogisticScale):
    """``x = G_a(u) / rate``, ``u ~ Logistic(0, 1)``."""

    def forward(self, u: Tensor) -> Tensor:
        a, rate = self.parameters
        y = _LOG_GAMMA.quantile(u, a) - rate.log()
        # Small shapes put mass below the smallest float: zero is no value of the family.
        return y.exp().to(self.dtype).clamp(min=torch.finfo(self.dtype).tiny)

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        a, rate = self.parameters
        y = x.double().clamp(min=torch.finfo(self.dtype).tiny).log()
        return _LOG_GAMMA.logit(y + rate.log(), a)


class InverseGammaEquation(LogisticScale):
    """``x = rate / G_a(-u)``, ``u ~ Logistic(0, 1)``: the reciprocal of a Gamma variable."""

    def forward(self, u: Tensor) -> Tensor:
        a, rate = self.parameters
        y = rate.log() - _LOG_GAMMA.quantile(-u, a)
        return y.exp().to(self.dtype).clamp(max=torch.finfo(self.dtype).max)

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        a, rate = self.parameters
        return -_LOG_GAMMA.logit(rate.log() - x.double().log(), a)


@register(torch_dist.Gamma, torch_dist.Chi2)
def _gamma(d: Any) -> GammaEquation:
    return GammaEquation(d, d.concentration, d.rate)


@register(torch_dist.InverseGamma, dist.InverseGamma)
def _inverse_gamma(d: Any) -> InverseGammaEquation:
    return InverseGammaEquation(d, d.concentration, d.rate)


def _tails(a: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    # At x = exp(y), which may underflow: log P, log Q, and the log density of log X.
    log_density = 0.5 * torch.log(a / (2 * pi)) - a * excess(y - a.log()) - stirling_remainder(a)
    lower, upper = _log_lower(a, x, log_density), _log_upper(a, x, log_density)
    # Only the smaller tail is precise, and the lower one near zero; the other follows from it.
    below = (lower < upper) | (x < _SMALLEST)
    other = log1mexp(torch.where(below, lower, upper))
    return torch.where(below, lower, other), torch.where(below, other, upper), log_density


def _log_lower(a: Tensor, x: Tensor, log_density: Tensor) -> Tensor:
    p = torch.special.gammainc(a, x)
    # The continued fraction of Kummer's function, backwards; it is used where x is far below a.
    fraction = a + 2 * _TERMS + 1
    for k in range(_TERMS, 0, -1):
        fraction = a + 2 * k - 1 + k * x / (a + 2 * k - (a + k) * x / fraction)
    far = log_density - a.log() - torch.log1p(-(x / fraction).clamp(max=0.99))
    exact = (p > _SMALLEST) & (x > _SMALLEST)
    return torch.where(exact, p.clamp(min=_SMALLEST).log(), far)


def _log_upper(a: Tensor, x: Tensor, log_density: Tensor) -> Tensor:
    q = torch.special.gammaincc(a, x)
    x = x.clamp(min=1.0)
    # Legendre's continued fraction, backwards; it is used where x is far above a.
    fraction = x + 2 * _TERMS + 1 - a
    for k in range(_TERMS, 0, -1):
        fraction = x + 2 * k - 1 - a - k * (k - a) / fraction
    far = log_density - fraction.abs().log()
    return torch.where(q > _SMALLEST, q.clamp(min=_SMALLEST).log(), far)


_LOG_GAMMA = LogGamma()
