"""Who has a chance of either treatment: propensities checked, and rows trimmed by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyrocausal.estimation.nuisance import fitted_probability
from pyrocausal.estimation.study import Study, shown
from pyrocausal.estimation.table import Array

__all__ = ["Overlap", "propensities"]

_RARE = 0.01
"""A propensity below it is worth a warning."""


def propensities(study: Study, model: Any, train: npt.NDArray[Any], at: npt.NDArray[Any]) -> Array:
    """Return the probabilities of the two values given the covariates, shape ``(len(at), 2)``.

    Each is fitted on all training rows, against all other levels; of two levels the second is the
    first one's complement.

    Args:
        study: The question.
        model: What has ``fit`` and ``predict_proba``.
        train: Places of the rows to fit to.
        at: Places of the rows to predict at.
    """
    first = fitted_probability(model, study.z[train], study.arms[train, 0], study.z[at])
    if study.arms.any(axis=1).all():
        return np.column_stack([first, 1 - first])
    second = fitted_probability(model, study.z[train], study.arms[train, 1], study.z[at])
    return np.column_stack([first, second])


@dataclass(frozen=True, eq=False)
class Overlap:
    """The propensities of rows, and which rows are kept.

    Attributes:
        study: The question.
        propensities: Probabilities of the two values, shape ``(n, 2)``.
        trim: The least propensity of a row that is kept; None keeps all.
    """

    study: Study
    propensities: Array
    trim: float | None

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        """Which rows are kept, shape ``(n,)``.

        Raises:
            ValueError: None of the population is.
        """
        if self.trim is None:
            return np.ones(len(self.propensities), dtype=bool)
        kept: npt.NDArray[np.bool_] = self.propensities.min(axis=1) >= self.trim
        if not (kept & self.study.members).any():
            raise ValueError(
                f"estimate: trim={self.trim:g} leaves no row of the population, whose propensities "
                f"reach from {self.propensities.min():.3g} to {self.propensities.max():.3g}. "
                "Trim less."
            )
        return kept

    def weights(self) -> Array:
        """Return the weight of each row in the arm it is in, 0 in the other, shape ``(n, 2)``.

        Raises:
            ValueError: A propensity of 0 in the row's own arm.
        """
        used = self.study.arms & self.kept[:, None]
        impossible = used & (self.propensities <= 0)
        if impossible.any():
            raise ValueError(
                f"estimate: positivity: {int(impossible.sum())} rows have a propensity of 0 of the "
                "value that they have. Give trim= (such as .02), a smoother treatment_model, or "
                "fewer covariates."
            )
        share = self.study.share(self.propensities)[:, None]
        weights = np.zeros(self.propensities.shape)
        np.divide(share, self.propensities, out=weights, where=used)
        return weights

    def notes(self, share: float | None = None) -> tuple[dict[str, str], list[str]]:
        """Return figures and warnings for the card.

        Args:
            share: Share of the population that is kept, where it isn't that of this object.
        """
        e, members = self.propensities, self.study.members
        treatment, figures = self.study.treatment, {}
        for value, own in zip(self.study.values, e.T, strict=True):
            span = f"{own.min():.3g} to {own.max():.3g}"
            figures[f"propensity of {treatment}={shown(value)}"] = span
        if self.trim is not None:
            share = float(self.kept[members].mean()) if share is None else share
            figures["population"] = (
                f"{'all' if self.study.population == 'all' else self.study.population} whose "
                f"propensity of either value is at least {self.trim:g}: {100 * share:.1f} % of them"
            )
            return figures, []
        rare = int((e[members] < _RARE).any(axis=1).sum())
        if not rare:
            return figures, []
        warning = (
            f"overlap: {rare} rows have a propensity below {_RARE:g} of one of the values, so that "
            "the answer leans on few; trim=0.01 asks about the others"
        )
        return figures, [warning]
