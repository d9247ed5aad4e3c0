"""One report for one effect: what would an unmeasured confounder have to be?"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import isfinite
from statistics import NormalDist
from typing import Any, Literal, get_args

from pyrocausal.answers import Answer
from pyrocausal.sensitivity.evalues import EValue, evalue
from pyrocausal.sensitivity.marginal_model import MarginalBounds, msm_bounds, tipping_factor
from pyrocausal.sensitivity.no_assumptions import ManskiBounds, manski_bounds
from pyrocausal.sensitivity.omitted_variables import robustness_value
from pyrocausal.sensitivity.report_card import SensitivityReport
from pyrocausal.sensitivity.study import Study

__all__ = ["report"]

_RARE = 0.15  # odds of a rarer outcome are near to its risks
_LEAST_PROPENSITY = 0.01
_LEAST_RATIO = 1e-9  # for a limit of a difference that takes the risk below zero

EffectScale = Literal["difference", "ratio", "odds ratio"]


def report(
    effect: Answer,
    data: Any,
    *,
    treatment: str,
    outcome: str,
    covariates: Sequence[str],
    benchmarks: Collection[str] | Mapping[str, Sequence[str]] | None = None,
    times: Sequence[float] = (1.0, 2.0, 3.0),
    factors: Sequence[float] = (1.0, 1.25, 1.5, 2.0, 3.0),
    outcome_range: tuple[float, float] | None = None,
    scale: EffectScale = "difference",
    resamples: int = 0,
    seed: int | None = None,
) -> SensitivityReport:
    """Return how strong an unmeasured confounder must be to overturn an effect.

    Four yardsticks, each with its own idea of strength: the robustness value and benchmark
    covariates (partial R2s, of the *linear* regression of the outcome on treatment and
    covariates), the E-value (risk ratios), the marginal sensitivity model (odds of treatment,
    with a logistic propensity and a linear model of the outcome's quantiles), and, where the
    outcome is bounded, what remains without any assumption.

    Args:
        effect: The answer of a query or of an estimand, a single number.
        data: Rows of the variables, a DataFrame or a mapping from name to values.
        treatment: Name of the treatment, a number.
        outcome: Name of the outcome, a number.
        covariates: Names of what was adjusted for; text and pandas categories get a column for
            each category but the first.
        benchmarks: Covariates to compare the confounder with, all by default; or label to the
            covariates that count as one, such as a number and its square.
        times: How many times as strong as a covariate it is.
        factors: Bounds on the odds ratio of treatment, Lambda.
        outcome_range: Least and greatest outcome there can be; 0 and 1 where all are 0 or 1.
        scale: What the effect compares means by.
        resamples: Of the bootstrap for intervals of the marginal model, 0 for none.
        seed: Of the bootstrap.

    Returns:
        A report that prints as a card, with ``plot()`` and ``to_frame()``.

    Raises:
        TypeError: The effect is no answer of this library; values that are no numbers.
        ValueError: The effect is several numbers; missing values; too few units; columns that
            determine one another; a constant outcome.
        UnknownVariable: A name is no column, or a benchmark is no covariate.

    Example:
        >>> data = pc.datasets.nhefs()
        >>> covariates = ["sex", "race", "age", "smokeintensity", "smokeyrs", "wt71"]
        >>> graph = pc.CausalGraph(
        ...     [(z, v) for z in covariates for v in ("qsmk", "wt82_71")] + [("qsmk", "wt82_71")]
        ... )
        >>> effect = pc.identify(graph, "wt82_71", do="qsmk").estimate(data, seed=0)
        >>> found = report(
        ...     effect, data, treatment="qsmk", outcome="wt82_71", covariates=covariates
        ... )
        >>> print(found.verdict)
        a confounder 3 times as strong as any of the covariates that were compared would leave an
        effect of this sign
        >>> print(f"{found.robustness.point:.3f} {found.evalue.point:.2f} {found.tipping:.2f}")
        0.175 2.35 1.78

    References:
        Cinelli and Hazlett (2020), "Making sense of sensitivity"; VanderWeele and Ding (2017),
        on the E-value; Dorn and Guo (2023), on the marginal sensitivity model.
    """
    if scale not in get_args(EffectScale):
        known = ", ".join(get_args(EffectScale))
        raise ValueError(f"report got scale={scale!r}; expected one of {known}.")
    _check(effect)
    study = Study.read(data, treatment, outcome, covariates)
    regression, marginal = study.regression, _marginal(study, factors, resamples, seed)
    return SensitivityReport(
        effect,
        treatment,
        outcome,
        regression,
        robustness_value(regression.t, regression.df),
        study.benchmarks(covariates if benchmarks is None else benchmarks, times),
        _evalue(effect, study, scale),
        marginal,
        _tipping(study) if marginal else None,
        _manski(study, outcome_range),
        tuple(_warnings(effect, study, scale)),
    )


def _check(effect: Answer) -> None:
    if not isinstance(effect, Answer):
        raise TypeError(
            f"report got a {type(effect).__name__}; expected an answer, an Effect or Estimate. "
            "For summary numbers take evalue, robustness_value, ovb_bounds, ..."
        )
    if effect.index is not None:
        raise ValueError(
            f"report got {effect.query}, which is several numbers; expected one, such as an "
            "average effect."
        )
    if not isfinite(float(effect.value)):
        raise ValueError(
            f"report got {effect.query} without a number; expected a point that a confounder "
            "might overturn. Take what would hold if nothing were hidden, such as fit.twin.ate()."
        )


def _evalue(effect: Answer, study: Study, scale: EffectScale) -> EValue | None:
    """Return the E-value; None where the effect makes no positive risk ratio."""
    value = float(effect.value)
    limits = [] if effect.interval is None else [float(limit) for limit in effect.interval]
    if scale == "odds ratio":
        rare = float(study.y.mean()) < _RARE
        return evalue(value, *limits, scale="odds ratio", rare=rare)
    if scale == "ratio":
        return evalue(value, *limits)
    if not study.binary_outcome:
        sd, se = float(study.y.std(ddof=1)), _standard_error(effect)
        return evalue(value / sd, scale="difference", se=None if se is None else se / sd)
    control = study.control_mean
    if min(control, control + value) <= 0:
        return None
    ratios = [max((control + limit) / control, _LEAST_RATIO) for limit in limits]
    return evalue((control + value) / control, *ratios)


def _standard_error(effect: Answer) -> float | None:
    """Return the error that the interval, not Monte Carlo alone, stands for."""
    if effect.interval is None:
        return None
    lower, upper = (float(limit) for limit in effect.interval)
    return (upper - lower) / 2 / NormalDist().inv_cdf((1 + effect.interval.level) / 2)


def _marginal(
    study: Study, factors: Sequence[float], resamples: int, seed: int | None
) -> tuple[MarginalBounds, ...]:
    if not study.binary_treatment:
        return ()
    return tuple(
        msm_bounds(
            study.y,
            study.t,
            study.propensity,
            factor,
            quantile=study.quantile,
            refit=study.refitted if resamples else None,
            resamples=resamples or 1,
            seed=seed,
        )
        for factor in factors
    )


def _tipping(study: Study) -> float:
    return tipping_factor(study.y, study.t, study.propensity, quantile=study.quantile)


def _manski(study: Study, outcome_range: tuple[float, float] | None) -> ManskiBounds | None:
    if outcome_range is None and study.binary_outcome:
        outcome_range = (0.0, 1.0)
    if outcome_range is None or not study.binary_treatment:
        return None
    return manski_bounds(study.y, study.t, *outcome_range)


def _warnings(effect: Answer, study: Study, scale: EffectScale) -> Iterator[str]:
    regression = study.regression
    apart = abs(float(effect.value) - regression.estimate)
    if scale == "difference" and apart > 2 * max(_standard_error(effect) or 0.0, regression.se):
        yield (
            f"the linear regression says {regression.estimate:.3g}, the effect is "
            f"{float(effect.value):.3g}: its robustness need not be the effect's"
        )
    if study.binary_treatment:
        e = study.propensity
        share = float(((e < _LEAST_PROPENSITY) | (e > 1 - _LEAST_PROPENSITY)).mean())
        if share:
            yield (
                f"overlap: {100 * share:.2g} % of the units have a propensity within "
                f"{_LEAST_PROPENSITY} of 0 or 1"
            )
