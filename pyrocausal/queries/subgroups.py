"""For whom: effects in each subgroup, or in each range of a continuous modifier."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Unpack

import torch
from torch import Tensor

from pyrocausal.answers import Effect
from pyrocausal.errors import UnknownVariable
from pyrocausal.queries.answering import Measured, answer, compared
from pyrocausal.queries.asking import Asked, Options, introduce, question
from pyrocausal.queries.reading import action_on, name_of, number_of, pair
from pyrocausal.queries.scales import write

if TYPE_CHECKING:
    from pyrocausal.model import SCM

__all__ = ["cate"]

MOST_GROUPS: Final = 50


def cate(
    scm: SCM,
    treatment: str | Sequence[str],
    outcome: Any,
    *,
    by: str,
    values: tuple[Any, Any] = (1.0, 0.0),
    bins: int | Sequence[float] = 5,
    **options: Unpack[Options],
) -> Effect:
    """Return the effect in each subgroup: ``E[Y | do(X=x), Z=z] - E[Y | do(X=x'), Z=z]``.

    For a single subgroup, ``pc.ate(..., given=...)`` is the same number. The modifier is read in
    the factual world; where it lies below the treatment, the question is one of rung 3.

    Args:
        scm: The model.
        treatment: The variable that is set, or several.
        outcome: A variable's name, an event such as ``{"Y": 1}``, or a function.
        by: The effect modifier: a variable with one number a unit.
        values: The treated and the control value ``(x, x')``.
        bins: For a continuous modifier, the number of ranges of equal probability, or their
            limits, in the modifier's units.
        options: ``given``, ``evidence``, ``scale``, ``inputs``, ``num_samples``, ``level`` and
            ``seed``; see `pyrocausal.queries.Options`.

    Returns:
        One number for each subgroup, indexed by the modifier's value or range.

    Raises:
        UnknownVariable: A name that is no variable.
        ValueError: Too few units in a subgroup, or too many subgroups.

    Example:
        >>> def clinic():
        ...     severe = pyro.sample("severe", dist.Bernoulli(0.5))
        ...     treated = pyro.sample("treated", dist.Bernoulli(0.2 + 0.6 * severe))
        ...     pyro.sample("recovery", dist.Normal((1.0 + severe) * treated, 0.5))
        >>> effect = cate(pc.SCM(clinic), "treated", "recovery", by="severe", seed=0)
        >>> effect.value.round(decimals=3).tolist(), effect.index.tolist()
        ([1.0, 2.0], [0.0, 1.0])
    """
    introduce(scm, options)
    _check_modifier(by, scm)
    actions = [action_on(treatment, value) for value in pair(values)]
    asked = question(scm, outcome, actions, options)
    whole = asked.ask()
    modifier = _chosen(whole, by)
    groups, index = _groups(modifier, _levelled(scm, by, modifier), bins, by)
    rung = 3 if by in asked.reached or asked.rung == 3 else 2
    text = f"{write(asked.mean(0), asked.mean(1), asked.scale)}, by {by}"
    return answer(
        asked,
        lambda asked: _measure(asked.ask(), by, groups),
        text,
        rung=rung,
        index=index,
    )


def _check_modifier(by: str, scm: SCM) -> None:
    if name_of(by, "by") not in scm.variables:
        raise UnknownVariable(by, scm.variables, "by")
    if scm.variables[by].unit_shape:
        raise ValueError(f"by {by!r} has several numbers a unit; expected one.")


def _chosen(asked: Asked, by: str) -> Tensor:
    values = asked.units.factual[by]
    return values if asked.chosen is None else values[asked.chosen]


def _levelled(scm: SCM, by: str, modifier: Tensor) -> bool:
    """Whether the modifier takes a few values only, such as an event made of others."""
    variable = scm.variables[by]
    few = variable.deterministic and len(modifier.unique()) <= MOST_GROUPS
    return variable.discrete or few


def _groups(
    modifier: Tensor, discrete: bool, bins: int | Sequence[float], by: str
) -> tuple[list[tuple[float, float]], Any]:
    """Return the ends of each subgroup, the upper one left out, and the labels."""
    import pandas as pd

    if isinstance(bins, int) and bins < 1:
        raise ValueError(f"bins got {bins}; expected a number of ranges, such as 5.")
    if discrete:
        levels = modifier.unique().tolist()
        if len(levels) > MOST_GROUPS:
            raise ValueError(
                f"by {by!r} takes {len(levels)} values; expected at most {MOST_GROUPS}. Ask "
                "pc.ate(..., given=...) for the subgroup that you mean."
            )
        return [(v, v) for v in levels], pd.Index(levels, name=by)
    if isinstance(bins, int):
        shares = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
        limits = modifier.double().flatten().quantile(shares.to(modifier.device)).tolist()
    else:
        limits = _limits(bins)
    shown = [float(f"{limit:.4g}") for limit in limits]
    ranges = pd.IntervalIndex.from_breaks(shown, closed="left", name=by)
    return list(pairwise(limits)), ranges


def _limits(bins: Any) -> list[float]:
    if isinstance(bins, str) or not isinstance(bins, Iterable):
        raise TypeError(f"bins got {bins!r}; expected a number of ranges, or their limits.")
    limits = [number_of(limit, "bins") for limit in bins]
    if len(limits) < 2 or not all(low < high for low, high in pairwise(limits)):
        raise ValueError(f"bins got the limits {limits}; expected two or more that rise.")
    return limits


def _measure(asked: Asked, by: str, groups: Sequence[tuple[float, float]]) -> Measured:
    modifier = _chosen(asked, by)
    treated, control = asked.outcomes()
    parts = []
    for low, high in groups:
        inside = modifier == low if low == high else (low <= modifier) & (modifier <= high)
        fewest = asked.question.least(asked.units)
        if int(inside.sum()) < fewest:
            raise ValueError(
                f"by {by!r}: {int(inside.sum())} units lie in {low:.4g} to {high:.4g}; expected at "
                f"least {fewest}. Take fewer bins, or more samples."
            )
        parts.append(compared(asked.among(inside), treated[inside], control[inside]))
    return Measured(
        torch.stack([part.value for part in parts]),
        torch.stack([part.se for part in parts]),
        asked,
    )
