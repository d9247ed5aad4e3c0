"""Confidence intervals for a number of which data tell a range only."""

from __future__ import annotations

from math import inf
from statistics import NormalDist

__all__ = ["imbens_manski"]

_NORMAL = NormalDist()


def imbens_manski(
    lower: float, upper: float, se_lower: float, se_upper: float, level: float = 0.95
) -> tuple[float, float]:
    r"""Return limits that hold the true number, not the whole range, with a probability.

    .. math::
        [L - c \, se_L, \; U + c \, se_U], \quad
        \Phi\Bigl(c + \frac{U - L}{\max(se_L, se_U)}\Bigr) - \Phi(-c) = level

    Where the range is wide, the truth can be near one of its ends at most: :math:`c` falls from
    the two-sided to the one-sided normal quantile, from 1.96 to 1.645.

    Args:
        lower: Lower end of the range, L.
        upper: Upper end, U.
        se_lower: Standard error of the lower end.
        se_upper: Standard error of the upper end.
        level: Probability that the limits hold the truth, wherever in the range it is.

    Raises:
        ValueError: Ends in the wrong order or not finite, a negative standard error, a level that
            is no probability.

    Example:
        >>> lower, upper = imbens_manski(0.0, 5.0, 1.0, 1.0)
        >>> print(f"[{lower:.3f}, {upper:.3f}]")
        [-1.645, 6.645]

    References:
        Imbens and Manski (2004), "Confidence intervals for partially identified parameters",
        Econometrica 72(6).
    """
    if not -inf < lower <= upper < inf:
        raise ValueError(f"imbens_manski got the range [{lower!r}, {upper!r}]; expected its ends.")
    if not (0 <= se_lower < inf and 0 <= se_upper < inf):
        raise ValueError(
            f"imbens_manski got the standard errors {se_lower!r} and {se_upper!r}; expected "
            "finite numbers from 0."
        )
    if not 0 < level < 1:
        raise ValueError(f"imbens_manski got level={level!r}; expected a probability like 0.95.")
    largest = max(se_lower, se_upper)
    c = _reach((upper - lower) / largest, level) if largest else 0.0
    return lower - c * se_lower, upper + c * se_upper


def _reach(width: float, level: float) -> float:
    """Return c, by bisection between the one-sided and the two-sided quantile."""
    low, high = _NORMAL.inv_cdf(level), _NORMAL.inv_cdf((1 + level) / 2)
    for _ in range(60):
        middle = (low + high) / 2
        covered = _NORMAL.cdf(middle + width) - _NORMAL.cdf(-middle)
        low, high = (middle, high) if covered < level else (low, middle)
    return high
