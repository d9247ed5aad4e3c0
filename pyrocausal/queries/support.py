"""What the data of a fit don't reach: settings that some units hardly have, values never seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from pyrocausal.interventions import Set
from pyrocausal.queries.couplings import probability
from pyrocausal.queries.outcomes import continuous
from pyrocausal.queries.population import Population, sampled

if TYPE_CHECKING:
    from pyrocausal.queries.asking import Asked, Question

__all__ = ["unsupported"]

RARE: Final = 0.01  # a chance that hardly any data show
SHARE: Final = 0.01  # of units, from which on it is worth a word
UNITS: Final = 2000  # that are looked at, where units are drawn


def unsupported(asked: Asked) -> tuple[str, ...]:
    """Say where an answer of a fitted model rests on its form rather than on data.

    Extrapolation: a variable is set to a value outside the range of the data, or a shift, an edit,
    a policy or a new mechanism moves more than 1 % of the units out of it. Overlap: a variable gets
    a value that some of the units that are meant have a chance below 1 % of having, given their
    causes. Of a model that was not fitted there is nothing to say.

    Args:
        asked: A question with the units that it is asked about.
    """
    learnt = asked.question.scm._core.learnt
    if learnt is None:
        return ()
    settings = _settings(asked.question)
    beyond = (_beyond(name, value, learnt.ranges) for name, value in settings)
    return (
        *filter(None, beyond),
        *_without_overlap(asked, settings),
        *_moved_away(asked, learnt.ranges),
    )


def _settings(question: Question) -> list[tuple[str, Tensor]]:
    """Return what each variable is set to, each value once."""
    every = chain.from_iterable(chain.from_iterable(question.interventions))
    found: list[tuple[str, Tensor]] = []
    for item in every:
        if isinstance(item, tuple) and isinstance(item[1], Set):
            name, value = item[0], torch.as_tensor(item[1].value)
            if not any(name == n and torch.equal(value, v) for n, v in found):
                found.append((name, value))
    return found


def _beyond(name: str, value: Tensor, ranges: Mapping[str, tuple[float, float]]) -> str:
    if name not in ranges:
        return ""
    low, high = ranges[name]
    # A value that was written in double precision may be one of the data's.
    slack = 1e-6 * max(abs(low), abs(high))
    outside = value[(value < low - slack) | (value > high + slack)]
    if not outside.numel():
        return ""
    return (
        f"extrapolation: {name}={outside.flatten()[0].item():g} lies outside {low:.4g} to "
        f"{high:.4g}, the range in the data of the fit"
    )


def _without_overlap(asked: Asked, settings: list[tuple[str, Tensor]]) -> Iterator[str]:
    variables = asked.question.scm.variables
    levels = [
        (name, value.item())
        for name, value in settings
        if value.ndim == 0
        and not variables[name].deterministic
        and not continuous(variables[name])
    ]
    if not levels:
        return
    units = _units(asked)
    for name, value in levels:
        inputs = asked.question.inputs
        (chance,) = probability(
            asked.question.scm, [units.factual], name, value, inputs, units.shared
        )
        share = _share(asked, chance < RARE)
        if share > SHARE:
            yield (
                f"overlap: {100 * share:.0f} % of the units have a chance below {RARE:g} of "
                f"{name}={value:g}, so that hardly any data tell what it does to them"
            )


def _moved_away(asked: Asked, ranges: Mapping[str, tuple[float, float]]) -> Iterator[str]:
    """Look at the values that units get in worlds that don't say one value for all."""
    question, units = asked.question, None
    for action, text, name in _moves(question):
        units = units or _units(asked)
        (world,) = units.worlds([action])
        variable = question.scm.variables[name]
        if variable.unit_shape or variable.deterministic:
            continue
        if continuous(variable):
            yield from _strayed(asked, units.factual[name], world[name], name, text, ranges)
        elif variable.discrete:
            yield from _unlikely(asked, units, world[name], name, text)


def _moves(question: Question) -> Iterator[tuple[Any, str, str]]:
    """Yield each action that moves a variable otherwise than by setting it."""
    every = zip(question.actions, question.worlds, question.interventions, strict=True)
    for action, text, worlds in every:
        for item in chain.from_iterable(worlds):
            if isinstance(item, tuple) and not isinstance(item[1], Set):
                yield action, text, item[0]


def _strayed(
    asked: Asked,
    before: Tensor,
    after: Tensor,
    name: str,
    text: str,
    ranges: Mapping[str, tuple[float, float]],
) -> Iterator[str]:
    if name not in ranges:
        return
    low, high = ranges[name]
    shares = [_share(asked, (x < low) | (x > high)) for x in (before, after)]
    if shares[1] - shares[0] > SHARE:
        yield (
            f"extrapolation: under {text}, {100 * shares[1]:.0f} % of the units have a {name} "
            f"outside {low:.4g} to {high:.4g}, the range in the data of the fit"
        )


def _unlikely(
    asked: Asked, units: Population, values: Tensor, name: str, text: str
) -> Iterator[str]:
    scm, inputs = asked.question.scm, asked.question.inputs
    rare = torch.zeros_like(values, dtype=torch.bool)
    for level in values.unique().tolist():
        (chance,) = probability(scm, [units.factual], name, level, inputs, units.shared)
        rare |= (values == level) & (chance < RARE)
    share = _share(asked, rare)
    if share > SHARE:
        yield (
            f"overlap: under {text}, {100 * share:.0f} % of the units get a {name} that they have "
            f"a chance below {RARE:g} of, so that hardly any data tell what it does to them"
        )


def _share(asked: Asked, units: Tensor) -> float:
    meant = units if asked.chosen is None else units[asked.chosen]
    return meant.double().mean().item()


def _units(asked: Asked) -> Population:
    """Return the units that are meant; where any will do, a few."""
    question = asked.question
    told = asked.chosen, question.evidence, question.pinned, question.inputs
    if any(part is not None for part in told):
        return asked.units
    return sampled(question.scm, min(UNITS, asked.units.size), seed=question.seed)
