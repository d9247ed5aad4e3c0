"""Multivariate normal families: ``x = loc + L u`` with the dense Cholesky factor ``L``."""

from typing import Any

import pyro.distributions as dist
import torch
import torch.distributions as torch_dist
from torch import Tensor

from pyrocausal.noise.equation import StructuralEquation, register
from pyrocausal.noise.streams import Stream
from pyrocausal.noise.tails import normal_quantile

__all__ = ["MultivariateNormalEquation"]


class MultivariateNormalEquation(StructuralEquation):
    """``x = loc + L u``, ``u ~ Normal(0, I)``, ``L L'`` the covariance, ``L`` lower triangular.

    The equation depends on the order of the coordinates: each is a function of the noise of
    itself and of those before it.

    Args:
        distribution: The distribution, of event shape ``(p,)``.
        loc: Mean, shape ``(*batch, p)``.
        factor: ``L``, shape ``(*batch, p, p)`` or ``(p, p)``.

    Example:
        >>> factor = torch.tensor([[1.0, 0.0], [3.0, 2.0]])
        >>> d = dist.MultivariateNormal(torch.zeros(2), scale_tril=factor)
        >>> MultivariateNormalEquation(d, d.loc, factor).forward(torch.tensor([1.0, -1.0]))
        tensor([1., 1.])
    """

    def __init__(self, distribution: Any, loc: Tensor, factor: Tensor) -> None:
        super().__init__(distribution)
        self.loc, self.factor = loc, factor
        self.noise_shape = distribution.event_shape

    @property
    def noise(self) -> Any:
        zero = self.loc.new_zeros(())
        shape = self.distribution.batch_shape + self.noise_shape
        return dist.Normal(zero, zero + 1).expand(shape).to_event(1)

    def from_uniform(self, v: Tensor) -> Tensor:
        return normal_quantile(v).to(self.loc.dtype)

    def draw(self, stream: Stream, inner: tuple[int, ...] = ()) -> Tensor:
        return stream.normals((*inner, *self.noise_shape), self.loc.dtype)

    def forward(self, u: Tensor) -> Tensor:
        if self.factor.dim() == 2:  # one matrix product for all rows
            return self.loc + u @ self.factor.mT
        return self.loc + (self.factor @ u.unsqueeze(-1)).squeeze(-1)

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        residual = x - self.loc
        if self.factor.dim() == 2:
            rows = residual.reshape(-1, residual.shape[-1])
            u: Tensor = torch.linalg.solve_triangular(self.factor.mT, rows, upper=True, left=False)
            return u.reshape(residual.shape)
        u = torch.linalg.solve_triangular(self.factor, residual.unsqueeze(-1), upper=False)
        return u.squeeze(-1)


@register(torch_dist.MultivariateNormal)
def _multivariate_normal(d: Any) -> MultivariateNormalEquation:
    return MultivariateNormalEquation(d, d.loc, d._unbroadcasted_scale_tril)


@register(torch_dist.LowRankMultivariateNormal)
def _low_rank(d: Any) -> MultivariateNormalEquation:
    factor, diagonal = d._unbroadcasted_cov_factor, d._unbroadcasted_cov_diag
    covariance = factor @ factor.mT + torch.diag_embed(diagonal)
    return MultivariateNormalEquation(d, d.loc, torch.linalg.cholesky(covariance))
