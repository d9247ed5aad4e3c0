"""The identified set: all effects that a bound on U's strength leaves open, with their error."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pyrocausal.models.vluci_likelihood import Likelihood
from pyrocausal.models.vluci_loadings import LOGISTIC_VARIANCE, Box, Propensity
from pyrocausal.models.vluci_optimum import Optimum, curvature, minimise
from pyrocausal.sensitivity.set_intervals import imbens_manski

__all__ = ["IdentifiedSet", "effect_at", "identified_set", "standard_error"]


@dataclass(frozen=True)
class IdentifiedSet:
    """The extreme effects over a box of loadings, with their standard errors.

    Attributes:
        low: The least effect.
        high: The greatest effect.
        se_low: Sampling error of the least.
        se_high: Sampling error of the greatest.
        box: The bound.

    Example:
        >>> print(IdentifiedSet(1.0, 2.0, 0.1, 0.1, Box(0.1, 0.5, "given")))
        [1, 2] for R2 of U with t at most 0.1, with y at most 0.5 (given)
    """

    low: float
    high: float
    se_low: float
    se_high: float
    box: Box

    def __str__(self) -> str:
        return f"[{self.low:.4g}, {self.high:.4g}] for {self.box}"

    def interval(self, level: float) -> tuple[float, float]:
        """Return limits that hold each effect of the set with this probability."""
        return imbens_manski(self.low, self.high, self.se_low, self.se_high, level)


def identified_set(
    likelihood: Likelihood, twin: Optimum, propensity: Propensity, box: Box
) -> IdentifiedSet:
    """Return the extreme effects over a box, both signs of confounding.

    Args:
        likelihood: The likelihood.
        twin: Its maximum without U.
        propensity: The twin's probabilities of treatment.
        box: The bound.
    """
    gamma = propensity.gamma(box.treatment) if box.treatment else 0.0
    found = [effect_at(likelihood, twin.theta, 0.0, 0.0)]
    for share in (1 / 3, 2 / 3, 1.0) if gamma and box.outcome else ():
        ratio = propensity.outcome_ratio(share * gamma, box.outcome)
        found += [
            effect_at(likelihood, twin.theta, share * gamma, sign * ratio) for sign in (1, -1)
        ]
    low, high = (end(found, key=lambda each: each[0]) for end in (min, max))
    se_low, se_high = (standard_error(likelihood, *end[1:]) for end in (low, high))
    return IdentifiedSet(low[0], high[0], se_low, se_high, box)


def effect_at(
    likelihood: Likelihood, start: Tensor, gamma: float, ratio: float
) -> tuple[float, Tensor, float, float]:
    """Refit everything else at fixed loadings; return the average effect and where it is had.

    Args:
        likelihood: The likelihood.
        start: Parameters to begin with.
        gamma: The loading on treatment.
        ratio: The loading on the outcome over its noise, ``g / s``.
    """
    angles = _angles(likelihood, ratio)
    found = minimise(
        likelihood.loss, start, lambda theta: likelihood.with_loadings(theta, gamma, angles)
    )
    with torch.no_grad():
        return float(likelihood.average_effect(found.theta)), found.theta, gamma, ratio


def standard_error(likelihood: Likelihood, theta: Tensor, gamma: float, ratio: float) -> float:
    """Return the standard error of the average effect at fixed loadings, by the information."""
    angles = _angles(likelihood, ratio)
    information = curvature(
        likelihood.loss, theta, lambda at: likelihood.with_loadings(at, gamma, angles)
    )
    at = theta.clone().requires_grad_()
    (slope,) = torch.autograd.grad(likelihood.average_effect(at), at)
    covariance = torch.linalg.pinv(information, hermitian=True, rtol=1e-9) / len(likelihood.y)
    # A loading is fixed: what the effect owes to it is no error.
    for name in ("gamma", "angle"):
        slope[likelihood.slots[name]] = 0.0
    return float((slope @ covariance @ slope).clamp_min(0.0).sqrt())


def _angles(likelihood: Likelihood, ratio: float) -> tuple[float, float]:
    if likelihood.form.outcome == "bernoulli":
        g = ratio * LOGISTIC_VARIANCE**0.5
        return g, g
    angle = float(torch.atan(torch.tensor(ratio, dtype=torch.float64)))
    return angle, angle
