"""Hamiltonian sampling of the missing values of a few units, where proposals fail."""

from __future__ import annotations

import warnings
from typing import Final

import torch
from pyro.infer import MCMC, NUTS
from pyro.ops.stats import effective_sample_size, split_gelman_rubin
from torch import Tensor

from pyrocausal.engine.tracing import quiet_seed
from pyrocausal.inference.inferred import Inferred
from pyrocausal.inference.modes import Modes, find_modes
from pyrocausal.inference.problem import Problem
from pyrocausal.inference.walk import Walk

__all__ = ["UNITS", "by_nuts"]

UNITS: Final = 50
"""Units for which chains are run."""
CHAINS: Final = 4
WARMUP: Final = 150
SAMPLES: Final = 250
MOST_DOUBLINGS: Final = 6


def by_nuts(problem: Problem, draws: int) -> Inferred:
    """Sample the missing values of all units at once, in four chains.

    The no-U-turn sampler runs over the real numbers that stand for the continuous values,
    standardised by the curvature at a mode; the states of discrete ones are summed over, and
    drawn afterwards. A chain of the whole is a chain of each unit and of four copies of it, since
    these are independent.

    Args:
        problem: The problem.
        draws: How many draws of each unit.

    Raises:
        NoRoute: Nothing continuous is missing, or too much; too many states of what is discrete.

    References:
        Hoffman, Gelman (2014), The no-U-turn sampler.
    """
    modes = find_modes(problem)
    number = max((len(v) for v in modes.states.values()), default=1)
    # One of the modes stands for each discrete state.
    per_state = len(modes.place) // number if modes.states else len(modes.place)
    states = {n: v[::per_state] for n, v in modes.states.items()}
    place, factor = _best(modes)

    def standardised(z: Tensor) -> Tensor:
        """Return what has about unit variance as numbers standardised by the prior."""
        wide: Tensor = torch.linalg.solve_triangular(factor.mT, z.permute(1, 2, 0), upper=True)
        return place + wide.permute(2, 0, 1)

    def log_densities(numbers: Tensor) -> Tensor:
        """Return the log density of each state, ``(states, chains, units)``."""
        copies = numbers.repeat(number, 1, 1)
        values = {n: v.repeat_interleave(len(numbers), 0) for n, v in states.items()}
        free = modes.coordinates.split(modes.loc + modes.scale * copies)
        walk = Walk(problem, len(copies), values=values, free=free)
        density: Tensor = walk.log_joint + walk.log_slope
        return density.reshape(number, len(numbers), problem.size)

    def potential(parameters: dict[str, Tensor]) -> Tensor:
        total: Tensor = log_densities(standardised(parameters["z"])).logsumexp(0).sum()
        return -total

    seed = problem.stream("nuts").key(0) % 2**62
    with quiet_seed(seed), torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # R-hat says what a chain is worth
        sampler = MCMC(
            NUTS(potential_fn=potential, max_tree_depth=MOST_DOUBLINGS),
            num_samples=SAMPLES,
            warmup_steps=WARMUP,
            initial_params={"z": torch.randn(CHAINS, *place.shape, dtype=place.dtype)},
            disable_progbar=True,
        )
        sampler.run()
    chains = sampler.get_samples()["z"].detach()  # (samples, chains, units, size)
    rhat, ess = _mixing(chains)
    order = problem.stream("order", draws).uniforms().reshape(draws, problem.size)
    flat = chains.flatten(0, 1)
    grid = torch.arange(draws, device=flat.device) * len(flat) // draws
    # Each unit's draws in an order of its own, so that units' errors don't go together.
    vectors = flat[grid].gather(0, order.argsort(0)[..., None].expand(-1, -1, flat.shape[-1]))
    vectors = standardised(vectors)
    values = {}
    if states:
        u = problem.stream("states", draws).uniforms().reshape(draws, problem.size)
        cumulative = log_densities(vectors).softmax(0).cumsum(0)
        which = (u > cumulative).sum(0).clamp(max=number - 1)
        values = {n: v[which, 0] for n, v in states.items()}
    free = modes.coordinates.split(modes.loc + modes.scale * vectors)
    found = Walk(problem, draws, values=values, free=free).found
    none = torch.full_like(ess, -torch.inf)
    return Inferred.without_weights({n: found[n] for n in problem.missing}, ess, none, rhat)


def _best(modes: Modes) -> tuple[Tensor, Tensor]:
    """Return the mode of the most mass of each unit, and the factor of its curvature."""
    which = modes.log_mass.argmax(0)
    unit = torch.arange(len(which), device=which.device)
    return modes.place[which, unit], modes.factor[which, unit]


def _mixing(chains: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest R-hat and the smallest effective number of draws of each unit."""
    rhat = split_gelman_rubin(chains, chain_dim=1, sample_dim=0).amax(-1)
    ess = effective_sample_size(chains, chain_dim=1, sample_dim=0).amin(-1)
    return rhat.nan_to_num(nan=torch.inf), ess.nan_to_num(nan=0.0)
