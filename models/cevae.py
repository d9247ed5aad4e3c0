"""CEVAE: the causal effect variational autoencoder, for covariates that are proxies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import pyro.distributions as dist
import torch
from torch import Tensor

from pyrocausal.answers import Effect
from pyrocausal.mechanisms.base import check_count, check_counts
from pyrocausal.model import SCM
from pyrocausal.models.cevae_program import CEVAEGuide, CEVAEProgram
from pyrocausal.models.tarnet import check_binary
from pyrocausal.models.vluci_columns import Columns, read_columns, read_matrix

__all__ = ["CEVAE", "CEVAEResult"]

Outcome = Literal["normal", "bernoulli"]
WARNING = (
    "CEVAE rests on covariates that are noisy proxies of the hidden Z, rich enough to recover its "
    "joint law with t and y; where they are not, it identifies nothing, and no data tell"
)


class CEVAE:
    r"""Causal effect variational autoencoder.

    .. math::
        E_q[\log p(x|z) + \log p(t|z) + \log p(y|t,z) + \log p(z) - \log q(z|x,t,y)]
        + \log q(t|x) + \log q(y|x,t)

    is maximised. It assumes that x is a *noisy proxy* of a hidden z: independent of t given z and
    of y given t and z, with ``p(z, x, t, y)`` recoverable, as from three conditionally independent
    views. Without proxies ``p(x|z) = p(x)``, and it identifies nothing.

    Args:
        latent_dim: Dimension of Z.
        outcome: Family of the outcome, ``"normal"`` or ``"bernoulli"``.
        hidden: Sizes of the layers of each network.
        epochs: Passes through the data.
        batch_size: Units a step.
        weight_decay: Of Adam.

    Raises:
        ValueError: A dimension below 1, a family that there is none of.

    Example:
        >>> x, t = torch.randn(100, 3), torch.arange(100) % 2
        >>> fit = CEVAE(latent_dim=2, hidden=(8,), epochs=1).fit(x, t, x[:, 0] + t)
        >>> fit.cate(x[:5], num_draws=10).shape
        torch.Size([5])

    References:
        Louizos et al. (2017), Causal effect inference with deep latent-variable models.
    """

    def __init__(
        self,
        latent_dim: int = 20,
        outcome: Outcome = "normal",
        hidden: Sequence[int] = (200, 200, 200),
        epochs: int = 100,
        batch_size: int = 100,
        weight_decay: float = 1e-4,
    ) -> None:
        check_count(latent_dim, "latent_dim")
        check_count(epochs, "epochs")
        check_counts(hidden, "hidden")
        if outcome not in get_args(Outcome):
            raise ValueError(f"CEVAE got outcome={outcome!r}; expected 'normal' or 'bernoulli'.")
        self.latent_dim, self.outcome, self.hidden = latent_dim, outcome, tuple(hidden)
        self.epochs, self.batch_size, self.weight_decay = epochs, batch_size, weight_decay

    def fit(self, x: Any, t: Any, y: Any, *, seed: int = 0) -> CEVAEResult:
        """Train model and guide; units without treatment or outcome are dropped.

        Args:
            x: Covariates, a DataFrame or an array of shape ``(n, d)``.
            t: Treatment, 0 or 1, shape ``(n,)``.
            y: Outcome, shape ``(n,)``.
            seed: Of weights, batches and draws; no global generator moves.

        Raises:
            ValueError: A treatment that isn't 0 and 1, both there; missing covariates; a constant
                outcome; lengths that differ.
        """
        columns = read_columns(x, t, y)
        check_binary(columns, self.outcome)
        scaling = Scaling(columns.x)
        normal = self.outcome == "normal"
        loc, scale = (float(columns.y.mean()), float(columns.y.std())) if normal else (0.0, 1.0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            program = CEVAEProgram(
                self.latent_dim, scaling.binary, self.outcome, self.hidden, loc, scale
            )
            guide = CEVAEGuide(len(scaling.binary), self.latent_dim, self.outcome, self.hidden)
            self._train(program, guide, scaling(columns.x), columns)
        for module in (program, guide):
            module.requires_grad_(False)
        return CEVAEResult(columns, program, guide, scaling)

    def _train(
        self, program: CEVAEProgram, guide: CEVAEGuide, x: Tensor, columns: Columns
    ) -> None:
        t, y = columns.t.to(x), columns.y.to(x)
        parameters = [*program.parameters(), *guide.parameters()]
        optimizer = torch.optim.Adam(parameters, lr=1e-3, weight_decay=self.weight_decay)
        for _ in range(self.epochs):
            for rows in torch.randperm(len(x)).split(self.batch_size):
                optimizer.zero_grad()
                loss = -objective(program, guide, x[rows], t[rows], y[rows]).mean()
                loss.backward()
                optimizer.step()


class Scaling:
    """Which columns are binary, and how the others are standardised.

    Args:
        x: Covariates of the fit, shape ``(n, d)``.
    """

    def __init__(self, x: Tensor) -> None:
        low, high = x.min(0).values, x.max(0).values
        self.binary = ((x == low) | (x == high)).all(0)
        spread = torch.where(high > low, high - low, torch.ones_like(low))
        scale = x.std(0)
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        self.loc = torch.where(self.binary, low, x.mean(0))
        self.scale = torch.where(self.binary, spread, scale)

    def __call__(self, x: Tensor) -> Tensor:
        """Return 0 and 1 in binary columns, standardised numbers in the others."""
        z = (x - self.loc) / self.scale
        z = torch.where(self.binary, z.clamp(0.0, 1.0), z)
        return z.to(torch.get_default_dtype())


class CEVAEResult:
    """A trained CEVAE: effects, and the model as an SCM.

    Attributes:
        columns: The data.
        program: The Pyro program, with ``z`` hidden.
        guide: Its guide.
        scaling: How the covariates enter.
    """

    def __init__(
        self, columns: Columns, program: CEVAEProgram, guide: CEVAEGuide, scaling: Scaling
    ) -> None:
        self.columns, self.program, self.guide, self.scaling = columns, program, guide, scaling
        self.scm: SCM = SCM(program, latent=["z"], name="cevae")

    def cate(self, x: Any, num_draws: int = 100, *, seed: int = 0) -> Tensor:
        """Return the effect at covariates, shape ``(unit,)``.

        ``t' ~ q(t|x)``, ``y' ~ q(y|x,t')``, ``z ~ q(z|x,t',y')``, and the mean of
        ``E[y|1,z] - E[y|0,z]``.

        Args:
            x: Covariates, with the columns of the fit.
            num_draws: Number of draws of each unit.
            seed: Of the draws.
        """
        matrix, _ = read_matrix(x, self.columns.names)
        rows = self.scaling(matrix)
        ones = rows.new_ones(len(rows))
        total = 0 * ones
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for _ in range(num_draws):
                t = self.guide.treatments(rows).sample()
                z = self.guide.latents(rows, t, self.guide.outcomes(rows, t).sample()).sample()
                treated = self.program.outcomes(z, ones).mean
                total = total + treated - self.program.outcomes(z, 0 * ones).mean
        return total / num_draws

    def ate(self, num_draws: int = 100) -> Effect:
        """Return the average effect over the units of the fit, without an interval.

        Args:
            num_draws: Number of draws of each unit.
        """
        return Effect(
            value=float(self.cate(self.columns.x, num_draws).mean()),
            se=None,
            interval=None,
            query="E[Y | do(t=1)] - E[Y | do(t=0)]",
            rung=2,
            assumptions=("the covariates are proxies of a hidden Z, sufficient to recover it",),
            warnings=(WARNING,),
        )

    def evidence(self, x: Any) -> dict[str, Tensor]:
        """Return covariates as evidence for ``scm``: ``x_numbers`` and ``x_binary``.

        Args:
            x: Covariates, with the columns of the fit.
        """
        matrix, _ = read_matrix(x, self.columns.names)
        rows, binary = self.scaling(matrix), self.scaling.binary
        parts = {"x_numbers": rows[:, ~binary], "x_binary": rows[:, binary]}
        return {name: part for name, part in parts.items() if part.shape[1]}

    def __repr__(self) -> str:
        return f"CEVAE: {len(self.columns.y)} units\n{self.ate()}"


def objective(program: CEVAEProgram, guide: CEVAEGuide, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
    """Return the objective of each unit, shape ``(n,)``, at one draw of z."""
    binary = program.proxies.binary
    standard = (y - program.loc) / program.scale
    q = guide.latents(x, t, standard)
    z = q.rsample()
    numbers, codes = program.proxies.parts(z)
    seen = numbers.log_prob(x[:, ~binary]).sum(-1) + codes.log_prob(x[:, binary]).sum(-1)
    caused = program.treatments(z).log_prob(t) + program.outcomes(z, t).log_prob(y)
    prior = dist.Normal(torch.zeros_like(q.loc), torch.ones_like(q.loc))
    divergence = torch.distributions.kl_divergence(q, prior).sum(-1)
    auxiliary = guide.treatments(x).log_prob(t) + guide.outcomes(x, t).log_prob(standard)
    return seen + caused - divergence + auxiliary  # type: ignore[no-any-return]
