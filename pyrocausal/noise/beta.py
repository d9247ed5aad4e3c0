"""Beta: the incomplete beta function in logs, and its inverse."""

from math import log, pi
from typing import Any

import torch
import torch.distributions as torch_dist
from torch import Tensor
from torch.nn.functional import logsigmoid

from pyrocausal.noise.equation import register
from pyrocausal.noise.logistic_scale import LogisticScale, ScalarLaw
from pyrocausal.noise.tails import excess, log1mexp, normal_score, stirling_remainder

__all__ = ["BetaEquation", "LogitBeta", "log_cdf"]

_TERMS = 128
_CACHED = 2**15  # numbers: so many coefficients are computed in one call


def log_cdf(a: Tensor, b: Tensor, w: Tensor, terms: int = _TERMS) -> tuple[Tensor, Tensor]:
    """Return ``log I_x(a, b)`` and ``log I_{1-x}(b, a)`` at ``x = sigmoid(w)``.

    The regularized incomplete beta function by its continued fraction, evaluated backwards
    from a fixed number of terms. Both tails keep their relative precision; differentiable in
    all arguments; float64 only.

    Args:
        a: First parameter, positive, float64.
        b: Second parameter, positive, float64; broadcasts.
        w: Points as logits, ``log x - log(1 - x)``, float64; broadcasts.
        terms: Pairs of terms of the continued fraction. The relative error of both tails is
            1e-12 for ``min(a, b)`` up to 100 with 32, up to 1e3 with 64, up to 1e4 with 128;
            with 128 it grows to 6e-10 at 1e5, to 5e-6 at 1e6. ``max(a, b)`` does not matter.

    Returns:
        ``log F`` and ``log S`` of Beta(a, b) at ``x``.

    Example:
        >>> one, w = torch.tensor(1.0).double(), torch.tensor(0.0).double()
        >>> log_cdf(one, 2 * one, w)[0].exp()
        tensor(0.7500, dtype=torch.float64)

    References:
        DiDonato, Morris (1992), Algorithm 708: the incomplete beta function ratios.
    """
    return _tails(a, b, w, terms)[:2]


