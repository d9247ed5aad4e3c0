"""Families whose standard form is the noise: ``x = loc + scale * u``, ``u`` free of parents."""

from typing import Any, ClassVar

import pyro.distributions as dist
import torch
import torch.distributions as torch_dist
from torch import Tensor

from pyrocausal.noise.equation import StructuralEquation, register
from pyrocausal.noise.streams import Stream

__all__ = ["LocationScale", "NormalEquation"]


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

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        return (x - self.loc) / self.scale


class NormalEquation(LocationScale):
    """``x = loc + scale * u``, ``u ~ Normal(0, 1)``."""

    standard = dist.Normal

    def from_uniform(self, v: Tensor) -> Tensor:
        return torch.special.ndtri(v).to(self.loc.dtype)

    def draw(self, stream: Stream, inner: tuple[int, ...] = ()) -> Tensor:
        return stream.normals(inner, self.loc.dtype)


@register(torch_dist.Normal)
def _normal(d: Any) -> NormalEquation:
    return NormalEquation(d, d.loc, d.scale)
