"""Beyond averages: quantiles of the outcome or of the individual effect, and dose-response."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, Unpack

import torch
from torch import Tensor

from pyrocausal.answers import Effect
from pyrocausal.interventions import Grid
from pyrocausal.queries.answering import Measured, answer, mean_of
from pyrocausal.queries.asking import Asked, Options, Question, question
from pyrocausal.queries.quantiles import quantile, quantile_error
from pyrocausal.queries.reading import action_on, name_of, number_of, pair

if TYPE_CHECKING:
    from pyrocausal.model import SCM

__all__ = ["dose_response", "quantile_effect"]


def quantile_effect(
    scm: SCM,
    treatment: str | Sequence[str],
    outcome: Any,
    *,
    q: float | Sequence[float] = 0.5,
    of: Literal["marginal", "individual"] = "marginal",
    values: tuple[Any, Any] = (1.0, 0.0),
    **options: Unpack[Options],
) -> Effect:
    """Return the difference of the outcome's quantiles, or the quantile of its difference.

    ``Q_q[Y | do(X=x)] - Q_q[Y | do(X=x')]`` compares two distributions (rung 2);
    ``Q_q[Y(x) - Y(x')]`` is about each unit's own effect (rung 3), and rests on the coupling of
    the outcome's noise between the worlds.

    Args:
        scm: The model.
        treatment: The variable that is set, or several.
        outcome: A variable's name or a function of a world's values.
        q: The probability below the quantile, between 0 and 1, or several.
        of: ``"marginal"`` or ``"individual"``.
        values: The treated and the control value ``(x, x')``.
        options: ``given``, ``evidence``, ``inputs``, ``num_samples``, ``level`` and ``seed``; see
            `pyrocausal.queries.Options`.

    Raises:
        UnknownVariable: A name that is no variable.
        ValueError: A ``q`` that is no probability; an unknown ``of``.

    Example:
        >>> def trial():
        ...     drug = pyro.sample("drug", dist.Bernoulli(0.5))
        ...     pyro.sample("pain", dist.Normal(5.0 - 2.0 * drug, 1.0))
        >>> answer = quantile_effect(pc.SCM(trial), "drug", "pain", q=[0.1, 0.9], seed=0)
        >>> bool(((answer.value + 2.0).abs() < 4 * answer.se + 1e-6).all())
        True
    """
    import pandas as pd

    single = isinstance(q, Real)
    listed = [q] if single else _listed(q, "q", "[0.1, 0.9]")
    levels = [number_of(one, "q") for one in listed]
    if not levels or not all(0 < one < 1 for one in levels):
        raise ValueError(f"q got {q!r}; expected probabilities between 0 and 1, such as 0.5.")
    if of not in ("marginal", "individual"):
        raise ValueError(f'of got {of!r}; expected "marginal" or "individual".')
    if "scale" in options:
        raise TypeError("quantile_effect() is a difference and has no scale.")
    actions = [action_on(treatment, value) for value in pair(values)]
    asked = question(scm, outcome, actions, options)

    def measure(asked: Question) -> Measured:
        whole = asked.ask()
        worlds = whole.outcomes()
        parts = [_quantile(whole, worlds, one, of) for one in levels]
        value, error = (torch.stack(part) for part in zip(*parts, strict=True))
        return Measured(value[0] if single else value, error[0] if single else error, whole)

    if of == "individual":
        one, other = (asked.outcome.named(world).text for world in asked.worlds)
        text = f"quantile of {one} - {other}"
    else:
        text = " - ".join(f"Q{asked.mean(world)[1:]}" for world in (0, 1))
    shown = f"{text}, q={levels[0]:g}" if single else text
    index = None if single else pd.Index(levels, name="q")
    individual = of == "individual"
    rung = 3 if individual else None
    return answer(asked, measure, shown, rung=rung, index=index, coupled=individual)


def dose_response(
    scm: SCM,
    treatment: str,
    outcome: Any,
    *,
    doses: Sequence[float] | Tensor | Grid,
    **options: Unpack[Options],
) -> Effect:
    """Return the mean outcome at each dose, ``E[Y | do(X=d)]``.

    Args:
        scm: The model.
        treatment: The variable that is set.
        outcome: A variable's name, an event such as ``{"Y": 1}``, or a function.
        doses: The doses: a list, a tensor or ``pc.grid([...])``.
        options: ``given``, ``evidence``, ``inputs``, ``num_samples``, ``level`` and ``seed``; see
            `pyrocausal.queries.Options`.

    Returns:
        One number for each dose, indexed by it.

    Raises:
        UnknownVariable: A name that is no variable.
        ValueError: No doses.

    Example:
        >>> def trial():
        ...     dose = pyro.sample("dose", dist.Uniform(0.0, 10.0))
        ...     pyro.sample("pain", dist.Normal(5.0 - 0.3 * dose, 1.0))
        >>> curve = dose_response(pc.SCM(trial), "dose", "pain", doses=[0.0, 5.0, 10.0], seed=0)
        >>> bool(((curve.value - torch.tensor([5.0, 3.5, 2.0])).abs() < 4 * curve.se).all())
        True
    """
    import pandas as pd

    given = doses.values if isinstance(doses, Grid) else doses
    values = [number_of(dose, "doses") for dose in _listed(given, "doses", "[0.0, 1.0]")]
    if not values:
        raise ValueError("dose_response() got no doses. Give some, such as doses=[0.0, 1.0].")
    if "scale" in options:
        raise TypeError("dose_response() is a mean at each dose and has no scale.")
    name = name_of(treatment, "treatment")
    asked = question(scm, outcome, [{name: value} for value in values], options)

    def measure(asked: Question) -> Measured:
        whole = asked.ask()
        parts = [mean_of(whole, outcomes) for outcomes in whole.outcomes()]
        value, error = (torch.stack(part) for part in zip(*parts, strict=True))
        return Measured(value, error, whole)

    text = asked.mean(0).replace(asked.worlds[0], f"{treatment}=d", 1)
    index = pd.Index(values, name=treatment)
    return answer(asked, measure, text, index=index)


def _quantile(asked: Asked, worlds: list[Tensor], q: float, of: str) -> tuple[Tensor, Tensor]:
    """Return a quantile, or a difference of two, and its Monte Carlo error."""
    outcomes = [worlds[0] - worlds[1]] if of == "individual" else worlds
    found = [quantile(values.flatten(), q) for values in outcomes]
    error = quantile_error(outcomes, q, lambda share: mean_of(asked, share)[1])
    return found[0] - found[1] if len(found) > 1 else found[0], error


def _listed(found: Any, where: str, example: str) -> list[Any]:
    """Read a list of numbers, such as the doses."""
    if isinstance(found, str | Mapping) or not isinstance(found, Iterable):
        raise TypeError(f"{where} got {found!r}; expected a list of numbers, such as {example}.")
    return list(found)
