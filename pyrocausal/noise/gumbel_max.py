"""Categorical families by Gumbel-max: ``x = argmax(log p + g)``."""

from typing import Any

import pyro.distributions as dist
import torch
import torch.distributions as torch_dist
from torch import Tensor
from torch.nn.functional import one_hot

from pyrocausal.noise.discrete import (
    class_log_probs,
    float_dtype,
    in_support,
    needed,
    pick,
    refuse_impossible,
)
from pyrocausal.noise.equation import StructuralEquation, register

__all__ = ["GumbelMaxEquation", "OneHotGumbelMaxEquation"]

_MARGIN = 1e-9


class GumbelMaxEquation(StructuralEquation):
    """``x = argmax_j(log p_j + g_j)`` with independent standard Gumbel noise ``g``.

    Counterfactual stability: ``x`` stays unless some other class gains on it, that is if
    ``log p*_x - log p_x >= log p*_j - log p_j`` for all ``j``.

    Args:
        distribution: The distribution.
        log_probs: Normalized log probabilities, float64, shape ``(*batch, classes)``.

    Example:
        >>> equation = GumbelMaxEquation(d := dist.Categorical(torch.ones(3)), class_log_probs(d))
        >>> equation.forward(equation.posterior(torch.tensor(2), torch.rand(3).double()))
        tensor(2)

    References:
        Maddison, Tarlow, Minka (2014), A* sampling: the top-down posterior.
        Oberst, Sontag (2019), Counterfactual off-policy evaluation with Gumbel-max SCMs.
    """

    route = "gumbel-max"

    def __init__(self, distribution: Any, log_probs: Tensor) -> None:
        super().__init__(distribution)
        self.log_probs = log_probs
        self.noise_shape = self.posterior_shape = log_probs.shape[-1:]

    @property
    def noise(self) -> Any:
        zero = self.log_probs.new_zeros(())
        shape = (*self.distribution.batch_shape, *self.noise_shape)
        return dist.Gumbel(zero, zero + 1).expand(shape).to_event(1)

    def from_uniform(self, v: Tensor) -> Tensor:
        return -torch.log(-torch.log(v))

    def forward(self, u: Tensor) -> Tensor:
        return self._value((self.log_probs + u).argmax(-1))

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        refuse_impossible(self.possible(x), self.distribution)
        winner, phi, e = self._index(x), self.log_probs, -torch.log(needed(v))
        # Top-down: the maximum of all log p_j + g_j is itself Gumbel, the others stay below it.
        top = -torch.log(pick(e, winner)).unsqueeze(-1)
        others = -torch.log(e + torch.exp(phi - top))
        won = top - pick(phi, winner).unsqueeze(-1)
        # Near ties would be decided by rounding: the others are pushed off the winner.
        reached = pick(phi, winner).unsqueeze(-1) + won
        gap = _MARGIN * (1 + reached.abs() + phi.abs())
        below = torch.where(phi.isinf(), torch.inf, reached - phi - gap)
        is_winner = torch.arange(phi.shape[-1], device=phi.device) == winner.unsqueeze(-1)
        return torch.where(is_winner, won, torch.minimum(others, below))

    def possible(self, x: Tensor) -> Tensor:
        index = self._index(x).clamp(0, self.log_probs.shape[-1] - 1)
        positive = pick(self.log_probs, index) > -torch.inf
        return in_support(self.distribution, x) & positive

    def _index(self, x: Tensor) -> Tensor:
        return x.long()

    def _value(self, index: Tensor) -> Tensor:
        return index


class OneHotGumbelMaxEquation(GumbelMaxEquation):
    """Gumbel-max with a one-hot vector as the value, shape ``(*batch, classes)``."""

    def _index(self, x: Tensor) -> Tensor:
        return x.argmax(-1)

    def _value(self, index: Tensor) -> Tensor:
        dtype = float_dtype(self.distribution._categorical)
        return one_hot(index, self.log_probs.shape[-1]).to(dtype)


@register(torch_dist.Categorical)
@register(torch_dist.Categorical, dist.OrderedLogistic, coupling="gumbel-max")
def _categorical(d: Any) -> GumbelMaxEquation:
    return GumbelMaxEquation(d, class_log_probs(d))


@register(torch_dist.OneHotCategorical)
@register(torch_dist.OneHotCategorical, coupling="gumbel-max")
def _one_hot_categorical(d: Any) -> OneHotGumbelMaxEquation:
    return OneHotGumbelMaxEquation(d, class_log_probs(d._categorical))
