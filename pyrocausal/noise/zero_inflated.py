"""Zero inflation: a gate that may replace the value of a base distribution by zero."""

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor

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
from pyrocausal.noise.ordered import draw_between

__all__ = ["ZeroInflatedEquation"]


class ZeroInflatedEquation(StructuralEquation):
    """``x = 0`` if the gate ``1[G > -gate_logit]`` is on, else ``f_base(u)``.

    The noise is the vector ``(G, u)``, ``G ~ Logistic(0, 1)``.

    Example:
        >>> equation = ZeroInflatedEquation(
        ...     dist.ZeroInflatedPoisson(torch.tensor(3.0), gate=torch.tensor(0.4))
        ... )
        >>> u = equation.posterior(torch.tensor(0.0), torch.rand(4).double())
        >>> u.shape, equation.forward(u)
        (torch.Size([2]), tensor(0.))
    """

    route = "quantile"

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


@register(dist.ZeroInflatedDistribution, dist.ZeroInflatedPoisson)
@register(dist.ZeroInflatedNegativeBinomial)
def _zero_inflated(d: Any) -> ZeroInflatedEquation:
    return ZeroInflatedEquation(d)
