"""Enumeration: the exact posterior of discrete variables, state by state."""

from __future__ import annotations

import torch

from pyrocausal.inference.coordinates import states_of
from pyrocausal.inference.inferred import Inferred, NoRoute
from pyrocausal.inference.problem import Problem
from pyrocausal.inference.walk import Walk
from pyrocausal.inference.weighting import resample

__all__ = ["STATES", "enumerated", "refuse_continuous"]

STATES = 4096
"""Joint states of the missing variables that are counted for a unit."""


def enumerated(problem: Problem, walk: Walk, draws: int) -> Inferred:
    """Draw discrete missing variables from their exact posterior.

    Args:
        problem: The problem.
        walk: A walk that has met its variables.
        draws: How many draws of each unit.

    Raises:
        NoRoute: A continuous variable, a support without end, too many states.
    """
    refuse_continuous(problem)
    states = states_of(problem, walk, STATES)
    number = len(next(iter(states.values())))
    values = {n: v.expand(number, problem.size, *v.shape[2:]) for n, v in states.items()}
    log_joint = Walk(problem, number, values=values).log_joint
    impossible = log_joint.amax(0) == -torch.inf
    weights = torch.where(impossible, 0.0, log_joint).log_softmax(0)
    start = problem.stream("enumeration").uniforms()
    order = problem.stream("order", draws).uniforms().reshape(draws, problem.size)
    chosen = resample(weights, draws, start, order)
    unit = torch.arange(problem.size, device=chosen.device)
    # With the observed elements of what is missing in part.
    found = Walk(problem, draws, values={n: v[chosen, unit] for n, v in values.items()}).found
    exact = Inferred.exact({name: found[name] for name in problem.missing})
    khat = torch.where(impossible, torch.inf, exact.khat)
    ess = torch.where(impossible, 0.0, exact.ess)
    return Inferred.without_weights(exact.values, ess, khat, exact.rhat)


def refuse_continuous(problem: Problem) -> None:
    """Raise where a missing variable is not discrete.

    Raises:
        NoRoute: It is not.
    """
    for name in problem.missing:
        if not problem.query.variables[name].discrete:
            raise NoRoute(f"{name!r} is not discrete")
