"""For whom: effects in each subgroup, or in each range of a modifier of many values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Unpack

import torch
from torch import Tensor

from pyrocausal.answers import Effect
from pyrocausal.engine.evidence import columns_of
from pyrocausal.errors import UnknownVariable
from pyrocausal.queries.answering import Measured, answer, compared
from pyrocausal.queries.asking import Asked, Options, introduce, question
from pyrocausal.queries.reading import action_on, name_of, number_of, pair
from pyrocausal.queries.scales import write

if TYPE_CHECKING:
    from pyrocausal.model import SCM

__all__ = ["cate"]

MOST_GROUPS: Final = 50
FEW: Final = 10  # up to so many values, each is a subgroup, however few units have it
RANGES: Final = 5


def cate(
    scm: SCM,
    treatment: str | Sequence[str],
    outcome: Any,
    *,
    by: str,
    values: tuple[Any, Any] = (1.0, 0.0),
    bins: int | Sequence[float] | None = None,
    **options: Unpack[Options],
) -> Effect:
    """Return the effect in each subgroup: ``E[Y | do(X=x), Z=z] - E[Y | do(X=x'), Z=z]``.

    For a single subgroup, ``pc.ate(..., given=...)`` is the same number. The modifier is read in
    the factual world; where it lies below the treatment, the question is one of rung 3.

    Args:
        scm: The model.
        treatment: The variable that is set, or several.
        outcome: A variable's name, an event such as ``{"Y": 1}``, or a function.
        by: The effect modifier: a variable with one number a unit, or one of ``inputs``.
        values: The treated and the control value ``(x, x')``.
        bins: The number of ranges of equal probability of the modifier, or their limits, in its
            units. Left out, a modifier of whole numbers has a subgroup for each value, as far as
            these are not too many; any other, five ranges.
        options: ``given``, ``evidence``, ``scale``, ``inputs``, ``num_samples``, ``level`` and
            ``seed``; see `pyrocausal.queries.Options`.

    Returns:
        One number for each subgroup, indexed by the modifier's value or range.

    Raises:
        UnknownVariable: A name that is no variable.
        ValueError: Too few units in a subgroup; a modifier that is the same for all units.

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
    _check_modifier(by, scm, options.get("inputs"))
    actions = [action_on(treatment, value) for value in pair(values)]
    asked = question(scm, outcome, actions, options)
    whole = asked.ask()
    modifier = _chosen(whole, by)
    levels = _levels(scm, by, modifier, whole.question.least(whole.units)) if bins is None else []
    groups, index = _groups(modifier, levels, bins, by)
    rung = 3 if by in asked.reached or asked.rung == 3 else 2
    text = f"{write(asked.mean(0), asked.mean(1), asked.scale)}, by {by}"
    return answer(
        asked,
        lambda asked: _measure(asked.ask(), by, groups),
        text,
        rung=rung,
        index=index,
    )


def _check_modifier(by: str, scm: SCM, inputs: Any) -> None:
    name, arguments = name_of(by, "by"), scm._core.examples.keys()
    if name in scm.variables:
        if scm.variables[name].unit_shape:
            raise ValueError(f"by {name!r} has several numbers a unit; expected one.")
    elif name not in arguments:
        raise UnknownVariable(name, [*scm.variables, *arguments], "by")
    elif name not in columns_of({} if inputs is None else inputs, "inputs"):
        raise ValueError(
            f"by {name!r} is an argument of the program, which has no values of its own. Pass one "
            f"for each unit: inputs={{{name!r}: ...}}."
        )


def _chosen(asked: Asked, by: str) -> Tensor:
    units = asked.units
    values = units.factual.get(by)
    if values is None:
        shape = (units.size,) if units.draws is None else (units.draws, units.size)
        values = _argument(asked.question.inputs, by).expand(shape)
    return values if asked.chosen is None else values[asked.chosen]


def _argument(inputs: Mapping[str, Any] | None, by: str) -> Tensor:
    value = (inputs or {}).get(by)
    if not isinstance(value, Tensor) or value.ndim != 1:
        raise ValueError(
            f"by {by!r} is the same for all units, or several numbers of each; expected one number "
            f"a unit. Pass inputs={{{by!r}: [...]}}."
        )
    return value


def _levels(scm: SCM, by: str, modifier: Tensor, least: int) -> list[float]:
    """Return the values of a modifier that takes a few only; nothing where ranges are better."""
    values, counts = modifier.unique(return_counts=True)
    variable = scm.variables.get(by)
    plain = variable is not None and not variable.discrete and not variable.deterministic
    many = len(values) > MOST_GROUPS or (len(values) > FEW and bool((counts < least).any()))
    return [] if plain or many else values.tolist()


def _groups(
    modifier: Tensor, levels: list[float], bins: int | Sequence[float] | None, by: str
) -> tuple[list[tuple[float, float]], Any]:
    """Return the ends of each subgroup, the upper one left out but for the last, and the labels."""
    import pandas as pd

    if levels:
        return [(v, v) for v in levels], pd.Index(levels, name=by)
    bins = RANGES if bins is None else bins
    limits = _limits(bins) if not isinstance(bins, int) else _even(modifier, bins, by)
    shown = [float(f"{limit:.4g}") for limit in limits]
    ranges = pd.IntervalIndex.from_breaks(shown, closed="left", name=by)
    return list(pairwise(limits)), ranges


def _even(modifier: Tensor, bins: int, by: str) -> list[float]:
    """Return the limits of ranges of about equal probability."""
    if bins < 1:
        raise ValueError(f"bins got {bins}; expected a number of ranges, such as 5.")
    shares = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
    flat = modifier.double().flatten().sort().values
    # Limits are values, of which many units may have the same one.
    places = (shares * (len(flat) - 1)).round().long().to(flat.device)
    limits: list[float] = flat[places].unique().tolist()
    if len(limits) < 2:
        raise ValueError(f"by {by!r} has the one value {limits[0]:g} here; expected several.")
    return limits


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
        inside = _within(modifier, low, high, last=high == groups[-1][1])
        fewest = asked.question.least(asked.units)
        if int(inside.sum()) < fewest:
            raise ValueError(
                f"by {by!r}: {int(inside.sum())} units lie in {low:.4g} to {high:.4g}; expected at "
                f"least {fewest}. Take other bins=, or more samples."
            )
        parts.append(compared(asked.among(inside), treated[inside], control[inside]))
    return Measured(
        torch.stack([part.value for part in parts]),
        torch.stack([part.se for part in parts]),
        asked,
        means=torch.stack([part.means for part in parts if part.means is not None], 1),
        errors=torch.stack([part.errors for part in parts if part.errors is not None], 1),
    )


def _within(modifier: Tensor, low: float, high: float, *, last: bool) -> Tensor:
    """Say which values lie in a range, whose upper end belongs to the next one if there is one."""
    below = modifier <= high if last else modifier < high
    return modifier == low if low == high else (low <= modifier) & below
