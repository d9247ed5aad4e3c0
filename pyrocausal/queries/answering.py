"""From measurements to an answer: Monte Carlo error, parameter uncertainty, and the card."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from pyrocausal.answers import Effect, Interval, normal_interval
from pyrocausal.queries.asking import FEWEST, Asked, Question
from pyrocausal.queries.couplings import couplings_between
from pyrocausal.queries.quantiles import quantile
from pyrocausal.queries.scales import compare, deviation, standard_error, unsteady
from pyrocausal.queries.support import unsupported
from pyrocausal.verbs.fitted import left_open
from pyrocausal.verbs.posterior import shared_sites

if TYPE_CHECKING:
    from pyrocausal.inference import Quality

__all__ = ["Measured", "answer", "compared", "mean_of", "measure_pair"]

EACH: Final = 50  # draws of each unit that was seen, at each draw of the parameters
KEPT: Final = 5  # of these, others each time: all draws of the parameters meet the same noise
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
        means: The means that were compared, treated and control, ``(2, ...)``; None for other
            questions.
        errors: Their Monte Carlo errors.
        spread: Draws of what the interval is to hold, ``(draw, entry)``, where that is no mean but
            a unit's own effect.
    """

    value: Tensor
    se: Tensor
    asked: Asked
    bounds: tuple[Tensor, Tensor] | None = None
    bounds_hold: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    spread: Tensor | None = None
    means: Tensor | None = None
    errors: Tensor | None = None


def compared(asked: Asked, treated: Tensor, control: Tensor) -> Measured:
    """Compare the means of two worlds of the same units."""
    scale = asked.question.scale
    one, other = asked.replicates(treated), asked.replicates(control)
    means = torch.stack([one.mean(), other.mean()])
    value = compare(means[0], means[1], scale)
    error, errors = torch.zeros_like(value), torch.zeros_like(means)
    if len(one) > 1:
        error = standard_error(one, other, scale)
        errors = torch.stack([deviation(x) for x in (one, other)]) / len(one) ** 0.5
    return Measured(value, error, asked, means=means, errors=errors)


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
    return mean, deviation(outcomes) / len(outcomes) ** 0.5


