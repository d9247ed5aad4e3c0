"""Pictures of sensitivity: what an unmeasured confounder would have to be, to undo an effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from pyrocausal.plot.style import BAND, PALETTE, new_axes, reference, tidy
from pyrocausal.sensitivity.columns import Array
from pyrocausal.sensitivity.omitted_variables import critical_t

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pyrocausal.sensitivity.omitted_variables import AdjustedEstimate
    from pyrocausal.sensitivity.report_card import Benchmark, SensitivityReport

__all__ = ["sensitivity_contours", "sensitivity_odds"]

_LINES: Final = "#8c8c8c"
_CRITICAL: Final = PALETTE[1]
_POINTS: Final = PALETTE[0]
_SHOWN: Final = 3  # benchmark covariates, as on the card
_GRID: Final = 161
_TICKS: Final = (0.0, 0.005, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def sensitivity_contours(
    report: SensitivityReport, of: Literal["estimate", "t"] = "estimate", ax: Axes | None = None
) -> Axes:
    """Draw the effect over the two partial R2s of an unmeasured confounder, with benchmarks.

    On the thick contour the effect, or its significance, is gone; a benchmark is a confounder that
    is so many times as strong as a covariate that was measured.

    Args:
        report: What ``pc.sensitivity.report`` returned.
        of: ``"estimate"``, or ``"t"`` for its t statistic.
        ax: Where to draw; a new figure by default.

    Raises:
        ValueError: Another ``of``.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> z, u = rng.normal(size=(2, 200))
        >>> x = (z + u > 0).astype(float)
        >>> rows = {"z": z, "x": x, "y": x + z + rng.normal(size=200)}
        >>> effect = pc.policy_value(rows, 1, "y", versus=0, treatment="x", adjust=["z"], seed=0)
        >>> found = pc.sensitivity.report(
        ...     effect, rows, treatment="x", outcome="y", covariates=["z"]
        ... )
        >>> sensitivity_contours(found).get_ylabel()
        'partial R² of the confounder with y'

    References:
        Cinelli, Hazlett (2020), Making sense of sensitivity: extending omitted variable bias.
    """
    if of not in ("estimate", "t"):
        raise ValueError(f"sensitivity_contours() got of={of!r}; expected 'estimate' or 't'.")
    ax = new_axes(ax, (6.4, 5.0))
    _contours(report, of, ax)
    return ax


def sensitivity_odds(report: SensitivityReport, ax: Axes | None = None) -> Axes:
    """Draw the range of the effect over the factor on the odds of treatment.

    Args:
        report: What ``pc.sensitivity.report`` returned, of a treatment that is 0 or 1.
        ax: Where to draw; a new figure by default.

    Raises:
        ValueError: A report without such ranges.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> z, u = rng.normal(size=(2, 200))
        >>> x = (z + u > 0).astype(float)
        >>> rows = {"z": z, "x": x, "y": x + z + rng.normal(size=200)}
        >>> effect = pc.policy_value(rows, 1, "y", versus=0, treatment="x", adjust=["z"], seed=0)
        >>> found = pc.sensitivity.report(
        ...     effect, rows, treatment="x", outcome="y", covariates=["z"]
        ... )
        >>> sensitivity_odds(found).get_ylabel()
        'effect of x on y'

    References:
        Tan (2006), A distributional approach for causal inference using propensity scores.
    """
    if not report.marginal:
        raise ValueError(
            f"plot: the odds of treatment need a treatment that is 0 or 1, and {report.treatment} "
            "isn't, or factors. Draw of='estimate'."
        )
    ax = new_axes(ax, (6.4, 5.0))
    _odds(report, ax)
    return ax


def _contours(report: SensitivityReport, of: str, ax: Axes) -> None:
    """Contours over the two partial R2s of a confounder."""
    shown = _shown(report)
    width, height = _limits(report, shown)
    steps = np.linspace(0, 1, _GRID) ** 2
    x, y = np.meshgrid(width * steps, height * steps)
    z, threshold, label = _surface(report, of, x, y)
    # Equal steps of the partial correlation: benchmarks crowd near the origin otherwise. It comes
    # before the labels, which are given room where they lie.
    ax.set_xscale("function", functions=(np.sqrt, np.square))
    ax.set_yscale("function", functions=(np.sqrt, np.square))
    for axis, reach in ((ax.xaxis, width), (ax.yaxis, height)):
        axis.set_ticks([tick for tick in _TICKS if tick <= reach])
    ax.set_xlim(0, width)
    ax.set_ylim(0, height)
    levels = [v for v in _levels(z) if not np.isclose(v, threshold)]
    lines = ax.contour(x, y, z, levels, colors=_LINES, linewidths=0.8, linestyles="solid")
    ax.clabel(lines, fontsize=8)
    if z.min() < threshold < z.max():
        critical = ax.contour(x, y, z, [threshold], colors=_CRITICAL, linewidths=1.8)
        ax.clabel(critical, fmt=f"{threshold:.3g}", fontsize=9)
    _mark(shown, ax)
    tidy(
        ax,
        x=f"partial R² of the confounder with {report.treatment}",
        y=f"partial R² of the confounder with {report.outcome}",
        title=f"{label} of {report.treatment} on {report.outcome}\n"
        f"({z[0, 0]:.3g} without a confounder)",
    )


def _levels(z: Array) -> list[float]:
    """Return about ten round numbers that span the heights."""
    from matplotlib.ticker import MaxNLocator

    return [float(v) for v in MaxNLocator(11).tick_values(z.min(), z.max())]


def _surface(
    report: SensitivityReport, of: str, r2_treatment: Array, r2_outcome: Array
) -> tuple[Array, float, str]:
    """Return the heights, the one where the answer turns, and what they are."""
    found = report.regression
    sign = np.sign(found.estimate)
    odds = r2_treatment / (1 - r2_treatment)
    estimate = found.estimate - sign * found.se * np.sqrt(found.df * r2_outcome * odds)
    if of == "estimate":
        return estimate, 0.0, "effect"
    growth = (1 - r2_outcome) / (1 - r2_treatment) * found.df / (found.df - 1)
    critical = sign * critical_t(report.robustness.alpha, found.df - 1)
    return estimate / (found.se * np.sqrt(growth)), critical, "t statistic of the effect"


def _shown(report: SensitivityReport) -> list[tuple[Benchmark, AdjustedEstimate]]:
    names = list(dict.fromkeys(found.covariate for found in report.benchmarks))[:_SHOWN]
    return [
        (found, found.adjusted)
        for found in report.benchmarks
        if found.covariate in names and found.adjusted is not None
    ]


def _limits(
    report: SensitivityReport, shown: list[tuple[Benchmark, AdjustedEstimate]]
) -> tuple[float, float]:
    """Return how far the axes reach: past the robustness value and the benchmarks."""
    across = max([report.robustness.point, *(new.r2_treatment for _, new in shown)])
    up = max([report.robustness.point, *(new.r2_outcome for _, new in shown)])
    return min(0.95, 1.25 * across), min(0.95, 1.25 * up)


def _mark(shown: list[tuple[Benchmark, AdjustedEstimate]], ax: Axes) -> None:
    """Mark the benchmarks, a polyline for each covariate, its name at the far end."""
    for name in dict.fromkeys(found.covariate for found, _ in shown):
        mine = [(found, new) for found, new in shown if found.covariate == name]
        points = [(new.r2_treatment, new.r2_outcome) for _, new in mine]
        ax.plot(*zip(*points, strict=True), "o-", color=_POINTS, markersize=4, linewidth=0.8)
        for (found, _), point in zip(mine, points, strict=True):
            last = found is mine[-1][0]
            ax.annotate(
                f"{found.times:g} x {name}" if last else f"{found.times:g}",
                point,
                (5, 3),
                textcoords="offset points",
                color=_POINTS,
                fontsize=9 if last else 7,
            )


def _odds(report: SensitivityReport, ax: Axes) -> None:
    """The range of the effect over the factor on the odds of treatment."""
    found = sorted(report.marginal, key=lambda bounds: bounds.factor)
    factors = [bounds.factor for bounds in found]
    lower, upper = [b.lower for b in found], [b.upper for b in found]
    ax.fill_between(factors, lower, upper, color=_POINTS, alpha=BAND, linewidth=0, label="bounds")
    if all(bounds.interval for bounds in found):
        ends = [bounds.interval for bounds in found if bounds.interval]
        level = f"{100 * found[0].level:g} % interval"
        ax.plot(factors, [low for low, _ in ends], "--", color=_POINTS, label=level)
        ax.plot(factors, [high for _, high in ends], "--", color=_POINTS)
    reference(ax, y=0.0)
    if report.tipping is not None and report.tipping <= max(factors):
        label = f"zero is inside from {report.tipping:.3g}"
        ax.axvline(report.tipping, color=_CRITICAL, linestyle=":", label=label)
    ax.legend(loc="upper left", frameon=False, fontsize="small")
    words = "factor Λ by which a confounder may change the odds of treatment"
    tidy(ax, x=words, y=f"effect of {report.treatment} on {report.outcome}")
