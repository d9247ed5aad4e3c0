"""Inverse probability weighting: arms made alike by the weights of their rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pyrocausal.estimation.finding import Finding, bootstrapped, by_influence
from pyrocausal.estimation.nuisance import Logistic, with_intercept
from pyrocausal.estimation.overlap import Overlap, propensities
from pyrocausal.estimation.study import Study
from pyrocausal.estimation.table import Array

__all__ = ["weighting"]


def weighting(
    study: Study,
    treatment_model: Any,
    trim: float | None,
    replicates: int,
    rng: np.random.Generator,
) -> Finding:
    r"""Estimate by Hájek's weighted means: ``sum w y / sum w`` in each arm.

    ``w = pi / e`` with ``pi`` the probability of the population; stabilised weights, which
    multiply all weights of an arm by its share, give the same.

    Args:
        study: The question.
        treatment_model: The propensity. Logistic regression has its interval from the influence
            function, with the part of the fitted propensity in it; another one by bootstrap.
        trim: The least propensity of a row that is kept.
        replicates: Bootstrap samples.
        rng: What draws them.
    """
    study.need_levels("weighting")
    everyone = np.arange(len(study.y))
    overlap = Overlap(study, propensities(study, treatment_model, everyone, everyone), trim)
    figures, warnings = overlap.notes()
    counts = [w.sum() ** 2 / (w**2).sum() for w in overlap.weights().T]
    notes: dict[str, Any] = {
        "details": {
            "method": "inverse probability weighting (Hájek)",
            "treatment model": repr(treatment_model),
            **figures,
            "effective rows": " and ".join(f"{n:.0f}" for n in counts),
        },
        "assumptions": ["the treatment model is right"],
        "warnings": warnings,
    }
    value, influence = _weighted(overlap)
    if isinstance(treatment_model, Logistic):
        return by_influence(value, influence + _through_propensity(overlap), study.naive, **notes)

    def statistic(index: npt.NDArray[np.intp]) -> tuple[float, float]:
        drawn = study.take(index)
        e = propensities(drawn, treatment_model, everyone, everyone)
        return _weighted(Overlap(drawn, e, trim))[0], drawn.naive[0]

    whole = value, study.naive[0]
    return bootstrapped(whole, statistic, len(everyone), replicates, rng, **notes)


def _weighted(overlap: Overlap) -> tuple[float, Array]:
    """Return the estimate, and each row's influence on it were the propensities known."""
    y, weights = overlap.study.y, overlap.weights()
    means = y @ weights / weights.sum(0)
    influence = weights * (y[:, None] - means) / weights.mean(0)
    return float(means[0] - means[1]), influence[:, 0] - influence[:, 1]


def _through_propensity(overlap: Overlap) -> Array:
    """Return each row's influence on the estimate by way of the fitted logits."""
    study = overlap.study
    whole = study.arms.any(axis=1).all()
    sides = (0,) if whole else (0, 1)
    models = [Logistic().fit(study.z, study.arms[:, side]) for side in sides]
    x, y = torch.tensor(with_intercept(study.z)), torch.tensor(study.y)
    used = torch.tensor(study.arms & overlap.kept[:, None])

    def effect(beta: torch.Tensor) -> torch.Tensor:
        e = torch.sigmoid(x @ beta.T)
        e = torch.stack([e[:, 0], 1 - e[:, 0] if whole else e[:, 1]], 1)
        if study.population != "all":
            share = e[:, :1] if study.population == "treated" else e[:, 1:]
        else:
            share = torch.ones_like(e[:, :1])
        weights = torch.where(used, share / e, 0.0)
        means = y @ weights / weights.sum(0)
        return means[0] - means[1]

    beta = torch.tensor(np.stack([model.coefficients for model in models]))
    slope = torch.func.grad(effect)(beta).numpy()
    moved = [m.influence(study.z, study.arms[:, s]) for m, s in zip(models, sides, strict=True)]
    return sum((i @ s for i, s in zip(moved, slope, strict=True)), np.zeros(len(study.y)))