def answer(
    question: Question,
    measure: Callable[[Question], Measured],
    text: str,
    *,
    rung: int | None = None,
    index: Any = None,
    notes: tuple[str, ...] = (),
    assumes: tuple[str, ...] = (),
    coupled: bool = False,
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
        coupled: Whether the outcome is compared unit by unit, so that the coupling of discrete
            variables matters even where no unit was seen.
    """
    if question.evidence is None and (coupled or question.told_below):
        assumes = (*assumes, *couplings_between(question.scm, question.between))
    measured = measure(question)
    units = measured.asked.units
    warnings = (
        *notes,
        *measured.warnings,
        *unsupported(measured.asked),
        *_undetermined(question),
        *_on_the_way(question),
    )
    varied = _varied(question, measure, measured)
    warnings = (*warnings, *_unsteady(question, measured, varied))
    if varied and question.scm._core.law.method == "posterior":
        measured = _centred(measured, varied)
    interval, said = _interval(question, measured, varied)
    return Effect(
        value=_plain(measured.value),
        se=_plain(measured.se),
        interval=interval,
        query=text,
        rung=rung or question.rung,
        routes=units.routes,
        assumptions=(*units.assumptions, *assumes),
        warnings=(*warnings, *_unreliable(units.quality)),
        index=index,
        bounds=_bounds(measured, varied, question.level),
        details={
            **said,
            **_shared(question),
            **measured.details,
            "units": _described(measured.asked),
            "seed": question.seed,
        },
    )


def _unreliable(quality: Quality | None) -> tuple[str, ...]:
    """Say of which units what was inferred can't be relied on."""
    if quality is None or not bool(quality.unreliable.any()):
        return ()
    return (f"what was not seen of the units is inferred badly: {quality}",)


def _unsteady(question: Question, measured: Measured, varied: list[Measured]) -> tuple[str, ...]:
    """Say whether chance and the parameters leave open what a ratio divides by."""
    if measured.means is None or measured.errors is None:
        return ()
    errors, draws = measured.errors, [one.means for one in varied if one.means is not None]
    if draws:
        errors = (errors.square() + torch.stack(draws).var(0)).sqrt()
    words = unsteady(measured.means, errors, question.scale)
    return (words,) if words else ()


def _undetermined(question: Question) -> tuple[str, ...]:
    """Say whether the data that the model was fitted to leave the outcome under the action open."""
    worlds = list(chain.from_iterable(question.interventions))
    words = left_open(question.scm._core, worlds, question.outcome.names)
    return (words,) if words else ()


def _on_the_way(question: Question) -> tuple[str, ...]:
    """Say whether the model's fit had not converged."""
    report = question.scm._core.report
    if report is None or report.converged:
        return ()
    return ("the model's fit had not converged; fit it with more steps= or a higher lr=",)


def _varied(
    question: Question, measure: Callable[[Question], Measured], measured: Measured
) -> list[Measured]:
    """Measure at each draw of the parameters; nothing where none are known."""
    core = question.scm._core
    if core.law is None:
        return []
    found, fewer = [], _fewer(question, measured)
    with core.law.varying(core) as put:
        for draw in range(len(core.law.draws)):
            put(draw)
            found.append(measure(fewer))
    return found


def _fewer(question: Question, measured: Measured) -> Question:
    """Ask of fewer units, still of enough that are meant."""
    if question.inputs is not None and question.evidence is None:
        return replace(question, fewest=1)
    chosen = measured.asked.chosen
    share = 1.0 if chosen is None else chosen.double().mean().item()
    size = min(question.num_samples, round(AMONG / share))
    return replace(question, num_samples=size, fewest=1, each=EACH)


def _centred(measured: Measured, varied: list[Measured]) -> Measured:
    """Average over the posterior; the measure itself is at a single draw of it."""
    values = torch.stack([one.value for one in varied])
    errors = torch.stack([one.se for one in varied])
    error = (errors.square().mean(0) + values.var(0) / len(values)).sqrt()
    bounds = measured.bounds
    if bounds is not None:
        lower, upper = zip(*(one.bounds for one in varied if one.bounds), strict=True)
        bounds = torch.stack(lower).mean(0), torch.stack(upper).mean(0)
    return replace(measured, value=values.mean(0), se=error, bounds=bounds)


def _interval(
    question: Question, measured: Measured, varied: list[Measured]
) -> tuple[Interval | None, Mapping[str, str]]:
    """Join what chance, the parameters and the units' own noise leave open; or say why not."""
    if not varied and question.scm._core.learnt is not None:
        return None, {"interval": "none: the SCM was fitted without uncertainty="}
    number = _number_meant(measured.asked)
    if number < FEWEST:
        return None, {"interval": f"none: {number} units are too few; expected {FEWEST} or more"}
    parameters = torch.stack([one.value for one in varied]).std(0) if varied else None
    left = {} if parameters is None else {"parameters": _plain(parameters)}
    if measured.spread is None:
        sources = {"Monte Carlo": _plain(measured.se), **left}
        return normal_interval(_plain(measured.value), sources, question.level), {}
    noise = measured.spread.std(0) if len(measured.spread) > 1 else measured.se
    draws = [_some(one.spread, i) for i, one in enumerate(varied) if one.spread is not None]
    ends = torch.tensor([(1 - question.level) / 2, (1 + question.level) / 2])
    lower, upper = quantile(torch.cat(draws) if draws else measured.spread, ends)
    return Interval(lower, upper, question.level, {"noise of the unit": noise, **left}), {}


def _some(spread: Tensor, turn: int) -> Tensor:
    """Return a few draws, in turn others."""
    if len(spread) <= KEPT:
        return spread
    return spread[torch.arange(turn * KEPT, (turn + 1) * KEPT) % len(spread)]


def _number_meant(asked: Asked) -> float:
    """Return how many units chance has drawn; those that were seen are no draws."""
    if asked.units.draws is not None:
        return math.inf
    return asked.units.size if asked.chosen is None else int(asked.chosen.sum())


def _shared(question: Question) -> Mapping[str, str]:
    core = question.scm._core
    names = ", ".join(shared_sites(core))
    if core.guide is None or core.law is not None or not names:
        return {}
    return {"at": f'one draw of the posterior of {names}; uncertainty="posterior" averages'}


def _bounds(measured: Measured, varied: list[Measured], level: float) -> Interval | None:
    if measured.bounds is None:
        return None
    lower, upper = measured.bounds
    outer = None
    if varied:
        from pyrocausal.sensitivity.set_intervals import imbens_manski

        ends = zip(*(one.bounds for one in varied if one.bounds), strict=True)
        low_sd, high_sd = (torch.stack(end).std(0).item() for end in ends)
        outer = imbens_manski(lower.item(), upper.item(), low_sd, high_sd, level=level)
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
