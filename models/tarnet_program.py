"""TARNet as a Pyro program: covariates, treatment and outcome, with nothing hidden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyrocausal.models.vluci_features import Basis
from pyrocausal.models.vluci_program import Rows

__all__ = ["TARNetProgram"]


class TARNetProgram(nn.Module):
    """The program: sites ``x``, ``t`` and ``y``.

    The treatment's mechanism is a logistic regression, fitted apart; the outcome's is the network.

    Args:
        rows: Covariates of the fit, shape ``(n, d)``.
        basis: What standardises them.
        body: The representation.
        heads: One network for each arm.
        outcome: Family of the outcome.
        loc: Typical value of a normal outcome.
        scale: Its typical deviation.
        t: Treatment of the fit, shape ``(n,)``.
    """

    rows: Tensor
    loc: Tensor
    scale: Tensor
    noise: Tensor
    weights: Tensor

    def __init__(
        self,
        rows: Tensor,
        basis: Basis,
        body: nn.Module,
        heads: Sequence[nn.Module],
        outcome: str,
        loc: float,
        scale: float,
        t: Tensor,
    ) -> None:
        super().__init__()
        self.basis, self.body, self.heads = basis, body, nn.ModuleList(heads)
        self.outcome = outcome
        self.register_buffer("rows", rows)
        for name, value in (("loc", loc), ("scale", scale), ("noise", 1.0)):
            self.register_buffer(name, torch.tensor(float(value)))
        self.register_buffer("weights", _logistic(basis(rows), t.to(rows)))

    def represent(self, z: Tensor) -> Tensor:
        """Return the representation of standardised covariates, of norm 1."""
        return nn.functional.normalize(self.body(z), dim=-1)

    def index(self, phi: Tensor, t: Tensor) -> Tensor:
        """Return the head of the treatment received, standardised, shape ``(n,)``."""
        control, treated = (head(phi)[..., 0] for head in self.heads)
        return torch.where(t > 0.5, treated, control)

    def head_norm(self) -> Tensor:
        """Return ``|W_h|^2``."""
        weights = [p for p in self.heads.parameters() if p.dim() > 1]
        return torch.stack([(w**2).sum() for w in weights]).sum()

    def set_noise(self, z: Tensor, t: Tensor, y: Tensor) -> None:
        """Set the outcome's noise to what the network leaves."""
        with torch.no_grad():
            rest = y - self.index(self.represent(z), t)
            self.noise.copy_((rest**2).mean().sqrt().clamp_min(1e-4))

    def outcomes(self, x: Tensor, t: Tensor) -> Any:
        """Return the distribution of the outcome, batch shape ``(n,)``."""
        index = self.index(self.represent(self.basis.standardised(x)), t)
        if self.outcome == "bernoulli":
            return dist.Bernoulli(logits=index)
        return dist.Normal(self.loc + self.scale * index, self.scale * self.noise)

    def mean(self, x: Tensor, t: Tensor) -> Tensor:
        """Return ``E[y | x, t]``, shape ``(n,)``."""
        mean: Tensor = self.outcomes(x, t).mean
        return mean

    def forward(self) -> None:
        """Run the program on the rows at hand."""
        x = pyro.sample("x", Rows(self.rows))
        logits = self.weights[0] + self.basis(x) @ self.weights[1:]
        t = pyro.sample("t", dist.Bernoulli(logits=logits))
        pyro.sample("y", self.outcomes(x, t))


def _logistic(features: Tensor, t: Tensor, rounds: int = 25) -> Tensor:
    """Return the weights of a ridged logistic regression, by Newton's steps."""
    design = torch.cat([torch.ones_like(t)[:, None], features], 1).to(torch.float64)
    weights = design.new_zeros(design.shape[1])
    ridge = torch.eye(len(weights), dtype=torch.float64) / 25
    for _ in range(rounds):
        p = torch.sigmoid(design @ weights)
        slope = design.mT @ (t - p) - ridge @ weights
        information = (design * (p * (1 - p))[:, None]).mT @ design + ridge
        weights = weights + torch.linalg.solve(information, slope)
    return weights.to(t.dtype)
