"""What the data of a fit don't reach: settings that some units hardly have, values never seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Final

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

    Extrapolation: a variable is set to a value outside the range of the data. Overlap: it is set
    to a value that some of the units that are meant have a chance below 1 % of having, given
    their causes. Of a model that was not fitted there is nothing to say.

    Args:
        asked: A question with the units that it is asked about.
    """
    learnt = asked.question.scm._core.learnt
    if learnt is None:
        return ()
    settings = _settings(asked.question)
    beyond = (_beyond(name, value, learnt.ranges) for name, value in settings)
    return (*filter(None, beyond), *_without_overlap(asked, settings))


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
        meant = chance if asked.chosen is None else chance[asked.chosen]
        share = (meant < RARE).double().mean().item()
        if share > SHARE:
            yield (
                f"overlap: {100 * share:.0f} % of the units have a chance below {RARE:g} of "
                f"{name}={value:g}, so that hardly any data tell what it does to them"
            )


def _units(asked: Asked) -> Population:
    """Return the units that are meant; where any will do, a few."""
    question = asked.question
    told = asked.chosen, question.evidence, question.pinned, question.inputs
    if any(part is not None for part in told):
        return asked.units
    return sampled(question.scm, min(UNITS, asked.units.size), seed=question.seed)
