"""The instrumental inequality: what data must look like if an instrument is valid."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pyrocausal.estimation.table import Array, Rows, read_rows

__all__ = ["InstrumentalInequality", "inequality_of", "instrumental_inequality"]

Codes = npt.NDArray[np.intp]

CLASSES: Final = 4
"""Classes of equal size that a continuous outcome is cut into."""


@dataclass(frozen=True)
class InstrumentalInequality:
    """Whether some model with this instrument gives the data.

    Attributes:
        value: The greatest sum, at most 1 where the instrument is valid.
        at: The treatment's value of that sum.
        p_value: How often a valid instrument gives as much or more, at most.
        feasible: Whether a model gives the table within simultaneous limits of sampling error, by
            a linear program; None without scipy.
        level: Probability that the limits are made for.
        monotone: Whether the linear program leaves out models with defiers.
        dropped: How many rows lacked a value.

    Example:
        >>> data = {"z": [0, 1] * 50, "x": [0, 1] * 50, "y": [0, 1] * 50}
        >>> found = instrumental_inequality(data, "x", "y", "z")
        >>> isinstance(found, InstrumentalInequality), found.value, found.rejected
        (True, 1.0, False)
    """

    value: float
    at: Any
    p_value: float
    feasible: bool | None
    level: float
    monotone: bool
    dropped: int = 0

    @property
    def rejected(self) -> bool:
        """Whether the data contradict the instrument, by either test."""
        return self.p_value < 1 - self.level or self.feasible is False

    def __str__(self) -> str:
        models = "model without defiers" if self.monotone else "model"
        program = {
            None: "linear program not solved, since scipy is not installed",
            True: f"some {models} gives the table within sampling error (linear program)",
            False: f"no {models} gives the table, even within sampling error (linear program)",
        }
        verdict = "the data contradict the instrument" if self.rejected else "not contradicted"
        return (
            f"{verdict}: {self.value:.4g}, valid up to 1 (p {self.p_value:.2g}); "
            f"{program[self.feasible]}"
        )


def instrumental_inequality(
    data: Any,
    treatment: str,
    outcome: str,
    instrument: str,
    *,
    level: float = 0.95,
    monotone: bool = False,
) -> InstrumentalInequality:
    r"""Test whether a variable can be an instrument, whatever confounds treatment and outcome.

    .. math:: \max_x \sum_y \max_z P(x, y \mid z) \le 1

    holds if the instrument is drawn as by lot and reaches the outcome through the treatment alone.
    The test compares the greatest sum with its error, times the number of sums (Bonferroni); the
    linear program, which is sharper, asks whether any model with an instrument gives a table
    within exact simultaneous limits. An instrument that passes may be invalid all the same.

    Args:
        data: A DataFrame, or a mapping from name to values. Rows that lack a value are left out.
        treatment: Name of the treatment, of few values.
        outcome: Name of the outcome; of many values, it is cut into four classes of equal size.
        instrument: Name of the instrument, of few values.
        level: 1 less the probability of a false alarm of each of the two tests.
        monotone: Whether the instrument is claimed to move the treatment one way only, which the
            linear program then tests too.

    Returns:
        What was found; ``rejected`` says whether the variable can be no instrument.

    Raises:
        UnknownVariable: A column is not there.
        ValueError: A treatment or an instrument of one or of many values; no complete row.

    Example:
        >>> shares = {0: {(1, 1): 7, (0, 1): 1, (1, 0): 1, (0, 0): 1}}
        >>> shares[1] = {(1, 1): 1, (0, 1): 7, (1, 0): 1, (0, 0): 1}
        >>> rows = [(z, x, y) for z in shares for (y, x), n in shares[z].items() for _ in range(9 * n)]
        >>> z, x, y = zip(*rows)
        >>> found = instrumental_inequality({"z": z, "x": x, "y": y}, "x", "y", "z")
        >>> found.value, found.rejected
        (1.4, True)

    References:
        Pearl (1995), On the testability of causal models with latent and instrumental variables.
        Balke, Pearl (1997), Bounds on treatment effects from studies with imperfect compliance.
    """
    if not 0 < level < 1:
        raise ValueError(f"level got {level!r}; expected a probability such as 0.95.")
    rows = read_rows(data, [instrument, treatment, outcome])
    return inequality_of(rows, treatment, outcome, instrument, level=level, monotone=monotone)


def inequality_of(
    rows: Rows, treatment: str, outcome: str, instrument: str, *, level: float, monotone: bool
) -> InstrumentalInequality:
    """Do the same of rows that were read."""
    for what, name in (("instrument", instrument), ("treatment", treatment)):
        levels = rows.levels(name)
        if len(levels) < 2 or name not in rows.discrete:
            raise ValueError(
                f"instrumental_inequality: the {what} {name!r} has {len(levels)} different values; "
                "expected a few, of which each occurs often. The inequality says nothing of "
                "others."
            )
    counts = _counts([_codes(rows, instrument), _codes(rows, treatment), _classes(rows, outcome)])
    value, place, error = _greatest(counts)
    kinds, others, classes = counts.shape
    sums = others * (kinds**classes - kinds)
    excess = NormalDist().cdf((1 - value) / error)
    return InstrumentalInequality(
        value,
        rows.levels(treatment)[place].item(),
        min(1.0, float(sums) * excess),
        _feasible(counts, level, monotone),
        level,
        monotone,
        rows.dropped,
    )


def _greatest(counts: Array) -> tuple[float, int, float]:
    """Return the greatest sum, for which value of the treatment, and its standard error."""
    totals = counts.sum((1, 2))
    given = counts / totals[:, None, None]
    sums = given.max(0).sum(1)
    x = int(sums.argmax())
    chosen = given[:, x].argmax(0)
    # The sum takes from each stratum of the instrument the probability of one event.
    hits = np.array([counts[z, x, chosen == z].sum() for z in range(len(totals))])
    p = (hits + 1) / (totals + 2)  # so that an event that always occurs has an error too
    return float(sums[x]), x, sqrt(float((p * (1 - p) / totals).sum()))


def _feasible(counts: Array, level: float, monotone: bool) -> bool | None:
    """Tell whether some response functions give the table within simultaneous limits."""
    from pyrocausal.bounding.program import Laws
    from pyrocausal.bounding.response_functions import ResponseFunctions
    from pyrocausal.bounding.sampling_error import conditional_limits, free_cells
    from pyrocausal.graph.mixed_graph import MixedGraph
    from pyrocausal.identification.admg import Admg
    from pyrocausal.identification.assumptions import Monotone

    graph = MixedGraph([("Z", "X"), ("X", "Y")], bidirected=[("X", "Y")])
    kinds, others, classes = counts.shape
    sizes = {"Z": kinds, "X": others, "Y": classes}
    means = counts.sum(2) @ np.arange(others) / counts.sum((1, 2))
    sign = 1 if means[-1] >= means[0] else -1
    assumed = [Monotone("X", "Z", sign)] if monotone else []
    types = ResponseFunctions.of(Admg.from_graph(graph), "XY", sizes, assumed)
    try:
        cells = (1 - level) / free_cells([(counts, 1)])
        low, high = conditional_limits(counts, 1, cells)
        laws = Laws(types.cells("XY"), low.reshape(kinds, -1), high.reshape(kinds, -1))
        return laws.feasible()
    except ImportError:
        return None


def _counts(codes: list[Codes]) -> Array:
    """Return how many rows have which codes, an axis for each column."""
    counts = np.zeros([int(code.max()) + 1 for code in codes])
    np.add.at(counts, tuple(codes), 1.0)
    return counts


def _codes(rows: Rows, name: str) -> Codes:
    return np.searchsorted(rows.levels(name), rows.columns[name])


def _classes(rows: Rows, outcome: str) -> Codes:
    """Return the outcome's codes, or which class of equal size it falls into."""
    if outcome in rows.discrete:
        return _codes(rows, outcome)
    values = rows.columns[outcome]
    cuts = np.quantile(values, np.arange(1, CLASSES) / CLASSES)
    return np.searchsorted(np.unique(cuts), values)
