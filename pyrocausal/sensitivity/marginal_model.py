"""The marginal sensitivity model: a confounder shifts the odds of treatment by a bounded factor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from pyrocausal.sensitivity.columns import Array, numbers, outcome_and_treatment
from pyrocausal.sensitivity.worst_weights import (
    largest_mean,
    largest_mean_given,
    quantile_within,
)

__all__ = ["MarginalBounds", "Quantile", "msm_bounds", "tipping_factor"]

Quantile = Callable[[int, float], npt.ArrayLike]
"""From an arm (0 or 1) and a level to that quantile of its outcomes, for the x of each unit."""

Ends = tuple[float, float]


@dataclass(frozen=True)
class MarginalBounds:
    """The range of an average effect under a bound on the odds of treatment.

    Attributes:
        lower: Least effect.
        upper: Greatest effect.
        treated: Least and greatest mean outcome if all were treated.
        control: Least and greatest mean outcome if none were.
        factor: Bound on the odds ratio of treatment, Lambda.
        interval: Limits of the percentile bootstrap, None without one.
        level: Probability that the interval is made for.
        sharp: Whether the bounds use the covariates, see `msm_bounds`.

    Example:
        >>> print(msm_bounds([4, 3, 2, 1, 0, 0], [1, 1, 1, 1, 0, 0], [0.5] * 6, 2.0))
        effect in [2.167, 2.833] at Lambda = 2
        mean outcome if all are treated: [2.167, 2.833], if none is: [0, 0]
        assumes: an unmeasured confounder changes nobody's odds of treatment by more than a factor
          of 2, given the covariates; overlap; the propensities are right
    """

    lower: float
    upper: float
    treated: Ends
    control: Ends
    factor: float
    interval: Ends | None = None
    level: float = 0.95
    sharp: bool = False

    def __str__(self) -> str:
        ends = "[{:.4g}, {:.4g}]".format
        lines = [f"effect in {ends(self.lower, self.upper)} at Lambda = {self.factor:g}"]
        if self.interval is not None:
            lines.append(f"{100 * self.level:g} % interval: {ends(*self.interval)}")
        return "\n".join(
            [
                *lines,
                f"mean outcome if all are treated: {ends(*self.treated)}, if none is: "
                f"{ends(*self.control)}",
                "assumes: an unmeasured confounder changes nobody's odds of treatment by more "
                f"than a factor of {self.factor:g}, given the covariates; overlap; the "
                "propensities are right",
            ]
        )


def msm_bounds(
    y: Any,
    t: Any,
    e: Any,
    factor: float,
    *,
    strata: Any = None,
    quantile: Quantile | None = None,
    refit: Callable[[npt.NDArray[np.intp]], npt.ArrayLike] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int | None = None,
) -> MarginalBounds:
    r"""Return the bounds of an average effect when treatment's odds may be off by a factor.

    A confounder changes the odds :math:`e / (1 - e)` of treatment by a factor in
    :math:`[1/\Lambda, \Lambda]`. A treated unit then stands for
    :math:`1 + z_i r_i` units, with :math:`r_i = (1 - e_i) / e_i`, and

    .. math::
        E[Y_1] \le \max_z \frac{\sum_i (1 + z_i r_i) y_i}{\sum_i (1 + z_i r_i)}, \quad
        z_i \in [1/\Lambda, \Lambda],

    attained where the largest outcomes have :math:`z = \Lambda`, the others :math:`1/\Lambda`
    (Zhao, Small, Bhattacharya). Since the confounder is balanced given x, :math:`E[z | x] = 1`
    too: for any function q of x, with :math:`a_+, a_-` the parts of :math:`a = y - q`,

    .. math::
        E[Y_1] \le E\bigl[t \, (y + r (q + \Lambda a_+ - a_- / \Lambda))\bigr],

    sharp where q is the :math:`\Lambda / (1 + \Lambda)` quantile of the treated given x (Dorn,
    Guo). ``strata`` or ``quantile`` say what q is. Lower bounds and controls go alike.

    Args:
        y: Outcome, one a unit.
        t: Treatment, 0 or 1.
        e: Propensity of treatment given the covariates, between 0 and 1.
        factor: Lambda, 1 (no confounding) or more.
        strata: Label of each unit's stratum: the bounds are sharp if that is all of the
            covariates, and at least tighter and valid if it is a function of them.
        quantile: From an arm and a level to that quantile of its outcomes at the covariates of
            each unit; a wrong one gives wider bounds, not wrong ones.
        refit: From the numbers of resampled units to their propensities, learnt anew from them
            alone; gives the percentile bootstrap interval.
        resamples: Number of resamples for that interval.
        level: Probability that the interval is made for.
        seed: Of the resampling.

    Raises:
        ValueError: A factor below 1, propensities outside of (0, 1), a treatment that isn't 0 and
            1, a stratum with one arm only, missing values, wrong lengths.
        TypeError: Values that are no numbers.

    Example:
        >>> y, t = [4, 3, 2, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 0]
        >>> found = msm_bounds(y, t, [0.5] * 8, 2.0)
        >>> print(f"[{found.lower:.4f}, {found.upper:.4f}]")
        [2.1667, 2.8333]
        >>> found = msm_bounds(y, t, [0.5] * 8, 2.0, strata=[0] * 8)
        >>> print(f"[{found.lower:.4f}, {found.upper:.4f}]")
        [2.1875, 2.8125]

    References:
        Tan (2006), "A distributional approach for causal inference using propensity scores".
        Zhao, Small and Bhattacharya (2019), "Sensitivity analysis for inverse probability
        weighting estimators via the percentile bootstrap". Dorn and Guo (2023), "Sharp
        sensitivity analysis for inverse propensity weighting via quantile balancing".
    """
    _check_options(factor, strata, quantile, resamples, level)
    sample = _Sample.read(y, t, e, strata, quantile, factor)
    treated, control = sample.ends(1), sample.ends(0)
    interval = None
    if refit is not None:
        interval = _bootstrap(sample, refit, resamples, level, seed)
    sharp = strata is not None or quantile is not None
    effect = treated[0] - control[1], treated[1] - control[0]
    return MarginalBounds(*effect, treated, control, factor, interval, level, sharp)


def tipping_factor(
    y: Any,
    t: Any,
    e: Any,
    *,
    strata: Any = None,
    quantile: Quantile | None = None,
    most: float = 100.0,
) -> float:
    """Return the least factor Lambda at which an effect of zero is within the bounds.

    Args:
        y: Outcome, one a unit.
        t: Treatment, 0 or 1.
        e: Propensity of treatment.
        strata: As `msm_bounds` takes them.
        quantile: As `msm_bounds` takes it.
        most: The largest factor that is tried.

    Returns:
        The factor; infinity where zero is out of reach even at ``most``.

    Raises:
        ValueError: As `msm_bounds`.

    Example:
        >>> y, t = [4, 3, 2, 3, 2, 1], [1, 1, 1, 0, 0, 0]
        >>> print(f"{tipping_factor(y, t, [0.5] * 6):.3f}")
        4.000
    """

    def holds_zero(factor: float) -> bool:
        found = msm_bounds(y, t, e, factor, strata=strata, quantile=quantile)
        return found.lower <= 0 <= found.upper

    if not holds_zero(most):
        return inf
    low, high = 1.0, most
    for _ in range(30):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if holds_zero(middle) else (middle, high)
    return high


@dataclass(frozen=True, eq=False)
class _Sample:
    """Units, with the quantiles that sharpen the bounds of either arm.

    Attributes:
        y: Outcomes, shape ``(n,)``.
        treated: Which units are treated.
        e: Propensities.
        factor: Lambda.
        strata: Number of each unit's stratum, or None.
        quantiles: For each arm its lower and upper quantile, or None.
    """

    y: Array
    treated: npt.NDArray[np.bool_]
    e: Array
    factor: float
    strata: npt.NDArray[np.intp] | None
    quantiles: tuple[tuple[Array, Array], ...] | None

    @classmethod
    def read(
        cls, y: Any, t: Any, e: Any, strata: Any, quantile: Quantile | None, factor: float
    ) -> _Sample:
        """Check what was given."""
        outcome, treated = outcome_and_treatment(y, t)
        labels = None if strata is None else _stratum_numbers(strata, treated)
        quantiles = None
        if quantile is not None:
            low, high = 1 / (1 + factor), factor / (1 + factor)

            def at(arm: int, share: float) -> Array:
                return numbers(quantile(arm, share), "a quantile", len(outcome))

            quantiles = tuple((at(arm, low), at(arm, high)) for arm in (0, 1))
        propensity = _propensities(e, len(outcome))
        return cls(outcome, treated, propensity, factor, labels, quantiles)

    def resampled(self, rows: npt.NDArray[np.intp], e: Array) -> _Sample:
        """Return some units, with their new propensities."""
        strata = None if self.strata is None else self.strata[rows]
        quantiles = self.quantiles and tuple((a[rows], b[rows]) for a, b in self.quantiles)
        return _Sample(self.y[rows], self.treated[rows], e, self.factor, strata, quantiles)

    def ends(self, arm: int) -> Ends:
        """Return the least and the greatest mean outcome if all were in an arm."""
        mine = self.treated if arm else ~self.treated
        e = self.e[mine] if arm else 1 - self.e[mine]
        y, r, factor = self.y[mine], (1 - e) / e, self.factor
        low, high = 0 - largest_mean(-y, r, factor), largest_mean(y, r, factor)
        if self.strata is not None:
            strata, share = self.strata[mine], factor / (1 + factor)
            below = -quantile_within(-y, r, strata, share)
            above = quantile_within(y, r, strata, share)
        elif self.quantiles is not None:
            below, above = (q[mine] for q in self.quantiles[arm])
        else:
            return low, max(low, high)  # in exact numbers, they are in order
        low = max(low, 0 - largest_mean_given(-y, r, factor, -below))
        high = min(high, largest_mean_given(y, r, factor, above))
        return low, max(low, high)


def _bootstrap(
    sample: _Sample,
    refit: Callable[[npt.NDArray[np.intp]], npt.ArrayLike],
    resamples: int,
    level: float,
    seed: int | None,
) -> Ends:
    """Return the percentile interval: a quantile of the lower ends and one of the upper."""
    rng = np.random.default_rng(seed)
    found = np.empty((resamples, 2))
    for i in range(resamples):
        rows = _resample(sample.treated, rng)
        part = sample.resampled(rows, _propensities(refit(rows), len(rows)))
        (low1, high1), (low0, high0) = part.ends(1), part.ends(0)
        found[i] = low1 - high0, high1 - low0
    tail = (1 - level) / 2
    return float(np.quantile(found[:, 0], tail)), float(np.quantile(found[:, 1], 1 - tail))


def _resample(treated: npt.NDArray[np.bool_], rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Draw units with replacement, until both arms are there."""
    while True:
        rows = rng.integers(len(treated), size=len(treated))
        if 0 < treated[rows].sum() < len(rows):
            return rows


