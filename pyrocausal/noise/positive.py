"""Families on the half-line whose standard form is the noise."""

from math import pi
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
import torch.distributions as torch_dist
from torch import Tensor

from pyrocausal.noise.equation import StructuralEquation, register
from pyrocausal.noise.location_scale import NormalEquation
from pyrocausal.noise.streams import Stream
from pyrocausal.noise.tails import normal_quantile
from pyrocausal.noise.wrappers import OnBase

__all__ = [
    "ExponentialEquation",
    "HalfCauchyEquation",
    "HalfNormalEquation",
    "LogNormalEquation",
    "ParetoEquation",
    "WeibullEquation",
]


class _HalfLine(StructuralEquation):
    """``x = scale * u``, with ``u`` of the family's standard form.

    A subclass sets ``standard``, which takes one parameter, and implements ``from_uniform``.
    """

    standard: ClassVar[Any]

    def __init__(self, distribution: Any, scale: Tensor) -> None:
        super().__init__(distribution)
        self.scale = scale

    @property
    def noise(self) -> Any:
        return self.standard(self.scale.new_ones(())).expand(self.distribution.batch_shape)

    def forward(self, u: Tensor) -> Tensor:
        return self.scale * u

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        return x / self.scale


class HalfNormalEquation(_HalfLine):
    """``x = scale * u``, ``u ~ HalfNormal(1)``."""

    standard = dist.HalfNormal

    def from_uniform(self, v: Tensor) -> Tensor:
        return -normal_quantile(0.5 * v).to(self.scale.dtype)

    def draw(self, stream: Stream, inner: tuple[int, ...] = ()) -> Tensor:
        return stream.normals(inner, self.scale.dtype).abs()


class HalfCauchyEquation(_HalfLine):
    """``x = scale * u``, ``u ~ HalfCauchy(1)``."""

    standard = dist.HalfCauchy

    def from_uniform(self, v: Tensor) -> Tensor:
        return torch.tan(0.5 * pi * v).reciprocal().to(self.scale.dtype)


class ExponentialEquation(_HalfLine):
    """``x = u / rate``, ``u ~ Exponential(1)``."""

    standard = dist.Exponential

    def from_uniform(self, v: Tensor) -> Tensor:
        return -torch.log(v).to(self.scale.dtype)


class WeibullEquation(ExponentialEquation):
    """``x = scale * u^(1/k)``, ``u ~ Exponential(1)``."""

    def __init__(self, distribution: Any, scale: Tensor, k: Tensor) -> None:
        super().__init__(distribution, scale)
        self.k = k

    def forward(self, u: Tensor) -> Tensor:
        return self.scale * u.pow(1 / self.k)

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        return (x / self.scale).pow(self.k)


class ParetoEquation(ExponentialEquation):
    """``x = scale * exp(u / alpha)``, ``u ~ Exponential(1)``."""

    def __init__(self, distribution: Any, scale: Tensor, alpha: Tensor) -> None:
        super().__init__(distribution, scale)
        self.alpha = alpha

    def forward(self, u: Tensor) -> Tensor:
        return self.scale * torch.exp(u / self.alpha)

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        return self.alpha * torch.log(x / self.scale)


class LogNormalEquation(OnBase):
    """``x = exp(loc + scale * u)``, ``u ~ Normal(0, 1)``.

    Example:
        >>> d = dist.LogNormal(1.0, 2.0)
        >>> equation = LogNormalEquation(d, NormalEquation(d, d.loc, d.scale))
        >>> equation.forward(torch.tensor(0.5)).log()
        tensor(2.)
    """

    def forward(self, u: Tensor) -> Tensor:
        return self.base.forward(u).exp()

    def forward_rows(self, u: Tensor, shape: tuple[int, int, int], inner: int) -> Tensor:
        return self.base.forward_rows(u, shape, inner).exp()

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        return self.base.posterior(x.log())


@register(torch_dist.HalfNormal)
def _half_normal(d: Any) -> HalfNormalEquation:
    return HalfNormalEquation(d, d.scale)


@register(torch_dist.HalfCauchy)
def _half_cauchy(d: Any) -> HalfCauchyEquation:
    return HalfCauchyEquation(d, d.scale)


@register(torch_dist.Exponential)
def _exponential(d: Any) -> ExponentialEquation:
    return ExponentialEquation(d, d.rate.reciprocal())


@register(torch_dist.Weibull)
def _weibull(d: Any) -> WeibullEquation:
    return WeibullEquation(d, d.scale, d.concentration)


@register(torch_dist.Pareto)
def _pareto(d: Any) -> ParetoEquation:
    return ParetoEquation(d, d.scale, d.alpha)


@register(torch_dist.LogNormal)
def _log_normal(d: Any) -> LogNormalEquation:
    return LogNormalEquation(d, NormalEquation(d, d.loc, d.scale))
