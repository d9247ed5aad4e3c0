"""Pictures of whether groups compare: covariate balance, and overlap of propensities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from pyrocausal.engine.casting import as_tensor
from pyrocausal.engine.evidence import columns_of
from pyrocausal.errors import UnknownVariable
from pyrocausal.plot.style import INK, PALETTE, new_axes, points, reference, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["balance", "overlap", "standardized_differences"]

Array = npt.NDArray[np.float64]

SMALL: Final = 0.1
"""A standardised difference below this is commonly held to be negligible."""


def balance(
    data: Any,
    treatment: str,
    covariates: Sequence[str],
    weights: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how far the treated differ from the others, before and after weighting (a love plot).

    Args:
        data: Mapping or table of columns, one value a unit.
        treatment: Name of the column that is 1 for the treated and 0 for the others.
        covariates: Names of the columns that are held against it.
        weights: A weight for each unit, shape ``(units,)``; a list or array, or the name of its
            column.
        ax: Where to draw; a new figure by default.

    Raises:
        UnknownVariable: There is no such column.
        ValueError: A treatment that is not 0 or 1, one group alone, missing values, weights that
            are negative or not one for each unit.

    Example:
        >>> data = {"x": [0, 0, 1, 1], "age": [30.0, 50.0, 40.0, 60.0]}
        >>> ax = balance(data, "x", ["age"])
        >>> [t.get_text() for t in ax.get_yticklabels()]
        ['age']

    References:
        Love (2004), Graphical display of covariate balance.
        Austin (2009), Balance diagnostics for comparing the distribution of baseline covariates
        between treatment groups in propensity-score matched samples.
    """
    before = standardized_differences(data, treatment, covariates)
    order = sorted(before, key=lambda name: abs(before[name]))
    height = max(2.0, 0.35 * len(order) + 1.2)
    ax = new_axes(ax, (6.0, height))
    at = np.arange(len(order))
    reference(ax, x=0.0)
    ax.axvspan(-SMALL, SMALL, color=INK, alpha=0.08, linewidth=0, label=f"within {SMALL}")
    label = "unweighted" if weights is not None else "difference"
    ax.plot([before[n] for n in order], at, label=label, **points(PALETTE[1], filled=False))
    if weights is not None:
        after = standardized_differences(data, treatment, covariates, weights)
        ax.plot([after[n] for n in order], at, label="weighted", **points(PALETTE[0]))
        ax.hlines(at, [before[n] for n in order], [after[n] for n in order], INK, linewidth=0.6)
    ax.set_yticks(at, order)
    ax.set_ylim(-0.6, len(order) - 0.4)
    ax.legend(frameon=False, fontsize="small", loc="best")
    return tidy(ax, x=f"standardised difference of means, {treatment}=1 less {treatment}=0")


def overlap(propensity: Any, treatment: Any, ax: Axes | None = None) -> Axes:
    """Draw the propensities of the treated above, and of the others below, the line.

    Units beyond the range that both groups reach have nobody to be compared with; they are counted
    in the title, and the common range is shaded.

    Args:
        propensity: Each unit's probability of treatment, shape ``(units,)``.
        treatment: 1 for the treated and 0 for the others, shape ``(units,)``.
        ax: Where to draw; a new figure by default.

    Raises:
        ValueError: No probabilities, a treatment that is not 0 or 1, one group alone.

    Example:
        >>> ax = overlap([0.2, 0.4, 0.4, 0.8], [0, 0, 1, 1])
        >>> ax.get_title("left")
        'outside the common range: 2 of 4 units'
    """
    scores, treated = _column(propensity, "propensity"), _treated(treatment, "treatment")
    if scores.shape != treated.shape or ((scores < 0) | (scores > 1)).any():
        raise ValueError(
            f"overlap: got propensities from {scores.min():.3g} to {scores.max():.3g} of "
            f"{len(scores)} units and the treatment of {len(treated)}; expected a probability for "
            "each unit."
        )
    ax = new_axes(ax)
    low = max(scores[treated].min(), scores[~treated].min())
    high = min(scores[treated].max(), scores[~treated].max())
    outside = int(((scores < low) | (scores > high)).sum())
    if low < high:
        ax.axvspan(low, high, color=INK, alpha=0.08, linewidth=0, label="common range")
    edges = np.linspace(0.0, 1.0, 41)
    for words, group, sign, color in (
        ("treated", treated, 1.0, PALETTE[1]),
        ("others", ~treated, -1.0, PALETTE[0]),
    ):
        shares = np.histogram(scores[group], edges)[0] / group.sum()
        label = f"{words}: {group.sum()}"
        ax.bar(edges[:-1], sign * shares, np.diff(edges), align="edge", color=color, label=label)
    reference(ax, y=0.0)
    ax.set_xlim(0.0, 1.0)
    ax.yaxis.set_major_formatter(lambda share, _: f"{abs(share):g}")
    ax.legend(frameon=False, fontsize="small")
    title = f"outside the common range: {outside} of {len(scores)} units"
    return tidy(ax, x="propensity of treatment", y="share of the group", title=title)


