"""Tests of conditional independence on rows of data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pyrocausal.errors import UnknownVariable
from pyrocausal.identification.tables import Array

__all__ = ["Column", "IndependenceTest", "independence", "read_column"]

_MOST_LEVELS = 10
"""A column of numbers with more different values than these counts as continuous."""

_LEAST_EXPECTED = 5.0
"""The chi-squared law of the G-test is trusted from so many rows expected in a cell, on average."""


@dataclass(frozen=True, eq=False)
class Column:
    """A variable's values.

    Attributes:
        name: The variable.
        values: Numbers, or the places of the values among ``levels``, shape ``(rows,)``.
        levels: How many different values a discrete variable takes; 0 for a continuous one.
    """

    name: str
    values: Array
    levels: int


@dataclass(frozen=True)
class IndependenceTest:
    """What a test of independence gave.

    Attributes:
        method: ``"G-test"`` or ``"partial covariance"``.
        statistic: The statistic, chi-squared under independence.
        dof: Its degrees of freedom.
        p: The probability of one as large under independence.
    """

    method: str
    statistic: float
    dof: int
    p: float


def read_column(data: Mapping[str, Any], name: str) -> Column:
    """Return a column, discrete if it holds labels or few different whole numbers.

    Raises:
        UnknownVariable: There is no such column.
        ValueError: It has missing values, or is no column.
    """
    if name not in data:
        raise UnknownVariable(name, data, "check(data)")
    values = np.asarray(data[name])
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(
            f"check: the column {name!r} has shape {values.shape}; expected one value a row and "
            "at least two rows."
        )
    if any(value is None or value != value for value in values.tolist()):
        raise ValueError(
            f"check: the column {name!r} has missing values; expected a value in each row. Drop "
            "these rows if they are missing at random, or impute them."
        )
    numeric = values.dtype.kind in "iufb"
    levels, places = np.unique(values if numeric else values.astype(str), return_inverse=True)
    whole = not numeric or bool((levels == np.round(levels.astype(float))).all())
    if not numeric or (whole and len(levels) <= _MOST_LEVELS):
        return Column(name, places.astype(float), len(levels))
    return Column(name, values.astype(float), 0)


def independence(x: Column, y: Column, given: Sequence[Column] = ()) -> IndependenceTest:
    """Test whether ``x _||_ y | given``.

    Discrete variables are tested stratum by stratum (G-test), while strata are well filled. All
    others by the covariance of the residuals of x and y on ``given``: its square over its
    estimated variance (robust, so that spreads may differ between rows), with an indicator for
    each value of a discrete variable. The second is right in level if the means of x and y are
    linear in the continuous ones of ``given`` (and anything in the discrete ones), and sees what
    moves the mean.

    Example:
        >>> x = np.arange(8.0)
        >>> independence(Column("x", x, 0), Column("y", x % 2 * 1.0, 2)).method
        'partial covariance'

    References:
        Shah, Peters (2020), The hardness of conditional independence testing and the generalised
        covariance measure.
    """
    if x.levels and y.levels and all(column.levels for column in given):
        counts = _counts(x, y, _strata(given, len(x.values)))
        result, expected = _g_test(counts)
        if expected >= _LEAST_EXPECTED:
            return result
    return _partial_covariance(x, y, given)


def _strata(given: Sequence[Column], rows: int) -> npt.NDArray[np.intp]:
    """Return the stratum of each row, one for each combination of values that occurs."""
    if not given:
        return np.zeros(rows, dtype=np.intp)
    table = np.stack([column.values for column in given], 1)
    return np.unique(table, axis=0, return_inverse=True)[1].reshape(-1)


def _counts(x: Column, y: Column, strata: npt.NDArray[np.intp]) -> Array:
    shape = (int(strata.max()) + 1, x.levels, y.levels)
    places = np.stack([strata, x.values.astype(int), y.values.astype(int)])
    cells = np.ravel_multi_index(tuple(places), shape)
    return np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape).astype(float)


def _g_test(counts: Array) -> tuple[IndependenceTest, float]:
    """Return the test, and how many rows were expected in a cell, on average."""
    rows, columns = counts.sum(2, keepdims=True), counts.sum(1, keepdims=True)
    expected = rows * columns / counts.sum((1, 2), keepdims=True)
    seen = counts > 0
    statistic = 2 * float((counts[seen] * np.log(counts[seen] / expected[seen])).sum())
    # Values that don't occur in a stratum have no freedom there.
    dof = int((((rows > 0).sum((1, 2)) - 1) * ((columns > 0).sum((1, 2)) - 1)).sum())
    result = IndependenceTest("G-test", statistic, dof, _tail(statistic, dof))
    return result, float(counts.sum() / (expected > 0).sum())


def _partial_covariance(x: Column, y: Column, given: Sequence[Column]) -> IndependenceTest:
    n = len(x.values)
    strata = _strata([column for column in given if column.levels], n)
    smooth = [_numbers(column) for column in given if not column.levels]
    design = _centred(np.hstack([np.zeros((n, 0)), *smooth]), strata)
    rx, ry = (_residuals(design, _centred(_numbers(column), strata)) for column in (x, y))
    rank = int(np.linalg.matrix_rank(design)) if smooth else 0
    freedom = max(n - int(strata.max()) - 1 - rank, 0)
    products = (rx[:, :, None] * ry[:, None, :]).reshape(n, -1)
    mean = products.mean(0)
    variance = np.atleast_2d(np.cov(products, rowvar=False, bias=True))
    dof = int(np.linalg.matrix_rank(variance, hermitian=True))
    statistic = float(freedom * mean @ np.linalg.pinv(variance, hermitian=True) @ mean)
    return IndependenceTest("partial covariance", statistic, dof, _tail(statistic, dof))


def _numbers(column: Column) -> Array:
    """Return numbers in units of their spread, or an indicator of each discrete value but one."""
    if column.levels:
        indicators: Array = np.eye(column.levels)[column.values.astype(int)]
        return indicators[:, 1:]
    centred: Array = column.values - column.values.mean()
    return centred.reshape(-1, 1) / max(float(centred.std()), np.finfo(float).tiny)


def _centred(values: Array, strata: npt.NDArray[np.intp]) -> Array:
    """Return values less the mean of their stratum."""
    sums = np.zeros((int(strata.max()) + 1, values.shape[1]))
    np.add.at(sums, strata, values)
    centred: Array = values - (sums / np.bincount(strata)[:, None])[strata]
    return centred


def _residuals(design: Array, values: Array) -> Array:
    """Return the residuals of a regression."""
    residuals: Array = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    # What the regression explains up to rounding has no residual.
    residuals[:, np.abs(residuals).max(0) < 1e-10] = 0.0
    return residuals


def _tail(statistic: float, dof: int) -> float:
    """Return the upper tail of the chi-squared law."""
    if dof == 0:
        return 1.0
    half = torch.tensor([dof / 2, max(statistic, 0.0) / 2], dtype=torch.float64)
    return float(torch.special.gammaincc(half[0], half[1]))
