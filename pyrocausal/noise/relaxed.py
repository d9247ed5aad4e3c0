"""Relaxed discrete families: Gumbel-softmax variables with a temperature."""

from typing import Any

import pyro.distributions as dist
import torch
import torch.distributions as torch_dist
from torch import Tensor

from pyrocausal.noise.discrete import needed
from pyrocausal.noise.equation import StructuralEquation, register
from pyrocausal.noise.gamma import LogGamma
from pyrocausal.noise.location_scale import LogisticEquation
from pyrocausal.noise.wrappers import OnBase

__all__ = ["RelaxedBernoulliEquation", "RelaxedOneHotEquation"]


class RelaxedBernoulliEquation(OnBase):
    """``x = sigmoid((logit + u) / temperature)``, ``u ~ Logistic(0, 1)``.

    Example:
        >>> d = dist.RelaxedBernoulli(torch.tensor(0.5), logits=torch.tensor(1.0))
        >>> _relaxed_bernoulli(d).forward(torch.tensor(-1.0))
        tensor(0.5000)

    References:
        Maddison, Mnih, Teh (2017), The concrete distribution.
    """

    def forward(self, u: Tensor) -> Tensor:
        return _interior(torch.sigmoid(self.base.forward(u)))

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        return self.base.posterior(torch.logit(_interior(x)))


class RelaxedOneHotEquation(StructuralEquation):
    """``x = softmax((logits + g) / temperature)``, with K independent standard Gumbels ``g``.

    The value has one dimension less than the noise. With ``h = temperature log x - logits``,
    ``g = h + logsumexp(-h) - log G``, where ``G ~ Gamma(K, 1)`` is what the value leaves open.

    Example:
        >>> d = dist.RelaxedOneHotCategorical(torch.tensor(0.5), logits=torch.zeros(2))
        >>> equation = RelaxedOneHotEquation(d)
        >>> g = equation.posterior(torch.tensor([0.2, 0.8]), torch.tensor(0.5).double())
        >>> equation.forward(g)
        tensor([0.2000, 0.8000])
    """

    posterior_shape = torch.Size()

    def __init__(self, distribution: Any) -> None:
        super().__init__(distribution)
        self.logits, self.temperature = distribution.logits, distribution.temperature
        self.noise_shape = distribution.event_shape

    @property
    def noise(self) -> Any:
        zero = self.logits.new_zeros(())
        shape = self.distribution.batch_shape + self.noise_shape
        return dist.Gumbel(zero, zero + 1).expand(shape).to_event(1)

    def from_uniform(self, v: Tensor) -> Tensor:
        return -torch.log(-torch.log(v)).to(self.logits.dtype)

    def forward(self, u: Tensor) -> Tensor:
        return torch.softmax((self.logits + u) / self.temperature, -1)

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        v = needed(v)
        h: Tensor = self.temperature * torch.log(_interior(x)) - self.logits
        count = v.new_tensor(float(self.noise_shape[0]))
        log_g = LogGamma().quantile(torch.logit(v), count).to(h.dtype)
        return h + (torch.logsumexp(-h, -1) - log_g).unsqueeze(-1)


@register(torch_dist.RelaxedBernoulli)
def _relaxed_bernoulli(d: Any) -> RelaxedBernoulliEquation:
    scale = torch.as_tensor(d.temperature, dtype=d.logits.dtype).reciprocal()
    return RelaxedBernoulliEquation(d, LogisticEquation(d, d.logits * scale, scale))


@register(torch_dist.RelaxedOneHotCategorical)
def _relaxed_one_hot(d: Any) -> RelaxedOneHotEquation:
    return RelaxedOneHotEquation(d)


def _interior(x: Tensor) -> Tensor:
    limits = torch.finfo(x.dtype)
    return x.clamp(limits.tiny, 1 - limits.eps / 2)
