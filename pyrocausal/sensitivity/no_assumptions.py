"""Manski's bounds: what data say of an effect when nothing is assumed of the confounding."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from typing import Any

import numpy as np

from pyrocausal.sensitivity.columns import Array, numbers, outcome_and_treatment
from pyrocausal.sensitivity.set_intervals import imbens_manski

__all__ = ["ManskiBounds", "manski_bounds"]


@dataclass(frozen=True)
class ManskiBounds:
    """The range of an average effect that no assumption on confounding narrows.

    Attributes:
        lower: Least effect.
        upper: Greatest effect, ``hi - lo`` more.
        treated: Least and greatest mean outcome if all were treated.
        control: Least and greatest mean outcome if none were.
        interval: Limits that hold the effect with probability ``level``; None for exact
            probabilities.
        lo: Least outcome there can be.
        hi: Greatest outcome.
        level: Probability that the interval is made for.

    Example:
        >>> print(manski_bounds([0.7, 0.5], [1, 0], 0, 1, weights=[0.4, 0.6]))
        effect in [-0.42, 0.58]
        mean outcome if all are treated: [0.28, 0.88], if none is: [0.3, 0.7]
        assumes: the outcome lies in [0, 1]; nothing on confounding
    """

    lower: float
    upper: float
    treated: tuple[float, float]
    control: tuple[float, float]
    interval: tuple[float, float] | None
    lo: float
    hi: float
    level: float = 0.95

    def __str__(self) -> str:
        ends = "[{:.4g}, {:.4g}]".format
        lines = [f"effect in {ends(self.lower, self.upper)}"]
        if self.interval is not None:
            lines.append(f"{100 * self.level:g} % interval: {ends(*self.interval)}")
        return "\n".join(
            [
                *lines,
                f"mean outcome if all are treated: {ends(*self.treated)}, if none is: "
                f"{ends(*self.control)}",
                f"assumes: the outcome lies in {ends(self.lo, self.hi)}; nothing on confounding",
            ]
        )


def manski_bounds(
    y: Any, t: Any, lo: float, hi: float, *, weights: Any = None, level: float = 0.95
) -> ManskiBounds:
    r"""Return the bounds of an average effect under consistency and a bounded outcome alone.

    With :math:`p = P(t=1)` and :math:`m_j = E[y | t=j]`,

    .. math::
        E[Y_1] \in [p m_1 + (1-p) lo, \; p m_1 + (1-p) hi], \quad
        E[Y_0] \in [(1-p) m_0 + p \, lo, \; (1-p) m_0 + p \, hi]

    The effect's range is :math:`hi - lo` wide, so that it always holds 0.

    Args:
        y: Outcome, one a unit.
        t: Treatment, 0 or 1, one a unit.
        lo: Least outcome there can be, whatever was seen.
        hi: Greatest outcome there can be.
        weights: Probability of each row; the rows are then an exact distribution, without sampling
            error. Summary numbers are two rows: the means of the arms, with the arms' shares.
        level: Probability that the interval is made for.

    Raises:
        ValueError: Outcomes outside of [lo, hi], ends in the wrong order, a treatment that isn't
            0 and 1, missing values, wrong lengths, weights that are no probabilities.
        TypeError: Values that are no numbers.

    Example:
        >>> found = manski_bounds([0.7, 0.5], [1, 0], 0, 1, weights=[0.4, 0.6])
        >>> print(f"[{found.lower:.2f}, {found.upper:.2f}]")
        [-0.42, 0.58]

    References:
        Manski (1990), "Nonparametric bounds on treatment effects", American Economic Review
        80(2). Imbens and Manski (2004), for the interval.
    """
    outcome, treated = outcome_and_treatment(y, t)
    if not -inf < lo < hi < inf:
        raise ValueError(
            f"manski_bounds got lo={lo!r}, hi={hi!r}; expected the least and the greatest outcome "
            "there can be. An unbounded outcome has no such bounds: see ovb_bounds, msm_bounds."
        )
    if outcome.min() < lo or outcome.max() > hi:
        raise ValueError(
            f"manski_bounds got outcomes from {outcome.min():g} to {outcome.max():g}, outside of "
            f"[{lo:g}, {hi:g}]. Give the range of all outcomes there can be."
        )
    rows = len(outcome)
    shares = np.full(rows, 1 / rows) if weights is None else _shares(weights, rows)
    p = float(shares[treated].sum())
    seen1, seen0 = (float(shares[arm] @ outcome[arm]) for arm in (treated, ~treated))
    all_treated = seen1 + (1 - p) * lo, seen1 + (1 - p) * hi
    none_treated = seen0 + p * lo, seen0 + p * hi
    lower, upper = all_treated[0] - none_treated[1], all_treated[1] - none_treated[0]
    interval = None
    if weights is None and rows > 1:
        # Either end is a mean over units, of terms that differ by a constant between the ends.
        terms = np.where(treated, outcome - hi, lo - outcome)
        se = float(terms.std(ddof=1)) / sqrt(rows)
        interval = imbens_manski(lower, upper, se, se, level)
    return ManskiBounds(lower, upper, all_treated, none_treated, interval, lo, hi, level)


def _shares(weights: Any, rows: int) -> Array:
    shares = numbers(weights, "weights", rows)
    if (shares < 0).any() or abs(shares.sum() - 1) > 1e-6:
        raise ValueError(
            f"weights sum to {shares.sum():g}, the least is {shares.min():g}; expected "
            "probabilities, which sum to 1."
        )
    return shares
