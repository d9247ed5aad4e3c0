"""Projection of an empirical c-factor on those that some law over response functions gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pyrocausal.bounding.distinct_states import grouped
from pyrocausal.bounding.program import import_scipy

__all__ = ["divergence", "project"]

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

_GAP = 1e-9
_MOST_STEPS = 500
_MOST_NEW = 100  # types taken up in a step
_SHORTEST = 1e-3  # step length at which the search along a direction ends


def project(cells: Codes, weights: Array) -> tuple[Array, Array]:
    r"""Return the law with the least Kullback-Leibler distance from an empirical table.

    As :math:`\log P(v) = \sum_S \log Q[S]`, this is maximum likelihood for a mixture of known
    components, concave in the law r. An EM step multiplies

    .. math:: r_k \leftarrow r_k g_k, \quad g_k = \sum_v w_v \frac{B_{vk}}{(Br)_v}

    and :math:`\max_k g_k - 1` bounds how much likelihood is left to gain. EM alone needs
    thousands of steps, so before each stands a Newton step under the law's constraints.

    Args:
        cells: Which cell a type falls into in each context, shape ``(contexts, types)``.
        weights: Share of the rows in each cell, summing to 1, shape ``(contexts, cells)``.

    Returns:
        The c-factor, shape ``(contexts, cells)``, and the law, shape ``(types,)``.

    References:
        Wang (2007), On fast computation of the non-parametric maximum likelihood estimate of a
        mixing distribution.
    """
    _, first, kind_of, sizes = np.unique(
        grouped(list(cells)), return_index=True, return_inverse=True, return_counts=True
    )
    kinds = cells[:, first]
    seen = weights.sum(1) > 0
    mixture = _Mixture(kinds[seen], weights[seen])
    law = np.full(kinds.shape[1], 1 / kinds.shape[1])
    for _ in range(_MOST_STEPS):
        gain = mixture.gain(law)
        if gain.max() < 1 + _GAP:
            break
        law = mixture.newton_step(law, gain)
        law = law * mixture.gain(law)
        law /= law.sum()
    return _image(kinds, law, weights.shape[1]), (law / sizes)[kind_of]


def divergence(weights: Array, table: Array, other: Array) -> float:
    """Return the mean over rows of ``log(table / other)``, in nats."""
    at = weights > 0
    return max(float(weights[at] @ np.log(table[at] / other[at])), 0.0)


@dataclass(frozen=True, eq=False)
class _Mixture:
    """Components, each the cells that a type falls into, and what they are to explain.

    Attributes:
        cells: Shape ``(contexts, types)``.
        weights: Shape ``(contexts, cells)``.
    """

    cells: Codes
    weights: Array

    def image(self, law: Array) -> Array:
        """Return the c-factor that a law gives."""
        return _image(self.cells, law, self.weights.shape[1])

    def likelihood(self, law: Array) -> float:
        """Return the mean log likelihood of a row."""
        image, at = self.image(law), self.weights > 0
        if (image[at] <= 0).any():
            return -np.inf
        return float(self.weights[at] @ np.log(image[at]))

    def gain(self, law: Array) -> Array:
        """Return the multipliers of an EM step, the gradient of the likelihood."""
        at = self.weights > 0
        ratio = np.divide(self.weights, self.image(law), out=np.zeros_like(self.weights), where=at)
        return np.asarray(np.take_along_axis(ratio, self.cells, 1).sum(0))

    def newton_step(self, law: Array, gain: Array) -> Array:
        """Return the maximum of the likelihood's quadratic form, or a point on the way to it.

        The form is least squares with non-negative coefficients that sum to 1, over the types
        that occur and those that promise most.
        """
        promising = np.argsort(-gain)[:_MOST_NEW]
        active = np.union1d(np.flatnonzero(law), promising[gain[promising] > 1])
        goal = np.zeros_like(law)
        goal[active] = _least_squares(*self._quadratic(law, active))
        now, length = self.likelihood(law), 1.0
        while length > _SHORTEST:
            trial = law + length * (goal - law)
            if self.likelihood(trial) > now:
                return trial
            length /= 2
        return law

    def _quadratic(self, law: Array, active: Codes) -> tuple[Array, Array]:
        """Return rows ``sqrt(w_v) B_vk / (B r)_v`` and targets ``2 sqrt(w_v)``."""
        image, at = self.image(law), self.weights > 0
        scale = np.divide(np.sqrt(self.weights), image, out=np.zeros_like(image), where=at)
        falls = self.cells[:, None, active] == np.arange(self.weights.shape[1])[:, None]
        rows = (scale[..., None] * falls)[at]
        return rows, 2 * np.sqrt(self.weights[at])


def _least_squares(rows: Array, targets: Array) -> Array:
    """Return non-negative coefficients that sum to 1 with the least squares (Haskell, Hanson)."""
    together = np.vstack([rows - targets[:, None], np.full((1, rows.shape[1]), 1.0)])
    right = np.append(np.zeros(len(rows)), 1.0)
    found, _ = import_scipy("optimize").nnls(together, right)
    return np.asarray(found / found.sum())


def _image(cells: Codes, law: Array, size: int) -> Array:
    return np.array([np.bincount(row, law, minlength=size) for row in cells])
