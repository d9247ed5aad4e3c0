"""Compliers, defiers, always- and never-takers, read off the worlds of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pyrocausal.answers import Effect
from pyrocausal.estimation.study import shown
from pyrocausal.model import SCM
from pyrocausal.queries.answering import Measured, answer
from pyrocausal.queries.asking import FEWEST, Options, Question, question
from pyrocausal.queries.couplings import coupling_of

__all__ = ["late_in_model"]


def late_in_model(
    scm: SCM,
    treatment: str,
    outcome: Any,
    instrument: str,
    covariates: Sequence[str],
    values: tuple[Any, Any],
    instrument_values: tuple[Any, Any],
    options: Options,
) -> Effect:
    """Average the effect over the units that comply, whoever else there is.

    Args:
        scm: The model.
        treatment: The treatment, of two values.
        outcome: What is averaged.
        instrument: What moves the treatment.
        covariates: Names that a model has no use for.
        values: The treated and the control value.
        instrument_values: The values that move units from control to treatment.
        options: ``level``, ``num_samples`` and ``seed``.

    Raises:
        UnknownVariable: A name that is no variable.
        ValueError: Covariates; a treatment of other values; too few compliers.
    """
    if covariates:
        raise ValueError(
            f"late: got covariates={tuple(covariates)} with an SCM, whose worlds need none. Leave "
            "them out; or give data= to estimate from rows."
        )
    worlds = [{instrument: z} for z in instrument_values] + [{treatment: x} for x in values]
    asked = question(scm, outcome, worlds, options)
    told = ", ".join(
        f"{treatment}({instrument}={shown(z)})={shown(x)}"
        for z, x in zip(instrument_values, values, strict=True)
    )
    one, other = (asked.outcome.named(f"{treatment}={shown(x)}") for x in values)
    means = f"{one.mean(told)} - {other.mean(told)}"
    return answer(
        asked,
        lambda posed: _measured(posed, treatment, instrument, values),
        means if one.event else f"E[{one.text} - {other.text} | {told}]",
        rung=3,
        assumes=(
            f"who complies rests on the coupling of {coupling_of(scm, treatment)[0]}, which no "
            "data can check",
        ),
    )


def _measured(
    question: Question, treatment: str, instrument: str, values: tuple[Any, Any]
) -> Measured:
    asked = question.ask()
    *moved, treated, control = asked.units.worlds(question.actions)
    with_z, without_z = (_taken(world[treatment], treatment, values) for world in moved)
    compliers, defiers = with_z & ~without_z, ~with_z & without_z
    if int(compliers.sum()) < FEWEST:
        raise ValueError(
            f"late: {int(compliers.sum())} of {len(compliers)} units comply; expected at least "
            f"{FEWEST}. Raise num_samples, turn instrument_values round, or ask whether "
            f"{instrument} moves {treatment} at all."
        )
    gain = (question.outcome(treated) - question.outcome(control))[compliers]
    strata = {
        "compliers": compliers,
        "defiers": defiers,
        "always-takers": with_z & without_z,
        "never-takers": ~with_z & ~without_z,
    }
    details = {f"share of {who}": who_is.double().mean().item() for who, who_is in strata.items()}
    warnings: tuple[str, ...] = ()
    if bool(defiers.any()):
        warnings = (
            f"{details['share of defiers']:.3g} of the units defy: the Wald ratio of data from "
            "this model is not the effect on compliers",
        )
    return Measured(
        gain.mean(), gain.std() / len(gain) ** 0.5, asked, details=details, warnings=warnings
    )


def _taken(column: Tensor, treatment: str, values: tuple[float, float]) -> Tensor:
    """Tell which units are treated.

    Raises:
        ValueError: Some are neither treated nor control.
    """
    taken, left = column == values[0], column == values[1]
    neither = column[~(taken | left)]
    if len(neither):
        expected = " or ".join(shown(value) for value in values)
        raise ValueError(
            f"late: {treatment!r} is {torch.flatten(neither)[0].item():.4g} in some units; expected "
            f"{expected}, since who complies is told by two values. Name them by values=, or ask "
            "about a binary treatment."
        )
    return taken
