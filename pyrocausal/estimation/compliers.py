"""The effect on compliers: those whom an instrument moves, in a model or from data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pyrocausal.answers import Effect, Estimate
from pyrocausal.estimation.instrumental_inequality import inequality_of
from pyrocausal.estimation.instrumented import Instrumented
from pyrocausal.estimation.principal_strata import late_in_model
from pyrocausal.estimation.study import shown
from pyrocausal.estimation.table import Array, Rows, read_rows
from pyrocausal.estimation.two_stage import check_instrumented, exclusion, instrumented_estimate
from pyrocausal.graph.mixed_graph import MixedGraph, Names
from pyrocausal.identification.instrumental import instruments
from pyrocausal.identification.roles import listed
from pyrocausal.model import SCM
from pyrocausal.queries.asking import SAMPLES
from pyrocausal.queries.reading import pair

__all__ = ["late"]


def late(
    source: Any,
    treatment: str,
    outcome: Any,
    *,
    instrument: str,
    covariates: Names = (),
    data: Any = None,
    values: tuple[Any, Any] = (1.0, 0.0),
    instrument_values: tuple[Any, Any] = (1.0, 0.0),
    level: float = 0.95,
    num_samples: int = SAMPLES,
    seed: int | None = None,
) -> Effect | Estimate:
    r"""Return the effect on compliers, the local average treatment effect; rung 3.

    .. math:: E[Y_{x} - Y_{x'} \mid X_{z} = x, X_{z'} = x']

    Of an SCM it is read off its worlds, which share their noise: the card tells the shares of
    compliers, defiers, always- and never-takers. From data it is the Wald ratio

    .. math:: \frac{E[Y \mid z] - E[Y \mid z']}{P(X = x \mid z) - P(X = x \mid z')}

    under monotonicity: nobody defies. With covariates it is two-stage least squares, an average of
    the compliers' effects whose weights the card names. Where F < 10 the interval is the
    Anderson-Rubin set. Without covariates the instrumental inequality is tested.

    Args:
        source: An SCM; or a DataFrame; or a graph or SCM by which the instrument is checked, and
            ``data``.
        treatment: Name of the treatment.
        outcome: Name of the outcome; of an SCM also an event or a function, as for ``pc.ate``.
        instrument: Name of the instrument.
        covariates: What is held fixed, for an instrument that is one given these.
        data: Rows, where ``source`` says the graph.
        values: The treated and the control value ``(x, x')``; the data have no others.
        instrument_values: The instrument's two values ``(z, z')``, which may change places: from
            data, compliers are those whom the instrument moves the way that it moves most.
        level: Probability that the interval is made for.
        num_samples: Number of units to draw from an SCM.
        seed: Gives the same units of an SCM again.

    Returns:
        An `Effect` of a model, an `Estimate` from data.

    Raises:
        UnknownVariable: A name that is no variable, or no column.
        TypeError: A source that is neither model, graph nor table; an outcome of words.
        ValueError: The variable is no instrument in the graph; other values than the two; a
            treatment or instrument that doesn't vary; too few rows, or no compliers.

    Example:
        >>> answer = late(pc.zoo.noncompliance(), "X", "Y", instrument="Z", seed=0)
        >>> abs(answer.value - 2.2) < 4 * answer.se
        True
        >>> rows = pc.zoo.noncompliance().sample(5000, seed=0).to_frame()
        >>> estimate = late(rows, "X", "Y", instrument="Z")
        >>> 2.2 in estimate.interval, estimate.details["claims"]
        (True, 'the effect on compliers (LATE), under monotonicity')

    References:
        Imbens, Angrist (1994), Identification and estimation of local average treatment effects.
        Angrist, Imbens, Rubin (1996), Identification of causal effects using instrumental
        variables.
        Blandhol, Bonney, Mogstad, Torgovitsky (2022), When is TSLS actually LATE?
    """
    if isinstance(source, SCM) and data is None:
        return late_in_model(
            source,
            treatment,
            outcome,
            instrument,
            listed(covariates),
            pair(values),
            pair(instrument_values),
            {"level": level, "num_samples": num_samples, "seed": seed},
        )
    w = listed(covariates)
    check_instrumented(treatment, outcome, [instrument], w, level)
    if data is not None:
        _check_graph(source, treatment, outcome, instrument, w)
    elif isinstance(source, MixedGraph):
        raise TypeError("late: got a graph without data; expected rows too. Give data=.")
    rows = read_rows(
        source if data is None else data, [outcome, treatment, instrument, *w], amounts=[outcome]
    )
    two = {treatment: pair(values), instrument: pair(instrument_values)}
    return _estimate(_coded(rows, two), treatment, outcome, instrument, w, two, level)


def _estimate(
    rows: Rows,
    treatment: str,
    outcome: str,
    instrument: str,
    covariates: Sequence[str],
    two: dict[str, tuple[Any, Any]],
    level: float,
) -> Estimate:
    equation = Instrumented.of(rows, outcome, treatment, [instrument], covariates, robust=True)
    first = Instrumented.of(rows, treatment, instrument, [instrument], covariates, robust=True)
    (a, b), (z1, z0) = ([shown(value) for value in two[n]] for n in (treatment, instrument))
    if first.effect < 0:
        z1, z0 = z0, z1
    share = "" if not covariates else f", weighted by the variance of {instrument}"
    details: dict[str, Any] = {
        f"share of compliers{share}": f"{abs(first.effect):.3g} (se {first.error:.2g})"
    }
    warnings, claim = [], "the effect on compliers (LATE), under monotonicity"
    assumptions = [*exclusion(treatment, outcome, [instrument], covariates)]
    if covariates:
        given = ", ".join(covariates)
        claim = (
            "an average of the compliers' effects by covariates, under monotonicity: weights "
            f"proportional to P(complier | {given}) Var({instrument} | {given})"
        )
        assumptions[1] = f"the mean of {instrument} given {given} is linear in these"
    else:
        taken = [rows.columns[treatment][rows.columns[instrument] == z].mean() for z in (1, 0)]
        details["share of always-takers"] = float(min(taken))
        details["share of never-takers"] = float(1 - max(taken))
        inequality = inequality_of(
            rows, treatment, outcome, instrument, level=level, monotone=True
        )
        details["instrumental inequality"] = inequality
        if inequality.rejected:
            warnings.append(f"{inequality}. Look for another instrument, or for pc.bounds")
    assumptions.append(
        f"nobody defies: no unit has {treatment}={b} with {instrument}={z1} and {treatment}={a} "
        f"with {instrument}={z0}"
    )
    return instrumented_estimate(
        equation,
        rows,
        f"E[{outcome}({treatment}={a}) - {outcome}({treatment}={b}) | "
        f"{treatment}({instrument}={z1})={a}, {treatment}({instrument}={z0})={b}]",
        level,
        claim=claim,
        rung=3,
        assumptions=assumptions,
        details=details,
        warnings=warnings,
    )


def _check_graph(
    source: Any, treatment: str, outcome: str, instrument: str, covariates: Sequence[str]
) -> None:
    """Refuse an instrument that is none in the graph."""
    found = instruments(source, outcome=outcome, do=treatment)
    why = found.why_not(instrument, covariates)
    if why is None:
        return
    others = ", ".join(map(str, found)) or "none: pc.bounds gives what the data still tell"
    raise ValueError(
        f"late: {instrument!r} is no instrument for the effect of {treatment} on {outcome} in the "
        f"graph: {why}. Instruments there: {others}."
    )


def _coded(rows: Rows, two: dict[str, tuple[Any, Any]]) -> Rows:
    """Return rows in which the first of two values is 1 and the second 0.

    Raises:
        ValueError: A column with other values.
    """
    columns = dict(rows.columns)
    for name, values in two.items():
        first, second = (_is(columns[name], value) for value in values)
        if not (first | second).all():
            levels = ", ".join(shown(level) for level in rows.levels(name)[:8])
            expected = " and ".join(shown(value) for value in values)
            raise ValueError(
                f"late: the column {name!r} holds {levels}; expected {expected} alone. Say which "
                f"two it has by values= or instrument_values=; with more than two, "
                "pyrocausal.estimation.two_stage_least_squares says what can be claimed."
            )
        columns[name] = first.astype(np.float64)
    return replace(rows, columns=columns, factors=rows.factors - two.keys())


def _is(column: Array, value: Any) -> Any:
    return column == (str(value) if column.dtype.kind == "U" else value)
