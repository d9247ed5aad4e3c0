"""From measurements to an answer: Monte Carlo error, parameter uncertainty, and the card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Final

import torch
from torch import Tensor

from pyrocausal.answers import Effect, Interval, normal_interval
from pyrocausal.queries.asking import Asked, Question
from pyrocausal.queries.scales import compare, standard_error
from pyrocausal.verbs.fitted import left_open

__all__ = ["Measured", "answer", "compared", "mean_of", "measure_pair"]

AMONG: Final = 2000  # units at each draw of the parameters: they are the same ones, so few will do


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


def mean_of(asked: Asked, outcomes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean outcome of some units, and its Monte Carlo error."""
    outcomes = asked.replicates(outcomes)
    mean = outcomes.mean()
    if len(outcomes) == 1:
        return mean, torch.zeros_like(mean)
    return mean, outcomes.std() / len(outcomes) ** 0.5


def answer(
    question: Question,
    measure: Callable[[Question], Measured],
    text: str,
    *,
    rung: int | None = None,
    index: Any = None,
    notes: tuple[str, ...] = (),
    assumes: tuple[str, ...] = (),
) -> Effect:
    """Measure, at each draw of uncertain parameters too, and say what it rests on.

    Args:
        question: What was asked.
        measure: Runs it, at the parameters the model has at that moment.
        text: The question in symbols.
        rung: The rung, where it is not the question's.
        index: What the numbers belong to.
        notes: Warnings known before.
        assumes: What it rests on besides the model.
    """
    measured = measure(question)
    units = measured.asked.units
    interval, spread, said = _uncertain(question, measure, measured)
    return Effect(
        value=_plain(measured.value),
        se=_plain(measured.se),
        interval=interval,
        query=text,
        rung=rung or question.rung,
        routes=units.routes,
        assumptions=(*units.assumptions, *assumes),
        warnings=(*notes, *measured.warnings, *_undetermined(question)),
        index=index,
        bounds=_bounds(measured, spread, question.level),
        details={
            **said,
            **measured.details,
            "units": _described(measured.asked),
            "seed": question.seed,
        },
    )


def _undetermined(question: Question) -> tuple[str, ...]:
    """Say whether the data that the model was fitted to leave the outcome under the action open."""
    worlds = list(chain.from_iterable(question.interventions))
    words = left_open(question.scm._core, worlds, question.outcome.names)
    return (words,) if words else ()


Spread = tuple[Tensor, Tensor] | None


def _uncertain(
    question: Question, measure: Callable[[Question], Measured], measured: Measured
) -> tuple[Interval | None, Spread, Mapping[str, str]]:
    """Join Monte Carlo error with what the data left open of the parameters.

    Returns:
        The interval, the standard deviations of the two bounds, and a line for the card.
    """
    sources: dict[str, Any] = {"Monte Carlo": _plain(measured.se)}
    core, spread = question.scm._core, None
    if core.law is not None:
        found, fewer = [], _fewer(question, measured)
        for draw in range(len(core.law.draws)):
            with core.law.at(core, draw):
                found.append(measure(fewer))
        sources["parameters"] = _plain(torch.stack([one.value for one in found]).std(0))
        if measured.bounds is not None:
            ends = zip(*(one.bounds for one in found if one.bounds), strict=True)
            lower, upper = (torch.stack(end).std(0) for end in ends)
            spread = lower, upper
    elif core.learnt is not None:
        return None, None, {"interval": "none: the SCM was fitted without uncertainty="}
    return normal_interval(_plain(measured.value), sources, question.level), spread, {}


def _fewer(question: Question, measured: Measured) -> Question:
    """Ask of fewer units, still of enough that are meant."""
    if question.inputs is not None:
        return replace(question, fewest=1)
    chosen = measured.asked.chosen
    share = 1.0 if chosen is None else chosen.double().mean().item()
    return replace(question, num_samples=min(question.num_samples, round(AMONG / share)), fewest=1)


def _bounds(measured: Measured, spread: Spread, level: float) -> Interval | None:
    if measured.bounds is None:
        return None
    lower, upper = measured.bounds
    outer = None
    if spread is not None:
        from pyrocausal.sensitivity.set_intervals import imbens_manski

        ends = lower.item(), upper.item(), spread[0].item(), spread[1].item()
        outer = imbens_manski(*ends, level=level)
    return Interval(_plain(lower), _plain(upper), 1.0, note=measured.bounds_hold, outer=outer)


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
