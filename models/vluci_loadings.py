"""Loadings of U: what each does to the answer, on the scale of shares of variance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from pyrocausal.models.quadrature import normal_grid
from pyrocausal.models.vluci_columns import Columns

__all__ = ["Box", "Propensity", "benchmarks", "read_box"]

CAP: Final = 0.95
FALLBACK: Final = (0.25, 0.5)
QUANTILES: Final = 200
LOGISTIC_VARIANCE: Final = torch.pi**2 / 3


class Propensity:
    """The units' probabilities of treatment, and what a loading of U on treatment means for them.

    The log odds ``a(x)`` are refitted for each gamma, so that ``E expit(a + gamma u)`` stays the
    probability of treatment.

    Args:
        e: Probabilities of treatment, shape ``(n,)``; they are summarised by 200 quantiles.

    Example:
        >>> propensity = Propensity(torch.full((100,), 0.5))
        >>> round(propensity.treatment_share(1.0), 3)
        0.174
    """

    def __init__(self, e: Tensor) -> None:
        at = (torch.arange(QUANTILES, dtype=torch.float64) + 0.5) / QUANTILES
        self.e = e.to(torch.float64).quantile(at).clamp(1e-6, 1 - 1e-6)
        self.overlap = (self.e * (1 - self.e)).mean()

    def _given_u(self, gamma: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``expit(a + gamma u)`` of quantile and grid point, the points and weights."""
        u, w = normal_grid()
        a = torch.logit(self.e) * (1 + gamma**2 * torch.pi / 8) ** 0.5
        for _ in range(30):
            p = torch.sigmoid(a[:, None] + gamma * u)
            gap = p @ w - self.e
            if float(gap.abs().max()) < 1e-12:
                break
            a = a - (gap / ((p * (1 - p)) @ w)).clamp(-2.0, 2.0)
        return torch.sigmoid(a[:, None] + gamma * u), u, w

    def treatment_share(self, gamma: float) -> float:
        """Return ``R2_{T~U|X}``: the variance of ``expit(a + gamma u)`` over ``e(1-e)``."""
        p, _, w = self._given_u(gamma)
        return float(((p**2) @ w - self.e**2).mean() / self.overlap)

    def remaining_variance(self, gamma: float) -> float:
        """Return the mean variance of U given covariates and treatment."""
        p, u, w = self._given_u(gamma)
        total = torch.zeros((), dtype=torch.float64)
        for share, arm in ((self.e, p), (1 - self.e, 1 - p)):
            first, second = (arm * u) @ w / share, (arm * u**2) @ w / share
            total = total + (share * (second - first**2)).mean()
        return float(total)

    def delta(self, gamma: float) -> float:
        r"""Return the bias of the naive effect at ``g = 1``, with shared linear arms.

        .. math:: \delta = \mathrm{avg}_w[\gamma E_u \sigma'(a + \gamma u) / (e (1 - e))],
            \quad w = e (1 - e)
        """
        p, _, w = self._given_u(gamma)
        return float(gamma * ((p * (1 - p)) @ w).mean() / self.overlap)

    def gamma(self, share: float) -> float:
        """Return the loading with this ``R2_{T~U|X}``, at most 30."""
        low, high = 0.0, 30.0
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if self.treatment_share(middle) < share else (low, middle)
        return (low + high) / 2

    def outcome_ratio(self, gamma: float, share: float) -> float:
        """Return ``g / s`` with this ``R2_{Y~U|T,X}``, from ``g^2 v / (g^2 v + s^2)``."""
        return (share / (1 - share) / self.remaining_variance(gamma)) ** 0.5  # type: ignore[no-any-return]

    def outcome_share(self, gamma: float, ratio: float) -> float:
        """Return ``R2_{Y~U|T,X}`` of ``g / s``."""
        strength = ratio**2 * self.remaining_variance(gamma)
        return strength / (1 + strength)


@dataclass(frozen=True)
class Box:
    """How strong U may be: the largest share of variance that it may explain on each side.

    Attributes:
        treatment: Limit of ``R2_{T~U|X}``.
        outcome: Limit of ``R2_{Y~U|T,X}``.
        origin: Where the limits come from, in words.

    Example:
        >>> print(Box(0.1, 0.5, "given"))
        R2 of U with t at most 0.1, with y at most 0.5 (given)
    """

    treatment: float
    outcome: float
    origin: str

    def __str__(self) -> str:
        return (
            f"R2 of U with t at most {self.treatment:.3g}, with y at most {self.outcome:.3g} "
            f"({self.origin})"
        )


def benchmarks(columns: Columns) -> Mapping[str, tuple[float, float]]:
    """Return the partial R2 with treatment, and with the outcome, of each common covariate.

    Args:
        columns: The data.

    Returns:
        Name to ``R2_{T~X_j|rest}`` and ``R2_{Y~X_j|T,rest}``, by least squares.
    """
    x, found = columns.x, {}
    for place in columns.common:
        if float(x[:, place].std()) == 0:
            continue
        rest_t = [other for other in columns.treatment_side if other != place]
        rest_y = [other for other in columns.outcome_side if other != place]
        with_t = torch.cat([columns.t[:, None], x[:, rest_y]], 1)
        found[columns.names[place]] = (
            _partial(columns.t, x[:, place], x[:, rest_t]),
            _partial(columns.y, x[:, place], with_t),
        )
    return found


def read_box(
    bound: float | tuple[float, float], strengths: Mapping[str, tuple[float, float]]
) -> Box:
    """Read a bound: a multiple of the strongest covariate, or the two limits themselves.

    Args:
        bound: A positive multiple, or ``(R2_T, R2_Y)``, each from 0 to below 1.
        strengths: What `benchmarks` returns.

    Raises:
        ValueError: A bound that is neither.

    Example:
        >>> print(read_box(2.0, {"age": (0.1, 0.2)}))
        R2 of U with t at most 0.2, with y at most 0.4 (2 times age)
    """
    if isinstance(bound, tuple | list):
        if len(bound) != 2 or not all(0 <= share < 1 for share in bound):
            raise ValueError(
                f"Got bound={bound!r}; expected two shares of variance (R2_T, R2_Y), from 0 to "
                "below 1, or a multiple of the strongest covariate such as 3.0."
            )
        return Box(float(bound[0]), float(bound[1]), "given")
    if not bound > 0:
        raise ValueError(
            f"Got bound={bound!r}; expected a positive multiple of the strongest covariate, or a "
            "pair (R2_T, R2_Y). For no confounding at all read fit.twin."
        )
    if not strengths:
        return Box(*FALLBACK, "no covariate gives a benchmark: a convention")
    name = max(strengths, key=lambda key: _bias(*strengths[key]))
    treatment, outcome = (min(CAP, bound * share) for share in strengths[name])
    return Box(treatment, outcome, f"{bound:g} times {name}")


def _bias(treatment: float, outcome: float) -> float:
    return treatment / max(1 - treatment, 1e-12) * outcome


def _partial(target: Tensor, column: Tensor, rest: Tensor) -> float:
    design = torch.cat([torch.ones_like(column)[:, None], rest], 1)
    both = torch.stack([target, column], 1)
    left = both - design @ torch.linalg.lstsq(design, both, driver="gelsd").solution
    y, x = left[:, 0], left[:, 1]
    return float((x @ y) ** 2 / ((x @ x) * (y @ y)).clamp_min(1e-300))
