"""Effects unit by unit: what the treatment does, or would have done, to each that was seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import torch
from torch import Tensor

from pyrocausal.answers import Effect, Interval
from pyrocausal.queries.asking import Options, action_on, pair, question
from pyrocausal.queries.scales import Scale, compare, standard_error, write

if TYPE_CHECKING:
    from pyrocausal.model import SCM

__all__ = ["ite"]


def ite(
    scm: SCM,
    treatment: str | Sequence[str],
    outcome: Any,
    *,
    values: tuple[Any, Any] = (1.0, 0.0),
    **options: Unpack[Options],
) -> Effect:
    """Return each unit's own effect, ``Y(x) - Y(x')`` given its evidence; rung 3.

    Where the evidence leaves the effect random, the value is its mean, and the interval holds the
    unit's effect with probability ``level``.

    Args:
        scm: The model.
        treatment: The variable that is set, or several.
        outcome: A variable's name, an event such as ``{"Y": 1}``, or a function.
        values: The treated and the control value ``(x, x')``.
        options: ``evidence`` (needed), ``scale``, ``inputs``, ``num_samples``, ``level`` and
            ``seed``; see `pyrocausal.queries.Options`.

    Returns:
        One number for each unit, shape ``(unit,)``.

    Raises:
        UnknownVariable: A name that is no variable.
        IncompleteEvidence, ValueError: Evidence that can't be used.

    Example:
        >>> def clinic():
        ...     severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
        ...     treated = pyro.sample("treated", dist.Bernoulli(logits=1.5 * severity))
        ...     pyro.sample("recovery", dist.Normal(2.0 * treated - severity, 0.5))
        >>> seen = {"severity": [0.3, 1.0], "treated": [0.0, 1.0], "recovery": [-0.1, 1.5]}
        >>> ite(pc.SCM(clinic), "treated", "recovery", evidence=seen, seed=0).value
        tensor([2.0000, 2.0000], dtype=torch.float64)
    """
    import pandas as pd

    if "given" in options or options.get("evidence") is None:
        raise TypeError(
            "ite() takes evidence=, what was seen of the units, and no given. For an average over "
            "units that were not seen ask pc.ate(...)."
        )
    actions = [action_on(treatment, value) for value in pair(values)]
    asked = question(scm, outcome, actions, options)
    whole = asked.ask()
    units = whole.units
    treated, control = whole.outcomes()
    draws = len(treated)
    labels = pd.RangeIndex(units.size, name="unit") if units.units is None else units.units
    one, other = (asked.outcome.named(world).text for world in asked.worlds)
    return Effect(
        value=compare(treated.mean(0), control.mean(0), asked.scale),
        se=_errors(treated, control, asked.scale) if draws > 1 else None,
        interval=_spread(treated - control, asked.level) if asked.scale == "difference" else None,
        query=f"{write(one, other, asked.scale)}, unit by unit",
        rung=3,
        routes=units.routes,
        assumptions=units.assumptions,
        index=labels,
        details={"draws": draws, "seed": asked.seed},
    )


def _errors(treated: Tensor, control: Tensor, scale: Scale) -> Tensor:
    pairs = zip(treated.unbind(1), control.unbind(1), strict=True)
    return torch.stack([standard_error(one, other, scale) for one, other in pairs])


def _spread(effects: Tensor, level: float) -> Interval:
    tails = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=effects.dtype)
    lower, upper = effects.quantile(tails.to(effects.device), dim=0)
    return Interval(lower, upper, level)
