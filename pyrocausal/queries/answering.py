"""From measurements to an answer: Monte Carlo error, parameter uncertainty, and the card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pyrocausal.answers import Effect, Interval, normal_interval
from pyrocausal.queries.asking import Asked, Question
from pyrocausal.queries.scales import compare, standard_error

__all__ = ["Measured", "answer", "compared", "measure_pair"]


@dataclass(frozen=True)
class Measured:
    """What one run of a question gives, at one setting of the parameters.

    Attributes:
        value: A number, or one for each entry of the answer's index; float64.
        se: Its Monte Carlo error, of the same shape.
        asked: The units that it was measured on.
        bounds: What any coupling allows, lower and upper, where the question has it.
        bounds_hold: Under what they hold.
        details: Further figures for the card.
        warnings: What may be wrong.
    """

    value: Tensor
    se: Tensor
    asked: Asked
    bounds: tuple[Tensor, Tensor] | None = None
    bounds_hold: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def compared(asked: Asked, treated: Tensor, control: Tensor) -> Measured:
    """Compare the means of two worlds of the same units."""
    scale = asked.question.scale
    one, other = asked.replicates(treated), asked.replicates(control)
    value = compare(one.mean(), other.mean(), scale)
    error = torch.zeros_like(value)
    if len(one) > 1:
        error = standard_error(one, other, scale)
    return Measured(value, error, asked)


def measure_pair(question: Question) -> Measured:
    """Measure a question of two worlds, the treated and the control one."""
    asked = question.ask()
    treated, control = asked.outcomes()
    return compared(asked, treated, control)


def answer(
    question: Question,
    measure: Callable[[], Measured],
    text: str,
    *,
    rung: int | None = None,
    index: Any = None,
    notes: tuple[str, ...] = (),
    assumes: tuple[str, ...] = (),
) -> Effect:
    """Measure, once for each draw of uncertain parameters too, and say what it rests on.

    Args:
        question: What was asked.
        measure: Runs it at the parameters the model has at that moment.
        text: The question in symbols.
        rung: The rung, where it is not the question's.
        index: What the numbers belong to.
        notes: Warnings known before.
        assumes: What it rests on besides the model.
    """
    measured = measure()
    units = measured.asked.units
    return Effect(
        value=_plain(measured.value),
        se=_plain(measured.se),
        interval=_interval(question, measured),
        query=text,
        rung=rung or question.rung,
        routes=units.routes,
        assumptions=(*units.assumptions, *assumes),
        warnings=(*notes, *measured.warnings),
        index=index,
        bounds=_bounds(measured),
        details={**measured.details, "units": _described(measured.asked), "seed": question.seed},
    )


def _interval(question: Question, measured: Measured) -> Interval | None:
    if question.scm.report is not None:
        return None
    return normal_interval(
        _plain(measured.value), {"Monte Carlo": _plain(measured.se)}, question.level
    )


def _bounds(measured: Measured) -> Interval | None:
    if measured.bounds is None:
        return None
    lower, upper = map(_plain, measured.bounds)
    return Interval(lower, upper, 1.0, note=measured.bounds_hold)


def _plain(number: Tensor) -> float | Tensor:
    return number.item() if number.ndim == 0 else number


def _described(asked: Asked) -> str:
    units = asked.units
    if units.draws is not None:
        draws = f", {units.draws} draws of each" if units.draws > 1 else ""
        return f"{units.size} seen{draws}"
    if asked.chosen is None:
        return f"{units.size} simulated"
    return f"{int(asked.chosen.sum())} of {units.size} simulated"
