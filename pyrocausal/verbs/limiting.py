"""Evidence within limits: of which variables a probability within them is known."""

from __future__ import annotations

import torch

from pyrocausal.engine.evidence import Evidence
from pyrocausal.errors import NotAbducible
from pyrocausal.noise import structural_equation
from pyrocausal.noise.truncation import truncated, unordered
from pyrocausal.verbs.core import Core

__all__ = ["without_cdf"]


def without_cdf(core: Core, seen: Evidence) -> frozenset[str]:
    """Return the variables with limits whose CDF is not known: their values are inferred.

    Raises:
        ValueError: A variable whose values have no order.
    """
    if not seen.limits:
        return frozenset()
    laws, found = core.distributions(), set()
    for name in seen.limits.keys() & laws.keys():
        law = laws[name]
        try:
            equation = structural_equation(law, core.couplings.get(name), name)
        except NotAbducible:
            found.add(name)
            continue
        if unordered(equation):
            raise ValueError(
                f"evidence[{name!r}] gives limits, but the values of {type(law).__name__} have no "
                f"order. Give {name!r} as a value, leave it out, or, where its categories are "
                f"ordered, say SCM(..., noise={{{name!r}: 'quantile'}})."
            )
        shape = law.batch_shape + law.event_shape
        ends = (torch.full(shape, end, dtype=torch.float64) for end in (-torch.inf, torch.inf))
        low, high = (end.to(core.place()) for end in ends)
        if truncated(equation, low, high) is None:
            found.add(name)
    return frozenset(found)
