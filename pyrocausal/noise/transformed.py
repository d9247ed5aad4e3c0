"""Transformed distributions: invertible transforms of a base that has an equation itself."""

from collections.abc import Iterator
from typing import Any

import pyro.distributions as dist
import torch
import torch.distributions as torch_dist
from torch import Tensor
from torch.distributions.transforms import _InverseTransform

from pyrocausal.errors import NotAbducible
from pyrocausal.noise.discrete import needed
from pyrocausal.noise.equation import (
    StructuralEquation,
    device_of,
    register,
    structural_equation,
)
from pyrocausal.noise.wrappers import OnBase

__all__ = ["FoldedEquation", "TransformedEquation"]

_INVERTIBLE: set[tuple[type, ...]] = set()  # chains that passed the trial, by their classes


class TransformedEquation(OnBase):
    """``x = T(f_base(u))``, with the noise of the base; ``u = f_base^-1(T^-1(x))``.

    Example:
        >>> chain = [torch_dist.AffineTransform(1.0, 2.0), torch_dist.ExpTransform()]
        >>> d = dist.TransformedDistribution(dist.Normal(0.0, 1.0), chain)
        >>> structural_equation(d).forward(torch.tensor(0.5)).log()
        tensor(2.)
    """

    def forward(self, u: Tensor) -> Tensor:
        return self._transform(self.base.forward(u))

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        return self.base.posterior(self._inverse(x), v)

    def possible(self, x: Tensor) -> Tensor:
        inside: Tensor = self.distribution.support.check(x)
        return inside & self.base.possible(self._inverse(x))

    def _transform(self, z: Tensor) -> Tensor:
        for transform in self.distribution.transforms:
            z = transform(z)
        return z

    def _inverse(self, x: Tensor) -> Tensor:
        for transform in reversed(self.distribution.transforms):
            x = transform.inv(x)
        return x

    def inverse_works(self) -> bool:
        """Say whether the inverse gives back what went in, at points in both tails."""
        shape = self.distribution.batch_shape + self.noise_shape
        v = torch.linspace(
            0.1, 0.9, shape.numel(), dtype=torch.float64, device=device_of(self.distribution)
        )
        try:
            return all(self._returns(w.reshape(shape)) for w in (v, 1 - v))
        except (KeyError, NotImplementedError):  # transforms that know only cached values
            return False

    @torch.no_grad()
    def _returns(self, v: Tensor) -> bool:
        z = self.base.forward(self.base.from_uniform(v))
        # A copy, since a transform remembers the identity of its last output.
        back = self._inverse(self._transform(z).clone())
        return torch.allclose(back, z, rtol=1e-3, atol=1e-3)


class FoldedEquation(OnBase):
    """``x = |f_base(u)|``; a posterior draw first draws the sign from its posterior.

    Example:
        >>> equation = structural_equation(dist.FoldedDistribution(dist.Normal(1.0, 2.0)))
        >>> equation.posterior(torch.tensor(3.0), torch.tensor(0.1).double())
        tensor(1.)
    """

    def __init__(self, distribution: Any, base: StructuralEquation) -> None:
        if not base.inverts:
            raise NotAbducible("FoldedDistribution", "its base is not invertible.")
        super().__init__(distribution, base)
        self.posterior_shape = torch.Size()

    def forward(self, u: Tensor) -> Tensor:
        return self.base.forward(u).abs()

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        v = needed(v)
        log_odds = self._log_prob(x) - self._log_prob(-x)
        return self.base.posterior(torch.where(v < torch.sigmoid(log_odds), x, -x))

    def possible(self, x: Tensor) -> Tensor:
        return (x >= 0) & (self.base.possible(x) | self.base.possible(-x))

    def _log_prob(self, x: Tensor) -> Tensor:
        # Validation would stop at a branch outside the support of the base.
        inside = self.base.possible(x)
        median = self.base.forward(self.base.from_uniform(torch.full_like(x, 0.5).double()))
        log_prob = self.base.distribution.log_prob(torch.where(inside, x, median))
        return torch.where(inside, log_prob, -torch.inf)


@register(torch_dist.TransformedDistribution, dist.AffineBeta)
def _transformed(d: Any) -> StructuralEquation:
    equation = TransformedEquation(d, structural_equation(d.base_dist))
    names = ", ".join(type(t).__name__ for t in d.transforms)
    if not all(t.bijective for t in d.transforms):
        raise NotAbducible(type(d).__name__, f"{names}: not every transform is a bijection.")
    chain = tuple(_classes(d))
    if chain not in _INVERTIBLE:
        if not equation.inverse_works():
            raise NotAbducible(
                type(d).__name__,
                f"the inverse of {names} does not give back what went in. Use a transform "
                "with an inverse, such as a spline or an affine coupling.",
            )
        _INVERTIBLE.add(chain)
    return equation


@register(dist.FoldedDistribution)
def _folded(d: Any) -> FoldedEquation:
    return FoldedEquation(d, structural_equation(d.base_dist))


def _classes(part: Any) -> Iterator[type]:
    # The classes of a distribution's bases and transforms, outside in.
    yield type(part)
    if isinstance(part, _InverseTransform):
        yield from _classes(part.inv)
    for name in ("base_dist", "base_transform"):
        if hasattr(part, name):
            yield from _classes(getattr(part, name))
    for name in ("transforms", "parts"):
        for child in getattr(part, name, ()):
            yield from _classes(child)
