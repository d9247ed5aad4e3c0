"""The columns an effect was estimated from, and what simple regressions say of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pyrocausal.engine.evidence import columns_of
from pyrocausal.errors import UnknownVariable
from pyrocausal.estimation.nuisance import LeastSquares, Logistic
from pyrocausal.sensitivity.columns import Array, numbers
from pyrocausal.sensitivity.omitted_variables import Strength, benchmark, ovb_bounds
from pyrocausal.sensitivity.regressions import (
    LinearModel,
    columns_of_covariate,
    standardized,
)
from pyrocausal.sensitivity.report_card import Benchmark, Regression

__all__ = ["Study"]


@dataclass(frozen=True, eq=False)
class Study:
    """Treatment, outcome and covariates of some units.

    Attributes:
        treatment: Name of the treatment.
        t: Treatment, shape ``(n,)``.
        y: Outcome, shape ``(n,)``.
        covariates: Name to the columns that stand for it, shape ``(n, k)``.

    Example:
        >>> data = {"t": [0, 1, 0, 1, 0], "y": [0.0, 2.0, 1.0, 3.0, 0.5]}
        >>> print(Study.read(data, "t", "y", []).regression)
        2 (se 0.53, t 3.79, df 3)
    """

    treatment: str
    t: Array
    y: Array
    covariates: Mapping[str, Array]

    @classmethod
    def read(cls, data: Any, treatment: str, outcome: str, covariates: Sequence[str]) -> Study:
        """Read and check the columns.

        Raises:
            UnknownVariable: A name that is no column.
            TypeError: Values that are no numbers, or covariates that are no list.
            ValueError: Missing values, a constant outcome, or a name that is there twice.
        """
        if isinstance(covariates, str):
            raise TypeError(f"report got covariates={covariates!r}; expected a list of names.")
        found, names = columns_of(data, "data"), (treatment, outcome, *covariates)
        for name in names:
            if name not in found:
                raise UnknownVariable(name, found, "report", kind="column")
        if len(set(names)) < len(names):
            raise ValueError(
                f"report got {', '.join(names)}; expected each name once: a treatment, an outcome "
                "and covariates."
            )
        y = numbers(found[outcome], outcome)
        if np.ptp(y) == 0:
            raise ValueError(f"report: the outcome {outcome!r} is {y[0]:g} in all units.")
        t = numbers(found[treatment], treatment, len(y))
        columns = {n: columns_of_covariate(found[n], n, len(y)) for n in covariates}
        return cls(treatment, t, y, columns)

    @cached_property
    def outcome_model(self) -> LinearModel:
        """The outcome on treatment and covariates."""
        return LinearModel(self.y, {self.treatment: self.t[:, None], **self.covariates})

    @cached_property
    def treatment_model(self) -> LinearModel:
        """The treatment on the covariates."""
        return LinearModel(self.t, self.covariates)

    @cached_property
    def regression(self) -> Regression:
        """The outcome model's coefficient of the treatment."""
        fitted, name = self.outcome_model, self.treatment
        return Regression(fitted.coefficient(name), fitted.se(name), fitted.df)

    def benchmarks(
        self, names: Collection[str] | Mapping[str, Sequence[str]], times: Sequence[float]
    ) -> tuple[Benchmark, ...]:
        """Return confounders as strong as covariates, the most harmful covariate first.

        Args:
            names: Covariates, or label to the covariates that count as one.
            times: How many times as strong.

        Raises:
            UnknownVariable: A name that is no covariate.
        """
        groups = names if isinstance(names, Mapping) else {name: (name,) for name in names}
        for name in (name for group in groups.values() for name in group):
            if name not in self.covariates:
                raise UnknownVariable(name, self.covariates, "benchmarks", kind="covariate")
        found = [(label, self._strength(group)) for label, group in groups.items()]
        found.sort(key=lambda labelled: _harm(labelled[1]), reverse=True)
        return tuple(self._benchmark(label, r2, k) for label, r2 in found for k in times)

    def _strength(self, group: Sequence[str]) -> Strength:
        treatment, outcome = self.treatment_model, self.outcome_model
        return Strength(treatment.partial_r2(*group), outcome.partial_r2(*group))

    def _benchmark(self, label: str, covariate: Strength, times: float) -> Benchmark:
        if times * covariate.r2_treatment >= 1 - covariate.r2_treatment:
            return Benchmark(label, times, None)
        found, strength = self.regression, benchmark(*covariate, times)
        return Benchmark(label, times, ovb_bounds(found.estimate, found.se, found.df, *strength))

    @cached_property
    def propensity(self) -> Array:
        """Probability of treatment given the covariates, by a logistic regression."""
        return self.refitted(np.arange(len(self.t)))

    def refitted(self, rows: npt.NDArray[np.intp]) -> Array:
        """Return the propensities of some units, learnt from these alone."""
        x, t = self._standardized[rows], self.t[rows]
        found: Array = Logistic().fit(x, t).predict_proba(x)[:, 1]
        return found

    def quantile(self, arm: int, level: float) -> Array:
        """Return the quantile of an arm's outcomes at each unit's covariates.

        A linear regression in the arm, moved by the quantile of its residuals.
        """
        mine = self.t == arm
        mean = (
            LeastSquares().fit(self._standardized[mine], self.y[mine]).predict(self._standardized)
        )
        found: Array = mean + np.quantile(self.y[mine] - mean[mine], level)
        return found

    @property
    def control_mean(self) -> float:
        """Mean outcome if nobody is treated, by the outcome model."""
        return float((self.y - self.regression.estimate * self.t).mean())

    @property
    def binary_treatment(self) -> bool:
        """Whether the treatment is 0 or 1."""
        return np.array_equal(np.unique(self.t), [0.0, 1.0])

    @property
    def binary_outcome(self) -> bool:
        """Whether the outcome is 0 or 1."""
        return np.array_equal(np.unique(self.y), [0.0, 1.0])

    @cached_property
    def _standardized(self) -> Array:
        none = np.zeros((len(self.y), 0))
        return standardized(np.column_stack([none, *self.covariates.values()]))


def _harm(covariate: Strength) -> float:
    """Return what grows with the bias of a confounder as strong as a covariate."""
    r2_treatment, r2_outcome = covariate
    return r2_treatment / (1 - r2_treatment) * r2_outcome / (1 - r2_outcome)
