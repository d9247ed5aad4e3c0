"""Projection of an empirical c-factor on those that some law over response functions gives."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["divergence", "project"]

Array = npt.NDArray[np.float64]

_GAP = 1e-9
_MOST_STEPS = 20_000


def project(cells: npt.NDArray[np.intp], weights: Array) -> tuple[Array, Array]:
    r"""Return the law with the least Kullback-Leibler distance from an empirical table.

    As :math:`\log P(v) = \sum_S \log Q[S]`, this is maximum likelihood for a mixture with known
    components, concave in the law; EM climbs it, each step multiplying

    .. math:: r_k \leftarrow r_k \sum_v w_v \frac{B_{vk}}{(Br)_v}

    and the greatest of these multipliers, less 1, says how much likelihood is left to gain.

    Args:
        cells: Which cell a type falls into in each context, shape ``(contexts, types)``.
        weights: Share of the rows in each cell, summing to 1, shape ``(contexts, cells)``.

    Returns:
        The c-factor, shape ``(contexts, cells)``, and the law, shape ``(types,)``.
    """
    kinds, kind_of, sizes = np.unique(cells, axis=1, return_inverse=True, return_counts=True)
    seen = weights.sum(1) > 0
    kinds_seen, weights_seen = kinds[seen], weights[seen]
    law = np.full(kinds.shape[1], 1 / kinds.shape[1])
    for step in range(_MOST_STEPS):
        gain = _gain(kinds_seen, weights_seen, law)
        if gain.max() < 1 + _GAP:
            break
        # An accelerated step now and then, kept only where it gains.
        law = law * gain if step % 3 else _leap(kinds_seen, weights_seen, law, gain)
    law /= law.sum()
    return _image(kinds, law, weights.shape[1]), (law / sizes)[kind_of.reshape(-1)]


def divergence(weights: Array, table: Array, other: Array) -> float:
    """Return the mean over rows of ``log(table / other)``, in nats."""
    at = weights > 0
    return max(float(weights[at] @ np.log(table[at] / other[at])), 0.0)


def _image(cells: npt.NDArray[np.intp], law: Array, size: int) -> Array:
    """Return the c-factor that a law gives."""
    return np.array([np.bincount(row, law, minlength=size) for row in cells])


def _gain(cells: npt.NDArray[np.intp], weights: Array, law: Array) -> Array:
    """Return the multipliers of an EM step."""
    image = _image(cells, law, weights.shape[1])
    ratio = np.divide(weights, image, out=np.zeros_like(weights), where=weights > 0)
    return np.asarray(np.take_along_axis(ratio, cells, 1).sum(0))


def _likelihood(cells: npt.NDArray[np.intp], weights: Array, law: Array) -> float:
    image = _image(cells, law, weights.shape[1])
    at = weights > 0
    return float(weights[at] @ np.log(np.maximum(image[at], 1e-300)))


def _leap(cells: npt.NDArray[np.intp], weights: Array, law: Array, gain: Array) -> Array:
    """Return the best of ever longer steps along EM's direction, on the log scale."""
    best, value = law * gain, -np.inf
    log_gain = np.log(np.maximum(gain, 1e-12))
    length = 1.0
    while True:
        trial = law * np.exp(length * log_gain)
        trial /= trial.sum()
        likelihood = _likelihood(cells, weights, trial)
        if likelihood <= value:
            return best
        best, value, length = trial, likelihood, 4 * length
