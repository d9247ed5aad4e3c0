"""The independences that the graph of an SCM claims, held against data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from pyrocausal.checking.findings import Finding, Measured, judged
from pyrocausal.checking.goodness import Array
from pyrocausal.checking.subject import Subject
from pyrocausal.graph import CausalGraph
from pyrocausal.identification import implied_independences
from pyrocausal.identification.independence import Column, independence, read_column

__all__ = ["implied"]

CHECK: Final = "implied independences"
_KNOTS: Final = 7


def implied(subject: Subject, level: float) -> list[Finding]:
    """Test each independence that the graph claims of the variables that are in the data.

    Discrete variables by the G-test; others by the covariance of residuals, with means that are
    sums of smooth functions of the conditions.

    Args:
        subject: The SCM and data.
        level: Probability that any independence that holds is rejected.

    Returns:
        The independences that are rejected; else the one that comes closest to it.

    References:
        Shah, Peters (2020), The hardness of conditional independence testing and the generalised
        covariance measure.
    """
    columns = subject.columns
    claims = implied_independences(_among(subject, columns))
    whole = ~np.isnan([*columns.values(), np.zeros(subject.rows)]).any(0)
    if not claims or whole.sum() < 2:
        why = "the graph claims none" if not claims else "not checked: no row is complete"
        return [Finding(CHECK, "all", "", why, None)]
    if not whole.all():
        subject.notes.append(f"independences were tested on the {whole.sum()} complete rows")
    rows = {name: value[whole] for name, value in columns.items()}
    read = {name: read_column(rows, name) for name in rows}
    measured = []
    for claim in claims:
        given = [part for name in claim.given for part in _smooth(read[name])]
        test = independence(read[claim.x], read[claim.y], given)
        figure = f"{test.method} statistic {test.statistic:.3g}, {test.dof} dof"
        wrong = "DEPENDENT: the graph lacks an edge or a common cause"
        one = Measured(
            str(claim), figure, test.statistic, "not rejected", wrong, {test.method: test.p}
        )
        measured.append(one)
    found = sorted(judged(CHECK, measured, level), key=lambda finding: finding.p or 0.0)
    return [finding for finding in found if finding.failed] or found[:1]


def _among(subject: Subject, columns: dict[str, Array]) -> CausalGraph:
    """Return the graph of the units, with all latent that has no column."""
    graph, shared = subject.scm.graph, subject.scm._core.anatomy.shared
    # What all units share is a constant to the rows of one data set.
    nodes = [name for name in graph if name not in shared]
    edges = [edge for edge in graph.edges if set(edge) <= set(nodes)]
    return CausalGraph(edges, latent=[n for n in nodes if n not in columns], nodes=nodes)


def _smooth(column: Column) -> Iterator[Column]:
    """Yield what a smooth function of a condition is a sum of: itself, and bends."""
    yield column
    if not column.levels:
        for knot in np.quantile(column.values, np.arange(1, _KNOTS + 1) / (_KNOTS + 1)):
            yield Column(column.name, np.maximum(column.values - knot, 0.0), 0)
