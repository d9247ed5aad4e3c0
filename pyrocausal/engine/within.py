"""Values within limits: drawn from what these leave of a site's distribution."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyrocausal.engine.intervals import Interval
from pyrocausal.engine.querying import Noise, Query
from pyrocausal.engine.rows import Layout, Site, units_where, unmasked
from pyrocausal.engine.unit_names import names_of_units
from pyrocausal.noise.truncation import Truncated, truncated
from pyrocausal.requirements import require

__all__ = ["draw_within", "law_within", "no_cdf", "refuse_empty"]


def law_within(query: Query, site: Site, limits: Interval) -> Truncated | None:
    """Return the law of a site within limits in program shape; ``None`` without a known CDF.

    Raises:
        NotAbducible: The site's family has no equation.
    """
    with torch.no_grad():
        return truncated(query.equation(site), limits.low, limits.high)


def draw_within(law: Truncated, noise: Noise, layout: Layout, site: Site) -> Tensor:
    """Draw a site's values within its limits, in program shape."""
    stream = noise.stream(f"{site.name} within its limits")
    v = noise.stacked(stream.uniforms((*site.inner, *law.shape)))
    return law.value(layout.to_rows(v, len(site.inner)))


def refuse_empty(
    law: Truncated, layout: Layout, site: Site, limits: Interval, asked: Tensor
) -> None:
    """Raise where limits that are asked for leave nothing of a site's distribution.

    Raises:
        ValueError: They do.
    """
    possible = ((law.log_mass > -torch.inf) | ~asked).expand(*site.inner, layout.rows)

    def error() -> ValueError:
        event = site.event_dim
        low, high = (
            end.expand(*site.inner, layout.rows, *end.shape[end.dim() - event :])[~possible]
            for end in (limits.low, limits.high)
        )
        units = names_of_units(units_where(layout.from_rows(~possible)))
        return ValueError(
            f"evidence[{site.name!r}] is impossible for {units}: {type(site.fn).__name__} has no "
            f"probability from {low.flatten()[0].item():g} to {high.flatten()[0].item():g} at the "
            f"values of its causes (support: {site.fn.support}). Correct the limits of "
            f"{site.name!r}, or its causes."
        )

    require(possible, error)


def no_cdf(name: str, fn: Any) -> ValueError:
    """Return the error for limits in data of a variable whose distribution has no known CDF."""
    law = type(unmasked(fn)[0]).__name__
    return ValueError(
        f"data[{name!r}] is known up to limits, and no CDF of {law} is known to tell their "
        "probability by. Give values, or choose another distribution."
    )