def _propensities(e: Any, rows: int) -> Array:
    found = numbers(e, "the propensity e", rows)
    if found.min() <= 0 or found.max() >= 1:
        raise ValueError(
            f"the propensities e run from {found.min():g} to {found.max():g}; expected numbers "
            "inside (0, 1). At 0 or 1 there is no overlap: leave such units out, and say so."
        )
    return found


def _stratum_numbers(strata: Any, treated: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    labels = np.asarray(strata)
    if labels.shape != treated.shape:
        raise ValueError(
            f"strata has shape {labels.shape}; expected a label for each of {len(treated)} units."
        )
    names, places = np.unique(labels, return_inverse=True)
    for arm, word in ((treated, "treated"), (~treated, "control")):
        empty = np.flatnonzero(np.bincount(places[arm], minlength=len(names)) == 0)
        if len(empty):
            raise ValueError(
                f"the stratum {names[empty[0]]!r} has no {word} unit, {len(empty)} such strata "
                f"of {len(names)} in all. Merge strata, or leave these units out."
            )
    return places.astype(np.intp)


def _check_options(
    factor: float, strata: Any, quantile: Quantile | None, resamples: int, level: float
) -> None:
    if not 1 <= factor < inf:
        raise ValueError(
            f"msm_bounds got factor={factor!r}; expected Lambda of 1 (no hidden confounding) or "
            "more, a bound on an odds ratio."
        )
    if strata is not None and quantile is not None:
        raise ValueError("msm_bounds got both strata and quantile; either says what q is.")
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(
            f"msm_bounds got resamples={resamples!r}, level={level!r}; expected 1 or more, and a "
            "probability such as 0.95."
        )