class LogitBeta(ScalarLaw):
    """The law of ``w = logit X``, ``X ~ Beta(a, b)``; its log density is concave.

    Args:
        terms: Pairs of terms of the continued fraction, as in ``log_cdf``.

    Example:
        >>> half, one = torch.tensor(0.0).double(), torch.tensor(1.0).double()
        >>> LogitBeta().quantile(half, one, 2 * one).sigmoid()  # 1 - sqrt(1/2)
        tensor(0.2929, dtype=torch.float64)
    """

    def __init__(self, terms: int = _TERMS) -> None:
        self.terms = terms

    def tails(self, y: Tensor, *theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, b = theta
        return _tails(a, b, y, self.terms)

    def score(self, y: Tensor, *theta: Tensor) -> Tensor:
        a, b = theta
        return a * torch.sigmoid(-y) - b * torch.sigmoid(y)

    def bracket(
        self, log_cdf: Tensor, log_sf: Tensor, *theta: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        a, b = theta
        constant = _log_beta(a, b)
        low = (log_cdf + a.log() + constant) / a
        high = -(log_sf + b.log() + constant) / b
        both = (a >= 1) & (b >= 1)
        guess = _power_guess(log_cdf, log_sf, a, b)
        return torch.where(both, _normal_guess(log_cdf, log_sf, a, b), guess), low, high


class BetaEquation(LogisticScale):
    """``x = sigmoid(B_ab(u))``, ``u ~ Logistic(0, 1)``."""

    def forward(self, u: Tensor) -> Tensor:
        x = torch.sigmoid(_LOGIT_BETA.quantile(u, *self.parameters))
        return self._interior(x.to(self.dtype))

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        return _LOGIT_BETA.logit(torch.logit(self._interior(x).double()), *self.parameters)

    def _interior(self, x: Tensor) -> Tensor:
        # Small parameters put mass between the ends and the nearest floats.
        limits = torch.finfo(self.dtype)
        return x.clamp(limits.tiny, 1 - limits.eps / 2)


@register(torch_dist.Beta)
def _beta(d: Any) -> BetaEquation:
    return BetaEquation(d, d.concentration1, d.concentration0)


def _tails(a: Tensor, b: Tensor, w: Tensor, terms: int) -> tuple[Tensor, Tensor, Tensor]:
    swap = torch.sigmoid(w) >= (a + 1) / (a + b + 2)
    a, b, w = torch.where(swap, b, a), torch.where(swap, a, b), torch.where(swap, -w, w)
    x, y, n = torch.sigmoid(w), torch.sigmoid(-w), a + b
    # How far x lies below the mean, times n: all that nearly cancels is in this one number.
    gap = torch.where(a > b, n * y - b, a - n * x)
    log_density = _log_density(a, b, w, gap)  # the same for both ways round
    tail = log_density + _continued_fraction(a, b, x, gap, terms).log()
    other = log1mexp(tail)
    return torch.where(swap, other, tail), torch.where(swap, tail, other), log_density


def _log_density(a: Tensor, b: Tensor, w: Tensor, gap: Tensor) -> Tensor:
    # log(x^a (1-x)^b / B(a, b)), where x^a (1-x)^b nearly cancels B for large a and b.
    lx, ly, log_n = logsigmoid(w), logsigmoid(-w), (a + b).log()
    bulk = (
        0.5 * (a.log() + b.log() - log_n - log(2 * pi))
        - a * excess(_log_ratio(-gap / a, log_n + lx - a.log()))
        - b * excess(_log_ratio(gap / b, log_n + ly - b.log()))
        - stirling_remainder(a)
        - stirling_remainder(b)
        + stirling_remainder(a + b)
    )
    return torch.where(torch.minimum(a, b) > 1, bulk, a * lx + b * ly - _log_beta(a, b))


def _log_ratio(difference: Tensor, log_ratio: Tensor) -> Tensor:
    # Near 1 a ratio's logarithm has the digits of its difference from 1.
    near = difference.abs() < 0.5
    return torch.where(near, torch.log1p(torch.where(near, difference, 0.0)), log_ratio)


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    # lgamma(large) - lgamma(n) by Stirling, whose leading terms cancel by hand.
    small, large, n = torch.minimum(a, b), torch.maximum(a, b), a + b
    ratio = (large - 0.5) * torch.log1p(small / large) + small * n.log() - small
    remainder = stirling_remainder(large) - stirling_remainder(n)
    return torch.lgamma(small) - ratio + remainder


def _normal_guess(log_cdf: Tensor, log_sf: Tensor, a: Tensor, b: Tensor) -> Tensor:
    # Cochran's approximation to Fisher's z, whose double is the logit up to log(a/b).
    z = normal_score(log_cdf, log_sf)
    p, q = 1 / (2 * a - 1).clamp(min=1.0), 1 / (2 * b - 1).clamp(min=1.0)
    lift, h = (z.square() - 3) / 6, 2 / (p + q)
    g = -z * torch.sqrt(h + lift) / h - (q - p) * (lift + 5 / 6 - 2 / (3 * h))
    return (a / b).log() - 2 * g


def _power_guess(log_cdf: Tensor, log_sf: Tensor, a: Tensor, b: Tensor) -> Tensor:
    # x^a below and (1-x)^b above, joined where the two pieces hold their shares of the mass.
    n = a + b
    left, right = a * (a / n).log() - a.log(), b * (b / n).log() - b.log()
    whole = torch.logaddexp(left, right)
    log_x = (a.log() + whole + log_cdf) / a
    log_y = (b.log() + whole + log_sf) / b
    below = log_x - log1mexp(log_x.clamp(max=-1e-300))
    above = log1mexp(log_y.clamp(max=-1e-300)) - log_y
    return torch.where(log_cdf < left - whole, below, above)


def _continued_fraction(a: Tensor, b: Tensor, x: Tensor, gap: Tensor, terms: int) -> Tensor:
    """Return ``I_x(a, b) B(a, b) / (x^a (1-x)^b)``.

    The even part of the classical fraction, in a form without differences of nearly equal numbers:
    ``bfrac`` of Algorithm 708.
    """
    a, b, x, gap = torch.broadcast_tensors(a, b, x, gap)
    # What follows the last term is taken as periodic, t = partial + numerator / t: this saves a
    # third of the terms, and fails gently where there are too few.
    numerator, partial = _coefficients(a, b, x, gap, terms + 1)
    value = 0.5 * (partial + (partial.square() + 4 * numerator).clamp(min=0.0).sqrt())
    block = min(32, max(1, _CACHED // max(1, x.numel())))
    for last in range(terms, 0, -block):
        m = torch.arange(last, max(last - block, 0), -1, device=x.device)
        above, below = _coefficients(a, b, x, gap, m.reshape(-1, *[1] * x.dim()))
        numerators = (numerator, *above[:-1])
        for top, term in zip(numerators, below, strict=True):
            value = torch.addcdiv(term, top, value)
        numerator = above[-1]
    first = a * (1 + gap) / (a + 1)
    return torch.addcdiv(first, numerator, value).reciprocal()


def _coefficients(
    a: Tensor, b: Tensor, x: Tensor, gap: Tensor, m: Tensor | int
) -> tuple[Tensor, Tensor]:
    step, half = a + 2 * m, m * (b - m) * x
    shrunk = (a + m - 1) / (step - 1)
    numerator = shrunk * ((a + b + m - 1) / (step - 1)) * half * x
    partial = m + half / (step - 1) + (a + m) / (step + 1) * (1 + gap + m * (2 - x))
    return numerator, partial


_LOGIT_BETA = LogitBeta()
