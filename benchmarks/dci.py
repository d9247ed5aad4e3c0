"""Disentanglement, completeness, informativeness of codes, by importances of a sparse regression."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["dci"]

PENALTY = 0.01
"""Of the lasso, on standardised columns."""
ITERATIONS = 500


def dci(codes: NDArray[Any], factors: NDArray[Any]) -> dict[str, float]:
    """Return disentanglement, completeness and informativeness, each at most 1.

    ``R[i, j]`` is the absolute coefficient of code i for factor j in a lasso with squares and
    products, summed over the terms of the code. Dependent factors keep disentanglement below 1
    even for perfect codes.

    Args:
        codes: What a model reads from images, shape ``(units, codes)``.
        factors: The true variables, ``(units, factors)``.

    References:
        Eastwood, Williams (2018), A framework for the quantitative evaluation of disentangled
        representations.
    """
    x, y = _standard(codes), _standard(factors)
    half = len(x) // 2
    terms = np.concatenate([x, _standard(x**2)], 1)
    weights = _lasso(terms[:half], y[:half])
    rest = y[half:] - terms[half:] @ weights
    importance = np.abs(weights).reshape(2, x.shape[1], -1).sum(0)
    share = importance.sum(1) / importance.sum()
    return {
        "disentanglement": float(share @ (1 - _entropy(importance))),
        "completeness": float(np.mean(1 - _entropy(importance.T))),
        "informativeness": float(np.mean(1 - rest.var(0) / y[half:].var(0))),
    }


def _standard(x: NDArray[Any]) -> NDArray[Any]:
    return np.asarray((x - x.mean(0)) / np.maximum(x.std(0), 1e-12))


def _lasso(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """Minimise ``|y - x w|^2 / 2n + penalty |w|`` by proximal gradient steps."""
    gram, target = x.T @ x / len(x), x.T @ y / len(x)
    rate = 1 / np.linalg.eigvalsh(gram)[-1]
    weights = np.zeros_like(target)
    for _ in range(ITERATIONS):
        moved = weights - rate * (gram @ weights - target)
        weights = np.sign(moved) * np.maximum(np.abs(moved) - rate * PENALTY, 0.0)
    return np.asarray(weights)


def _entropy(rows: NDArray[Any]) -> NDArray[Any]:
    """Return the entropy of each row as a distribution, in units of that of the uniform one."""
    p = rows / np.maximum(rows.sum(1, keepdims=True), 1e-12)
    return np.asarray(-(p * np.log(np.maximum(p, 1e-12))).sum(1) / np.log(rows.shape[1]))
