"""The profile of the likelihood over average effects: all modes, and what is not excluded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from pyrocausal.models.vluci_likelihood import Likelihood
from pyrocausal.models.vluci_optimum import Optimum, minimise

__all__ = ["Mode", "Profile"]

STEPS: Final = 10
"""Grid points on each side of the twin."""
REACH: Final = 2.0
"""How far they go, in standard deviations of what is left of the outcome."""
STEEPEST: Final = 1.25
"""The largest angle of a program: U is 9/10 of what is left of the outcome, noise the rest."""
FAR: Final = 15.0
"""A point whose log likelihood is lower than the best by this ends the grid."""
LATER: Final = 60
"""Iterations for a point that starts from its neighbour."""
SAME: Final = 0.02
"""Modes nearer than this, in standard deviations of the outcome, are one."""


@dataclass(frozen=True)
class Mode:
    """A local maximum of the likelihood.

    Attributes:
        ate: The average effect.
        theta: The parameters.
        log_likelihood: Penalised, over that of the twin.
    """

    ate: float
    theta: Tensor
    log_likelihood: float


@dataclass
class Profile:
    r"""``l(ATE) = max`` of the penalised log likelihood among parameters with that effect.

    Two starts alone miss modes: the maxima along a grid of effects, each from its neighbours on
    both sides, are started from too.

    Attributes:
        likelihood: The likelihood.
        twin: Its maximum without U.
        points: Effect to the maximum there.
        modes: Local maxima, the highest first.
        signs: Where the starts with confounding of either sign end.
    """

    likelihood: Likelihood
    twin: Optimum
    points: dict[float, Optimum] = field(default_factory=dict)
    modes: list[Mode] = field(default_factory=list)
    signs: dict[str, Mode] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for sign, angle in (("+", 0.5), ("-", -0.5)):
            self.signs[sign] = self._climb(self._moved(angle))
        self._scan()
        starts = [self.points[ate].theta for ate in self._peaks()]
        found = [*self.signs.values(), *(self._climb(theta) for theta in starts)]
        for mode in sorted(found, key=lambda mode: -mode.log_likelihood):
            near = SAME * self.likelihood.scale * self.spread
            if all(abs(mode.ate - other.ate) > near for other in self.modes):
                self.modes.append(mode)

    @property
    def naive(self) -> float:
        """The average effect in the twin."""
        return float(self.likelihood.average_effect(self.twin.theta))

    @property
    def best(self) -> Mode:
        """The highest mode."""
        return self.modes[0]

    @property
    def ratio(self) -> float:
        """``2 (l_max - l_twin)``."""
        return 2 * self.best.log_likelihood

    @property
    def spread(self) -> float:
        """Standard deviation of what is left of the outcome, in units of its scale."""
        if self.likelihood.form.outcome == "bernoulli":
            return 0.2
        sd = self.twin.theta[self.likelihood.slots["log_sd"]].exp()
        return float(sd.mean())

    def deviance(self, ate: float, near: Tensor | None = None) -> float:
        """Return ``2 (l_max - l(ATE))``, started from what is known nearby."""
        start = self._nearest(ate) if near is None else near
        return self._deviance(self._at(ate, start))

    def interval(self, level: float) -> tuple[float, float, bool]:
        """Return the hull of ``{ATE: 2 (l_max - l(ATE)) <= q}``, and whether it has gaps.

        Args:
            level: ``q`` is this quantile of chi-square with one degree of freedom.
        """
        limit = float(
            torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor((1 + level) / 2)) ** 2
        )
        self.points.setdefault(
            self.best.ate, Optimum(self.best.theta, self.twin.loss - self._gain(self.best))
        )
        ends = tuple(self._end(side, limit) for side in (-1, 1))
        inside = [
            self._deviance(point) <= limit + 0.05
            for ate, point in sorted(self.points.items())
            if ends[0] <= ate <= ends[1]
        ]
        return ends[0], ends[1], not all(inside)

    def interior(self) -> Tensor:
        """Return the highest mode, or what is as good at the same effect but leaves some noise.

        The likelihood is all but flat along a ridge of loadings that ends where U is all that is
        left of the outcome: a program without noise, whose posteriors of U are points.
        """
        slot, theta = self.likelihood.slots["angle"], self.best.theta
        angle = torch.atan(theta[slot].tan())
        if self.likelihood.form.outcome == "bernoulli" or bool((angle.abs() < STEEPEST).all()):
            return theta
        turned = theta[slot].sin().sign() * angle.abs().clamp_max(STEEPEST)

        def constrain(at: Tensor) -> Tensor:
            at = self.likelihood.with_ate(at, self.best.ate)
            at[slot] = turned
            return at

        return minimise(self.likelihood.loss, theta, constrain, LATER).theta

    def _gain(self, mode: Mode) -> float:
        return mode.log_likelihood / len(self.likelihood.y)

    def _deviance(self, point: Optimum) -> float:
        gain = len(self.likelihood.y) * (self.twin.loss - point.loss)
        return 2 * (self.best.log_likelihood - gain)

    def _moved(self, angle: float) -> Tensor:
        return self.likelihood.with_loadings(self.twin.theta, 0.5, (angle, angle))

    def _climb(self, start: Tensor) -> Mode:
        found = minimise(self.likelihood.loss, start)
        theta = found.theta
        with torch.no_grad():
            ate = float(self.likelihood.average_effect(theta))
        return Mode(ate, theta, len(self.likelihood.y) * (self.twin.loss - found.loss))

    def _at(self, ate: float, start: Tensor) -> Optimum:
        """Return the maximum at an effect, and keep it if it is the best that is known there."""
        likelihood = self.likelihood

        def constrain(theta: Tensor) -> Tensor:
            return likelihood.with_ate(theta, ate)

        found = minimise(likelihood.loss, start, constrain, LATER, tolerance=3e-5)
        known = self.points.get(ate)
        if known is None or found.loss < known.loss:
            self.points[ate] = known = found
        return known

    def _nearest(self, ate: float) -> Tensor:
        return self.points[min(self.points, key=lambda known: abs(known - ate))].theta

    def _scan(self) -> None:
        step = REACH * self.spread * self.likelihood.scale / STEPS
        for side in (-1, 1):
            grid = [self.naive + side * step * k for k in range(1, STEPS + 1)]
            # An effect above the naive one means a confounder that hides part of it.
            last = self._pass(grid, self._moved(-0.5 * side))
            back = [ate for ate in reversed(grid) if side * ate < side * last]
            self._pass(back, self.points[last].theta)
        self._at(self.naive, self._moved(0.1))

    def _pass(self, grid: Iterable[float], theta: Tensor) -> float:
        """Go along a grid, each point from the one before; stop where the likelihood is gone."""
        ate = self.naive
        for ate in grid:
            point = self._at(ate, theta)
            theta = point.theta
            if len(self.likelihood.y) * (point.loss - self._least()) > FAR:
                break
        return ate

    def _least(self) -> float:
        return min(point.loss for point in (self.twin, *self.points.values()))

    def _peaks(self) -> list[float]:
        ates = sorted(self.points)
        losses = [float("inf"), *(self.points[ate].loss for ate in ates), float("inf")]
        return [
            ate
            for ate, left, here, right in zip(ates, losses, losses[1:], losses[2:], strict=False)
            if here <= min(left, right)
        ]

    def _end(self, side: int, limit: float) -> float:
        """Return the outermost effect on one side that is not excluded."""
        ates = sorted(self.points, key=lambda ate: side * ate)
        inside = max(
            (ate for ate in ates if self._deviance(self.points[ate]) <= limit),
            key=lambda ate: side * ate,
        )
        beyond = [ate for ate in ates if side * ate > side * inside]
        if not beyond:
            return self._extend(inside, side, limit)
        return self._cross(inside, beyond[0], limit)

    def _extend(self, inside: float, side: int, limit: float) -> float:
        """Walk outwards from the end of the grid until an effect is excluded."""
        step = REACH * self.spread * self.likelihood.scale / STEPS
        for _ in range(3 * STEPS):
            outside = inside + side * step
            if self.deviance(outside) > limit:
                return self._cross(inside, outside, limit)
            inside = outside
        return inside

    def _cross(self, inside: float, outside: float, limit: float) -> float:
        """Find where the deviance crosses a limit; its root is nearly straight."""
        at: Callable[[float], float] = lambda ate: max(self.deviance(ate), 0.0) ** 0.5 - limit**0.5  # noqa: E731
        low, high = at(inside), at(outside)
        for _ in range(6):
            share = min(0.9, max(0.1, -low / (high - low)))
            middle = inside + share * (outside - inside)
            value = at(middle)
            if abs(value) < 0.01:
                return middle
            if value <= 0:
                inside, low = middle, value
            else:
                outside, high = middle, value
        return (inside + outside) / 2
