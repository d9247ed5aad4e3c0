"""Limits in a walk: what a site's probability within them is, and real numbers that keep to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.distributions import Transform, constraints
from torch.nn.functional import logsigmoid

from pyrocausal.engine.intervals import Interval
from pyrocausal.engine.rows import Site
from pyrocausal.noise.truncation import Truncated

__all__ = ["Limited", "Within", "bijection_within"]

_POINTS: Final = 16  # at which the score is averaged
_GOLDEN: Final = 0.6180339887498949


@dataclass(frozen=True)
class Limited:
    """A site of which some elements were seen to lie within limits, in program shape.

    Attributes:
        site: The site.
        limits: Its limits.
        law: Its law within them, ``None`` where no CDF is known.
    """

    site: Site
    limits: Interval
    law: Truncated | None

    def likelihood(self, value: Tensor) -> Tensor:
        """Return the log probability of the limits, ``(*inner, rows)``; 0 where there are none.

        Where no CDF is known it is that given the value: 0 within, minus infinity outside.
        """
        if self.law is None:
            mass = torch.where(self.inside(value), 0.0, -torch.inf).double()
        else:
            mass = self._with_gradient(self.law)
        return torch.where(self.limits.within, mass, 0.0)

    def prior(self, value: Tensor, density: Tensor) -> Tensor:
        """Return the log density of what the mechanism proposes, from its own."""
        if self.law is None:
            return density
        mass = torch.where(self.limits.within, self.law.log_mass, 0.0)
        possible = self.inside(value) & (mass > -torch.inf)
        return torch.where(possible, density - mass, -torch.inf)

    def inside(self, value: Tensor) -> Tensor:
        """Say which values keep to the limits."""
        return self.limits.holds(value, self.site.event_dim) | ~self.limits.within

    def _with_gradient(self, law: Truncated) -> Tensor:
        """Let gradients flow: that of ``log P`` is the mean score of values within the limits."""
        if not torch.is_grad_enabled():
            return law.log_mass
        points = torch.arange(_POINTS, dtype=torch.float64, device=law.log_mass.device) + 0.5
        rates = _GOLDEN ** torch.arange(law.shape.numel()).to(points)
        grid = torch.frac(points[:, None] * torch.where(rates == 1, 1 / _POINTS, rates))
        batch = law.log_mass.dim()
        grid = grid.reshape(_POINTS, *[1] * batch, *law.shape)
        with torch.no_grad():
            values = law.value(grid.expand(_POINTS, *law.log_mass.shape, *law.shape))
        score: Tensor = self.site.fn.log_prob(values).mean(0)
        score = torch.where(law.log_mass > -torch.inf, score, 0.0)
        return law.log_mass + (score - score.detach())


def bijection_within(support: Any, limits: Interval) -> Transform:
    """Return the map from real numbers to the part of a support within limits.

    Raises:
        NotImplementedError: A support that is no interval.
    """
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    if support.event_dim and support is not constraints.real_vector:
        raise NotImplementedError
    low, high = limits.low, limits.high
    for side, end in (("lower_bound", -torch.inf), ("upper_bound", torch.inf)):
        bound = torch.as_tensor(getattr(support, side, end), device=low.device).double()
        low, high = (
            (torch.maximum(low, bound), high) if end < 0 else (low, torch.minimum(high, bound))
        )
    return Within(low, high)


class Within(Transform):
    """From real numbers to ``(low, high)``, of which either may be infinite.

    Example:
        >>> ends = torch.tensor([0.0, 0.0, -torch.inf]), torch.tensor([1.0, torch.inf, 2.0])
        >>> Within(*ends)(torch.zeros(3))
        tensor([0.5000, 1.0000, 1.0000])
    """

    domain = constraints.real
    codomain = constraints.real
    bijective = True

    def __init__(self, low: Tensor, high: Tensor) -> None:
        super().__init__()
        self.low, self.high = low, high
        self.below, self.above = low > -torch.inf, high < torch.inf
        # What is infinite is replaced where it isn't looked at, so that gradients stay finite.
        self.start, self.end = (
            torch.where(self.below, low, 0.0),
            torch.where(self.above, high, 0.0),
        )
        self.width = torch.where(self.below & self.above, high - low, 1.0)

    def _call(self, x: Tensor) -> Tensor:
        inside = self.start + self.width * torch.sigmoid(x)
        return torch.where(
            self.below & self.above,
            torch.minimum(torch.maximum(inside, self.low), self.high),
            torch.where(
                self.below, self.start + x.exp(), torch.where(self.above, self.end - x.exp(), x)
            ),
        )

    def _inverse(self, y: Tensor) -> Tensor:
        share = ((y - self.start) / self.width).clamp(0.0, 1.0)
        return torch.where(
            self.below & self.above,
            torch.logit(share),
            torch.where(
                self.below,
                (y - self.start).clamp(min=0.0).log(),
                torch.where(self.above, (self.end - y).clamp(min=0.0).log(), y),
            ),
        )

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Return ``log |dy / dx|``, a number for each number."""
        both = self.width.log() + logsigmoid(x) + logsigmoid(-x)
        one = torch.where(self.below | self.above, x, torch.zeros_like(x))
        return torch.where(self.below & self.above, both, one)
