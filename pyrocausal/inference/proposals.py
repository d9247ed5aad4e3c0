"""Where proposals for missing values come from: the prior, the modes of the posterior, a guide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from typing import Any, Final, Protocol

import torch
from torch import Tensor

from pyrocausal.inference.inferred import Inferred
from pyrocausal.inference.problem import Problem
from pyrocausal.inference.walk import Walk
from pyrocausal.inference.weighting import resample, smooth

__all__ = ["DEFENCE", "Proposal", "by_guide", "by_prior", "unweighed", "weighted"]

DEFENCE: Final = 0.2
"""The share of the proposals that come from the prior, so that no weight is unbounded by it."""


class Proposal(Protocol):
    """A guide: proposes values of missing variables given observed ones, with their density.

    Its draws are weighed by the program's densities, unless it says ``weighed = False``: then they
    are taken as they are, before any other way of inference.

    Example:
        >>> class Broad:
        ...     def covers(self, observed, missing):
        ...         return missing == {"x"}
        ...     def draw(self, values, missing, num_draws, generator):
        ...         n = len(next(iter(values.values())))
        ...         x = 3 * torch.randn(num_draws, n, generator=generator)
        ...         return {"x": x}, torch.distributions.Normal(0.0, 3.0).log_prob(x)
        ...     def check(self, owner):
        ...         pass
        >>> proposal: Proposal = Broad()
        >>> proposal.covers(frozenset({"y"}), frozenset({"x"}))
        True
    """

    def covers(self, observed: frozenset[str], missing: frozenset[str]) -> bool:
        """Say whether it proposes these missing variables given these observed ones."""
        ...

    def draw(
        self,
        values: Mapping[str, Tensor],
        missing: Sequence[str],
        num_draws: int,
        generator: torch.Generator,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Draw the missing variables.

        Args:
            values: What was seen, each of shape ``(unit, *inner, *event)``.
            missing: The variables to infer.
            num_draws: How many draws of each unit.
            generator: The source of chance.

        Returns:
            Variable to values in its own space and dtype, ``(draw, unit, *inner, *event)``; and
            the log density of each draw, ``(draw, unit)``.
        """
        ...

    def check(self, owner: Any) -> None:
        """Warn, or raise, where it no longer fits the SCM it is attached to."""
        ...


def by_prior(problem: Problem, draws: int, count: int) -> Inferred:
    """Weigh draws from the mechanisms of the missing variables by what was seen."""
    walk = Walk(problem.with_noise("prior"), count)
    found = {name: walk.found[name] for name in problem.missing}
    return weighted(problem, found, walk.log_likelihood, draws)


def by_guide(proposal: Proposal, problem: Problem, draws: int, count: int) -> Inferred:
    """Weigh a guide's draws by the exact densities of the program.

    Where a guide tells the density of any value (``log_prob(values, missing_values, missing)``),
    some of the proposals come from the prior: so a guide with too light tails does no harm.

    Raises:
        ValueError: The guide's densities are not of the shape ``(draw, unit)``.
    """
    values, generator = _asked(problem)
    density = getattr(proposal, "log_prob", None)
    share = 0 if density is None else round(count * DEFENCE)
    own = count - share
    drawn, log_q = proposal.draw(values, list(problem.missing), own, generator)
    if log_q.shape != (own, problem.size):
        raise ValueError(
            f"The guide gave log densities of shape {tuple(log_q.shape)}; expected "
            f"{(own, problem.size)}: draws, units."
        )
    walk = Walk(problem, own, values=drawn)
    found = {name: walk.found[name] for name in problem.missing}
    log_joint, log_prior = walk.log_joint, walk.log_prior
    if density is not None:
        prior = Walk(problem.with_noise("defence"), share)
        other = {name: prior.found[name] for name in problem.missing}
        log_q = torch.cat((log_q, density(values, other, list(problem.missing))))
        found = {name: torch.cat((value, other[name])) for name, value in found.items()}
        log_joint = torch.cat((log_joint, prior.log_joint))
        log_prior = torch.cat((log_prior, prior.log_prior))
    log_q = log_q.detach().double()
    if share:
        log_q = torch.logaddexp(log(1 - DEFENCE) + log_q, log(DEFENCE) + log_prior)
    return weighted(problem, found, log_joint - log_q, draws)


def unweighed(proposal: Proposal, problem: Problem, draws: int) -> Inferred:
    """Take a guide's draws as they are; nothing then tells how good they are."""
    values, generator = _asked(problem)
    drawn, _ = proposal.draw(values, list(problem.missing), draws, generator)
    unknown = torch.full((problem.size,), torch.nan, dtype=torch.float64, device=generator.device)
    none = torch.full_like(unknown, -torch.inf)
    return Inferred.without_weights(drawn, unknown, none, torch.ones_like(unknown))


def weighted(
    problem: Problem, values: Mapping[str, Tensor], log_weights: Tensor, draws: int
) -> Inferred:
    """Turn weighted proposals into draws of equal weight, the same ones for all variables.

    Args:
        problem: The problem.
        values: Variable to proposals, ``(proposals, units, *inner, *event)``.
        log_weights: Their log weights, ``(proposals, units)``.
        draws: How many draws of each unit.
    """
    # What is no number counts for nothing: a guide that is lost may propose it.
    log_weights = torch.where(log_weights.isnan(), -torch.inf, log_weights)
    smoothed = smooth(log_weights)
    start = problem.stream("resampling").uniforms()
    order = problem.stream("order", draws).uniforms().reshape(draws, problem.size)
    usable = smoothed.log_weights.nan_to_num(nan=0.0)
    chosen = resample(usable, draws, start, order)
    unit = torch.arange(problem.size, device=chosen.device)
    drawn = {name: value[chosen, unit] for name, value in values.items()}
    return Inferred.weighed(drawn, smoothed.ess, smoothed.khat, log_weights)


def _generator(device: torch.device) -> torch.Generator:
    try:
        return torch.Generator(device)
    except NotImplementedError:  # a device that has none of its own
        return torch.Generator("cpu")


def _asked(problem: Problem) -> tuple[dict[str, Tensor], torch.Generator]:
    """Return what a guide reads of a problem, and its source of chance."""
    key = problem.stream(f"guide {problem.query.first + int(problem.units[0])}").key(0)
    generator = _generator(problem.query.device).manual_seed(key)
    values = {n: v for n, v in problem.values.items() if n in problem.query.variables}
    return {**values, **(problem.set_values or {})}, generator
