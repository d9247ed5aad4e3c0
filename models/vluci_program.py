"""VLUCI as a Pyro program: covariates, a hidden U, treatment and outcome."""

from __future__ import annotations

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor, nn

from pyrocausal.model import SCM
from pyrocausal.models.vluci_heads import OutcomeHead, TreatmentHead
from pyrocausal.noise import StructuralEquation

__all__ = ["ProxyHead", "Rows", "VLUCIProgram", "average_effect", "effects_at"]


class Rows(TorchDistribution):
    """The rows of a table, equally probable: covariates, which a model takes as they come.

    Any row may be given as evidence; it counts as one of the table's.

    Args:
        rows: The table, shape ``(n, d)``.

    Example:
        >>> Rows(torch.tensor([[1.0, 2.0]])).sample()
        tensor([1., 2.])
    """

    arg_constraints = {}  # noqa: RUF012 - torch's way
    support = constraints.real_vector

    def __init__(self, rows: Tensor, batch_shape: tuple[int, ...] = ()) -> None:
        self.rows = rows
        super().__init__(torch.Size(batch_shape), rows.shape[1:], validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Rows:
        """Return the same rows for a batch."""
        return Rows(self.rows, tuple(batch_shape))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw rows."""
        shape = torch.Size(sample_shape) + self.batch_shape
        return self.rows[torch.randint(len(self.rows), shape, device=self.rows.device)]

    def log_prob(self, value: Tensor) -> Tensor:
        """Return ``-log n``, whatever the row."""
        shape = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        return self.rows.new_full(shape, float(len(self.rows))).log().neg()

    def structural_equation(self) -> StructuralEquation:
        """Return ``x = U``: the row itself is the exogenous noise."""
        return _RowsEquation(self)


class _RowsEquation(StructuralEquation):
    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        self.noise_shape = rows.event_shape

    @property
    def noise(self) -> Any:
        return self.distribution

    def from_uniform(self, v: Tensor) -> Tensor:
        rows = self.distribution.rows
        return rows[(v[..., 0] * len(rows)).long().clamp_max(len(rows) - 1)]  # type: ignore[no-any-return]

    def forward(self, u: Tensor) -> Tensor:
        return u.to(self.distribution.rows.dtype)

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        return x


class ProxyHead(nn.Module):
    """``w_j = c_j + lambda_j u + s_j e_j``.

    Args:
        proxies: How many.

    Example:
        >>> ProxyHead(3)(torch.zeros(2, 1)).batch_shape
        torch.Size([2])
    """

    def __init__(self, proxies: int) -> None:
        super().__init__()
        self.intercept = nn.Parameter(torch.zeros(proxies))
        self.loading = nn.Parameter(torch.zeros(proxies))
        self.log_s = nn.Parameter(torch.zeros(proxies))

    def forward(self, u: Tensor) -> Any:
        """Return the distribution of the proxies given ``u`` of shape ``(n, 1)``."""
        return dist.Normal(self.intercept + self.loading * u, self.log_s.exp()).to_event(1)


class VLUCIProgram(nn.Module):
    """The program: sites ``x``, ``u``, ``t``, ``y``, and ``w`` for proxies.

    Args:
        rows: Covariates of the fit, shape ``(n, d)``, the root ``x``.
        treatment: Mechanism of ``t``.
        outcome: Mechanism of ``y``.
        latent_dim: Dimension of ``u``.
        proxies: Mechanism of ``w``, if there are any.
    """

    rows: Tensor

    def __init__(
        self,
        rows: Tensor,
        treatment: TreatmentHead,
        outcome: OutcomeHead,
        latent_dim: int = 1,
        proxies: ProxyHead | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("rows", rows)
        self.treatment, self.outcome, self.proxies = treatment, outcome, proxies
        self.latent_dim = latent_dim

    def forward(self) -> None:
        """Run the program on the rows at hand."""
        x = pyro.sample("x", Rows(self.rows))
        zero = self.rows.new_zeros(self.latent_dim)
        u = pyro.sample("u", dist.Normal(zero, zero + 1).to_event(1))
        if self.proxies is not None:
            pyro.sample("w", self.proxies(u))
        t = pyro.sample("t", self.treatment(x, u))
        pyro.sample("y", self.outcome(x, t, u))

    def scm(self, latent: bool = True) -> SCM:
        """Return the program as an SCM.

        Args:
            latent: Whether ``u`` is hidden; otherwise it may be given as evidence.
        """
        return SCM(self, latent=["u"] if latent else (), name="vluci")


def average_effect(
    program: VLUCIProgram, values: tuple[float, float] = (1.0, 0.0), draws: int = 200
) -> float:
    """Return ``E[Y | do(t=values[0])] - E[Y | do(t=values[1])]`` over the program's rows.

    Args:
        program: The program.
        values: The treatment, and what it is compared with.
        draws: Of U, from the prior, for each row.
    """
    return float(effects_at(program, program.rows, values, draws).to(torch.float64).mean())


def effects_at(
    program: VLUCIProgram,
    x: Tensor,
    values: tuple[float, float] = (1.0, 0.0),
    draws: int = 200,
    seed: int = 0,
) -> Tensor:
    """Return ``mu_1(x, u) - mu_0(x, u)`` at draws of U from its prior, shape ``(draws, n)``.

    Args:
        program: The program.
        x: Covariates without proxies, shape ``(n, d)``.
        values: The treatment, and what it is compared with.
        draws: Of U, for each row.
        seed: Of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    u = torch.randn(draws, len(x), program.latent_dim, generator=generator).to(x)
    with torch.no_grad():
        means = [program.outcome.mean(x, x.new_full((len(x),), v), u) for v in values]
        return means[0] - means[1]
