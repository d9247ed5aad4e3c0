"""Wrappers that are seen through: Independent, masked and expanded distributions."""

from functools import partial
from typing import Any

import pyro.distributions as dist
import torch
import torch.distributions as torch_dist
from torch import Tensor

from pyrocausal.noise.equation import (
    COUPLINGS,
    StructuralEquation,
    register,
    structural_equation,
)
from pyrocausal.noise.streams import Stream

__all__ = ["ExpandedEquation", "IndependentEquation", "MaskedEquation", "OnBase"]


class OnBase(StructuralEquation):
    """The equation of a base distribution, passed on.

    A subclass overrides what it changes.
    """

    def __init__(self, distribution: Any, base: StructuralEquation) -> None:
        super().__init__(distribution)
        self.base = base
        self.noise_shape, self.posterior_shape = base.noise_shape, base.posterior_shape

    @property
    def route(self) -> str:  # type: ignore[override]
        return self.base.route

    @property
    def everywhere(self) -> bool:
        return super().everywhere and self.base.everywhere

    @property
    def noise(self) -> Any:
        return self.base.noise

    def from_uniform(self, v: Tensor) -> Tensor:
        return self.base.from_uniform(v)

    def draw(self, stream: Stream, inner: tuple[int, ...] = ()) -> Tensor:
        return self.base.draw(stream, inner)

    def forward(self, u: Tensor) -> Tensor:
        return self.base.forward(u)

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        return self.base.posterior(x, v)

    def possible(self, x: Tensor) -> Tensor:
        return self.base.possible(x)


class IndependentEquation(OnBase):
    """The equation of the base, whose last batch dimensions have become event dimensions.

    Example:
        >>> equation = structural_equation(dist.Normal(torch.zeros(3), 1.0).to_event(1))
        >>> equation.noise_shape
        torch.Size([3])
    """

    def __init__(self, distribution: Any, base: StructuralEquation) -> None:
        super().__init__(distribution, base)
        self.ndims = distribution.reinterpreted_batch_ndims
        batch = base.distribution.batch_shape
        self.moved = batch[len(batch) - self.ndims :]
        self.noise_shape = self.moved + base.noise_shape
        if base.posterior_shape is not None:
            self.posterior_shape = self.moved + base.posterior_shape

    @property
    def noise(self) -> Any:
        return self.base.noise.to_event(self.ndims)

    def draw(self, stream: Stream, inner: tuple[int, ...] = ()) -> Tensor:
        return self.base.draw(stream, (*inner, *self.moved))

    def possible(self, x: Tensor) -> Tensor:
        inside = self.base.possible(x)
        return inside.flatten(inside.dim() - self.ndims).all(-1) if self.ndims else inside


class MaskedEquation(OnBase):
    """The equation of the base; where the mask is False, any value is possible."""

    def possible(self, x: Tensor) -> Tensor:
        inside = self.base.possible(x)
        mask = torch.as_tensor(self.distribution._mask, device=inside.device)
        return inside | ~mask


class ExpandedEquation(OnBase):
    """The equation of the base, whose batch is broadcast."""

    @property
    def noise(self) -> Any:
        return self.base.noise.expand(self.distribution.batch_shape)


_EQUATIONS = {
    torch_dist.Independent: IndependentEquation,
    dist.MaskedDistribution: MaskedEquation,
    dist.ExpandedDistribution: ExpandedEquation,
}


def _see_through(
    d: Any, equation: type[OnBase], coupling: str | None = None
) -> StructuralEquation:
    return equation(d, structural_equation(d.base_dist, coupling))


for _family, _equation in _EQUATIONS.items():
    for _coupling in (None, *COUPLINGS):
        register(_family, coupling=_coupling)(
            partial(_see_through, equation=_equation, coupling=_coupling)
        )
