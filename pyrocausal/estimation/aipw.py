"""Augmented inverse probability weighting, cross-fitted: right if either model is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pyrocausal.estimation.finding import Finding, by_influence, median_of
from pyrocausal.estimation.nuisance import fitted_mean
from pyrocausal.estimation.overlap import Overlap, propensities
from pyrocausal.estimation.study import Study
from pyrocausal.estimation.table import Array

__all__ = ["aipw", "doubly_robust", "fold_of"]


def aipw(
    study: Study,
    outcome_model: Any,
    treatment_model: Any,
    splits: int,
    folds: int,
    trim: float | None,
    rng: np.random.Generator,
) -> Finding:
    """Estimate by AIPW, the models of each fold fitted to the other folds.

    Args:
        study: The question.
        outcome_model: Fitted in each arm.
        treatment_model: The propensity.
        splits: Random splits of the rows, over which the median is taken.
        folds: Parts of a split.
        trim: The least propensity of a row that is kept.
        rng: What splits.
    """
    study.need_levels("aipw")
    _check_arms(study, folds)
    findings, overlaps = [], []
    for _ in range(splits):
        means, e = _crossfitted(study, outcome_model, treatment_model, folds, rng)
        overlap = Overlap(study, e, trim)
        findings.append(by_influence(*doubly_robust(overlap, means), study.naive))
        overlaps.append(overlap)
    usual = np.median([overlap.propensities for overlap in overlaps], axis=0)
    kept = float(np.median([o.kept[study.members].mean() for o in overlaps]))
    figures, warnings = Overlap(study, usual, trim).notes(kept)
    figures = {
        "method": f"AIPW, {folds} folds, median of {splits} splits",
        "outcome model": f"{outcome_model!r} in each arm",
        "treatment model": repr(treatment_model),
        **figures,
    }
    rests = "one of the two models is right, or both come near the truth fast enough"
    return median_of(findings, details=figures, assumptions=[rests], warnings=warnings)


def doubly_robust(overlap: Overlap, means: Array) -> tuple[float, Array]:
    r"""Return the AIPW estimate from fitted models, and each row's influence on it.

    With ``g`` whether a row is of the population, ``pi`` the probability of that,

    .. math:: \psi = g (m_1 - m_0) + t \frac{\pi}{e} (y - m_1) - (1 - t) \frac{\pi}{1 - e}(y - m_0)

    and the estimate is ``mean(psi) / mean(g)``. All: ``g = pi = 1``; the treated: ``g = t``,
    ``pi = e``.

    Args:
        overlap: The propensities.
        means: Fitted mean outcomes under the two values, shape ``(n, 2)``.
    """
    study = overlap.study
    members = (study.members & overlap.kept).astype(np.float64)
    residuals = overlap.weights() * (study.y[:, None] - means)
    psi = members * (means[:, 0] - means[:, 1]) + residuals[:, 0] - residuals[:, 1]
    value = float(psi.sum() / members.sum())
    return value, (psi - members * value) / members.mean()


def _crossfitted(
    study: Study, outcome_model: Any, treatment_model: Any, folds: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Return means and propensities of each row by models that didn't see it."""
    fold = fold_of(study.arms, folds, rng)
    means, e = np.empty((2, len(fold), 2))
    for k in range(folds):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        e[test] = propensities(study, treatment_model, train, test)
        for side in (0, 1):
            fit = train[study.arms[train, side]]
            means[test, side] = fitted_mean(
                outcome_model, study.z[fit], study.y[fit], study.z[test]
            )
    return means, e


def fold_of(
    arms: npt.NDArray[np.bool_], folds: int, rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Return the fold of each row, at random but with each arm spread evenly.

    Args:
        arms: Which rows are in which arm, shape ``(n, arms)``.
        folds: Number of folds.
        rng: What draws them.
    """
    order = rng.permutation(len(arms))
    numbers = np.arange(1, arms.shape[1] + 1)
    order = order[np.argsort(arms[order] @ numbers, kind="stable")]
    fold = np.empty(len(arms), dtype=np.intp)
    fold[order] = np.arange(len(arms)) % folds
    return fold


def _check_arms(study: Study, folds: int) -> None:
    for value, arm in zip(study.values, study.arms.T, strict=True):
        if arm.sum() < folds:
            raise ValueError(
                f"estimate: only {int(arm.sum())} rows have {study.treatment}={value}; expected at "
                f"least one for each of {folds} folds. Use fewer folds, or more data."
            )
