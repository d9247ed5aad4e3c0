"""Average effects: of all units, of the treated, of the untreated, of two worlds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from pyrocausal.answers import Effect
from pyrocausal.queries.answering import answer, measure_pair
from pyrocausal.queries.asking import Options, introduce, question
from pyrocausal.queries.reading import action_on, name_of, pair
from pyrocausal.queries.scales import write

if TYPE_CHECKING:
    from pyrocausal.model import SCM

__all__ = ["ate", "att", "atu", "contrast", "ett"]


def contrast(scm: SCM, outcome: Any, do: Any, versus: Any, **options: Unpack[Options]) -> Effect:
    """Compare the mean outcome of two worlds: ``E[Y | do(a)] - E[Y | do(b)]``.

    Args:
        scm: The model.
        outcome: A variable's name, an event such as ``{"Y": 1}``, or a function of a world's
            values that returns one number a unit.
        do: The first world's intervention, anything that ``scm.do`` takes.
        versus: The second world's.
        options: ``given``, ``evidence``, ``scale``, ``inputs``, ``num_samples``, ``level`` and
            ``seed``; see `pyrocausal.queries.Options`.

    Returns:
        The difference, or what ``scale`` says, with its Monte Carlo error and interval.

    Raises:
        UnknownVariable: A name that is no variable.
        ValueError: Too few units that are meant; a scale that the means don't have.

    Example:
        >>> def clinic():
        ...     severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
        ...     treated = pyro.sample("treated", dist.Bernoulli(logits=1.5 * severity))
        ...     pyro.sample("recovery", dist.Normal(2.0 * treated - severity, 0.5))
        >>> effect = contrast(
        ...     pc.SCM(clinic), "recovery", {"treated": 1.0}, {"severity": 1.0, "treated": 0.0}, seed=0
        ... )
        >>> abs(effect.value - 3.0) < 4 * effect.se
        True
    """
    asked = question(scm, outcome, [do, versus], options)
    notes: tuple[str, ...] = ()
    if asked.nothing_reached:
        names = ", ".join(asked.outcome.names)
        acted = ", ".join(sorted(asked.acted_on))
        notes = (f"{names} does not descend from {acted}: the effect is nil by the graph",)
    text = write(asked.mean(0), asked.mean(1), asked.scale)
    return answer(asked, measure_pair, text, notes=notes)


def ate(
    scm: SCM,
    treatment: str | Sequence[str],
    outcome: Any,
    *,
    values: tuple[Any, Any] = (1.0, 0.0),
    **options: Unpack[Options],
) -> Effect:
    """Return the average treatment effect, ``E[Y | do(X=x)] - E[Y | do(X=x')]``.

    Given something on a descendant of the treatment, the question is one of rung 3, and the
    answer says so; given ``evidence``, the effect is averaged over these units.

    Args:
        scm: The model.
        treatment: The variable that is set, or several.
        outcome: A variable's name, an event such as ``{"Y": 1}``, or a function of a world's
            values that returns one number a unit.
        values: The treated and the control value ``(x, x')``; for several treatments, a tuple of
            values each.
        options: ``given``, ``evidence``, ``scale``, ``inputs``, ``num_samples``, ``level`` and
            ``seed``; see `pyrocausal.queries.Options`.

    Raises:
        UnknownVariable: A name that is no variable.
        ValueError: Too few units that are meant; a scale that the means don't have.

    Example:
        >>> effect = ate(pc.zoo.simpson(), "surgery", {"recovery": 1}, seed=0)
        >>> abs(effect.value - (0.8325 - 0.7788)) < 4 * effect.se
        True
    """
    do, versus = (action_on(treatment, value) for value in pair(values))
    return contrast(scm, outcome, do, versus, **options)


def att(
    scm: SCM,
    treatment: str,
    outcome: Any,
    *,
    values: tuple[Any, Any] = (1.0, 0.0),
    **options: Unpack[Options],
) -> Effect:
    """Return the average effect on the treated, ``E[Y(x) - Y(x') | X=x]``; a rung-3 question.

    It is Pearl's effect of treatment on the treated (ETT), ``pc.ett``.

    Args:
        scm: The model.
        treatment: The variable that is set, a discrete one.
        outcome: A variable's name, an event such as ``{"Y": 1}``, or a function.
        values: The treated and the control value ``(x, x')``.
        options: ``given``, ``evidence``, ``scale``, ``inputs``, ``num_samples``, ``level`` and
            ``seed``; see `pyrocausal.queries.Options`.

    Raises:
        UnknownVariable: A name that is no variable.
        ValueError: A continuous treatment: no unit has exactly this value.

    Example:
        >>> def clinic():
        ...     severity = pyro.sample("severity", dist.Bernoulli(0.5))
        ...     treated = pyro.sample("treated", dist.Bernoulli(0.2 + 0.6 * severity))
        ...     pyro.sample("recovery", dist.Normal((1.0 + severity) * treated, 0.5))
        >>> effect = att(pc.SCM(clinic), "treated", "recovery", seed=0)
        >>> abs(effect.value - 1.8) < 4 * effect.se
        True

    References:
        Shpitser, Pearl (2009), Effects of Treatment on the Treated: Identification and
        Generalization.
    """
    return _among(scm, treatment, outcome, 0, values, options)


ett = att


def atu(
    scm: SCM,
    treatment: str,
    outcome: Any,
    *,
    values: tuple[Any, Any] = (1.0, 0.0),
    **options: Unpack[Options],
) -> Effect:
    """Return the average effect on the untreated, ``E[Y(x) - Y(x') | X=x']``; rung 3.

    Args:
        scm: The model.
        treatment: The variable that is set, a discrete one.
        outcome: A variable's name, an event such as ``{"Y": 1}``, or a function.
        values: The treated and the control value ``(x, x')``.
        options: ``given``, ``evidence``, ``scale``, ``inputs``, ``num_samples``, ``level`` and
            ``seed``; see `pyrocausal.queries.Options`.

    Raises:
        UnknownVariable: A name that is no variable.
        ValueError: A continuous treatment: no unit has exactly this value.

    Example:
        >>> def clinic():
        ...     severity = pyro.sample("severity", dist.Bernoulli(0.5))
        ...     treated = pyro.sample("treated", dist.Bernoulli(0.2 + 0.6 * severity))
        ...     pyro.sample("recovery", dist.Normal((1.0 + severity) * treated, 0.5))
        >>> effect = atu(pc.SCM(clinic), "treated", "recovery", seed=0)
        >>> abs(effect.value - 1.2) < 4 * effect.se
        True
    """
    return _among(scm, treatment, outcome, 1, values, options)


def _among(
    scm: SCM, treatment: str, outcome: Any, side: int, values: tuple[Any, Any], options: Options
) -> Effect:
    introduce(scm, options)
    value, told = pair(values)[side], options.get("given")
    variable = scm.variables.get(name_of(treatment, "treatment"))
    if variable is not None and not variable.discrete:
        raise ValueError(
            f"{treatment!r} is continuous: no unit has exactly {treatment}={value}. Say which range "
            f'counts, as pc.ate(..., given=lambda v: v["{treatment}"] > ...).'
        )

    chosen = options.copy()
    if told is None or isinstance(told, Mapping):
        chosen["given"] = {**(told or {}), treatment: value}
    elif callable(told):
        chosen["given"] = lambda v: told(v) & (v[treatment] == value)
    return ate(scm, treatment, outcome, values=values, **chosen)
