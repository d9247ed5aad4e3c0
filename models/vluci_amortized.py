"""The variational objectives: one guide for U, or one for treatment and one for outcome."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from pyrocausal.models.vluci_heads import network
from pyrocausal.models.vluci_likelihood import GAMMA_SCALE
from pyrocausal.models.vluci_program import VLUCIProgram

__all__ = ["Amortized", "Units", "amortize", "bound", "fit_without_u", "objective_of"]

Objective = Literal["joint", "double"]
WIDTH = 32
STEPS = 800
MOST_CORRELATED = 5
"""A U of more dimensions than this gets a diagonal covariance."""


@dataclass(frozen=True)
class Units:
    """Data of a fit in the dtype of its program: ``x``, ``t``, ``y``, and proxies ``w`` if any."""

    x: Tensor
    t: Tensor
    y: Tensor
    w: Tensor | None = None


class NormalGuide(nn.Module):
    """``q(u | inputs) = N(m, L L')`` by a network with one hidden layer.

    Args:
        inputs: Number of inputs.
        latent_dim: Dimension of U.
    """

    def __init__(self, inputs: int, latent_dim: int) -> None:
        super().__init__()
        self.k = latent_dim
        self.correlated = 2 <= latent_dim <= MOST_CORRELATED
        extra = latent_dim * (latent_dim - 1) // 2 if self.correlated else 0
        self.net = network(inputs, 2 * latent_dim + extra, (WIDTH,))

    def forward(self, inputs: Tensor) -> torch.distributions.MultivariateNormal:
        """Return the distribution of U, batch shape ``(n,)``."""
        out = self.net(inputs)
        loc, log_scale, below = out.split([self.k, self.k, out.shape[-1] - 2 * self.k], dim=-1)
        scale = torch.diag_embed(log_scale.clamp(-8.0, 4.0).exp())
        if self.correlated:
            row, column = torch.tril_indices(self.k, self.k, -1)
            scale = scale.clone()
            scale[..., row, column] = below
        return torch.distributions.MultivariateNormal(loc, scale_tril=scale, validate_args=False)


@dataclass
class Amortized:
    """A program with its guides, trained together.

    Attributes:
        program: The program.
        guide: ``q(u | x, t, y)``.
        first: ``q(u | x, t)`` of the objective ``double``.
        elbo: Lower bound of the log likelihood of a unit.
        kl: Divergence of the guide from the prior, a unit.
        twin: Log likelihood of a unit without U, of the same program.
        start: Sign of confounding that it was started with.
    """

    program: VLUCIProgram
    guide: NormalGuide
    first: NormalGuide | None
    elbo: float = float("nan")
    kl: float = float("nan")
    twin: float = float("nan")
    start: str = "exact"

    def posterior(self, units: Units) -> torch.distributions.MultivariateNormal:
        """Return ``q(u | x, t, y)`` of some units."""
        return self.guide(inputs_of(self.program, units))  # type: ignore[no-any-return]


def inputs_of(program: VLUCIProgram, units: Units, outcome: bool = True) -> Tensor:
    """Return what a guide sees: features, treatment, and the outcome on a comparable scale."""
    head, y = program.outcome, units.y
    t = head.code(units.t)
    features = [program.treatment.basis(units.x), head.basis(units.x), t]
    if outcome and head.family == "normal" and head.free is None:
        with torch.no_grad():
            zero = units.x.new_zeros(len(units.x), program.latent_dim)
            rest = (y - head.loc) / head.scale - head.index(units.x, units.t, zero)
        features += [rest[:, None], t * rest[:, None]]
    elif outcome:
        scaled = ((y - head.loc) / head.scale)[:, None]
        features += [torch.log1p(scaled) if head.family == "poisson" else scaled, t * scaled]
    if units.w is not None:
        features.append(units.w)
    return torch.cat(features, 1)


def objective_of(
    amortized: Amortized, units: Units, objective: Objective, draws: int = 1
) -> Tensor:
    r"""Return the objective of each unit, shape ``(n,)``.

    ``joint``: ``E_q[log p(t|x,u) + log p(y|x,t,u)] - KL(q || p)``, a lower bound. ``double``:
    ``E_q1[log p(t|x,u)] - KL(q1 || p) + E_q2[log p(y|x,t,u)] - KL(q2 || q1)``, which equals the
    log likelihood where both guides are exact and is otherwise **no bound**.
    """
    program = amortized.program
    second = amortized.posterior(units)
    u = second.rsample((draws,))
    outcome = program.outcome(units.x, units.t, u).log_prob(units.y).mean(0)
    if program.proxies is not None and units.w is not None:
        outcome = outcome + program.proxies(u).log_prob(units.w).mean(0)
    if objective == "joint" or amortized.first is None:
        treated = program.treatment(units.x, u).log_prob(units.t).mean(0)
        return treated + outcome - _divergence(second, None)  # type: ignore[no-any-return]
    first = amortized.first(inputs_of(program, units, outcome=False))
    treated = program.treatment(units.x, first.rsample((draws,))).log_prob(units.t).mean(0)
    return treated - _divergence(first, None) + outcome - _divergence(second, first)  # type: ignore[no-any-return]


def bound(amortized: Amortized, units: Units, draws: int = 50) -> tuple[float, float]:
    """Return the evidence lower bound of a unit under the second guide, and its KL."""
    with torch.no_grad():
        kl = _divergence(amortized.posterior(units), None).mean()
        return float(objective_of(amortized, units, "joint", draws).mean()), float(kl)


def fit_without_u(program: VLUCIProgram, units: Units, steps: int) -> float:
    """Fit a program in place with U held at 0; return its log likelihood of a unit."""
    zero = units.x.new_zeros(len(units.x), program.latent_dim)

    def loss() -> Tensor:
        treated = program.treatment(units.x, zero).log_prob(units.t)
        total = treated + program.outcome(units.x, units.t, zero).log_prob(units.y)
        if program.proxies is not None and units.w is not None:
            total = total + program.proxies(zero).log_prob(units.w)
        return -total.mean()  # type: ignore[no-any-return]

    _descend(program.parameters(), loss, steps, 1e-2)
    with torch.no_grad():
        return -float(loss())


def amortize(
    program: VLUCIProgram, units: Units, objective: Objective, seed: int, steps: int = STEPS
) -> Amortized:
    """Train guides on a program that was started well, then both: no KL warm-up.

    Args:
        program: The program, at the exact solution where there is one; it is trained in place.
        units: The data.
        objective: ``"joint"`` or ``"double"``.
        seed: Of the guides and draws; no global generator moves.
        steps: Steps of each of the two stages.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        size = inputs_of(program, units).shape[1]
        guide = NormalGuide(size, program.latent_dim)
        first = None
        if objective == "double":
            size = inputs_of(program, units, outcome=False).shape[1]
            first = NormalGuide(size, program.latent_dim)
        found = Amortized(program, guide, first)

        def loss() -> Tensor:
            loading = program.treatment.loading
            penalty = (loading**2).sum() / (2 * GAMMA_SCALE**2 * len(units.y))
            return penalty - objective_of(found, units, objective).mean()

        guides = [p for g in (guide, first) if g is not None for p in g.parameters()]
        _descend(guides, loss, steps, 1e-2)
        _descend([*guides, *program.parameters()], loss, steps, 2e-3)
        found.elbo, found.kl = bound(found, units)
        found.twin = fit_without_u(copy.deepcopy(program), units, steps)
    return found


def _descend(
    parameters: Iterable[nn.Parameter], loss: Callable[[], Tensor], steps: int, rate: float
) -> None:
    chosen = [parameter for parameter in parameters if parameter.requires_grad]
    optimizer = torch.optim.Adam(chosen, lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        gradients = torch.autograd.grad(loss(), chosen, allow_unused=True)
        for parameter, gradient in zip(chosen, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        schedule.step()
    for parameter in chosen:
        parameter.grad = None


def _divergence(
    q: torch.distributions.MultivariateNormal, p: torch.distributions.MultivariateNormal | None
) -> Tensor:
    """Return ``KL(q || p)``, with a standard normal p by default, shape ``(n,)``."""
    if p is None:
        scale = q.scale_tril
        log_det = 2 * scale.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return 0.5 * ((scale**2).sum((-2, -1)) + (q.loc**2).sum(-1) - scale.shape[-1] - log_det)
    return torch.distributions.kl_divergence(q, p)
