"""The same model without U: what a fit that ignores hidden confounding would say."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pyrocausal.answers import Estimate, normal_interval
from pyrocausal.models.vluci_columns import read_matrix
from pyrocausal.models.vluci_likelihood import Likelihood
from pyrocausal.models.vluci_optimum import Optimum
from pyrocausal.models.vluci_sets import standard_error

__all__ = ["Twin"]


@dataclass(frozen=True, eq=False)
class Twin:
    """The fit without U, of the same heads.

    Attributes:
        likelihood: The likelihood.
        optimum: Its maximum at ``gamma = g = 0``.
        se: Standard error of the average effect.
    """

    likelihood: Likelihood
    optimum: Optimum
    se: float

    @classmethod
    def of(cls, likelihood: Likelihood, optimum: Optimum) -> Twin:
        """Return the twin with its standard error."""
        return cls(likelihood, optimum, standard_error(likelihood, optimum.theta, 0.0, 0.0))

    @property
    def propensities(self) -> Tensor:
        """Probabilities of treatment, shape ``(n,)``."""
        a = self.likelihood.parts(self.optimum.theta).a
        return torch.special.ndtr(a) if self.likelihood.form.link == "probit" else torch.sigmoid(a)

    def ate(self, level: float = 0.95) -> Estimate:
        """Return the average effect if nothing is hidden."""
        value = float(self.likelihood.average_effect(self.optimum.theta))
        return Estimate(
            value=value,
            se=self.se,
            interval=normal_interval(value, {"sampling": self.se}, level),
            query="ATE without U",
            rung=2,
            assumptions=("the covariates account for all confounding", "the form of the heads"),
        )

    def cate(self, x: object) -> Tensor:
        """Return the effect at covariates, if nothing is hidden, shape ``(unit,)``."""
        matrix, _ = read_matrix(x, self.likelihood.columns.names)
        with torch.no_grad():
            return self.likelihood.effects(self.optimum.theta, self.likelihood.features(matrix))
