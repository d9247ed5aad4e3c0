"""Reading a program's sites: which space the values of each belong to."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import biject_to, constraints
from torch.distributions.constraints import MixtureSameFamilyConstraint

from pyrocausal.engine.rows import support_of
from pyrocausal.engine.tracing import Variable
from pyrocausal.fitting.objective import base_of
from pyrocausal.guides.spaces import CategorySpace, ContinuousSpace, CountSpace, Space
from pyrocausal.verbs.core import Core

__all__ = ["read_spaces"]

MOST_CATEGORIES = 64  # more are counts


def read_spaces(core: Core) -> list[Space]:
    """Return the space of each random site, in the order of execution.

    Args:
        core: What belongs to the SCM.

    Raises:
        ValueError: The program takes arguments, or has sites that all units share.
    """
    if core.examples:
        raise ValueError(
            f"The program takes {', '.join(core.examples)}: a guide of a program with arguments is "
            "not available. Make them sites of the program."
        )
    variables = core.anatomy.variables
    shared = [name for name in core.anatomy.shared if not variables[name].deterministic]
    if shared:
        raise ValueError(
            f"{', '.join(shared)}: all units share it, and an amortized guide stands over one "
            "unit. Fix the parameters, or fit() with a guide for them."
        )
    found = core.distributions()
    return [_space(variables[name], fn) for name, fn in found.items()]


def _space(variable: Variable, fn: Any) -> Space:
    support = support_of(fn)
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    if variable.discrete:
        return _discrete(variable, support)
    fixed = type(base_of(fn)).__name__ == "Delta"  # a density it has not
    if support is None or support.event_dim:
        known = support is not None and _has_bijection(support)
        return ContinuousSpace(
            variable, constraint=support if known else None, drawn=known and not fixed
        )
    lower, upper = (_bound(variable, support, side) for side in ("lower", "upper"))
    return ContinuousSpace(variable, lower, upper, drawn=not fixed)


def _discrete(variable: Variable, support: Any) -> Space:
    if support is constraints.one_hot:
        return CategorySpace(variable, 0, variable.event_shape[-1], one_hot=True)
    if support is constraints.boolean:
        return CategorySpace(variable, 0, 2)
    low, high = (_whole(_bound(variable, support, side)) for side in ("lower", "upper"))
    if low is None or support.event_dim:
        return CountSpace(variable, low or 0, None, drawn=False)
    if high is None or high - low >= MOST_CATEGORIES:
        return CountSpace(variable, low, high)
    return CategorySpace(variable, low, high - low + 1)


def _bound(variable: Variable, support: Any, side: str) -> Tensor | None:
    """Return a finite bound that is the same for all units; another is no part of the space.

    Where there is one, a proposal may be impossible for a unit: its weight is zero then.
    """
    if isinstance(support, MixtureSameFamilyConstraint):
        support = support.base_constraint
        plain = not isinstance(getattr(support, f"{side}_bound", None), Tensor)
        return _bound(variable, support, side) if plain else None
    bound = torch.as_tensor(getattr(support, f"{side}_bound", torch.inf))
    rows_at = bound.dim() - 1 - len(variable.event_shape)
    if rows_at >= 0:
        by_row = bound.movedim(rows_at, 0)
        if not bool((by_row == by_row[:1]).all()):
            return None
        bound = by_row[0]
    if not bool(bound.isfinite().all()):
        return None
    return bound.flatten()[0].clone() if len(bound.unique()) == 1 else bound.clone()


def _whole(bound: Tensor | None) -> int | None:
    return int(bound) if bound is not None and bound.dim() == 0 else None


def _has_bijection(support: Any) -> bool:
    try:
        return biject_to(support) is not None
    except NotImplementedError:
        return False
