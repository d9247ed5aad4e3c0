"""Sampling error: exact simultaneous limits for the cells of conditional tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pyrocausal.bounding.program import import_scipy

__all__ = ["clopper_pearson", "conditional_limits", "free_cells"]

Array = npt.NDArray[np.float64]


def clopper_pearson(counts: Array, totals: Array, level: float) -> tuple[Array, Array]:
    """Return exact limits for binomial probabilities.

    Args:
        counts: Number of successes.
        totals: Number of trials; 0 gives the limits 0 and 1.
        level: Probability that a limit pair misses, half on each side.

    Example:
        >>> import numpy as np
        >>> low, high = clopper_pearson(np.array([5.0]), np.array([10.0]), 0.05)
        >>> print(low.round(3), high.round(3))
        [0.187] [0.813]

    References:
        Clopper, Pearson (1934), The use of confidence or fiducial limits.
    """
    beta = import_scipy("stats").beta
    left = totals - counts
    low, high = np.zeros_like(counts), np.ones_like(counts)
    some, less = counts > 0, left > 0
    low[some] = beta.ppf(level / 2, counts[some], left[some] + 1)
    high[less] = beta.ppf(1 - level / 2, counts[less] + 1, left[less])
    return low, high


def conditional_limits(counts: Array, conditions: int, level: float) -> tuple[Array, Array]:
    """Return limits for the cells of a conditional table.

    Args:
        counts: Number of rows, the axes of the conditions first.
        conditions: Number of these axes.
        level: Probability that the limits of one cell miss.
    """
    totals = counts.sum(tuple(range(conditions, counts.ndim)), keepdims=True)
    return clopper_pearson(counts, np.broadcast_to(totals, counts.shape), level)


def free_cells(tables: Sequence[tuple[Array, int]]) -> int:
    """Return how many limits conditional tables need, each a table and its number of conditions.

    Where nothing was seen there is nothing to miss; two cells that sum to 1 need one pair of
    limits.
    """
    number = 0
    for counts, conditions in tables:
        seen = counts.reshape(*counts.shape[:conditions], -1)
        cells = seen.shape[-1]
        number += int((seen.sum(-1) > 0).sum()) * (cells if cells > 2 else cells - 1)
    return max(number, 1)
