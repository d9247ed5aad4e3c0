"""VonMises: its CDF by quadrature, cut opposite the mode."""

from math import log, pi
from typing import Any

import torch
import torch.distributions as torch_dist
from numpy.polynomial.legendre import leggauss
from torch import Tensor

from pyrocausal.noise.equation import register
from pyrocausal.noise.logistic_scale import LogisticScale, ScalarLaw
from pyrocausal.noise.tails import log1mexp, normal_score

__all__ = ["HalfVonMises", "VonMisesEquation"]

_NODES, _WEIGHTS = ((0.5 * (leggauss(48)[0] + 1)).tolist(), (0.5 * leggauss(48)[1]).tolist())
_NEGLIGIBLE = 40.0  # the integrand is left out where it is exp(-40) of its maximum


class HalfVonMises(ScalarLaw):
    """The law of ``y = log(pi + theta)`` at angles ``theta <= 0`` from the mode.

    ``F = int_0^d exp(-2 kappa cos^2(s/2)) ds / (2 pi I0e(kappa))``, ``d = exp(y)``, never above
    one half; 48 Gauss-Legendre nodes over the part of ``[0, d]`` that counts.
    """

    def tails(self, y: Tensor, *theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (kappa,) = theta
        d = y.exp()
        peak = torch.cos(0.5 * d).square()
        cut = (peak + 0.5 * _NEGLIGIBLE / kappa).clamp(max=1.0)
        start = 2 * torch.acos(cut.sqrt()).detach()
        s = start.unsqueeze(-1) + (d - start).unsqueeze(-1) * y.new_tensor(_NODES)
        gap = torch.sin(0.5 * (d.unsqueeze(-1) + s)) * torch.sin(0.5 * (d.unsqueeze(-1) - s))
        integral = torch.exp(-2 * kappa.unsqueeze(-1) * gap) @ y.new_tensor(_WEIGHTS)
        log_density = -2 * kappa * peak - torch.log(2 * pi * torch.special.i0e(kappa))
        log_cdf = log_density + torch.log((d - start) * integral)
        return log_cdf, log1mexp(log_cdf), log_density + y

    def score(self, y: Tensor, *theta: Tensor) -> Tensor:
        d = y.exp()
        return 1 + theta[0] * d * torch.sin(d)

    def bracket(
        self, log_cdf: Tensor, log_sf: Tensor, *theta: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        # The density rises up to the mode, so the uniform law bounds the quantile from below.
        low = log(2 * pi) + log_cdf
        z = normal_score(log_cdf, log_sf)
        normal = torch.log((pi + z / theta[0].sqrt()).clamp(min=1e-300))
        return torch.maximum(low, normal), low, torch.full_like(low, log(pi))


class VonMisesEquation(LogisticScale):
    """``x = wrap(loc + theta_kappa(u))``, ``u ~ Logistic(0, 1)``, with the cut at ``loc + pi``.

    Values outside ``[-pi, pi)`` stand for the same angle inside.

    Example:
        >>> d = torch_dist.VonMises(torch.tensor(1.0), torch.tensor(4.0))
        >>> VonMisesEquation(d, d.loc, d.concentration).forward(torch.tensor(0.0).double())
        tensor(1.)
    """

    def forward(self, u: Tensor) -> Tensor:
        loc, kappa = self.parameters
        lower = u < 0
        distance = pi - _HALF.quantile(torch.where(lower, u, -u), kappa).exp()
        return _wrap(loc + torch.where(lower, -distance, distance)).to(self.dtype)

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        loc, kappa = self.parameters
        # A float32 may lie above pi by its rounding: that is no reason to cross the cut.
        angle = _wrap(x.double() - loc, slack=2e-7)
        lower = angle < 0
        distance = (pi - torch.where(lower, -angle, angle)).clamp(min=1e-300)
        u = _HALF.logit(distance.log(), kappa)
        return torch.where(lower, u, -u)


@register(torch_dist.VonMises)
def _von_mises(d: Any) -> VonMisesEquation:
    return VonMisesEquation(d, d.loc, d.concentration)


def _wrap(angle: Tensor, slack: float = 0.0) -> Tensor:
    inside = angle.abs() <= pi + slack
    return torch.where(inside, angle, torch.remainder(angle + pi, 2 * pi) - pi)


_HALF = HalfVonMises()
