"""Two stages: draws of U as a covariate of any learner, joined by Rubin's rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Learner", "TwoStage", "least_squares", "two_stage"]

Learner = Callable[[Tensor, Tensor, Tensor], tuple[float, float]]
"""From covariates (U among them), treatment and outcome to an average effect and its variance."""


@dataclass(frozen=True)
class TwoStage:
    """A learner's average effect, averaged over draws of U.

    Attributes:
        ate: The mean over draws.
        se: Its standard error: within a draw, and between draws.
        draws: How many.
    """

    ate: float
    se: float
    draws: int


def least_squares(x: Tensor, t: Tensor, y: Tensor) -> tuple[float, float]:
    """Return the coefficient of t in the regression of y on t and x, and its variance.

    Example:
        >>> x, t = torch.zeros(4, 0), torch.tensor([0.0, 0.0, 1.0, 1.0])
        >>> estimate, variance = least_squares(x, t, torch.tensor([1.0, 2.0, 3.0, 4.0]))
        >>> print(f"{estimate:.2f} {variance:.2f}")
        2.00 0.50
    """
    design = torch.cat([t[:, None], torch.ones_like(t)[:, None], x], 1).to(torch.float64)
    inverse = torch.linalg.pinv(design.mT @ design, hermitian=True)
    coefficients = inverse @ (design.mT @ y.to(torch.float64))
    rest = y - design @ coefficients
    noise = (rest @ rest) / (len(y) - design.shape[1])
    return float(coefficients[0]), float(noise * inverse[0, 0])


def two_stage(
    u: Tensor, x: Tensor, t: Tensor, y: Tensor, learner: Learner = least_squares
) -> TwoStage:
    r"""Return the effect that a learner finds with U among the covariates.

    Draws, never means: ``E[u | x, t, y]`` is a function of y, and a regression of y on it
    returns y's own residual. Variances are joined by ``mean V_m + (1 + 1/M) Var(est_m)``.

    Args:
        u: Draws of U given each unit's data, shape ``(draws, n, k)``.
        x: Covariates of the outcome, shape ``(n, d)``.
        t: Treatment, shape ``(n,)``.
        y: Outcome, shape ``(n,)``.
        learner: From covariates, treatment and outcome to an effect and its variance.

    References:
        Rubin (1987), Multiple Imputation for Nonresponse in Surveys.
    """
    found = [learner(torch.cat([x, draw.to(x)], 1), t, y) for draw in u]
    estimates = torch.tensor([estimate for estimate, _ in found], dtype=torch.float64)
    within = sum(variance for _, variance in found) / len(found)
    between = float(estimates.var()) if len(found) > 1 else 0.0
    variance = within + (1 + 1 / len(found)) * between
    return TwoStage(float(estimates.mean()), variance**0.5, len(found))
