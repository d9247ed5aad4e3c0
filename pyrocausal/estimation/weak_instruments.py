"""Confidence sets that hold however little an instrument moves the treatment."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isclose, sqrt
from typing import final

from pyrocausal.answers import Interval

__all__ = ["AndersonRubin", "solve_quadratic"]


@final
@dataclass(frozen=True, eq=False)
class AndersonRubin(Interval):
    """All effects that a test at some level does not reject: an interval, or another set.

    The test asks, for each effect b, whether the instruments still tell of ``Y - b X``. A weak
    instrument rejects few b: the set is then two rays or the whole line. It is empty where no b
    fits several instruments at once. ``lower`` and ``upper`` are its ends; where there are two
    rays these are infinite, and ``gap`` is what lies between.

    Attributes:
        gap: What two rays leave out, its ends being in the set.

    Example:
        >>> from math import inf
        >>> rays = AndersonRubin(-inf, inf, gap=(-1.0, 2.0))
        >>> print(rays, 0.0 in rays, 2.5 in rays)
        at most -1 or at least 2 False True
        >>> print(AndersonRubin(0.5, 2.0), AndersonRubin(-inf, inf), AndersonRubin(inf, -inf), sep="; ")
        [0.5, 2]; the whole line; empty

    References:
        Anderson, Rubin (1949), Estimation of the parameters of a single equation in a complete
        system of stochastic equations.
        Dufour (1997), Some impossibility theorems in econometrics.
    """

    gap: tuple[float, float] | None = None

    def __contains__(self, value: float) -> bool:
        outside = self.gap is not None and self.gap[0] < value < self.gap[1]
        return super().__contains__(value) and not outside

    @property
    def kind(self) -> str:
        """``"interval"``, ``"empty"``, ``"two rays"``, ``"ray"`` or ``"line"``."""
        if self.gap is not None:
            return "two rays"
        if self.lower > self.upper:
            return "empty"
        return ("interval", "ray", "line")[(self.lower == -inf) + (self.upper == inf)]

    def __str__(self) -> str:
        if self.gap is not None:
            return f"at most {self.gap[0]:.4g} or at least {self.gap[1]:.4g}"
        special = {"empty": "empty", "line": "the whole line"}
        return special.get(self.kind) or super().__str__()


def solve_quadratic(a: float, b: float, c: float, level: float = 0.95) -> AndersonRubin:
    r"""Return the set :math:`\{\beta: a \beta^2 - 2 b \beta + c \le 0\}`.

    Example:
        >>> print(solve_quadratic(1.0, 0.0, -4.0), "|", solve_quadratic(-1.0, 0.0, 4.0))
        [-2, 2] | at most -2 or at least 2
        >>> print(solve_quadratic(1.0, 0.0, 4.0), "|", solve_quadratic(-1.0, 0.0, -4.0))
        empty | the whole line
    """
    if isclose(a, 0.0, abs_tol=1e-300):
        return _half(b, c, level)
    discriminant = b * b - a * c
    if discriminant < 0:
        return AndersonRubin(inf, -inf, level) if a > 0 else AndersonRubin(-inf, inf, level)
    # The root that adds numbers of one sign; the other by Vieta, so that neither is rounded away.
    far = b + sqrt(discriminant) if b >= 0 else b - sqrt(discriminant)
    ends = sorted((far / a, c / far if far else 0.0))
    if a > 0:
        return AndersonRubin(ends[0], ends[1], level)
    return AndersonRubin(-inf, inf, level, gap=(ends[0], ends[1]))


def _half(b: float, c: float, level: float) -> AndersonRubin:
    """Return the set where ``c <= 2 b beta``."""
    if b == 0:
        return AndersonRubin(-inf, inf, level) if c <= 0 else AndersonRubin(inf, -inf, level)
    end = c / (2 * b)
    return AndersonRubin(end, inf, level) if b > 0 else AndersonRubin(-inf, end, level)
