"""Effects unit by unit: what the treatment does, or would have done, to each that was seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import torch
from torch import Tensor

from pyrocausal.answers import Effect
from pyrocausal.queries.answering import Measured, answer
from pyrocausal.queries.asking import Options, Question, question
from pyrocausal.queries.reading import action_on, pair
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

    Where the evidence leaves the effect random, the value is its mean. The interval holds the
    unit's own effect with probability ``level``, over its noise and over what data left open of the
    parameters, where the SCM was fitted with ``uncertainty=``.

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
    with scm._core.session():
        seen = scm._core.read(asked.evidence, asked.inputs)
    labels = pd.RangeIndex(seen.units, name="unit") if seen.labels is None else seen.labels
    one, other = (asked.outcome.named(world).text for world in asked.worlds)
    text = f"{write(one, other, asked.scale)}, unit by unit"
    return answer(asked, _measure, text, rung=3, index=labels)


def _measure(asked: Question) -> Measured:
    whole = asked.ask()
    treated, control = whole.outcomes()
    value = compare(treated.mean(0), control.mean(0), asked.scale)
    error = torch.zeros_like(value)
    if len(treated) > 1:
        error = _errors(treated, control, asked.scale)
    spread = treated - control if asked.scale == "difference" else None
    return Measured(value, error, whole, spread=spread)


def _errors(treated: Tensor, control: Tensor, scale: Scale) -> Tensor:
    pairs = zip(treated.unbind(1), control.unbind(1), strict=True)
    return torch.stack([standard_error(one, other, scale) for one, other in pairs])
