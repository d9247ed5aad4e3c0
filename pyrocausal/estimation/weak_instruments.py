"""Confidence sets that hold however little an instrument moves the treatment."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import inf, isclose, sqrt
from typing import final

import numpy as np
import numpy.typing as npt

from pyrocausal.answers import Interval

__all__ = ["AndersonRubin", "solve_matrix_quadratic", "solve_quadratic"]

Array = npt.NDArray[np.float64]

_NEARLY_INFINITE = 1e-12


@final
@dataclass(frozen=True, eq=False)
class AndersonRubin(Interval):
    """All effects that a test at some level does not reject: an interval, or another set.

    The test asks, for each effect b, whether the instruments still tell of ``Y - b X``. A weak
    instrument rejects few b: the set is then two rays or the whole line. It is empty where no b
    fits several instruments at once, and may be in pieces where variances differ from row to row.
    ``lower`` and ``upper`` are its ends, infinite where there are rays.

    Attributes:
        gaps: What lies between its pieces; the ends of a gap are in the set.

    Example:
        >>> from math import inf
        >>> rays = AndersonRubin(-inf, inf, gaps=((-1.0, 2.0),))
        >>> print(rays, 0.0 in rays, 2.5 in rays)
        at most -1 or at least 2 False True
        >>> print(AndersonRubin(0.5, 2.0), AndersonRubin(-inf, inf), AndersonRubin(inf, -inf), sep="; ")
        [0.5, 2]; the whole line; empty

    References:
        Anderson, Rubin (1949), Estimation of the parameters of a single equation in a complete
        system of stochastic equations.
        Dufour (1997), Some impossibility theorems in econometrics.
    """

    gaps: tuple[tuple[float, float], ...] = ()

    def __contains__(self, value: float) -> bool:
        outside = any(low < value < high for low, high in self.gaps)
        return super().__contains__(value) and not outside

    @property
    def kind(self) -> str:
        """``"interval"``, ``"empty"``, ``"two rays"``, ``"ray"``, ``"line"`` or ``"pieces"``."""
        ends = (self.lower == -inf) + (self.upper == inf)
        if self.gaps:
            return "two rays" if len(self.gaps) == 1 and ends == 2 else "pieces"
        if self.lower > self.upper:
            return "empty"
        return ("interval", "ray", "line")[ends]

    def __str__(self) -> str:
        if self.gaps:
            borders = [self.lower, *(end for gap in self.gaps for end in gap), self.upper]
            pieces = zip(borders[::2], borders[1::2], strict=True)
            return " or ".join(_shown(float(low), float(high)) for low, high in pieces)
        special = {"empty": "empty", "line": "the whole line"}
        return special.get(self.kind) or super().__str__()


def _shown(low: float, high: float) -> str:
    if low == -inf:
        return f"at most {high:.4g}"
    return f"at least {low:.4g}" if high == inf else f"[{low:.4g}, {high:.4g}]"


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
    return AndersonRubin(-inf, inf, level, gaps=((ends[0], ends[1]),))


def _half(b: float, c: float, level: float) -> AndersonRubin:
    """Return the set where ``c <= 2 b beta``."""
    if b == 0:
        return AndersonRubin(-inf, inf, level) if c <= 0 else AndersonRubin(inf, -inf, level)
    end = c / (2 * b)
    return AndersonRubin(end, inf, level) if b > 0 else AndersonRubin(-inf, end, level)


def solve_matrix_quadratic(
    coefficients: tuple[Array, Array, Array], centre: float, unit: float, level: float = 0.95
) -> AndersonRubin:
    r"""Return the set of effects where a matrix has no negative eigenvalue.

    .. math:: \{centre + unit \cdot t : N_0 + t N_1 + t^2 N_2 \succeq 0\}

    An eigenvalue changes its sign where the matrix is singular: at :math:`t = 1 + 1 / \mu`, with
    :math:`\mu` an eigenvalue of the quadratic in :math:`\mu` that stands for the same matrix there.

    Args:
        coefficients: The symmetric matrices :math:`N_0, N_1, N_2`, each of shape ``(k, k)``.
        centre: The effect at t = 0.
        unit: The step of the effect, such that the three matrices are about equally large.
        level: Probability that the set is made for.

    Example:
        >>> one, none = np.eye(2), np.zeros((2, 2))
        >>> print(solve_matrix_quadratic((4 * one, none, -one), 0.5, 1.0))
        [-1.5, 2.5]
        >>> n0, n2 = np.diag([4.0, -0.25]), np.diag([-1.0, 1.0])
        >>> print(solve_matrix_quadratic((n0, none, n2), 0.0, 1.0))
        [-2, -0.5] or [0.5, 2]

    References:
        Tisseur, Meerbergen (2001), The quadratic eigenvalue problem.
    """
    n0, n1, n2 = coefficients
    slope, curvature = (np.linalg.solve(n0 + n1 + n2, n) for n in (n1 + 2 * n2, n2))
    size = len(n0)
    companion = np.block([[np.zeros((size, size)), np.eye(size)], [-curvature, -slope]])
    found = np.linalg.eigvals(companion)
    far = np.abs(found) <= _NEARLY_INFINITE
    borders = np.unique(1 + 1 / found[(found.imag == 0) & ~far].real)
    pieces: list[tuple[float, float]] = []
    for low, high in pairwise([-inf, *borders.tolist(), inf]):
        t = min(max(1.0, low + 1), high - 1) if inf in (-low, high) else (low + high) / 2
        if np.linalg.eigvalsh(n0 + t * n1 + t * t * n2)[0] < 0:
            continue
        if pieces and pieces[-1][1] == low:
            low = pieces.pop()[0]
        pieces.append((low, high))
    ends = [(centre + unit * low, centre + unit * high) for low, high in pieces]
    if not ends:
        return AndersonRubin(inf, -inf, level)
    gaps = tuple((before[1], after[0]) for before, after in pairwise(ends))
    return AndersonRubin(ends[0][0], ends[-1][1], level, gaps=gaps)
