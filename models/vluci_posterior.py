"""What a unit's data say of its U: the exact posterior on a grid, for a one-dimensional U."""

from __future__ import annotations

import torch
from torch import Tensor

from pyrocausal.models.quadrature import normal_grid
from pyrocausal.models.vluci_program import VLUCIProgram

__all__ = ["draw_posterior", "grid_posterior", "information"]

POINTS = 401
CHUNK = 2048


def grid_posterior(
    program: VLUCIProgram, x: Tensor, t: Tensor, y: Tensor, w: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return a grid over U, and each unit's posterior probabilities on it.

    Args:
        program: The fitted program, with a U of dimension 1.
        x: Covariates, shape ``(n, d)``.
        t: Treatment, shape ``(n,)``.
        y: Outcome, shape ``(n,)``.
        w: Proxies, shape ``(n, p)``, where the program has them.

    Returns:
        Points of shape ``(401,)``, probabilities of shape ``(n, 401)``.
    """
    u, prior = normal_grid(POINTS)
    at = u.to(x.dtype)[:, None, None]
    parts = []
    with torch.no_grad():
        for rows in torch.arange(len(x)).split(CHUNK):
            some = at.expand(-1, len(rows), -1)
            density = program.treatment(x[rows], some).log_prob(t[rows])
            density = density + program.outcome(x[rows], t[rows], some).log_prob(y[rows])
            if program.proxies is not None and w is not None:
                density = density + program.proxies(some).log_prob(w[rows])
            log = density.mT.to(torch.float64) + prior.log()
            parts.append(torch.softmax(log, 1))
    return u, torch.cat(parts)


def draw_posterior(u: Tensor, probabilities: Tensor, draws: int, seed: int) -> Tensor:
    """Draw from posteriors on a grid, spread evenly within its steps.

    Args:
        u: The grid, shape ``(m,)``.
        probabilities: Shape ``(n, m)``.
        draws: How many for each unit.
        seed: Of the draws.

    Returns:
        Shape ``(draws, n, 1)``.
    """
    generator = torch.Generator().manual_seed(seed)
    n, step = len(probabilities), float(u[1] - u[0])
    places = torch.multinomial(probabilities, draws, replacement=True, generator=generator)
    within = torch.rand(n, draws, generator=generator, dtype=u.dtype) - 0.5
    return (u[places] + step * within).mT[..., None]


def information(probabilities: Tensor) -> float:
    """Return the mean divergence of posteriors on the grid from the prior: what data tell of U."""
    _, prior = normal_grid(POINTS)
    terms = probabilities * (probabilities.clamp_min(1e-300) / prior).log()
    return float(terms.sum(1).mean())
