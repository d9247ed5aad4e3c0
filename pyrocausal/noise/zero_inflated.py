"""Zero inflation: a gate that may replace the value of a base distribution by zero."""

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from pyrocausal.noise.discrete import binary_logit, needed, refuse_impossible
from pyrocausal.noise.equation import StructuralEquation, register, structural_equation
from pyrocausal.noise.joint import (
    JointNoise,
    draw_posterior,
    draw_prior,
    fitting_values,
    pack,
    posterior_size,
    unpack,
)
from pyrocausal.noise.ordered import CountedEquation, OrderedEquation, draw_between
from pyrocausal.noise.tails import from_log_pair, log1mexp, to_log_pair

__all__ = ["ZeroInflatedEquation", "ZeroInflatedQuantileEquation"]


class ZeroInflatedEquation(StructuralEquation):
    """``x = 0`` if the gate ``1[G > -gate_logit]`` is on, else ``f_base(u)``.

    The noise is the vector ``(G, u)``, ``G ~ Logistic(0, 1)``. It is a mixture's equation with two
    components: ``G`` is the difference of their Gumbel noises.

    Example:
        >>> equation = ZeroInflatedEquation(
        ...     dist.ZeroInflatedPoisson(torch.tensor(3.0), gate=torch.tensor(0.4))
        ... )
        >>> u = equation.posterior(torch.tensor(0.0), torch.rand(4).double())
        >>> u.shape, equation.forward(u)
        (torch.Size([2]), tensor(0.))
    """

    route = "gumbel-max"

    def __init__(self, distribution: Any) -> None:
        super().__init__(distribution)
        self.gate_logit = binary_logit(distribution, "gate", "gate_logits")
        self.base = structural_equation(distribution.base_dist)
        numbers = self.base.noise_shape.numel()
        self.noise_shape = torch.Size([1 + numbers])
        self.posterior_shape = torch.Size([2 + numbers + posterior_size(self.base)])

    @property
    def everywhere(self) -> bool:
        return False  # a gate of probability 1 leaves zero alone

    @property
    def parts(self) -> tuple[StructuralEquation, ...]:
        return (self.base,)

    @property
    def noise(self) -> Any:
        return JointNoise(self, self._log_density, self.gate_logit.device)

    def from_uniform(self, v: Tensor) -> Tensor:
        return torch.cat((torch.logit(v[..., :1]), draw_prior(self.base, v[..., 1:])), -1)

    def forward(self, u: Tensor) -> Tensor:
        x = self.base.forward(unpack(self.base, u[..., 1:]))
        return torch.where(u[..., 0] > -self.gate_logit, 0, x)

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        v_on, v_gate, rest = needed(v)[..., 0], needed(v)[..., 1], needed(v)[..., 2:]
        v_prior, v_base = rest.tensor_split((self.base.noise_shape.numel(),), -1)
        refuse_impossible(self.possible(x), self.distribution)
        fits = self.base.possible(x)
        shown = fitting_values(self.base, fits, x)
        with torch.no_grad():
            on = (x == 0) & (torch.logit(v_on) < self.gate_logit - self._log_atom(fits, shown))
            edge = -self.gate_logit
            lower, upper = torch.where(on, edge, -torch.inf), torch.where(on, torch.inf, edge)
            gate = draw_between(lower, upper, v_gate).unsqueeze(-1)
        # A closed gate tells nothing of the base.
        hidden = draw_prior(self.base, v_prior)
        seen = pack(self.base, draw_posterior(self.base, shown, v_base))
        return torch.cat((gate, torch.where(on.unsqueeze(-1), hidden, seen)), -1)

    def possible(self, x: Tensor) -> Tensor:
        inflated = (x == 0) & (self.gate_logit > -torch.inf)
        return inflated | (self.base.possible(x) & (self.gate_logit < torch.inf))

    def _log_atom(self, fits: Tensor, shown: Tensor) -> Tensor:
        # A continuous base reaches 0 with probability 0, whatever its density there.
        if not self.base.distribution.support.is_discrete:
            return torch.full_like(self.gate_logit, -torch.inf)
        log_prob: Tensor = self.base.distribution.log_prob(shown)
        return torch.where(fits, log_prob, -torch.inf)

    def _log_density(self, u: Tensor) -> Tensor:
        zero = self.gate_logit.new_zeros(())
        gate: Tensor = dist.Logistic(zero, zero + 1).log_prob(u[..., 0])
        base: Tensor = self.base.noise.log_prob(unpack(self.base, u[..., 1:]))
        return gate + base


class ZeroInflatedQuantileEquation(CountedEquation):
    """``F(k) = g + (1 - g) F_base(k)`` with the gate's probability ``g``; one noise for both.

    Args:
        distribution: The distribution.
        base: The quantile equation of its base.
    """

    resolution = 2.0**-40

    def __init__(self, distribution: Any, base: OrderedEquation) -> None:
        super().__init__(distribution, base.dtype)
        gate = binary_logit(distribution, "gate", "gate_logits")
        self.base, self.log_on, self.log_off = base, logsigmoid(gate), logsigmoid(-gate)

    @property
    def theta(self) -> Tensor:
        base = self.base.theta
        gate = torch.stack((self.log_on, self.log_off), -1)
        return torch.cat((base, gate.expand(*base.shape[:-1], 2)), -1)

    def edge(self, rank: Tensor) -> Tensor:
        log_cdf, log_sf = to_log_pair(self.base.edge(rank))
        edge = torch.logaddexp(self.log_on, self.log_off + log_cdf) - (self.log_off + log_sf)
        return torch.where(rank < 0, -torch.inf, edge)

    def rank(self, u: Tensor) -> Tensor:
        log_sf = to_log_pair(u)[1] - self.log_off
        off = log_sf < 0
        log_sf = torch.where(off, log_sf, -1.0)
        rank = torch.where(off, self.base.rank(from_log_pair(log1mexp(log_sf), log_sf)), 0.0)
        # It may be off by rounding: the edges around it decide.
        return rank - 1 + sum((self.edge(k) < u).double() for k in (rank - 1, rank))

    def value(self, rank: Tensor) -> Tensor:
        return self.base.value(rank)

    def possible(self, x: Tensor) -> Tensor:
        inflated = (x == 0) & (self.log_on > -torch.inf)
        return inflated | (self.base.possible(x) & (self.log_off > -torch.inf))


@register(dist.ZeroInflatedDistribution, dist.ZeroInflatedPoisson)
@register(dist.ZeroInflatedNegativeBinomial)
@register(dist.ZeroInflatedDistribution, dist.ZeroInflatedPoisson, coupling="gumbel-max")
@register(dist.ZeroInflatedNegativeBinomial, coupling="gumbel-max")
def _zero_inflated(d: Any) -> ZeroInflatedEquation:
    return ZeroInflatedEquation(d)


@register(dist.ZeroInflatedDistribution, dist.ZeroInflatedPoisson, coupling="quantile")
@register(dist.ZeroInflatedNegativeBinomial, coupling="quantile")
def _zero_inflated_quantile(d: Any) -> ZeroInflatedQuantileEquation:
    base = structural_equation(d.base_dist, "quantile")
    assert isinstance(base, OrderedEquation)  # so is every family with this coupling
    return ZeroInflatedQuantileEquation(d, base)
