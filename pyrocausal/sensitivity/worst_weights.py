"""The largest mean that weights within bounds can give."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pyrocausal.sensitivity.columns import Array

__all__ = ["largest_mean", "largest_mean_given", "quantile_within"]


def largest_mean(y: Array, r: Array, factor: float) -> float:
    r"""Return ``max_z sum (1 + z r) y / sum (1 + z r)`` over z between 1 / factor and factor.

    The largest outcomes have the larger weight; only their number is sought.

    Args:
        y: Outcomes, shape ``(n,)``.
        r: Weights, not negative, shape ``(n,)``.
        factor: At least 1.

    Example:
        >>> print(f"{largest_mean(np.array([4.0, 3.0, 2.0, 1.0]), np.ones(4), 2.0):.4f}")
        2.8333
    """
    order = np.argsort(-y)
    y, r = y[order], r[order]
    gain = (factor - 1 / factor) * np.concatenate([[0.0], np.cumsum(r)])
    gain_y = (factor - 1 / factor) * np.concatenate([[0.0], np.cumsum(r * y)])
    least = 1 + r / factor
    return float(((least @ y + gain_y) / (least.sum() + gain)).max())


def largest_mean_given(y: Array, r: Array, factor: float, q: Array) -> float:
    """Return the limit that a function q of the covariates proves, where E[z | x] = 1.

    The z of the maximum sits at the side of q that y is on.

    Args:
        y: Outcomes, shape ``(n,)``.
        r: Weights, not negative, shape ``(n,)``.
        factor: At least 1.
        q: The function's value at each unit; the limit is least at the conditional quantile
            of level ``factor / (1 + factor)``.

    Example:
        >>> y = np.array([4.0, 3.0, 2.0, 1.0])
        >>> print(largest_mean_given(y, np.ones(4), 2.0, np.full(4, 3.0)))
        2.8125
    """
    above = y - q
    worst = q + np.where(above > 0, factor, 1 / factor) * above
    return float((y + r * worst).sum() / (1 + r).sum())


def quantile_within(y: Array, r: Array, strata: npt.NDArray[np.intp], level: float) -> Array:
    """Return for each unit the quantile of its stratum's outcomes, units weighted by r.

    Args:
        y: Outcomes, shape ``(n,)``.
        r: Weights, positive, shape ``(n,)``.
        strata: Number of each unit's stratum.
        level: Share of the weight at or below the quantile, less than 1.

    Example:
        >>> y, strata = np.array([4.0, 3.0, 2.0, 1.0]), np.array([0, 0, 1, 1])
        >>> print(quantile_within(y, np.ones(4), strata, 0.5))
        [3. 3. 1. 1.]
    """
    order = np.lexsort((y, strata))
    found = np.empty_like(y)
    for part in np.split(order, np.flatnonzero(np.diff(strata[order])) + 1):
        weight = np.cumsum(r[part])
        found[part] = y[part[np.searchsorted(weight, level * weight[-1])]]
    return found
