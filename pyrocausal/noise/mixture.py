"""Mixtures: a Gumbel-max choice of the component, then the component's own equation."""

from typing import Any

import torch
import torch.distributions as torch_dist
from torch import Tensor

from pyrocausal.noise.discrete import class_log_probs, needed, pick, refuse_impossible
from pyrocausal.noise.equation import StructuralEquation, register, structural_equation
from pyrocausal.noise.gumbel_max import GumbelMaxEquation
from pyrocausal.noise.joint import (
    JointNoise,
    draw_posterior,
    draw_prior,
    fitting_values,
    pack,
    posterior_size,
    unpack,
)

__all__ = ["MixtureEquation"]


class MixtureEquation(StructuralEquation):
    """``k = argmax(log pi + g)``, ``x = f_k(u)``: one ``u`` serves whichever component it is.

    The noise is the vector ``(g, u)`` of K Gumbel numbers and the component's noise.

    Example:
        >>> components = dist.Normal(torch.tensor([-2.0, 2.0]), 1.0)
        >>> d = dist.MixtureSameFamily(dist.Categorical(torch.ones(2)), components)
        >>> equation = MixtureEquation(d)
        >>> u = equation.posterior(torch.tensor(1.5), torch.rand(3).double())
        >>> u.shape, equation.forward(u)
        (torch.Size([3]), tensor(1.5000))
    """

    route = "gumbel-max"

    def __init__(self, distribution: Any) -> None:
        super().__init__(distribution)
        choice = distribution.mixture_distribution
        self.choice = GumbelMaxEquation(choice, class_log_probs(choice))
        self.component = structural_equation(distribution.component_distribution)
        self.classes = self.choice.noise_shape.numel()
        self.noise_shape = torch.Size([self.classes + self.component.noise_shape.numel()])
        self.posterior_shape = torch.Size([1 + self.classes + posterior_size(self.component)])

    @property
    def parts(self) -> tuple[StructuralEquation, ...]:
        return self.choice, self.component

    @property
    def noise(self) -> Any:
        return JointNoise(self, self._log_density, self.choice.log_probs.device)

    def from_uniform(self, v: Tensor) -> Tensor:
        g, rest = self._split(v)
        return torch.cat((self.choice.from_uniform(g), draw_prior(self.component, rest)), -1)

    def forward(self, u: Tensor) -> Tensor:
        g, rest = self._split(u)
        k = self.choice.forward(g)
        shared = unpack(self.component, rest.unsqueeze(-2))
        return _select(self.component.forward(shared), k, self.component.distribution.event_shape)

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        v_class, (v_choice, v_component) = needed(v)[..., 0], self._split(needed(v)[..., 1:])
        fits = self._fits(x)
        refuse_impossible(fits.any(-1), self.distribution)
        shown = fitting_values(self.component, fits, self._padded(x))
        with torch.no_grad():
            k = self._draw_class(fits, shown, v_class)
            g = self.choice.posterior(k, v_choice)
        u = draw_posterior(self.component, shown, v_component.unsqueeze(-2))
        u = _select(u, k, self.component.noise_shape)
        return torch.cat((g, pack(self.component, u)), -1)

    def possible(self, x: Tensor) -> Tensor:
        return self._fits(x).any(-1)

    def _fits(self, x: Tensor) -> Tensor:
        return self.component.possible(self._padded(x)) & (self.choice.log_probs > -torch.inf)

    def _padded(self, x: Tensor) -> Tensor:
        return x.unsqueeze(-1 - len(self.distribution.event_shape))

    def _draw_class(self, fits: Tensor, shown: Tensor, v: Tensor) -> Tensor:
        log_likelihood: Tensor = self.component.distribution.log_prob(shown)
        log_joint = torch.where(fits, self.choice.log_probs + log_likelihood, -torch.inf)
        weights = log_joint.softmax(-1).cumsum(-1)
        passed: Tensor = weights < v.unsqueeze(-1) * weights[..., -1:]
        return passed.sum(-1)

    def _log_density(self, u: Tensor) -> Tensor:
        g, rest = self._split(u)
        shared = unpack(self.component, rest.unsqueeze(-2))
        # The law of the noise is the same for all components: the first one speaks for them.
        choice: Tensor = self.choice.noise.log_prob(g)
        component: Tensor = self.component.noise.log_prob(shared)[..., 0]
        return choice + component

    def _split(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        return flat[..., : self.classes], flat[..., self.classes :]


def _select(values: Tensor, k: Tensor, trailing: torch.Size) -> Tensor:
    """Return component ``k`` of ``values``, whose shape is ``(*batch, K, *trailing)``."""
    last = values.movedim(-1 - len(trailing), -1)
    return pick(last, k.reshape((*k.shape, *(1,) * len(trailing))))


@register(torch_dist.MixtureSameFamily)
@register(torch_dist.MixtureSameFamily, coupling="gumbel-max")
def _mixture(d: Any) -> MixtureEquation:
    return MixtureEquation(d)
