"""Families whose standard form is the noise: ``x = loc + scale * u``, ``u`` free of parents."""

from math import pi
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
import torch.distributions as torch_dist
from torch import Tensor

from pyrocausal.noise.equation import StructuralEquation, register
from pyrocausal.noise.streams import Stream
from pyrocausal.noise.tails import normal_quantile

__all__ = [
    "CauchyEquation",
    "GumbelEquation",
    "LaplaceEquation",
    "LocationScale",
    "LogisticEquation",
    "NormalEquation",
    "UniformEquation",
]


class LocationScale(StructuralEquation):
    """``x = loc + scale * u``, with ``u`` of the family's standard form.

    A subclass sets ``standard`` and implements ``from_uniform``.
    """

    standard: ClassVar[Any]

    def __init__(self, distribution: Any, loc: Tensor, scale: Tensor) -> None:
        super().__init__(distribution)
        self.loc, self.scale = loc, scale

    @property
    def noise(self) -> Any:
        zero = self.loc.new_zeros(())
        return self.standard(zero, zero + 1).expand(self.distribution.batch_shape)

    def forward(self, u: Tensor) -> Tensor:
        return torch.addcmul(self.loc, self.scale, u)

    def forward_rows(self, u: Tensor, shape: tuple[int, int, int], inner: int) -> Tensor:
        if u.dim() > 3:
            return super().forward_rows(u, shape, inner)
        # One number a unit: the worlds' rows are met by broadcasting, without copies of the noise,
        # and a scale that is one number for all is multiplied in before.
        scale = self.scale
        constant = all(stride == 0 for stride in scale.stride())
        scaled = u * (scale[(0,) * scale.dim()] if constant else scale.reshape(shape))
        return (self.loc.reshape(shape) + scaled).flatten()

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        return (x - self.loc) / self.scale


class NormalEquation(LocationScale):
    """``x = loc + scale * u``, ``u ~ Normal(0, 1)``."""

    standard = dist.Normal

    def from_uniform(self, v: Tensor) -> Tensor:
        return normal_quantile(v).to(self.loc.dtype)

    def draw(self, stream: Stream, inner: tuple[int, ...] = ()) -> Tensor:
        return stream.normals(inner, self.loc.dtype)


class LaplaceEquation(LocationScale):
    """``x = loc + scale * u``, ``u ~ Laplace(0, 1)``."""

    standard = dist.Laplace

    def from_uniform(self, v: Tensor) -> Tensor:
        upper = v > 0.5
        tail = torch.log(2 * torch.where(upper, 1 - v, v))
        return torch.where(upper, -tail, tail).to(self.loc.dtype)


class CauchyEquation(LocationScale):
    """``x = loc + scale * u``, ``u ~ Cauchy(0, 1)``."""

    standard = dist.Cauchy

    def from_uniform(self, v: Tensor) -> Tensor:
        # The tangent of an angle near its pole keeps no digits: take its reciprocal there.
        upper = v > 0.5
        cotangent = torch.tan(pi * torch.where(upper, 1 - v, v)).reciprocal()
        return torch.where(upper, cotangent, -cotangent).to(self.loc.dtype)


class LogisticEquation(LocationScale):
    """``x = loc + scale * u``, ``u ~ Logistic(0, 1)``."""

    standard = dist.Logistic

    def from_uniform(self, v: Tensor) -> Tensor:
        return torch.logit(v).to(self.loc.dtype)


class GumbelEquation(LocationScale):
    """``x = loc + scale * u``, ``u ~ Gumbel(0, 1)``."""

    standard = dist.Gumbel

    def from_uniform(self, v: Tensor) -> Tensor:
        return -torch.log(-torch.log(v)).to(self.loc.dtype)


class UniformEquation(LocationScale):
    """``x = low + (high - low) * u``, ``u ~ Uniform(0, 1)``."""

    standard = dist.Uniform

    def from_uniform(self, v: Tensor) -> Tensor:
        # In float32 the last uniforms would round to 1, where the density is zero.
        dtype = self.loc.dtype
        return v.to(dtype).clamp(max=1 - torch.finfo(dtype).eps / 2)


@register(torch_dist.Normal)
def _normal(d: Any) -> NormalEquation:
    return NormalEquation(d, d.loc, d.scale)


@register(torch_dist.Laplace)
def _laplace(d: Any) -> LaplaceEquation:
    return LaplaceEquation(d, d.loc, d.scale)


@register(torch_dist.Cauchy)
def _cauchy(d: Any) -> CauchyEquation:
    return CauchyEquation(d, d.loc, d.scale)


@register(dist.Logistic)
def _logistic(d: Any) -> LogisticEquation:
    return LogisticEquation(d, d.loc, d.scale)


@register(torch_dist.Gumbel)
def _gumbel(d: Any) -> GumbelEquation:
    return GumbelEquation(d, d.loc, d.scale)


@register(torch_dist.Uniform)
def _uniform(d: Any) -> UniformEquation:
    return UniformEquation(d, d.low, d.high - d.low)
