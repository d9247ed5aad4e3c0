"""Whether a formula's values for different free variables differ by more than chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from pyrocausal.identification.tables import Array, DiscreteTable

__all__ = ["spread_of", "spread_probability"]

Tables = Mapping[frozenset[str], DiscreteTable]

REPLICATES: Final = 200


def spread_of(slices: Array) -> float:
    """Return the largest difference between slices, over the values of the outcome.

    Args:
        slices: Probabilities, a row for each value of the free variables.

    Example:
        >>> print(round(spread_of(np.array([[0.25, 0.75], [0.5, 0.5]])), 2))
        0.25
    """
    return float(np.ptp(slices, axis=0).max())


def spread_probability(
    slices: Array, tables: Tables, evaluate: Callable[[Tables], Array]
) -> float:
    """Return how often chance alone makes slices spread as far as they do.

    If the graph is right, slices differ by sampling alone: as those of rows weighted at random
    (the Bayesian bootstrap, in which no cell becomes empty) differ from those of the rows. It
    takes several rows in each cell.

    Args:
        slices: Probabilities from the rows, a row for each value of the free variables.
        tables: The rows of each experiment, all of the same weight.
        evaluate: From tables to slices.

    References:
        Rubin (1981), The Bayesian bootstrap.
    """
    rng = np.random.default_rng(0)
    states = {key: _states(table) for key, table in tables.items()}
    spreads = []
    for _ in range(REPLICATES):
        drawn = {key: _reweighted(table, rng) for key, table in states.items()}
        spreads.append(spread_of(evaluate(drawn) - slices))
    exceeding = int((np.array(spreads) >= spread_of(slices)).sum())
    return (1 + exceeding) / (1 + REPLICATES)


def _states(table: DiscreteTable) -> DiscreteTable:
    """Return a table of the different rows, weighted by their numbers."""
    names = list(table.codes)
    codes, counts = np.unique([table.codes[name] for name in names], axis=1, return_counts=True)
    columns = dict(zip(names, codes, strict=True))
    return DiscreteTable(table.levels, columns, counts.astype(np.float64))


def _reweighted(table: DiscreteTable, rng: np.random.Generator) -> DiscreteTable:
    weights = rng.gamma(table.weights)
    return replace(table, weights=weights / weights.sum(), _margins={})
