"""What inference hands out: draws of what is missing, and how good they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log

import torch
from torch import Tensor

from pyrocausal.engine.evidence import names_of_units
from pyrocausal.inference.problem import Problem
from pyrocausal.inference.weighting import RELIABLE

__all__ = ["Completion", "Inferred", "NoRoute", "Quality", "in_parts", "padded"]

EVEN = 5.0
"""How many times the mean weight the largest may be, for draws to be relied on in any case."""
MIXING = 1.05
"""R-hat above which chains have not met."""


class NoRoute(Exception):
    """A way of inference that a problem does not allow; the text says why."""


@dataclass(frozen=True)
class Inferred:
    """Draws of the missing variables of one problem.

    Attributes:
        values: Variable to draws of equal weight, ``(draws, units, *inner, *event)``.
        log_weights: Log weights of the proposals they were chosen from, ``(proposals, units)``.
        ess: Effective number of draws, ``(units,)``; infinite where draws are exact, NaN where a
            guide's were taken as they are.
        khat: Shape of the tail of the weights; minus infinity where there are none.
        rhat: How well chains have met; 1 where there are none.
    """

    values: Mapping[str, Tensor]
    ess: Tensor
    khat: Tensor
    rhat: Tensor
    log_weights: Tensor | None = None

    @classmethod
    def exact(cls, values: Mapping[str, Tensor]) -> Inferred:
        """Return draws from the posterior itself."""
        first = next(iter(values.values()))
        like = torch.zeros(first.shape[1], dtype=torch.float64, device=first.device)
        return cls(values, like + torch.inf, like - torch.inf, like + 1)

    @property
    def good(self) -> Tensor:
        """The units whose draws can be relied on.

        A fitted tail says nothing where no weight is far above the others: weights that lie in
        steps, as those of discrete variables do, look heavy-tailed and are harmless.
        """
        safe = self.khat <= RELIABLE
        if self.log_weights is not None:
            weights = torch.where(self.log_weights.isnan(), -torch.inf, self.log_weights.double())
            mean = weights.logsumexp(0) - (~self.log_weights.isnan()).sum(0).log()
            safe = safe | (weights.amax(0) - mean <= log(EVEN))
        return safe & (self.rhat <= MIXING) & (self.ess != 0)


def in_parts(problem: Problem, size: int, infer: Callable[[Problem], Inferred]) -> Inferred:
    """Infer for some units at a time, so that the work fits in memory."""
    places = torch.arange(problem.size, device="cpu").split(max(1, size))
    parts = [infer(problem if len(places) == 1 else problem.of(part)) for part in places]
    first = parts[0]
    if len(parts) == 1:
        return first
    weights = [part.log_weights for part in parts if part.log_weights is not None]
    return Inferred(
        {name: torch.cat([part.values[name] for part in parts], 1) for name in first.values},
        torch.cat([part.ess for part in parts]),
        torch.cat([part.khat for part in parts]),
        torch.cat([part.rhat for part in parts]),
        torch.cat(weights, 1) if weights else None,
    )


def padded(weights: Tensor, rows: int) -> Tensor:
    """Return weights with rows of NaN below, for units of which others have more proposals."""
    more = weights.new_full((rows - len(weights), weights.shape[1]), torch.nan)
    return torch.cat((weights, more))


@dataclass(frozen=True, eq=False)
class Quality:
    """How good the draws of each unit's missing variables are.

    Attributes:
        weights: Missing variables that were inferred together to the raw log weights of their
            proposals, ``(proposals, units)``; NaN for units whose draws have no weights, or fewer,
            or too many to keep.
        ess: Effective number of draws, ``(units,)``, the smallest of a unit's parts; infinite
            where they are drawn from the posterior itself, NaN where a guide's were taken as they
            are.
        khat: Shape of the tail of the weights, ``(units,)``, the largest of a unit's parts; minus
            infinity where there are none. Above 0.7 averages can't be trusted, unless no weight
            is above five times the mean.
        rhat: How well chains have met, ``(units,)``; 1 where there are none.
        unreliable: The units whose draws can't be relied on, ``(units,)``.
    """

    weights: Mapping[tuple[str, ...], Tensor]
    ess: Tensor
    khat: Tensor
    rhat: Tensor
    unreliable: Tensor

    @classmethod
    def of_all(cls, parts: Sequence[Quality]) -> Quality:
        """Join what several draws of shared variables gave: the worst of each unit.

        Weights stand one below the other.
        """
        if len(parts) == 1:
            return parts[0]
        names = dict.fromkeys(name for part in parts for name in part.weights)
        return cls(
            {n: torch.cat([p.weights[n] for p in parts if n in p.weights]) for n in names},
            torch.stack([part.ess for part in parts]).amin(0),
            torch.stack([part.khat for part in parts]).amax(0),
            torch.stack([part.rhat for part in parts]).amax(0),
            torch.stack([part.unreliable for part in parts]).any(0),
        )

    def __str__(self) -> str:
        guessed = self.ess.isnan()
        if bool(guessed.all()):
            text = "draws as the guide gives them, unweighed: how good they are is not known"
        elif bool(guessed.any()):
            least = float(self.ess[~guessed].min())
            text = (
                f"{names_of_units(guessed)} as the guide gives them, unweighed; effective draws "
            )
            text += f"of the others at least {least:.0f}"
        elif bool(self.ess.isinf().all()):
            text = "every draw from the posterior itself"
        else:
            text = f"effective draws at least {float(self.ess.min()):.0f}"
        if bool((self.khat > -torch.inf).any()):
            text += f", k-hat at most {float(self.khat.max()):.2f}"
        if bool((self.rhat > 1).any()):
            text += f", R-hat at most {float(self.rhat.max()):.2f}"
        if bool(self.unreliable.any()):
            text += f"; NOT RELIABLE for {names_of_units(self.unreliable)}"
        return text


@dataclass(frozen=True, eq=False)
class Completion:
    """Draws of the missing variables that stand above evidence.

    Attributes:
        values: Variable to draws, ``(draws, 1, units, *inner, *event)``.
        known: Variable to the elements that were inferred, ``(units, *inner)``.
        routes: Variable to the ways it was inferred.
        quality: How good the draws are.
    """

    values: Mapping[str, Tensor] = field(default_factory=dict)
    known: Mapping[str, Tensor] = field(default_factory=dict)
    routes: Mapping[str, str] = field(default_factory=dict)
    quality: Quality | None = None

    def spread(self, units: int) -> Completion:
        """Give the draws of one unit to many that are alike, each its own."""

        def over(value: Tensor) -> Tensor:
            return value.expand(*value.shape[:-1], units)

        values = {
            name: value.reshape(-1, 1, units, *value.shape[3:])
            for name, value in self.values.items()
        }
        known = {name: value.expand(units, *value.shape[1:]) for name, value in self.known.items()}
        quality = self.quality
        if quality is not None:
            quality = Quality(
                {names: over(weights) for names, weights in quality.weights.items()},
                *map(over, (quality.ess, quality.khat, quality.rhat, quality.unreliable)),
            )
        return Completion(values, known, self.routes, quality)