def standardized_differences(
    data: Any, treatment: str, covariates: Sequence[str], weights: Any = None
) -> Mapping[str, float]:
    r"""Return how far the means of the treated lie from the others', in standard deviations.

    ``(m1 - m0) / sqrt((s1^2 + s0^2) / 2)``, where the means are weighted and the variances are
    not, so that differences before and after weighting compare.

    Args:
        data: Mapping or table of columns.
        treatment: Name of the column that is 1 for the treated and 0 for the others.
        covariates: Names of the columns that are held against it.
        weights: A weight for each unit, or the name of its column.

    Raises:
        UnknownVariable: There is no such column.
        ValueError: See `balance`.

    Example:
        >>> data = {"x": [0, 0, 1, 1], "age": [30.0, 50.0, 40.0, 60.0]}
        >>> round(standardized_differences(data, "x", ["age"])["age"], 3)
        0.707
    """
    columns = columns_of(data, "balance")
    for name in (treatment, *covariates, *([weights] if isinstance(weights, str) else [])):
        if name not in columns:
            raise UnknownVariable(name, columns, "balance")
    treated = _treated(columns[treatment], treatment)
    given = columns[weights] if isinstance(weights, str) else weights
    weight = np.ones(len(treated)) if given is None else _column(given, "weights")
    if weight.shape != treated.shape or (weight < 0).any():
        raise ValueError(
            f"balance: got {len(weight)} weights, the least {weight.min():.3g}, for "
            f"{len(treated)} units; expected one for each, none below 0."
        )
    found = {}
    for name in covariates:
        x = _column(columns[name], name)
        groups = [(x[g], weight[g]) for g in (treated, ~treated)]
        one, other = (float(np.average(part, weights=w)) for part, w in groups)
        spread = float(np.sqrt(np.mean([np.var(part, ddof=1) for part, _ in groups])))
        found[name] = (
            (one - other) / spread if spread > 0 else float(np.sign(one - other)) * np.inf
        )
        found[name] = 0.0 if one == other else found[name]
    return found


def _treated(given: Any, what: str) -> npt.NDArray[np.bool_]:
    values = _column(given, what)
    if not np.isin(values, (0.0, 1.0)).all() or min((values == 0).sum(), (values == 1).sum()) < 2:
        raise ValueError(
            f"{what} has the values {', '.join(f'{v:g}' for v in np.unique(values)[:5])}; expected "
            "1 for the treated and 0 for the others, at least two of each."
        )
    treated: npt.NDArray[np.bool_] = values == 1.0
    return treated


def _column(given: Any, what: str) -> Array:
    values: Array = as_tensor(given, what).detach().cpu().double().numpy()
    if values.ndim != 1 or np.isnan(values).any():
        raise ValueError(
            f"{what} has the shape {values.shape} and {np.isnan(values).sum()} missing values; "
            "expected a number for each unit."
        )
    return values
