"""Data that a distribution can't take, found before the first step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pyro.poutine.messenger import Messenger
from torch import Tensor
from torch.distributions import constraints

from pyrocausal.engine.evidence import names_of_units
from pyrocausal.engine.rows import UNITS, is_factor, is_subsample, support_of, unmasked
from pyrocausal.fitting.limited import LimitedDistribution
from pyrocausal.fitting.objective import base_of
from pyrocausal.fitting.observing import Units

__all__ = ["within_supports"]


@contextmanager
def within_supports(units: Units, rows: Tensor) -> Iterator[None]:
    """Check, site by site, that observed values lie in the supports of their distributions.

    A value is looked at before anything is made of it, such as an index of a table.

    Args:
        units: The units that the program runs on.
        rows: Their numbers, for messages.

    Raises:
        ValueError: A value outside.
    """
    try:
        with _SupportCheck(units, rows):
            yield
    except _Unsupported as found:
        raise ValueError(str(found)) from None


class _Unsupported(Exception):
    """A value outside; to a ValueError Pyro would append the shapes of all sites."""


class _SupportCheck(Messenger):
    """Looks at each observed value."""

    def __init__(self, units: Units, rows: Tensor) -> None:
        super().__init__()
        self.units, self.rows = units, rows

    def _pyro_post_sample(self, msg: Any) -> None:
        name = msg["name"]
        if not msg["is_observed"] or is_subsample(msg["fn"]) or is_factor(msg["fn"]):
            return
        if msg["infer"].get("_deterministic"):
            return
        if isinstance(msg["fn"], LimitedDistribution):
            self._check_limits(name, msg)
        outside = _outside(msg, self.units.unseen(name) if name in self.units.values else None)
        if outside is not None and bool(outside.any()):
            raise _unsupported(name, msg, outside, self.rows)

    def _check_limits(self, name: str, msg: Any) -> None:
        fn = msg["fn"]
        empty = fn.limits.within & ~(fn.mass() > -torch.inf)
        if msg["mask"] is not None:
            empty = empty & torch.as_tensor(msg["mask"], device=empty.device)
        if bool(empty.any()):
            law = type(base_of(fn.base_dist)).__name__
            raise _Unsupported(
                f"data[{name!r}]{_units(msg, empty, self.rows)}: {law} has no probability within "
                "the limits. Correct them, or choose another distribution."
            )


def _outside(site: dict[str, Any], missing: Tensor | None) -> Tensor | None:
    """Return where a site's value is outside the support, shape ``(*inner, rows)``."""
    fn, mask = unmasked(site["fn"], site["mask"])
    support = support_of(fn)
    if support is None or not _is_sharp(support):
        return None
    outside: Tensor = ~support.check(site["value"])
    for counts in (mask, None if missing is None else ~missing):
        if counts is not None:
            outside = outside & torch.as_tensor(counts, device=outside.device)
    return outside


def _is_sharp(support: Any) -> bool:
    """Say whether rounding can't push a value out, as it can with a simplex or a matrix."""
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    if constraints.is_dependent(support):
        return False
    return support.is_discrete or not support.event_dim


def _unsupported(name: str, site: dict[str, Any], outside: Tensor, rows: Tensor) -> _Unsupported:
    value = site["value"].expand(outside.shape + site["fn"].event_shape)[outside][0].tolist()
    got = f"{value:g}" if isinstance(value, float) else value
    support = str(site["fn"].support)
    if "tensor" in support:
        support = type(site["fn"].support).__name__.strip("_")  # a bound for each unit fills pages
    return _Unsupported(
        f"data[{name!r}]{_units(site, outside, rows)}: {type(base_of(site['fn'])).__name__} can't "
        f"take {got}; expected a value in its support, {support}. Correct the data, give NaN "
        "where a value is missing, or choose another distribution."
    )


def _units(site: dict[str, Any], outside: Tensor, rows: Tensor) -> str:
    if all(frame.name != UNITS for frame in site["cond_indep_stack"]):
        return ""
    bad = torch.zeros(int(rows.max()) + 1, dtype=torch.bool, device=rows.device)
    bad[rows] = outside.expand((*outside.shape[:-1], len(rows))).reshape(-1, len(rows)).any(0)
    return f" for {names_of_units(bad)}"
