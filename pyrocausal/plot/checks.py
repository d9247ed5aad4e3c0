"""Pictures of checks: histograms of ranks, which are flat where all is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from pyrocausal.checking.goodness import Array
from pyrocausal.plot.style import BAND, INK, PALETTE, new_row, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["rank_histograms"]

_BINS: Final = 20


def rank_histograms(ranks: Mapping[str, Array]) -> Figure:
    """Draw a histogram of ranks for each variable, with the band of 95 % for each bar.

    Args:
        ranks: Variable to its ranks on (0, 1), shape ``(components, units)``.

    Returns:
        The figure, a panel for each variable.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.

    Example:
        >>> figure = rank_histograms({"x": (np.arange(200)[None] + 0.5) / 200})
        >>> [ax.get_title(loc="left") for ax in figure.axes]
        ['x']
    """
    axes = new_row(len(ranks), (2.6, 2.4))
    for ax, (name, u) in zip(axes, ranks.items(), strict=True):
        values = u[~np.isnan(u)]
        expected = len(values) / _BINS
        reach = 1.96 * np.sqrt(expected * (1 - 1 / _BINS))
        ax.axhspan(expected - reach, expected + reach, color=INK, alpha=BAND, linewidth=0)
        ax.axhline(expected, color=INK, linewidth=0.8)
        ax.hist(
            values, bins=_BINS, range=(0.0, 1.0), color=PALETTE[0], alpha=0.8, edgecolor="white"
        )
        ax.set_xlim(0.0, 1.0)
        tidy(ax, x="rank", title=name)
    axes[0].set_ylabel("units")
    return axes[0].figure  # type: ignore[return-value]
