"""What an estimator found, and the card that is made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pyrocausal.answers import Estimate, normal_interval
from pyrocausal.estimation.study import Study
from pyrocausal.estimation.table import Array

__all__ = ["Finding", "bootstrapped", "by_influence", "median_of", "report"]


@dataclass(frozen=True, eq=False)
class Finding:
    """An adjusted effect beside the naive difference, with variances.

    Attributes:
        value: The effect.
        variance: Its variance.
        naive: The difference without adjustment.
        naive_variance: Its variance.
        paired_variance: The variance of the effect minus the naive difference.
        monte_carlo: Standard deviation by what was drawn at random to compute the value.
        details: Figures for the card.
        assumptions: What it rests on.
        warnings: What may be wrong with it.
    """

    value: float
    variance: float
    naive: float
    naive_variance: float
    paired_variance: float
    monte_carlo: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict)
    assumptions: Sequence[str] = ()
    warnings: Sequence[str] = ()


def by_influence(
    value: float, influence: Array, naive: tuple[float, Array], **notes: Any
) -> Finding:
    """Return a finding whose variances are those of means of influence functions.

    Args:
        value: The effect.
        influence: Each row's influence on it, shape ``(n,)``, of mean 0.
        naive: The difference without adjustment, and each row's influence on it.
        notes: ``details``, ``assumptions`` and ``warnings``.
    """
    difference, its_influence = naive
    return Finding(
        value,
        _variance(influence),
        difference,
        _variance(its_influence),
        _variance(influence - its_influence),
        **notes,
    )


def bootstrapped(
    whole: tuple[float, float],
    statistic: Callable[[Any], tuple[float, float]],
    rows: int,
    replicates: int,
    rng: np.random.Generator,
    **notes: Any,
) -> Finding:
    """Return a finding whose variances are those over rows drawn with replacement.

    Args:
        whole: The effect and the naive difference in all rows.
        statistic: The two from the places of rows.
        rows: Number of rows.
        replicates: How often rows are drawn.
        rng: What draws them.
        notes: ``monte_carlo``, ``details``, ``assumptions`` and ``warnings``.
    """
    drawn = np.array([statistic(rng.integers(rows, size=rows)) for _ in range(replicates)])
    variance, naive_variance = drawn.var(axis=0, ddof=1)
    paired = (drawn[:, 0] - drawn[:, 1]).var(ddof=1)
    value, naive = whole
    return Finding(value, float(variance), naive, float(naive_variance), float(paired), **notes)


def median_of(findings: Sequence[Finding], **notes: Any) -> Finding:
    """Return the median over random splits, each variance with the spread around it.

    ``est = median est_s`` and ``V = median (V_s + (est_s - est)^2)``.

    References:
        Chernozhukov et al. (2018), Double/debiased machine learning for treatment and structural
        parameters.
    """
    values = np.array([f.value for f in findings])
    variances, paired = (
        np.array([getattr(f, name) for f in findings]) for name in ("variance", "paired_variance")
    )
    value = float(np.median(values))
    apart = (values - value) ** 2
    return Finding(
        value,
        float(np.median(variances + apart)),
        findings[0].naive,
        findings[0].naive_variance,
        float(np.median(paired + apart)),
        **notes,
    )


def report(study: Study, finding: Finding, level: float) -> Estimate:
    """Return the card of a finding."""
    sources = {"sampling": finding.variance**0.5}
    if finding.monte_carlo:
        sources["Monte Carlo"] = finding.monte_carlo
    moved = finding.value - finding.naive
    details = {
        **finding.details,
        "naive difference": _with_error(finding.naive, finding.naive_variance),
        "adjusted - naive": moved,
        "adjusted - naive, interval": normal_interval(
            moved, {"sampling": finding.paired_variance**0.5}, level
        ),
        "rows": len(study.rows),
    }
    warnings = list(finding.warnings)
    if study.rows.dropped:
        warnings.append(
            f"{study.rows.dropped} more rows lack a value and were left out, which is right if "
            "values are missing at random"
        )
    return Estimate(
        finding.value,
        finding.variance**0.5,
        normal_interval(finding.value, sources, level),
        str(study),
        rung=2 if study.population == "all" else 3,
        assumptions=tuple(finding.assumptions),
        warnings=tuple(warnings),
        details=details,
    )


def _variance(influence: Array) -> float:
    return float((influence**2).mean() / len(influence))


def _with_error(value: float, variance: float) -> str:
    return f"{value:.4g} (se {variance**0.5:.2g})"
