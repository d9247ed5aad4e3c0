"""CEVAE as a Pyro program with a hidden Z, and its guide."""

from __future__ import annotations

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyrocausal.models.vluci_heads import network

__all__ = ["CEVAEGuide", "CEVAEProgram", "Proxies"]


class Arms(nn.Module):
    """Two networks of the same input, one for each arm: the treatment chooses.

    Args:
        inputs: Number of inputs.
        outputs: Number of outputs.
        hidden: Sizes of the layers.
    """

    def __init__(self, inputs: int, outputs: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.control = network(inputs, outputs, hidden)
        self.treated = network(inputs, outputs, hidden)

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """Return the outputs of each unit's arm, shape ``(n, outputs)``."""
        return torch.where(t[..., None] > 0.5, self.treated(z), self.control(z))


class Proxies(nn.Module):
    """``p(x | z)``: Bernoulli where a column is binary, normal elsewhere.

    Args:
        latent_dim: Dimension of Z.
        binary: Which columns are binary, shape ``(d,)``.
        hidden: Sizes of the layers.
    """

    binary: Tensor

    def __init__(self, latent_dim: int, binary: Tensor, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.net = network(latent_dim, 2 * len(binary), hidden)
        self.register_buffer("binary", binary)

    def parts(self, z: Tensor) -> tuple[Any, Any]:
        """Return the distributions of the normal and of the binary columns."""
        loc, log_scale = self.net(z).chunk(2, -1)
        number, binary = ~self.binary, self.binary
        scale = log_scale[..., number].clamp(-4.0, 4.0).exp()
        return dist.Normal(loc[..., number], scale), dist.Bernoulli(logits=loc[..., binary])


class CEVAEProgram(nn.Module):
    """The program: sites ``z``, ``x_numbers``, ``x_binary``, ``t`` and ``y``.

    The covariates are standardised, and split by their kind.

    Args:
        latent_dim: Dimension of Z.
        binary: Which covariates are binary, shape ``(d,)``.
        outcome: Family of the outcome.
        hidden: Sizes of the layers of each network.
        loc: Typical value of a normal outcome.
        scale: Its typical deviation.
    """

    loc: Tensor
    scale: Tensor

    def __init__(
        self,
        latent_dim: int,
        binary: Tensor,
        outcome: str,
        hidden: tuple[int, ...],
        loc: float,
        scale: float,
    ) -> None:
        super().__init__()
        self.latent_dim, self.outcome = latent_dim, outcome
        self.proxies = Proxies(latent_dim, binary, hidden)
        self.treatment = network(latent_dim, 1, hidden)
        self.arms = Arms(latent_dim, 1, hidden)
        self.log_s = nn.Parameter(torch.zeros(()))
        self.register_buffer("loc", torch.tensor(loc))
        self.register_buffer("scale", torch.tensor(scale))

    def treatments(self, z: Tensor) -> Any:
        """Return ``p(t | z)``."""
        return dist.Bernoulli(logits=self.treatment(z)[..., 0])

    def outcomes(self, z: Tensor, t: Tensor) -> Any:
        """Return ``p(y | t, z)``."""
        index = self.arms(z, t)[..., 0]
        if self.outcome == "bernoulli":
            return dist.Bernoulli(logits=index)
        return dist.Normal(self.loc + self.scale * index, self.scale * self.log_s.exp())

    def forward(self) -> None:
        """Run the program on the rows at hand."""
        zero = self.loc.new_zeros(self.latent_dim)
        z = pyro.sample("z", dist.Normal(zero, zero + 1).to_event(1))
        numbers, binary = self.proxies.parts(z)
        if bool((~self.proxies.binary).any()):
            pyro.sample("x_numbers", numbers.to_event(1))
        if bool(self.proxies.binary.any()):
            pyro.sample("x_binary", binary.to_event(1))
        t = pyro.sample("t", self.treatments(z))
        pyro.sample("y", self.outcomes(z, t))


class CEVAEGuide(nn.Module):
    """``q(t | x)``, ``q(y | x, t)`` and ``q(z | x, t, y)``.

    Args:
        inputs: Number of covariates.
        latent_dim: Dimension of Z.
        outcome: Family of the outcome.
        hidden: Sizes of the layers of each network.
    """

    def __init__(
        self, inputs: int, latent_dim: int, outcome: str, hidden: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.outcome = outcome
        self.treatment = network(inputs, 1, hidden)
        self.arms = Arms(inputs, 1, hidden)
        self.log_s = nn.Parameter(torch.zeros(()))
        self.latent = Arms(inputs + 1, 2 * latent_dim, hidden)

    def treatments(self, x: Tensor) -> Any:
        """Return ``q(t | x)``."""
        return dist.Bernoulli(logits=self.treatment(x)[..., 0])

    def outcomes(self, x: Tensor, t: Tensor) -> Any:
        """Return ``q(y | x, t)``, of the standardised outcome."""
        index = self.arms(x, t)[..., 0]
        if self.outcome == "bernoulli":
            return dist.Bernoulli(logits=index)
        return dist.Normal(index, self.log_s.exp())

    def latents(self, x: Tensor, t: Tensor, y: Tensor) -> Any:
        """Return ``q(z | x, t, y)``."""
        loc, log_scale = self.latent(torch.cat([x, y[..., None]], -1), t).chunk(2, -1)
        return dist.Normal(loc, log_scale.clamp(-6.0, 3.0).exp())
