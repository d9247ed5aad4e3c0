"""The variational objectives: one guide for U, or one for treatment and one for outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from pyrocausal.models.quadrature import gauss_hermite
from pyrocausal.models.vluci_heads import network
from pyrocausal.models.vluci_likelihood import GAMMA_SCALE
from pyrocausal.models.vluci_program import VLUCIProgram

__all__ = ["Amortized", "Units", "amortize", "bound", "fit_without_u", "nodes_of", "objective_of"]

Objective = Literal["joint", "double"]
WIDTH = 32
STEPS = 800
MOST_CORRELATED = 5
"""A U of more dimensions than this gets a diagonal covariance."""
NODES = {1: 7, 2: 4, 3: 3}
"""Quadrature nodes along each dimension of U; with more dimensions, draws."""
DRAWS = 8


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


Nodes = tuple[Tensor, Tensor]


def nodes_of(latent_dim: int, units: Units) -> Nodes:
    """Return standard normal points ``(m, 1 or n, k)``, with weights that sum to 1, ``(m,)``.

    Up to three dimensions, where expectations are free of noise, they are those of Gauss and
    Hermite along each; beyond, draws for each unit from torch's generator.

    Args:
        latent_dim: Dimension of U, k.
        units: The data, n units.
    """
    number = NODES.get(latent_dim)
    if number is None:
        z = torch.randn(DRAWS, len(units.y), latent_dim, dtype=units.x.dtype)
        return z, units.x.new_full((DRAWS,), 1 / DRAWS)
    at, weights = (part.to(units.x) for part in gauss_hermite(number))
    z = torch.cartesian_prod(*[at] * latent_dim).reshape(-1, 1, latent_dim)
    return z, torch.cartesian_prod(*[weights] * latent_dim).reshape(len(z), -1).prod(1)


def objective_of(amortized: Amortized, units: Units, objective: Objective, nodes: Nodes) -> Tensor:
    r"""Return the objective of each unit, shape ``(n,)``.

    ``joint``: ``E_q[log p(t|x,u) + log p(y|x,t,u)] - KL(q || p)``, a lower bound. ``double``:
    ``E_q1[log p(t|x,u)] - KL(q1 || p) + E_q2[log p(y|x,t,u)] - KL(q2 || q1)``, which equals the
    log likelihood where both guides are exact and is otherwise **no bound**.

    Args:
        amortized: Program and guides.
        units: The data.
        objective: Which.
        nodes: Of the expectations, from `nodes_of`.
    """
    program, (z, weights) = amortized.program, nodes
    second = amortized.posterior(units)
    u = _at(second, z)
    outcome = program.outcome(units.x, units.t, u).log_prob(units.y)
    if program.proxies is not None and units.w is not None:
        outcome = outcome + program.proxies(u).log_prob(units.w)
    if objective == "joint" or amortized.first is None:
        treated = program.treatment(units.x, u).log_prob(units.t)
        return weights @ (treated + outcome) - _divergence(second, None)  # type: ignore[no-any-return]
    first = amortized.first(inputs_of(program, units, outcome=False))
    treated = program.treatment(units.x, _at(first, z)).log_prob(units.t)
    return weights @ (treated + outcome) - _divergence(first, None) - _divergence(second, first)  # type: ignore[no-any-return]


def _at(q: torch.distributions.MultivariateNormal, z: Tensor) -> Tensor:
    return q.loc + (q.scale_tril @ z[..., None])[..., 0]


def bound(amortized: Amortized, units: Units) -> tuple[float, float]:
    """Return the evidence lower bound of a unit under the second guide, and its KL."""
    with torch.no_grad():
        kl = _divergence(amortized.posterior(units), None).mean()
        nodes = nodes_of(amortized.program.latent_dim, units)
        return float(objective_of(amortized, units, "joint", nodes).mean()), float(kl)


def penalty(program: VLUCIProgram) -> Tensor:
    """Return minus the log of the weak priors of loadings and networks, once for all units.

    The weights of a network have a variance of one over its inputs: each layer keeps the scale of
    the one before. The likelihood alone would have wide networks learn the units by heart.
    """
    treatment, outcome = program.treatment, program.outcome
    loadings = [treatment.loading, *([outcome.loading] if outcome.family == "bernoulli" else [])]
    total = torch.stack([(loading**2).sum() for loading in loadings]).sum() / GAMMA_SCALE**2
    for net in (treatment.free, outcome.free):
        for layer in net or ():
            if isinstance(layer, nn.Linear):
                total = total + layer.in_features * (layer.weight**2).sum()
    return total / 2


def fit_without_u(program: VLUCIProgram, units: Units, steps: int) -> float:
    """Fit a program in place with U held at 0; return its log likelihood of a unit."""
    zero = units.x.new_zeros(len(units.x), program.latent_dim)

    def mean() -> Tensor:
        treated = program.treatment(units.x, zero).log_prob(units.t)
        total = treated + program.outcome(units.x, units.t, zero).log_prob(units.y)
        if program.proxies is not None and units.w is not None:
            total = total + program.proxies(zero).log_prob(units.w)
        return total.mean()  # type: ignore[no-any-return]

    def loss() -> Tensor:
        return penalty(program) / len(units.y) - mean()

    _descend(program.parameters(), loss, steps, 1e-2)
    with torch.no_grad():
        return float(mean())


def amortize(
    program: VLUCIProgram,
    units: Units,
    objective: Objective,
    seed: int,
    steps: int = STEPS,
    *,
    twin: float,
) -> Amortized:
    """Train guides on a program that was started well, then both: no KL warm-up.

    Args:
        program: The program, at the exact solution where there is one; it is trained in place.
        units: The data.
        objective: ``"joint"`` or ``"double"``.
        seed: Of the guides and draws; no global generator moves.
        steps: Steps of each of the two stages.
        twin: Log likelihood of a unit of the same program without U, from `fit_without_u`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        size = inputs_of(program, units).shape[1]
        guide = NormalGuide(size, program.latent_dim)
        first = None
        if objective == "double":
            size = inputs_of(program, units, outcome=False).shape[1]
            first = NormalGuide(size, program.latent_dim)
        found = Amortized(program, guide, first, twin=twin)

        def loss() -> Tensor:
            nodes = nodes_of(program.latent_dim, units)
            value = objective_of(found, units, objective, nodes).mean()
            return penalty(program) / len(units.y) - value

        guides = [p for g in (guide, first) if g is not None for p in g.parameters()]
        _descend(guides, loss, steps, 1e-2)
        _descend([*guides, *program.parameters()], loss, steps, 2e-3)
        found.elbo, found.kl = bound(found, units)
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
