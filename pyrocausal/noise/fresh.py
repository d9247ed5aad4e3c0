"""The coupling ``"independent"``: a fresh draw for every value of the parameters."""

from typing import Any

import pyro.distributions as dist
import torch
import torch.distributions as torch_dist
from torch import Tensor

from pyrocausal.noise.counters import GOLDEN, mix, shift_right
from pyrocausal.noise.discrete import needed, refuse_impossible
from pyrocausal.noise.equation import StructuralEquation, register, structural_equation
from pyrocausal.noise.joint import JointNoise
from pyrocausal.noise.ordered import OrderedEquation
from pyrocausal.noise.streams import Stream

__all__ = ["FreshEquation"]

_RTOL = 1e-5  # parameters this close are one, computed twice
_DROPPED_BITS = 12  # of a parameter's mantissa, so that its rounding rarely shows


class FreshEquation(StructuralEquation):
    """``x = Q(U(theta); theta)``, with ``U`` a field of independent uniforms over parameters.

    Equal parameters share the draw, different parameters have independent draws: the
    counterfactual of a unit whose parents changed is a draw from the law there, as if nothing
    were known of the unit. Where parents are continuous, every world is fresh.

    The noise is the vector ``(key, rank, theta)``: the address of the field, and the place and
    value where evidence fixed it (NaN where there is none).

    Args:
        quantile: The quantile equation of the family.

    Example:
        >>> inner = structural_equation(dist.Poisson(torch.tensor(3.0)), "quantile")
        >>> equation = FreshEquation(inner)
        >>> u = equation.posterior(torch.tensor(7.0), torch.tensor(0.5).double())
        >>> u.shape, equation.forward(u)
        (torch.Size([3]), tensor(7.))
    """

    route = "independent"
    posterior_shape = torch.Size()

    def __init__(self, quantile: OrderedEquation) -> None:
        super().__init__(quantile.distribution)
        self.quantile, self.theta = quantile, quantile.theta
        self.noise_shape = torch.Size([2 + self.theta.shape[-1]])

    @property
    def parts(self) -> tuple[StructuralEquation, ...]:
        return (self.quantile,)

    @property
    def noise(self) -> Any:
        return JointNoise(self, lambda u: torch.zeros_like(u[..., 0]), self.theta.device)

    def from_uniform(self, v: Tensor) -> Tensor:
        return self._without_evidence(v[..., 0])

    def draw(self, stream: Stream, inner: tuple[int, ...] = ()) -> Tensor:
        return self._without_evidence(stream.uniforms(inner))

    def forward(self, u: Tensor) -> Tensor:
        key, seen, place = u[..., 0], u[..., 1], u[..., 2:]
        here = torch.isclose(self.theta, place, rtol=_RTOL).all(-1) & ~seen.isnan()
        fresh = self.quantile.rank(self.quantile.from_uniform(self._field(key)))
        return self.quantile.value(torch.where(here, seen, fresh))

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        refuse_impossible(self.possible(x), self.distribution)
        rank, key = torch.broadcast_tensors(self.quantile.rank_of(x), needed(v))
        theta = self.theta.expand(*rank.shape, -1)
        return torch.cat((torch.stack((key, rank), -1), theta), -1)

    def possible(self, x: Tensor) -> Tensor:
        return self.quantile.possible(x)

    def _without_evidence(self, key: Tensor) -> Tensor:
        u = key.new_full((*key.shape, *self.noise_shape), torch.nan)
        u[..., 0] = key
        return u

    def _field(self, key: Tensor) -> Tensor:
        """Return the field's uniform at the parameters here, shape ``(*batch,)``."""
        integer = torch.int32 if self.quantile.dtype == torch.float32 else torch.int64
        theta = self.theta.to(self.quantile.dtype) + 0.0  # makes -0.0 to 0.0
        bits = theta.view(integer).long().add(1 << (_DROPPED_BITS - 1)) >> _DROPPED_BITS
        column = torch.arange(bits.shape[-1], device=bits.device) * GOLDEN
        place = mix(mix(bits + column).sum(-1))
        drawn = shift_right(mix(place ^ key.view(torch.int64)), 12).double()
        return (drawn + 0.5) * 2.0**-52


@register(torch_dist.Bernoulli, torch_dist.Categorical, coupling="independent")
@register(torch_dist.OneHotCategorical, dist.OrderedLogistic, coupling="independent")
@register(torch_dist.Geometric, torch_dist.Poisson, coupling="independent")
@register(torch_dist.Binomial, torch_dist.NegativeBinomial, coupling="independent")
@register(dist.ZeroInflatedDistribution, dist.ZeroInflatedPoisson, coupling="independent")
@register(dist.ZeroInflatedNegativeBinomial, coupling="independent")
def _fresh(d: Any) -> FreshEquation:
    quantile = structural_equation(d, "quantile")
    assert isinstance(quantile, OrderedEquation)  # all of the families above are
    return FreshEquation(quantile)
