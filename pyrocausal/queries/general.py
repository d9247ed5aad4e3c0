"""Any question: the mean of a counterfactual expression, of all units or of those that are meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack

import torch
from torch import Tensor

from pyrocausal.answers import Effect
from pyrocausal.errors import UnknownVariable
from pyrocausal.queries.answering import Measured, answer, mean_of
from pyrocausal.queries.asking import Asked, Options, Question, introduce, question
from pyrocausal.queries.average import contrast
from pyrocausal.queries.potential import Expression, Potential

if TYPE_CHECKING:
    from pyrocausal.model import SCM

__all__ = ["effect"]

Values = Mapping[str, Tensor]


def effect(
    scm: SCM, query: Any, *, do: Any = None, versus: Any = None, **options: Unpack[Options]
) -> Effect:
    """Return the mean of any counterfactual expression, ``E[query | given]``.

    A name, an event or a function is compared between two worlds, as by ``pc.contrast``. An
    expression of ``pc.Y`` says its worlds itself, several of them and nested ones too; the
    question is then one of rung 3, unless its worlds can be averaged apart.

    Args:
        scm: The model.
        query: An expression such as ``pc.Y("y", do={"x": 1}) - pc.Y("y", do={"x": 0})``; or an
            outcome, with ``do`` and ``versus``.
        do: The first world's intervention, where the query is an outcome.
        versus: The second world's.
        options: ``given``, ``evidence``, ``inputs``, ``num_samples``, ``level`` and ``seed``, see
            `pyrocausal.queries.Options`; ``given`` may be an event made of expressions.

    Raises:
        UnknownVariable: A name that is no variable.
        TypeError: Worlds that are said twice, or not at all.
        ValueError: Too few units that are meant.

    Example:
        >>> from pyrocausal.queries import Y
        >>> def clinic():
        ...     severity = pyro.sample("severity", dist.Bernoulli(0.5))
        ...     treated = pyro.sample("treated", dist.Bernoulli(0.2 + 0.6 * severity))
        ...     pyro.sample("recovery", dist.Normal((1.0 + severity) * treated, 0.5))
        >>> gain = Y("recovery", do={"treated": 1}) - Y("recovery", do={"treated": 0})
        >>> answer = effect(pc.SCM(clinic), gain, given=Y("treated") == 1, seed=0)
        >>> abs(answer.value - 1.8) < 4 * answer.se
        True
    """
    if not isinstance(query, Expression):
        if do is None or versus is None:
            raise TypeError(
                "effect() needs do= and versus=, the two worlds to compare; or an expression of "
                'pc.Y, such as pc.Y("y", do={"x": 1}) - pc.Y("y", do={"x": 0}).'
            )
        return contrast(scm, query, do, versus, **options)
    if do is not None or versus is not None:
        raise TypeError("effect() got an expression, which says its worlds itself: leave out do.")
    return _mean(scm, query, options)


def _mean(scm: SCM, query: Expression, options: Options) -> Effect:
    introduce(scm, options)
    told = options.get("given")
    plain = options.copy()
    if isinstance(told, Expression):
        if not told.event:
            raise TypeError(f"given got {told!r}; expected an event, such as {told!r} == 1.")
        plain.pop("given")
    if plain.pop("scale", "difference") != "difference":
        raise TypeError("effect() of an expression has no scale: write the ratio into it.")
    expressions = [query, told] if isinstance(told, Expression) else [query]
    potentials = [one for expression in expressions for one in expression.potentials()]
    for potential in potentials:
        if potential.name not in scm.variables:
            raise UnknownVariable(potential.name, scm.variables, "Y")
    asked = question(scm, lambda values: next(iter(values.values())), _actions(potentials), plain)
    asked = replace(asked, nested=True)
    text = _text(query, told, asked)

    def measure(asked: Question) -> Measured:
        return _measure(asked, query, told)

    rung = _rung(asked, query, told)
    return answer(asked, measure, text, rung=rung, coupled=rung == 3)


def _measure(asked: Question, query: Expression, told: Any) -> Measured:
    whole = asked.ask()
    worlds = _Worlds(whole)
    values = query.value(worlds).to(torch.float64)
    chosen = whole.chosen
    if isinstance(told, Expression):
        chosen = told.value(worlds) if chosen is None else chosen & told.value(worlds)
        fewest = asked.least(whole.units)
        if int(chosen.sum()) < fewest:
            raise ValueError(
                f"given ({told!r}) holds for {int(chosen.sum())} of {chosen.numel()} units; "
                f"expected at least {fewest}. Raise num_samples."
            )
    if chosen is not None:
        values = values[chosen]
    meant = Asked(asked, whole.units, chosen)
    return Measured(*mean_of(meant, values), meant)


class _Worlds:
    """The worlds of some units, each run once."""

    def __init__(self, asked: Asked) -> None:
        self.asked, self.found = asked, list[tuple[Any, Values]]()

    def __call__(self, do: Any) -> Values:
        if do is None:
            return self.asked.units.factual
        for before, values in self.found:
            if before is do:
                return values
        (values,) = self.asked.units.worlds([do])
        self.found.append((do, values))
        return values


def _actions(potentials: list[Potential]) -> list[Any]:
    """Return the interventions without what hangs on other worlds, to be checked beforehand."""
    return [
        potential.do
        for potential in potentials
        if potential.do is not None and not potential.nested
    ]


def _rung(asked: Question, query: Expression, told: Any) -> int:
    events = [query, told] if isinstance(told, Expression) else [query]
    acted = [potential.do for event in events for potential in event.potentials()]
    if all(do is None for do in acted):
        return 1
    apart = query.linear and not isinstance(told, Expression) and asked.rung == 2
    return 2 if apart else 3


def _text(query: Expression, told: Any, asked: Question) -> str:
    given = [repr(told)] if isinstance(told, Expression) else []
    given += [asked.told] if asked.told else []
    bar = f" | {', '.join(given)}" if given else ""
    return f"P({query!r}{bar})" if query.event else f"E[{query!r}{bar}]"
