"""Pictures, by matplotlib: each function draws, returns its axes or figure, and shows nothing."""

from pyrocausal.plot.answers import dose_response, forest, probabilities, waterfall
from pyrocausal.plot.confounding import sensitivity_contours, sensitivity_odds
from pyrocausal.plot.covariates import balance, overlap, standardized_differences
from pyrocausal.plot.graphs import graph, swig, twin
from pyrocausal.plot.rungs import distributions, ladder, slopes

__all__ = [
    "balance",
    "distributions",
    "dose_response",
    "forest",
    "graph",
    "ladder",
    "overlap",
    "probabilities",
    "sensitivity_contours",
    "sensitivity_odds",
    "slopes",
    "standardized_differences",
    "swig",
    "twin",
    "waterfall",
]
