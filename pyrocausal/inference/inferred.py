"""What inference hands out: draws of what is missing, and how good they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log

import torch
from torch import Tensor

from pyrocausal.engine.evidence import names_of_units
from pyrocausal.inference.problem import Problem
from pyrocausal.inference.raw_weights import RawWeights
from pyrocausal.inference.weighting import RELIABLE

__all__ = ["Completion", "Inferred", "NoRoute", "Quality", "in_parts"]

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
        ess: Effective number of draws, ``(units,)``; infinite where draws are exact, NaN where a
            guide's were taken as they are.
        khat: Shape of the tail of the weights; minus infinity where there are none.
        rhat: How well chains have met; 1 where there are none.
        even: Whether no weight is far above the others, ``(units,)``.
        weights: Weights of the proposals they were chosen from.
    """

    values: Mapping[str, Tensor]
    ess: Tensor
    khat: Tensor
    rhat: Tensor
    even: Tensor
    weights: RawWeights

    @classmethod
    def without_weights(
        cls, values: Mapping[str, Tensor], ess: Tensor, khat: Tensor, rhat: Tensor
    ) -> Inferred:
        """Return draws that were not chosen by weights."""
        none = RawWeights(len(ess))
        return cls(values, ess, khat, rhat, torch.zeros_like(ess, dtype=torch.bool), none)

    @classmethod
    def weighed(
        cls, values: Mapping[str, Tensor], ess: Tensor, khat: Tensor, log_weights: Tensor
    ) -> Inferred:
        """Return draws that were chosen by weights, ``(proposals, units)``."""
        mean = log_weights.double().logsumexp(0) - log(len(log_weights))
        even = log_weights.double().amax(0) - mean <= log(EVEN)
        units = torch.arange(len(ess), device="cpu")
        raw = RawWeights(len(ess), ((units, log_weights.float()),))
        return cls(values, ess, khat, torch.ones_like(ess), even, raw)

    @classmethod
    def exact(cls, values: Mapping[str, Tensor]) -> Inferred:
        """Return draws from the posterior itself."""
        first = next(iter(values.values()))
        like = torch.zeros(first.shape[1], dtype=torch.float64, device=first.device)
        return cls.without_weights(values, like + torch.inf, like - torch.inf, like + 1)

    @property
    def good(self) -> Tensor:
        """The units whose draws can be relied on.

        A fitted tail says nothing where no weight is far above the others: weights that lie in
        steps, as those of discrete variables do, look heavy-tailed and are harmless.
        """
        safe = (self.khat <= RELIABLE) | self.even
        return safe & (self.rhat <= MIXING) & (self.ess != 0)


def in_parts(problem: Problem, size: int, infer: Callable[[Problem], Inferred]) -> Inferred:
    """Infer for some units at a time, so that the work fits in memory."""
    places = torch.arange(problem.size, device="cpu").split(max(1, size))
    parts = [infer(problem if len(places) == 1 else problem.of(part)) for part in places]
    first = parts[0]
    if len(parts) == 1:
        return first
    blocks = (p.weights.at(u, problem.size).blocks for u, p in zip(places, parts, strict=True))
    return Inferred(
        {name: torch.cat([part.values[name] for part in parts], 1) for name in first.values},
        torch.cat([part.ess for part in parts]),
        torch.cat([part.khat for part in parts]),
        torch.cat([part.rhat for part in parts]),
        torch.cat([part.even for part in parts]),
        RawWeights(problem.size, _alike(sum(blocks, ()))),
    )


def _alike(blocks: Sequence[tuple[Tensor, Tensor]]) -> tuple[tuple[Tensor, Tensor], ...]:
    """Put blocks of as many proposals together."""
    found: dict[int, list[tuple[Tensor, Tensor]]] = {}
    for units, weights in blocks:
        found.setdefault(len(weights), []).append((units, weights))
    joined = (zip(*same, strict=True) for same in found.values())
    return tuple((torch.cat(units), torch.cat(weights, 1)) for units, weights in joined)


@dataclass(frozen=True, eq=False)
class Quality:
    """How good the draws of each unit's missing variables are.

    Attributes:
        weights: Missing variables that were inferred together to the raw log weights of their
            proposals: ``weights[names].of(unit)``, or ``.to_tensor()`` for all.
        ess: Effective number of draws, ``(units,)``, the smallest of a unit's parts; infinite
            where they are drawn from the posterior itself, NaN where a guide's were taken as they
            are.
        khat: Shape of the tail of the weights, ``(units,)``, the largest of a unit's parts; minus
            infinity where there are none. Above 0.7 averages can't be trusted, unless no weight
            is above five times the mean.
        rhat: How well chains have met, ``(units,)``; 1 where there are none.
        unreliable: The units whose draws can't be relied on, ``(units,)``.
    """

    weights: Mapping[tuple[str, ...], RawWeights]
    ess: Tensor
    khat: Tensor
    rhat: Tensor
    unreliable: Tensor

    @classmethod
    def of_all(cls, parts: Sequence[Quality]) -> Quality:
        """Join what several draws of shared variables gave: the worst of each unit.

        The proposals of a unit are those of all draws.
        """
        if len(parts) == 1:
            return parts[0]
        names = dict.fromkeys(name for part in parts for name in part.weights)
        return cls(
            {n: _added([p.weights[n] for p in parts if n in p.weights]) for n in names},
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
                {names: _repeated(w, units) for names, w in quality.weights.items()},
                *map(over, (quality.ess, quality.khat, quality.rhat, quality.unreliable)),
            )
        return Completion(values, known, self.routes, quality)


def _added(parts: Sequence[RawWeights]) -> RawWeights:
    return sum(parts[1:], parts[0])


def _repeated(weights: RawWeights, units: int) -> RawWeights:
    """Give the weights of one unit to many."""
    every = torch.arange(units, device="cpu")
    return RawWeights(units, tuple((every, w.expand(-1, units)) for _, w in weights.blocks))
