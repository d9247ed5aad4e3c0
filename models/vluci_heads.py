"""The two mechanisms of VLUCI, of treatment and outcome, as modules that return distributions."""

from __future__ import annotations

from typing import Any, Literal

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyrocausal.models.vluci_features import Basis

__all__ = ["OutcomeHead", "TreatmentHead", "network"]

Treatment = Literal["bernoulli", "normal", "categorical"]
Outcome = Literal["normal", "bernoulli", "poisson"]


def network(inputs: int, outputs: int, hidden: tuple[int, ...]) -> nn.Sequential:
    """Return a network with ELU between its layers.

    Example:
        >>> network(3, 2, (8,))(torch.zeros(5, 3)).shape
        torch.Size([5, 2])
    """
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(inputs, size), nn.ELU()]
        inputs = size
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


class TreatmentHead(nn.Module):
    r"""``P(t | x, u)``: ``eta = a(x) + gamma u``, or any function of both where U's effect is free.

    Args:
        basis: Features of the covariates.
        latent_dim: Dimension of U.
        family: Family of the treatment.
        link: Link of a binary treatment, ``"logit"`` or ``"probit"``.
        categories: How many, for a categorical treatment.
        hidden: Sizes of the layers of a free function of x and u; none for a linear effect of U.

    Example:
        >>> head = TreatmentHead(Basis(torch.randn(9, 2), [0, 1]), latent_dim=1)
        >>> head(torch.zeros(4, 2), torch.zeros(4, 1)).probs
        tensor([0.5000, 0.5000, 0.5000, 0.5000], grad_fn=...)
    """

    def __init__(
        self,
        basis: Basis,
        latent_dim: int,
        family: Treatment = "bernoulli",
        link: str = "logit",
        categories: int = 2,
        hidden: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.basis, self.family, self.link = basis, family, link
        outputs = categories - 1 if family == "categorical" else 1
        self.weights = nn.Parameter(torch.zeros(1 + basis.size, outputs))
        self.loading = nn.Parameter(torch.zeros(latent_dim, outputs))
        self.log_s = nn.Parameter(torch.zeros(()))
        self.free = network(basis.size + latent_dim, outputs, hidden) if hidden else None

    def index(self, x: Tensor, u: Tensor) -> Tensor:
        """Return ``eta``, shape ``(n, outputs)``."""
        features = self.basis(x)
        eta = self.weights[0] + features @ self.weights[1:] + u @ self.loading
        if self.free is None:
            return eta  # type: ignore[no-any-return]
        return eta + self.free(torch.cat([features.expand(*u.shape[:-1], -1), u], -1))  # type: ignore[no-any-return]

    def forward(self, x: Tensor, u: Tensor) -> Any:
        """Return the distribution of the treatment, batch shape ``(n,)``."""
        eta = self.index(x, u)
        if self.family == "categorical":
            return dist.Categorical(logits=torch.cat([torch.zeros_like(eta[..., :1]), eta], -1))
        if self.family == "normal":
            return dist.Normal(eta[..., 0], self.log_s.exp())
        if self.link == "probit":
            return dist.Bernoulli(torch.special.ndtr(eta[..., 0]))
        return dist.Bernoulli(logits=eta[..., 0])


class OutcomeHead(nn.Module):
    r"""``p(y | x, t, u)``: ``eta = b(x) + code(t) tau(x) + g_t u``, noise ``s_t``.

    ``code(t)`` is ``t`` itself, or for a categorical treatment the indicators of all categories
    but the first. A normal outcome is ``loc + scale (eta + s e)``.

    Args:
        basis: Features of the covariates.
        effects: Features that the effect varies with; none for a constant effect.
        latent_dim: Dimension of U.
        family: Family of the outcome.
        arms: How many arms have a loading and a noise of their own: 1 or 2.
        categories: How many the treatment has; 2 for a number.
        loc: Typical value of a normal outcome.
        scale: Its typical deviation.
        hidden: Sizes of the layers of a free function of x, t and u; none for linear effects of U.

    Example:
        >>> head = OutcomeHead(Basis(torch.randn(9, 2), [0, 1]), None, latent_dim=1, loc=3.0)
        >>> head(torch.zeros(2, 2), torch.zeros(2), torch.zeros(2, 1)).mean
        tensor([3., 3.], grad_fn=...)
    """

    loc: Tensor
    scale: Tensor

    def __init__(
        self,
        basis: Basis,
        effects: Basis | None,
        latent_dim: int,
        family: Outcome = "normal",
        arms: int = 1,
        categories: int = 2,
        loc: float = 0.0,
        scale: float = 1.0,
        hidden: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.basis, self.effects, self.family = basis, effects, family
        self.arms, self.categories = arms, categories
        self.weights = nn.Parameter(torch.zeros(1 + basis.size))
        varying = 0 if effects is None else effects.size
        self.effect = nn.Parameter(torch.zeros(1 + varying, categories - 1))
        self.loading = nn.Parameter(torch.zeros(arms, latent_dim))
        self.log_s = nn.Parameter(torch.zeros(arms))
        self.free = (
            network(basis.size + categories - 1 + latent_dim, 1, hidden) if hidden else None
        )
        self.register_buffer("loc", torch.tensor(float(loc)))
        self.register_buffer("scale", torch.tensor(float(scale)))

    def code(self, t: Tensor) -> Tensor:
        """Return what the effects multiply, shape ``(n, categories - 1)``."""
        if self.categories == 2:
            return t.to(self.weights.dtype)[..., None]
        return nn.functional.one_hot(t.long(), self.categories)[..., 1:].to(self.weights.dtype)

    def index(self, x: Tensor, t: Tensor, u: Tensor) -> Tensor:
        """Return ``eta``, shape ``(n,)``."""
        features, code = self.basis(x), self.code(t)
        effect = self.effect[0].expand(*x.shape[:-1], -1)
        if self.effects is not None:
            effect = effect + self.effects(x) @ self.effect[1:]
        mean = self.weights[0] + features @ self.weights[1:] + (code * effect).sum(-1)
        eta = mean + (self._of_arm(self.loading, t) * u).sum(-1)
        if self.free is None:
            return eta  # type: ignore[no-any-return]
        inputs = [part.expand(*u.shape[:-1], -1) for part in (features, code, u)]
        return eta + self.free(torch.cat(inputs, -1))[..., 0]  # type: ignore[no-any-return]

    def noise(self, t: Tensor) -> Tensor:
        """Return ``s_t``, shape ``(n,)``."""
        return self._of_arm(self.log_s, t).exp()

    def forward(self, x: Tensor, t: Tensor, u: Tensor) -> Any:
        """Return the distribution of the outcome, batch shape ``(n,)``."""
        eta = self.index(x, t, u)
        if self.family == "bernoulli":
            return dist.Bernoulli(logits=eta)
        if self.family == "poisson":
            return dist.Poisson(eta.exp())
        return dist.Normal(self.loc + self.scale * eta, self.scale * self.noise(t))

    def mean(self, x: Tensor, t: Tensor, u: Tensor) -> Tensor:
        """Return ``E[y | x, t, u]``, shape ``(n,)``."""
        mean: Tensor = self(x, t, u).mean
        return mean

    def _of_arm(self, values: Tensor, t: Tensor) -> Tensor:
        if self.arms == 1:
            return values[0]
        treated = t > 0.5
        treated = treated[..., None] if values.dim() == 2 else treated
        return torch.where(treated, values[1], values[0])
