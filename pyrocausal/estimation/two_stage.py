"""Two-stage least squares, and what its estimate claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pyrocausal.answers import Estimate, normal_interval
from pyrocausal.estimation.instrumented import Instrumented
from pyrocausal.estimation.table import Rows, read_rows
from pyrocausal.graph.mixed_graph import Names
from pyrocausal.identification.roles import listed

__all__ = ["check_instrumented", "exclusion", "instrumented_estimate", "two_stage_least_squares"]

WEAK: Final = 10.0
"""The F of the first stage below which the normal interval is not to be trusted."""


def two_stage_least_squares(
    data: Any,
    treatment: str,
    outcome: str,
    instruments: Names,
    covariates: Names = (),
    *,
    level: float = 0.95,
    robust: bool = True,
) -> Estimate:
    r"""Estimate an effect by instruments: regress the outcome on the treatment they predict.

    .. math:: \hat\beta = \frac{x' P y}{x' P x}

    with y, x and the instruments less what covariates explain of them, and P the projection on
    the instruments. It is the average effect if that of the treatment is linear and the same for
    all units; otherwise a weighted average over those whom the instruments move. Where the first
    stage is weak, F < 10, the interval is the Anderson-Rubin set, which holds however weak it is.

    Args:
        data: A DataFrame, or a mapping from name to values. Rows that lack a value are left out.
        treatment: Name of the treatment, a column of numbers.
        outcome: Name of the outcome, numbers.
        instruments: One name or several, numbers.
        covariates: What is held fixed; words become a column for each level but the first.
        level: Probability that the interval is made for.
        robust: Whether variances may differ from row to row. The F that is shown is then the
            effective one, and a set of several instruments may be in pieces.

    Returns:
        An estimate whose ``details`` hold ``"first-stage F"`` and ``"Anderson-Rubin set"``.

    Raises:
        UnknownVariable: A column is not there.
        TypeError: A column that must hold numbers holds words.
        ValueError: A name in two places; a treatment or instrument that doesn't vary; too few rows.

    Example:
        >>> card = two_stage_least_squares(
        ...     pc.datasets.close_college(),
        ...     "educ",
        ...     "lwage",
        ...     "nearc4",
        ...     ["exper", "black", "south", "smsa", "married"],
        ...     robust=False,
        ... )
        >>> print(f"{card.value:.3f} ({card.se:.3f})", card.details["Anderson-Rubin set"])
        0.124 (0.050) [0.0274, 0.2553]

    References:
        Imbens, Angrist (1994), Identification and estimation of local average treatment effects.
        Staiger, Stock (1997), Instrumental variables regression with weak instruments.
    """
    z, w = listed(instruments), listed(covariates)
    check_instrumented(treatment, outcome, z, w, level)
    amounts = [outcome, treatment, *z]
    rows = read_rows(data, [*amounts, *w], amounts=amounts)
    instrumented = Instrumented.of(rows, outcome, treatment, z, w, robust)
    moved = " or ".join(z)
    return instrumented_estimate(
        instrumented,
        rows,
        f"E[{outcome} | do({treatment}+1)] - E[{outcome} | do({treatment})]",
        level,
        claim="the average effect (ATE), under a homogeneous effect",
        rung=2,
        assumptions=(
            *exclusion(treatment, outcome, z, w),
            f"the effect of {treatment} is linear and the same for all units; otherwise, if no "
            f"unit is moved the other way, this is no ATE but a weighted average effect on those "
            f"whom {moved} moves",
        ),
    )


def exclusion(
    treatment: str, outcome: str, instruments: Sequence[str], covariates: Sequence[str]
) -> tuple[str, ...]:
    """Return what makes instruments valid, in words."""
    z, given = ", ".join(instruments), f", given {', '.join(covariates)}" if covariates else ""
    return (
        f"{z} reaches {outcome} through {treatment} alone, and shares no cause with it{given}",
        *(["what depends on covariates is linear in them"] if covariates else []),
    )


def instrumented_estimate(
    instrumented: Instrumented,
    rows: Rows,
    query: str,
    level: float,
    *,
    claim: str,
    rung: int,
    assumptions: Sequence[str],
    details: Mapping[str, Any] | None = None,
    warnings: Sequence[str] = (),
) -> Estimate:
    """Return the card of an estimate by instruments.

    Args:
        instrumented: The equation.
        rows: The rows that it was made of.
        query: The question in symbols.
        level: Probability that the interval is made for.
        claim: What the number is claimed to be.
        rung: That of the claim.
        assumptions: What it rests on.
        details: Further figures.
        warnings: What may be wrong with it.
    """
    value, error, strength = instrumented.effect, instrumented.error, instrumented.strength
    region = instrumented.anderson_rubin(level)
    weak = strength < WEAK
    notes = list(warnings)
    if weak:
        notes.append(
            f"weak instrument: F {strength:.3g} < {WEAK:g}, so that the estimate leans towards "
            "least squares and its error is not to be trusted; the interval is Anderson-Rubin's"
        )
    if region.kind == "empty":
        notes.append("the Anderson-Rubin set is empty: no effect fits all instruments at once")
    if rows.dropped:
        notes.append(
            f"{rows.dropped} more rows lack a value and were left out, which is right if values "
            "are missing at random"
        )
    return Estimate(
        value,
        error,
        region if weak else normal_interval(value, {"sampling": error}, level),
        query,
        rung,
        assumptions=tuple(assumptions),
        warnings=tuple(notes),
        details={
            "claims": claim,
            "interval by": "Anderson-Rubin" if weak else "normal approximation",
            "first-stage F": strength,
            "Anderson-Rubin set": region,
            "least squares": instrumented.least_squares,
            **(details or {}),
            "rows": len(rows),
        },
    )


def check_instrumented(
    treatment: str,
    outcome: str,
    instruments: Sequence[str],
    covariates: Sequence[str],
    level: float,
) -> None:
    """Refuse names and a level that make no sense.

    Raises:
        ValueError: No instrument, a name in two places, or a level that is no probability.
    """
    if not instruments:
        raise ValueError("instruments: got none; expected the name of one at least.")
    named = [outcome, treatment, *instruments, *covariates]
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise ValueError(
            f"instruments: {', '.join(map(repr, twice))} is named in two places; expected each "
            "variable to be outcome, treatment, instrument or covariate. Drop it from one."
        )
    if not 0 < level < 1:
        raise ValueError(f"level got {level!r}; expected a probability such as 0.95.")
