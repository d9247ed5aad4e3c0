"""Omitted variable bias: what a confounder of a stated strength would do to a regression."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import copysign, inf, isfinite, log, sqrt
from typing import NamedTuple

import torch

from pyrocausal.noise.student import StudentTEquation

__all__ = [
    "AdjustedEstimate",
    "RobustnessValue",
    "Strength",
    "benchmark",
    "critical_t",
    "ovb_bounds",
    "partial_r2",
    "robustness_value",
]


@dataclass(frozen=True)
class RobustnessValue:
    """The strength that a confounder needs, the same with treatment and with outcome.

    Attributes:
        point: Partial R2 that takes the share ``q`` of the estimate away.
        limit: Partial R2 that makes what is left of it insignificant at ``alpha``.
        partial_r2: Partial R2 of the treatment with the outcome: a confounder that explains all
            that is left of the outcome must explain so much of the treatment to take it all away.
        t: The t statistic of the treatment.
        df: Residual degrees of freedom.
        q: Share of the estimate that is taken away.
        alpha: Level of the two-sided test.

    Example:
        >>> print(robustness_value(4.18447, 783))
        robustness value 0.1388, at level 0.05 0.0763
        partial R2 of treatment with outcome: 0.0219
        meaning: a confounder that explains 13.9 % of what is left of both treatment and outcome
          takes 100 % of the estimate away; 7.63 % of both make it insignificant
        assumes: a linear regression whose only fault is an omitted variable
    """

    point: float
    limit: float
    partial_r2: float
    t: float
    df: float
    q: float = 1.0
    alpha: float = 0.05

    def __str__(self) -> str:
        return "\n".join(
            [
                f"robustness value {self.point:.4f}, at level {self.alpha:g} {self.limit:.4f}",
                f"partial R2 of treatment with outcome: {self.partial_r2:.4f}",
                f"meaning: a confounder that explains {100 * self.point:.3g} % of what is left of "
                f"both treatment and outcome takes {100 * self.q:.3g} % of the estimate away; "
                f"{100 * self.limit:.3g} % of both make it insignificant",
                "assumes: a linear regression whose only fault is an omitted variable",
            ]
        )


@dataclass(frozen=True)
class AdjustedEstimate:
    """What a regression would say, had a confounder of a stated strength been in it.

    Attributes:
        estimate: The coefficient with the confounder, if it draws towards 0.
        se: Its standard error.
        t: Its t statistic.
        lower: Lower limit of its interval.
        upper: Upper limit.
        away: The coefficient, if the confounder draws away from 0.
        bias: Size of the bias.
        r2_treatment: Partial R2 of the confounder with the treatment, given the covariates.
        r2_outcome: Partial R2 with the outcome, given treatment and covariates.
        level: Probability that the interval is made for.

    Example:
        >>> print(ovb_bounds(0.09731582, 0.02325654, 783, 0.05, 0.05))
        adjusted estimate 0.06393 (se 0.02327, t 2.747), 95 % interval [0.01825, 0.1096]
        with a confounder of partial R2 0.05 with treatment, 0.05 with outcome
        the other sign of the bias: 0.1307
        assumes: a linear regression whose only fault is this omitted variable
    """

    estimate: float
    se: float
    t: float
    lower: float
    upper: float
    away: float
    bias: float
    r2_treatment: float
    r2_outcome: float
    level: float = 0.95

    def __str__(self) -> str:
        return "\n".join(
            [
                f"adjusted estimate {self.estimate:.4g} (se {self.se:.4g}, t {self.t:.4g}), "
                f"{100 * self.level:g} % interval [{self.lower:.4g}, {self.upper:.4g}]",
                f"with a confounder of partial R2 {self.r2_treatment:.3g} with treatment, "
                f"{self.r2_outcome:.3g} with outcome",
                f"the other sign of the bias: {self.away:.4g}",
                "assumes: a linear regression whose only fault is this omitted variable",
            ]
        )


class Strength(NamedTuple):
    """How strong a confounder is.

    Attributes:
        r2_treatment: Partial R2 with the treatment, given the covariates.
        r2_outcome: Partial R2 with the outcome, given treatment and covariates.

    Example:
        >>> Strength(r2_treatment=0.1, r2_outcome=0.2).r2_outcome
        0.2
    """

    r2_treatment: float
    r2_outcome: float


def partial_r2(t: float, df: float) -> float:
    """Return the share of what is left of the outcome that a regressor explains.

    The formula is ``t^2 / (t^2 + df)``.

    Args:
        t: t statistic of its coefficient.
        df: Residual degrees of freedom.

    Raises:
        ValueError: A t statistic that isn't finite, or degrees of freedom that aren't positive.

    Example:
        >>> print(f"{partial_r2(4.18447, 783):.5f}")
        0.02187
    """
    _check_regression(t, df, least=0)
    return t * t / (t * t + df)


def robustness_value(t: float, df: float, q: float = 1.0, alpha: float = 0.05) -> RobustnessValue:
    r"""Return how strong a confounder must be to overturn a regression's coefficient.

    .. math:: RV = (\sqrt{f^4 + 4 f^2} - f^2) / 2, \quad f = q |t| / \sqrt{df}

    At level alpha, :math:`f - f^*` takes the place of :math:`f`, with
    :math:`f^* = |t^*_{\alpha/2, df-1}| / \sqrt{df - 1}`; it is 0 where that is negative, and
    :math:`(f^2 - f^{*2}) / (1 + f^2)` where :math:`f > 1 / f^*`.

    Args:
        t: t statistic of the treatment.
        df: Residual degrees of freedom, more than 1.
        q: Share of the estimate to take away; 1 is all of it.
        alpha: Level of the test.

    Raises:
        ValueError: A t statistic that isn't finite, too few degrees of freedom, a share that
            isn't positive, a level outside of (0, 1].

    Example:
        >>> found = robustness_value(4.18447, 783)
        >>> print(f"{found.point:.4f} {found.limit:.4f}")
        0.1388 0.0763

    References:
        Cinelli and Hazlett (2020), "Making sense of sensitivity: extending omitted variable
        bias", Journal of the Royal Statistical Society B 82(1).
    """
    _check_regression(t, df, least=1)
    if not (q > 0 and isfinite(q)):
        raise ValueError(f"robustness_value got q={q!r}; expected a positive share, such as 1.")
    if not 0 < alpha <= 1:
        raise ValueError(f"robustness_value got alpha={alpha!r}; expected a level in (0, 1].")
    f = q * abs(t) / sqrt(df)
    critical = critical_t(alpha, df - 1) / sqrt(df - 1)
    limit = _robustness(f, critical)
    return RobustnessValue(_robustness(f, 0.0), limit, partial_r2(t, df), t, df, q, alpha)


def ovb_bounds(
    estimate: float,
    se: float,
    df: float,
    r2_treatment: float,
    r2_outcome: float,
    *,
    level: float = 0.95,
) -> AdjustedEstimate:
    r"""Return the coefficient of the treatment, had a confounder been in the regression.

    .. math::
        |bias| = se \sqrt{df \, R^2_Y R^2_D / (1 - R^2_D)}, \quad
        se_{adj} = se \sqrt{(1 - R^2_Y) / (1 - R^2_D)} \sqrt{df / (df - 1)}

    Both are identities of least squares.

    Args:
        estimate: Coefficient of the treatment without the confounder.
        se: Its (classical) standard error.
        df: Residual degrees of freedom of that regression, more than 1.
        r2_treatment: Partial R2 of the confounder with the treatment, given the covariates; in
            [0, 1).
        r2_outcome: Partial R2 with the outcome, given treatment and covariates; in [0, 1].
        level: Probability that the interval is made for.

    Raises:
        ValueError: A partial R2 or level out of its range, an error that isn't positive, too few
            degrees of freedom.

    Example:
        >>> found = ovb_bounds(0.09731582, 0.02325654, 783, r2_treatment=0.05, r2_outcome=0.05)
        >>> print(f"{found.estimate:.5f} {found.se:.5f} {found.t:.4f}")
        0.06393 0.02327 2.7472

    References:
        Cinelli and Hazlett (2020), "Making sense of sensitivity: extending omitted variable
        bias", Journal of the Royal Statistical Society B 82(1).
    """
    if not (isfinite(estimate) and 0 < se < inf):
        raise ValueError(
            f"ovb_bounds got the estimate {estimate!r} with standard error {se!r}; expected a "
            "finite estimate and a positive error."
        )
    _check_regression(estimate / se, df, least=1)
    if not (0 <= r2_treatment < 1 and 0 <= r2_outcome <= 1):
        raise ValueError(
            f"ovb_bounds got r2_treatment={r2_treatment!r}, r2_outcome={r2_outcome!r}; expected "
            "the first in [0, 1), the second in [0, 1]."
        )
    if not 0 < level < 1:
        raise ValueError(f"ovb_bounds got level={level!r}; expected a probability such as 0.95.")
    odds = r2_treatment / (1 - r2_treatment)
    bias = se * sqrt(df * r2_outcome * odds)
    adjusted_se = se * sqrt((1 - r2_outcome) / (1 - r2_treatment) * df / (df - 1))
    adjusted, away = estimate - copysign(bias, estimate), estimate + copysign(bias, estimate)
    t = adjusted / adjusted_se if adjusted_se else copysign(inf, adjusted)
    reach = critical_t(1 - level, df - 1) * adjusted_se
    ends = adjusted - reach, adjusted + reach
    strengths = r2_treatment, r2_outcome
    return AdjustedEstimate(adjusted, adjusted_se, t, *ends, away, bias, *strengths, level)


def benchmark(r2_treatment: float, r2_outcome: float, times: float = 1.0) -> Strength:
    r"""Return the most that a confounder can be, if it is so many times as strong as a covariate.

    With the covariate's partial R2s :math:`r_D, r_Y`, and :math:`k` times its explained variance:

    .. math::
        R^2_D = k \frac{r_D}{1 - r_D}, \quad
        c = \frac{k r_D^2}{(1 - k r_D)(1 - r_D)}, \quad
        R^2_Y = \min\Bigl(1, \Bigl(\frac{\sqrt k + \sqrt c}{\sqrt{1 - c}}\Bigr)^2
        \frac{r_Y}{1 - r_Y}\Bigr)

    Args:
        r2_treatment: Partial R2 of the covariate with the treatment, given the other covariates.
        r2_outcome: Partial R2 with the outcome, given the treatment and the other covariates.
        times: How many times as strong the confounder is.

    Returns:
        The two partial R2s, as `ovb_bounds` takes them.

    Raises:
        ValueError: A partial R2 outside of [0, 1), a multiple that is negative, or so large that
            the confounder would explain all of the treatment.

    Example:
        >>> strength = benchmark(partial_r2(-2.680, 783), partial_r2(-9.789, 783))
        >>> print(f"{strength.r2_treatment:.5f} {strength.r2_outcome:.4f}")
        0.00917 0.1246
        >>> print(f"{ovb_bounds(0.09731582, 0.02325654, 783, *strength).estimate:.4f}")
        0.0752

    References:
        Cinelli and Hazlett (2020), "Making sense of sensitivity: extending omitted variable
        bias", Journal of the Royal Statistical Society B 82(1).
    """
    if not (0 <= r2_treatment < 1 and 0 <= r2_outcome < 1):
        raise ValueError(
            f"benchmark got the partial R2s {r2_treatment!r} and {r2_outcome!r}; expected both in "
            "[0, 1)."
        )
    if not 0 <= times < inf:
        raise ValueError(f"benchmark got times={times!r}; expected a number from 0.")
    odds = r2_treatment / (1 - r2_treatment)
    if times * odds >= 1:
        raise ValueError(
            f"benchmark: a confounder {times:g} times as strong would explain all of the "
            f"treatment. Take less than {1 / odds:.3g} times."
        )
    c = times * r2_treatment * odds / (1 - times * r2_treatment)
    growth = (sqrt(times) + sqrt(c)) ** 2 / (1 - c)
    return Strength(times * odds, min(1.0, growth * r2_outcome / (1 - r2_outcome)))


@lru_cache(maxsize=64)  # a report asks for few, each many times
def critical_t(alpha: float, df: float) -> float:
    """Return what ``|t|`` exceeds with probability ``alpha``.

    Args:
        alpha: Level of a two-sided test, in (0, 1].
        df: Degrees of freedom.

    Example:
        >>> print(f"{critical_t(0.05, 10):.3f}")
        2.228
    """
    logit = torch.tensor(log(2 - alpha) - log(alpha), dtype=torch.float64)
    df_, zero, one = (torch.tensor(x, dtype=torch.float64) for x in (df, 0.0, 1.0))
    student = torch.distributions.StudentT(df_, zero, one, validate_args=False)
    return float(StudentTEquation(student, df_, zero, one).forward(logit))


def _robustness(f: float, critical: float) -> float:
    if f <= critical:
        return 0.0
    if f * critical > 1:
        return (f * f - critical * critical) / (1 + f * f)
    squared = (f - critical) ** 2
    # sqrt(s^2 + 4 s) - s loses all digits at large s, this form none.
    return 2 * squared / (sqrt(squared * squared + 4 * squared) + squared)


def _check_regression(t: float, df: float, least: float) -> None:
    if not isfinite(t):
        raise ValueError(f"got the t statistic {t!r}; expected a finite number, estimate / se.")
    if not (df > least and isfinite(df)):
        raise ValueError(
            f"got {df!r} residual degrees of freedom; expected more than {least:g}: rows less "
            "coefficients of the regression."
        )
