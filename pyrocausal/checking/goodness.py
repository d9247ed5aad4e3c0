"""Goodness of fit: are numbers uniform, are two samples of one law, are two columns independent?"""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from pyrocausal.identification.independence import Column, independence

__all__ = [
    "Array",
    "associated",
    "joined",
    "kolmogorov",
    "randomized_ranks",
    "rank_correlation",
    "same_law",
    "uniformity",
]

Array = npt.NDArray[np.float64]

CELLS: Final = 20
"""The most cells of a chi-square test; values that are fewer are a cell each."""
_FEWEST: Final = 10  # numbers that are expected in a cell


def uniformity(u: Array) -> tuple[float, dict[str, float]]:
    """Test whether numbers are uniform on (0, 1).

    Args:
        u: The numbers, shape ``(n,)``.

    Returns:
        The largest distance of the distribution functions, and p-values of the Kolmogorov-Smirnov
        and the chi-square test.

    Example:
        >>> distance, tests = uniformity((np.arange(100) + 0.5) / 100)
        >>> round(distance, 3), tests
        (0.005, {'KS': 1.0, 'chi-square': 1.0})
    """
    n, ordered = len(u), np.sort(u)
    steps = np.arange(n + 1) / n
    distance = float(max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max()))
    cells = max(2, min(CELLS, n // _FEWEST))
    counts = np.histogram(u, cells, (0.0, 1.0))[0]
    statistic = float(((counts - n / cells) ** 2).sum() / (n / cells))
    half = torch.tensor([(cells - 1) / 2, statistic / 2], dtype=torch.float64)
    p = float(torch.special.gammaincc(half[0], half[1]))
    return distance, {"KS": kolmogorov(distance, n), "chi-square": p}


def same_law(x: Array, y: Array, rng: np.random.Generator) -> tuple[float, dict[str, float]]:
    """Test whether two samples are of one law; ties are broken at random, the same in both.

    Args:
        x: Numbers, shape ``(n,)``.
        y: Others, shape ``(m,)``.
        rng: Breaks ties.

    Returns:
        As `uniformity`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> same_law(np.arange(99.0), np.arange(99.0) + 80, rng)[1]["KS"] < 1e-9
        True
    """
    n, m = len(x), len(y)
    pooled = np.concatenate([x, y])
    _, place = np.unique(pooled, return_inverse=True)
    from_x = np.arange(n + m) < n
    first = from_x[np.lexsort((rng.random(n + m), place))]
    distance = float(np.abs(np.cumsum(first) / n - np.cumsum(~first) / m).max())
    group = Column("sample", from_x.astype(float), 2)
    p = independence(group, _cut(pooled, max(2, min(CELLS, (n + m) // (2 * _FEWEST))))).p
    return distance, {"KS": kolmogorov(distance, n * m / (n + m)), "chi-square": p}


def joined(results: Sequence[tuple[float, dict[str, float]]]) -> tuple[float, dict[str, float]]:
    """Join the results of a variable's components: the largest distance, Bonferroni's p-values.

    Example:
        >>> joined([(0.1, {"KS": 0.3}), (0.2, {"KS": 0.01})])
        (0.2, {'KS': 0.02})
    """
    distances, tests = zip(*results, strict=True)
    least = {name: min(test[name] for test in tests) for name in tests[0]}
    return max(distances), {name: min(1.0, len(tests) * p) for name, p in least.items()}


def associated(x: Array, y: Array) -> float:
    """Return the p-value of a chi-square test of independence, on five by five cells.

    It sees dependence of any form: of mean, spread or shape.
    """
    return independence(_cut(x, 5), _cut(y, 5)).p


def rank_correlation(x: Array, y: Array) -> tuple[float, float]:
    """Return Spearman's correlation, and its p-value.

    Example:
        >>> x = np.arange(10.0)
        >>> round(rank_correlation(x, -(x**3))[0], 6)
        -1.0
    """
    ranks = [np.argsort(np.argsort(v)).astype(float) for v in (x, y)]
    if len(x) < 3 or any((v == v[0]).all() for v in (x, y)):
        return 0.0, 1.0
    r = float(np.clip(np.corrcoef(ranks[0], ranks[1])[0, 1], -1.0, 1.0))
    return r, erfc(abs(r) * sqrt((len(x) - 1) / 2))


def randomized_ranks(values: Array, draws: Array, rng: np.random.Generator) -> Array:
    """Return the rank of each value among its draws, on (0, 1), ties broken at random.

    Of a value and draws of one law the rank is uniform, continuous or not.

    Args:
        values: Shape ``(n,)``.
        draws: Shape ``(draws, n)``, or ``(draws, 1)`` for the same ones.
        rng: Breaks ties.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> ranks = randomized_ranks(np.array([-1.0, 9.0]), np.arange(9.0)[:, None], rng)
        >>> (ranks * 10).astype(int)
        array([0, 9])
    """
    below, tied = (draws < values).sum(0), (draws == values).sum(0)
    ranks: Array = (below + (tied + 1) * rng.random(len(values))) / (len(draws) + 1)
    return ranks


def kolmogorov(distance: float, size: float) -> float:
    """Return the p-value of a Kolmogorov-Smirnov distance.

    Args:
        distance: The largest distance of the distribution functions.
        size: Number of values; of two samples ``n m / (n + m)``.

    References:
        Stephens (1970), Use of the Kolmogorov-Smirnov, Cramer-von Mises and related statistics
        without extensive tables.
    """
    scaled = (sqrt(size) + 0.12 + 0.11 / sqrt(size)) * distance
    if scaled < 0.2:  # the series is slow there, and 1 to twelve digits
        return 1.0
    k = np.arange(1, 101)
    terms = np.where(k % 2, 2.0, -2.0) * np.exp(-2 * (k * scaled) ** 2)
    return float(np.clip(terms.sum(), 0.0, 1.0))


def _cut(values: Array, cells: int) -> Column:
    """Return a column of at most so many levels, each with about as many values."""
    levels, place = np.unique(values, return_inverse=True)
    if len(levels) > cells:
        edges = np.quantile(values, np.arange(1, cells) / cells)
        place = np.unique(np.searchsorted(edges, values, side="right"), return_inverse=True)[1]
    return Column("value", place.astype(float), int(place.max()) + 1)
