"""Did it cause it: probabilities of necessity and sufficiency, of benefit and harm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import torch
from torch import Tensor

from pyrocausal.answers import Effect
from pyrocausal.queries.answering import Measured, answer, mean_of
from pyrocausal.queries.asking import Asked, Options, Question, introduce, question
from pyrocausal.queries.couplings import Joint, coupling_of, joint, once_seen, probability
from pyrocausal.queries.outcomes import continuous
from pyrocausal.queries.reading import action_on, names_of, number_of, pair

if TYPE_CHECKING:
    from pyrocausal.model import SCM

__all__ = ["benefit", "harm", "pn", "pns", "ps"]


def pns(
    scm: SCM,
    treatment: str | Sequence[str],
    outcome: Any,
    *,
    values: tuple[Any, Any] = (1.0, 0.0),
    **options: Unpack[Options],
) -> Effect:
    """Return the probability of necessity and sufficiency, ``P(Y(x)=1, Y(x')=0)``; rung 3.

    It is the share of units whom the treatment helps, ``pc.benefit``. The value rests on the
    coupling of the outcome's noise, which no data can tell; ``bounds`` hold for any coupling with
    the model's own distribution of the outcome given its causes.

    Args:
        scm: The model.
        treatment: The variable that is set, or several.
        outcome: A variable that is 0 or 1, or an event such as ``{"Y": 2}``.
        values: The treated and the control value ``(x, x')``.
        options: ``given``, ``evidence``, ``inputs``, ``num_samples``, ``level`` and ``seed``; see
            `pyrocausal.queries.Options`.

    Raises:
        UnknownVariable: A name that is no variable.
        ValueError: An outcome that is not binary.

    Example:
        >>> def trial():
        ...     drug = pyro.sample("drug", dist.Bernoulli(0.5))
        ...     pyro.sample("cured", dist.Bernoulli(0.3 + 0.4 * drug))
        >>> answer = pns(pc.SCM(trial), "drug", "cured", seed=0)
        >>> round(answer.value, 3), str(answer.bounds)
        (0.4, '[0.4, 0.7]')

    References:
        Tian, Pearl (2000), Probabilities of Causation: Bounds and Identification.
    """
    return _joint("PNS", scm, treatment, outcome, values, None, options)


def benefit(
    scm: SCM,
    treatment: str | Sequence[str],
    outcome: Any,
    *,
    values: tuple[Any, Any] = (1.0, 0.0),
    **options: Unpack[Options],
) -> Effect:
    """Return the share of units whom the treatment helps, ``P(Y(x)=1, Y(x')=0)``; rung 3.

    See ``pc.pns``, which is the same number under its other name.

    Args:
        scm: The model.
        treatment: The variable that is set, or several.
        outcome: A variable that is 0 or 1, or an event such as ``{"Y": 2}``.
        values: The treated and the control value ``(x, x')``.
        options: ``given``, ``evidence``, ``inputs``, ``num_samples``, ``level`` and ``seed``; see
            `pyrocausal.queries.Options`.

    Raises:
        UnknownVariable: A name that is no variable.
        ValueError: An outcome that is not binary.

    Example:
        >>> def trial():
        ...     drug = pyro.sample("drug", dist.Bernoulli(0.5))
        ...     pyro.sample("cured", dist.Bernoulli(0.3 + 0.4 * drug))
        >>> answer = benefit(pc.SCM(trial), "drug", "cured", seed=0)
        >>> round(answer.value, 3)
        0.4
    """
    return _joint("Benefit", scm, treatment, outcome, values, None, options)


def harm(
    scm: SCM,
    treatment: str | Sequence[str],
    outcome: Any,
    *,
    values: tuple[Any, Any] = (1.0, 0.0),
    **options: Unpack[Options],
) -> Effect:
    """Return the share of units whom the treatment harms, ``P(Y(x)=0, Y(x')=1)``; rung 3.

    For a two-valued outcome, Gumbel-max and quantile couplings are one, the monotone one: harm is
    then exactly 0 wherever the treatment helps. ``bounds`` hold for any coupling.

    Args:
        scm: The model.
        treatment: The variable that is set, or several.
        outcome: A variable that is 0 or 1, or an event such as ``{"Y": 2}``.
        values: The treated and the control value ``(x, x')``.
        options: ``given``, ``evidence``, ``inputs``, ``num_samples``, ``level`` and ``seed``; see
            `pyrocausal.queries.Options`.

    Raises:
        UnknownVariable: A name that is no variable.
        ValueError: An outcome that is not binary.

    Example:
        >>> def trial():
        ...     drug = pyro.sample("drug", dist.Bernoulli(0.5))
        ...     pyro.sample("cured", dist.Bernoulli(0.3 + 0.4 * drug))
        >>> answer = harm(pc.SCM(trial), "drug", "cured", seed=0)
        >>> answer.value, str(answer.bounds)
        (0.0, '[0, 0.3]')
        >>> other = pc.SCM(trial, noise={"cured": "independent"})
        >>> round(harm(other, "drug", "cured", seed=0).value, 2)
        0.09
    """
    return _joint("Harm", scm, treatment, outcome, pair(values)[::-1], None, options)


def pn(
    scm: SCM,
    treatment: str,
    outcome: Any,
    *,
    values: tuple[Any, Any] = (1.0, 0.0),
    **options: Unpack[Options],
) -> Effect:
    """Return the probability of necessity, ``P(Y(x')=0 | X=x, Y=1)``; rung 3.

    Where the treatment was given and the outcome came: would it have stayed away without? With
    ``evidence``, of these very units.

    Args:
        scm: The model.
        treatment: The variable that is set, a discrete one.
        outcome: A variable that is 0 or 1, or an event such as ``{"Y": 2}``.
        values: The treated and the control value ``(x, x')``.
        options: ``given``, ``evidence``, ``inputs``, ``num_samples``, ``level`` and ``seed``; see
            `pyrocausal.queries.Options`.

    Raises:
        UnknownVariable: A name that is no variable.
        ValueError: An outcome that is not binary; units for which this didn't happen.

    Example:
        >>> def trial():
        ...     drug = pyro.sample("drug", dist.Bernoulli(0.5))
        ...     pyro.sample("cured", dist.Bernoulli(0.3 + 0.4 * drug))
        >>> answer = pn(pc.SCM(trial), "drug", "cured", seed=0)
        >>> round(answer.value, 3)  # 4 in 7
        0.571

    References:
        Tian, Pearl (2000), Probabilities of Causation: Bounds and Identification.
    """
    return _joint("PN", scm, treatment, outcome, values, (0, 1), options)


def ps(
    scm: SCM,
    treatment: str,
    outcome: Any,
    *,
    values: tuple[Any, Any] = (1.0, 0.0),
    **options: Unpack[Options],
) -> Effect:
    """Return the probability of sufficiency, ``P(Y(x)=1 | X=x', Y=0)``; rung 3.

    Where the treatment was not given and the outcome stayed away: would it have come with it?

    Args:
        scm: The model.
        treatment: The variable that is set, a discrete one.
        outcome: A variable that is 0 or 1, or an event such as ``{"Y": 2}``.
        values: The treated and the control value ``(x, x')``.
        options: ``given``, ``evidence``, ``inputs``, ``num_samples``, ``level`` and ``seed``; see
            `pyrocausal.queries.Options`.

    Raises:
        UnknownVariable: A name that is no variable.
        ValueError: An outcome that is not binary; units for which this didn't happen.

    Example:
        >>> def trial():
        ...     drug = pyro.sample("drug", dist.Bernoulli(0.5))
        ...     pyro.sample("cured", dist.Bernoulli(0.3 + 0.4 * drug))
        >>> answer = ps(pc.SCM(trial), "drug", "cured", seed=0)
        >>> round(answer.value, 3)  # 4 in 7
        0.571

    References:
        Tian, Pearl (2000), Probabilities of Causation: Bounds and Identification.
    """
    return _joint("PS", scm, treatment, outcome, values, (1, 0), options)


def _joint(
    name: str,
    scm: SCM,
    treatment: str | Sequence[str],
    outcome: Any,
    values: tuple[Any, Any],
    seen: tuple[int, int] | None,
    options: Options,
) -> Effect:
    """Ask for ``P(Y(x)=1, Y(x')=0)``, where ``seen`` is which value X had and what Y was."""
    if "scale" in options:
        raise TypeError(f"{name} is a probability and has no scale.")
    introduce(scm, options)
    if seen is not None and options.get("evidence") is None:
        _check_levels(scm, treatment, name)
    event = _event(scm, outcome, options.get("inputs"))
    actions = [action_on(treatment, value) for value in pair(values)]
    asked = question(scm, event, actions, options)
    (variable,) = asked.outcome.names
    coupling = coupling_of(scm, variable)[1]

    def measure(asked: Question) -> Measured:
        whole = _among(asked.ask(), actions, seen, name)
        return _measured(whole, actions, variable, event[variable], coupling)

    first, second = (f"{variable}({world})" for world in asked.worlds)
    came = f"={event[variable]:g}"
    # Of more values than two, not to take the one is not to take 0.
    stayed = f"!{came}" if isinstance(outcome, Mapping) else "=0"
    joint = f"{first}{came}, {second}{stayed}"
    happened = ""
    if seen is not None:
        happened = f"{asked.worlds[seen[0]]}, {variable}{came if seen[1] else stayed}"
    told = ", ".join(filter(None, [happened, asked.told]))
    text = f"{name}: P({joint}{f' | {told}' if told else ''})"
    return answer(asked, measure, text, rung=3, coupled=True)


def _check_levels(scm: SCM, treatment: str | Sequence[str], name: str) -> None:
    for one in names_of(treatment, "treatment"):
        if one in scm.variables and continuous(scm.variables[one]):
            raise ValueError(
                f"{name} is asked of units with one value of the treatment, but {one!r} is "
                "continuous. Ask with evidence= of units that were seen, or pc.pns(...) of all."
            )


def _among(
    asked: Asked, actions: list[Mapping[str, Any]], seen: tuple[int, int] | None, name: str
) -> Asked:
    """Keep the units for which the treatment had a value and the outcome was what was seen."""
    if seen is None:
        return asked
    factual = asked.units.factual
    chosen = asked.question.outcome(factual) == seen[1]
    for variable, value in actions[seen[0]].items():
        chosen = chosen & (factual[variable] == value)
    if asked.chosen is not None:
        chosen = chosen & asked.chosen
    fewest = asked.question.least(asked.units)
    if int(chosen.sum()) < fewest:
        world = asked.question.worlds[seen[0]]
        raise ValueError(
            f"{name} is asked of units with {world} and outcome {seen[1]}; {int(chosen.sum())} of "
            f"{chosen.numel()} are so, expected at least {fewest}. Raise num_samples, or look at "
            "the evidence and at values=."
        )
    return Asked(asked.question, asked.units, chosen)


def _measured(
    asked: Asked,
    actions: list[Mapping[str, Any]],
    variable: str,
    value: float,
    coupling: str | None,
) -> Measured:
    worlds = asked.units.worlds(actions)
    shares = _shares(asked, actions, worlds, variable, value, coupling)
    treated, control = asked.of(worlds)
    helped = treated * (1 - control) if shares.value is None else shares.value
    bounds = shares.lower.mean(), shares.upper.mean()
    return Measured(*mean_of(asked, helped), asked, bounds, _hold(asked.question, variable))


def _hold(question: Question, variable: str) -> str:
    """Say under what the bounds hold: what lies between shares its noise as the model has it."""
    others = [name for name in question.between if name != variable]
    shared = f" with the noise of {', '.join(others)} shared by the worlds" if others else ""
    if question.scm.variables[variable].deterministic:
        return f"a function of its causes{shared}"
    return f"any coupling of {variable}{shared}; no data can narrow this"


def _shares(
    asked: Asked,
    actions: list[Mapping[str, Any]],
    worlds: Sequence[Mapping[str, Tensor]],
    variable: str,
    value: float,
    coupling: str | None,
) -> Joint:
    """Return each unit's probability of the outcome in the first world alone."""
    model, inputs = asked.question.scm, asked.question.inputs
    treated, control = probability(model, worlds, variable, value, inputs, asked.units.shared)
    shares = joint(treated, control, coupling)
    if asked.chosen is not None or asked.units.draws is not None:
        factual = asked.units.factual
        at = [
            torch.stack([factual[name] == setting for name, setting in action.items()]).all(0)
            for action in actions
        ]
        shares = once_seen(shares, treated, control, at, asked.question.outcome(factual))
    chosen = asked.chosen
    return shares if chosen is None else shares.map(lambda share: share[chosen])


def _event(scm: SCM, outcome: Any, inputs: Mapping[str, Any] | None) -> dict[str, float]:
    """Read an outcome that is 0 or 1."""
    if isinstance(outcome, Mapping):
        if len(outcome) != 1:
            raise ValueError(
                f"outcome got an event on {len(outcome)} variables; expected one, such as "
                '{"Y": 1}.'
            )
        ((name, value),) = outcome.items()
        return {name: number_of(value, f"outcome[{name!r}]")}
    if not isinstance(outcome, str):
        raise TypeError(
            f"outcome got {type(outcome).__name__}; expected a variable that is 0 or 1, or an event "
            'such as {"Y": 2}.'
        )
    if outcome in scm.variables:
        rows = question(scm, outcome, [], {"inputs": inputs, "num_samples": 200, "seed": 0})
        values = rows.ask().units.factual[outcome]
        if not bool(((values == 0) | (values == 1)).all()):
            raise ValueError(
                f"{outcome!r} takes values other than 0 and 1. Ask for an event, such as "
                f'outcome={{"{outcome}": 1}}, or make one: pyro.deterministic("high", ...).'
            )
    return {outcome: 1.0}
