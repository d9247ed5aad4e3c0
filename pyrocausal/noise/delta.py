"""Point masses: values without noise."""

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor

from pyrocausal.noise.equation import StructuralEquation, register

__all__ = ["DeltaEquation"]


class DeltaEquation(StructuralEquation):
    """``x = v``: the noise is an empty vector.

    Example:
        >>> equation = DeltaEquation(dist.Delta(torch.tensor(2.0)))
        >>> equation.posterior(torch.tensor(2.0)).shape, equation.forward(torch.empty(3, 0))
        (torch.Size([0]), tensor([2., 2., 2.]))
    """

    noise_shape = torch.Size([0])

    @property
    def everywhere(self) -> bool:
        return False  # Pyro gives it the whole line as its support

    @property
    def noise(self) -> Any:
        zero = torch.zeros((), dtype=torch.float64, device=self.distribution.v.device)
        return dist.Normal(zero, zero + 1).expand((*self.distribution.batch_shape, 0)).to_event(1)

    def from_uniform(self, v: Tensor) -> Tensor:
        return v

    def forward(self, u: Tensor) -> Tensor:
        d = self.distribution
        batch = torch.broadcast_shapes(u.shape[:-1], d.batch_shape)
        return d.v.expand(*batch, *d.event_shape)  # type: ignore[no-any-return]

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        batch = x.shape[: x.dim() - self.distribution.event_dim]
        return x.new_zeros((*batch, 0), dtype=torch.float64)

    def possible(self, x: Tensor) -> Tensor:
        d = self.distribution
        same = torch.isclose(x.to(d.v.dtype), d.v)
        return same.flatten(same.dim() - d.event_dim).all(-1) if d.event_dim else same


@register(dist.Delta)
def _delta(d: Any) -> DeltaEquation:
    return DeltaEquation(d)
