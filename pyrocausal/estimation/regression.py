"""Standardisation: mean outcomes by regression, averaged over the population's covariates."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pyrocausal.estimation.designs import Amount, Design
from pyrocausal.estimation.finding import Finding, bootstrapped, by_influence
from pyrocausal.estimation.nuisance import LeastSquares, fitted_mean, with_intercept
from pyrocausal.estimation.study import Study
from pyrocausal.estimation.table import Array

__all__ = ["regression"]


def regression(
    study: Study, outcome_model: Any, replicates: int, rng: np.random.Generator
) -> Finding:
    """Estimate by the g-formula: ``mean of m(a, Z) - m(b, Z)``.

    A treatment of few levels has a regression in each arm; a dose enters it with its square and
    its products with the covariates.

    Args:
        study: The question.
        outcome_model: What has ``fit`` and ``predict``. Least squares has its interval from the
            influence function, which needs no right model; another one by bootstrap.
        replicates: Bootstrap samples.
        rng: What draws them.
    """
    notes: dict[str, Any] = {
        "details": {
            "method": "standardisation",
            "outcome model": f"{outcome_model!r} "
            + ("in each arm" if study.has_levels else "on dose and covariates"),
        },
        "assumptions": ["the outcome model is right"],
        "warnings": _beyond(study),
    }
    if isinstance(outcome_model, LeastSquares):
        naive = _by_least_squares(study, study.z[:, :0])
        return by_influence(*_by_least_squares(study, study.z), naive, **notes)

    def statistic(index: npt.NDArray[np.intp]) -> tuple[float, float]:
        drawn = study.take(index)
        naive, _ = _by_least_squares(drawn, drawn.z[:, :0], members=False)
        return _standardised(drawn, outcome_model), naive

    everyone = np.arange(len(study.y))
    return bootstrapped(statistic(everyone), statistic, len(everyone), replicates, rng, **notes)


def _by_least_squares(study: Study, z: Array, members: bool = True) -> tuple[float, Array]:
    """Return the estimate and each row's influence on it."""
    x, contrast = _bases(study, z)
    whose = study.members.astype(np.float64) if members else np.ones(len(z))
    beta = np.linalg.lstsq(x, study.y, rcond=None)[0]
    effects = contrast @ beta
    value = float(effects @ whose / whose.sum())
    average = whose @ contrast / whose.sum()
    inverse = np.linalg.pinv(x.T @ x / len(x), hermitian=True)
    fitted = (x @ (inverse @ average)) * (study.y - x @ beta)
    return value, whose / whose.mean() * (effects - value) + fitted


def _bases(study: Study, z: Array) -> tuple[Array, Array]:
    """Return the regressors of each row, and their change from the second value to the first."""
    if study.has_levels:
        x = with_intercept(z)
        arms = study.arms[:, :, None]
        return np.concatenate(arms.transpose(1, 0, 2) * x, axis=1), np.column_stack([x, -x])
    at = _dose(study)
    seen, first, second = (
        with_intercept(np.column_stack([z, t, *(t[:, :1] * z).T]))
        for t in (at(study.rows.columns[study.treatment]), *map(at, study.values))
    )
    return seen, first - second


def _standardised(study: Study, model: Any) -> float:
    members, z = study.members, study.z
    if study.has_levels:
        first, second = (
            fitted_mean(model, z[arm], study.y[arm], z[members]) for arm in study.arms.T
        )
        return float((first - second).mean())
    at = _dose(study)
    seen = np.column_stack([at(study.rows.columns[study.treatment]), z])
    both = np.concatenate([np.column_stack([at(v), z])[members] for v in study.values])
    first, second = np.split(fitted_mean(model, seen, study.y, both), 2)
    return float((first - second).mean())


def _dose(study: Study) -> Any:
    """Return what makes the columns of a dose, of one value or one a row."""
    design = Design.of(study.rows, [study.treatment], squares=study.squares)

    def columns(values: Any) -> Array:
        whole = np.broadcast_to(np.asarray(values, dtype=np.float64), len(study.y))
        return design.matrix({study.treatment: whole})

    if not all(isinstance(term, Amount) for term in design.terms):
        study.need_levels("regression")
    return columns


def _beyond(study: Study) -> list[str]:
    if study.has_levels:
        return []
    seen = study.rows.columns[study.treatment]
    outside = [f"{v:g}" for v in study.values if not seen.min() <= v <= seen.max()]
    if not outside:
        return []
    return [
        f"{study.treatment}={', '.join(outside)} lies outside of what was seen "
        f"({seen.min():.4g} to {seen.max():.4g}): the answer is extrapolated"
    ]
