"""What a fit reports: how it went, and what it is worth beside a dull baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pyrocausal.fitting.converging import CLEAR
from pyrocausal.fitting.observing import Units

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FitReport", "Score", "baseline", "score"]


@dataclass(frozen=True)
class Score:
    """How well a variable is predicted on the held-out units, per unit.

    Attributes:
        variable: Its name.
        log_prob: Its log-likelihood given its parents.
        baseline: That of its best fit without parents: a normal distribution, or frequencies.
        se: Standard error of the gain over the baseline.
    """

    variable: str
    log_prob: float
    baseline: float
    se: float

    @property
    def gain(self) -> float:
        """What the parents tell."""
        return self.log_prob - self.baseline


@dataclass(frozen=True, repr=False, eq=False)
class FitReport:
    """How a fit went.

    Attributes:
        losses: The negative evidence lower bound of each step, per unit.
        stopped: Why it ended.
        scores: A score for each variable, held out; empty without held-out units. The entry
            ``(latents)`` is what the latents cost: ``log p - log q`` of the guide's draws.
        total: The score of all variables together.
        seconds: How long it took.
        units: Number of units trained on.
        held_out: Number of units held out.
        parameters: Number of parameters, each entry of a tensor counted.
        seed: Gives the same fit again.
        note: What else to know.
        observed: The variables that there were data of.
        path: The way the steps took: ``"eager"``, as Pyro runs them, ``"replayed"`` as a graph
            of tensor operations, or ``"compiled"``.
        falling: By how many standard errors the loss still falls along the way that the
            parameters last went; 0 where the units held out gain nothing by that.
        ranges: Variable to its least and greatest value, where all data were at hand.
    """

    losses: Tensor
    stopped: str
    scores: tuple[Score, ...]
    total: Score | None
    seconds: float
    units: int
    held_out: int
    parameters: int
    seed: int
    note: str = ""
    path: str = "eager"
    observed: frozenset[str] = frozenset()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    falling: float = 0.0

    @property
    def steps(self) -> int:
        """How many steps were run."""
        return len(self.losses)

    @property
    def converged(self) -> bool:
        """Whether more steps would not have fitted clearly better, as far as was looked."""
        return self.falling < CLEAR

    def advice(self, steps: int, lr: float) -> str:
        """Return in words that the fit has not converged, and what to do.

        Args:
            steps: How many steps were asked for.
            lr: The learning rate.
        """
        return (
            f"fit() had not converged after {self.steps} steps: along the way that the parameters "
            f"last went, the loss still falls by {self.falling:.1f} standard errors. Give more "
            f"steps= (now {steps}) or a higher lr= (now {lr:g})."
        )

    def to_frame(self) -> pd.DataFrame:
        """Return the scores as a table, a row for each variable."""
        import pandas as pd

        rows = [(s.variable, s.log_prob, s.baseline, s.gain, s.se) for s in self.scores]
        columns = ["variable", "log_prob", "baseline", "gain", "se"]
        return pd.DataFrame(rows, columns=columns).set_index("variable")

    def __repr__(self) -> str:
        lines = [
            f"fit: {self.units} units, {self.parameters} parameters, {self.steps} steps in "
            f"{self.seconds:.1f} s ({self.path}), seed {self.seed}",
            f"stopped: {self.stopped}",
        ]
        if self.steps:
            lines.append(
                f"loss per unit: {self.losses[0]:.4g} at first, {self.losses[-1]:.4g} at last"
            )
        if not self.converged:
            lines.append(
                f"not converged: the loss still falls by {self.falling:.1f} standard errors"
            )
        if self.note:
            lines.append(f"note: {self.note}")
        if self.total is not None:
            lines.append(
                f"log-likelihood per unit on {self.held_out} held-out units, beside the best fit "
                "without parents"
            )
            lines += _rows([*self.scores, self.total])
        return "\n".join(lines)


def score(name: str, density: Tensor, dull: Tensor) -> Score:
    """Compare two log-likelihoods, one entry for each held-out unit."""
    gain = (density - dull).to(torch.float64)
    se = float(gain.std() / math.sqrt(len(gain))) if len(gain) > 1 else math.nan
    return Score(name, float(density.mean()), float(dull.mean()), se)


def baseline(units: Units, train: Tensor, held_out: Tensor) -> dict[str, Tensor]:
    """Return held-out log-likelihoods under the best fits without parents.

    Real-valued variables get a normal distribution for each entry; discrete ones the frequencies
    of their values, plus one. Inner plates are pooled.

    Returns:
        Variable to log-likelihoods, shape ``(held-out units,)``.
    """
    return {
        name: _baseline(name, units.rows(train), units.rows(held_out))
        for name in units.values
        if not units.variables[name].shared and name not in units.limits
    }


def _baseline(name: str, train: Units, held_out: Units) -> Tensor:
    variable = train.variables[name]
    event = variable.event_shape
    seen, asked = (part.values[name].reshape(-1, math.prod(event)) for part in (train, held_out))
    if name in train.missing:
        seen = seen[~train.missing[name].flatten()]
    density = (_frequencies if variable.discrete else _normal)(seen, asked)
    if name in held_out.missing:
        density = density.masked_fill(held_out.missing[name].flatten(), 0.0)
    return density.reshape(-1, held_out.number).sum(0)


def _normal(seen: Tensor, asked: Tensor) -> Tensor:
    seen, asked = seen.to(torch.float64), asked.to(torch.float64)
    if not len(seen):
        return torch.zeros(len(asked), dtype=torch.float64, device=asked.device)
    scale = seen.std(0, correction=0).clamp(min=1e-12)
    density: Tensor = torch.distributions.Normal(seen.mean(0), scale).log_prob(asked)
    return density.sum(-1)


def _frequencies(seen: Tensor, asked: Tensor) -> Tensor:
    both, n = torch.cat([seen, asked]), len(seen)
    _, codes, counts = torch.unique(both, dim=0, return_inverse=True, return_counts=True)
    if both.shape[1] > 1 and len(counts) > n / 10:
        # Hardly any value comes twice (a binary image): entry by entry.
        return torch.stack(
            [
                _frequencies(s[:, None], a[:, None])
                for s, a in zip(seen.unbind(1), asked.unbind(1), strict=True)
            ]
        ).sum(0)
    often = torch.bincount(codes[:n], minlength=len(counts)).to(torch.float64) + 1
    frequencies = often / often.sum()
    return frequencies.log()[codes[n:]]


def _rows(scores: list[Score]) -> list[str]:
    width = max(len(s.variable) for s in scores)
    return [
        f"  {s.variable:<{width}}  {s.log_prob:8.4g}  baseline {s.baseline:8.4g}  "
        f"gain {s.gain:.4g} +- {s.se:.2g}"
        for s in scores
    ]


def compare(
    parts: Mapping[str, Tensor], dull: Mapping[str, Tensor]
) -> tuple[tuple[Score, ...], Score]:
    """Return the score of each variable, and of all together."""
    zero = torch.zeros_like(next(iter(parts.values())))
    scores = tuple(score(name, part, dull.get(name, zero)) for name, part in parts.items())
    every = sum(parts.values(), zero)
    return scores, score("all", every, sum((dull[name] for name in parts if name in dull), zero))
