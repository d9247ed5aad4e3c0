"""Evidence that a value lies between two limits: censored, truncated and rounded observations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyrocausal.engine.casting import as_tensor
from pyrocausal.engine.rows import Layout, over_events
from pyrocausal.engine.tracing import Variable
from pyrocausal.engine.unit_names import names_of_units

__all__ = ["Between", "Interval", "between", "read_interval"]


@dataclass(frozen=True, eq=False, repr=False)
class Between:
    """What a user says of a variable by ``pc.between``.

    Attributes:
        low: The lower limits, which belong to the interval.
        high: The upper limits, which do too.
        values: The values of the units of which they are known, NaN for the others; or ``None``.
    """

    low: Any
    high: Any
    values: Any = None

    def __repr__(self) -> str:
        limits = ", ".join(_limit(end) for end in (self.low, self.high))
        return f"between({limits}{'' if self.values is None else ', values=...'})"


def between(low: Any, high: Any, *, values: Any = None) -> Between:
    """Say that a variable lies within limits, where its value itself was not seen.

    A survival time that is censored lies between the time of the last visit and infinity; a
    rounded 3 lies between 2.5 and 3.5, a count of "two to five" between 2 and 5. Limits belong to
    the interval. As evidence they truncate the noise's prior; as data they count with the
    probability of the interval, ``log P(low <= x <= high)``: so `fit` learns from censored times.

    Args:
        low: Lower limits, a number or one for each unit; ``-inf`` for none.
        high: Upper limits; ``inf`` for none. Units without any limit are taken as missing.
        values: Values of the units of which they were seen, NaN for the others; limits don't count
            for units with a value.

    Returns:
        A value for ``evidence``, in the place of the variable's numbers.

    Raises:
        TypeError: Limits that are no numbers.
        ValueError: A lower limit that is not below the upper one.

    Example:
        >>> def cohort():
        ...     dose = pyro.sample("dose", dist.Uniform(0.0, 1.0))
        ...     pyro.sample("time", dist.Exponential(torch.exp(dose - 3.0)))
        >>> censored = {"dose": torch.zeros(2), "time": between(torch.tensor([3.0, 9.0]), torch.inf)}
        >>> answer = pc.SCM(cohort).counterfactual(censored, {"dose": 1.0}, seed=0)
        >>> bool((answer.factual["time"] >= torch.tensor([3.0, 9.0])).all()), answer.routes["time"]
        (True, 'truncated')
    """
    ends = [as_tensor(end, f"between: {side}") for side, end in (("low", low), ("high", high))]
    if values is None:
        _check_order(*ends)
    return Between(low, high, values)


@dataclass(frozen=True, eq=False)
class Interval:
    """Limits of a variable's values.

    Attributes:
        low: Lower limits, shape ``(units, *inner, *event)``, float64; they are values of the
            variable or minus infinity.
        high: Upper limits.
        within: The elements that have limits, shape ``(units, *inner)``.
    """

    low: Tensor
    high: Tensor
    within: Tensor

    def of(self, chosen: Tensor | slice) -> Interval:
        """Return the limits of some units."""
        return Interval(self.low[chosen], self.high[chosen], self.within[chosen])

    def holds(self, value: Tensor, event_dim: int) -> Tensor:
        """Say which values lie within, of ``(*batch, *event)`` like the limits."""
        inside = (value >= self.low) & (value <= self.high)
        return inside.flatten(inside.dim() - event_dim).all(-1) if event_dim else inside

    def rows(self, layout: Layout, inner: int) -> Interval:
        """Return the limits in program shape."""
        return Interval(
            *(
                layout.to_rows(part[None, None], inner)
                for part in (self.low, self.high, self.within)
            )
        )

    def same(self, other: Interval) -> bool:
        """Say whether the same limits were given of the same units."""
        return all(map(torch.equal, self.tensors().values(), other.tensors().values()))

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by name."""
        return {"low": self.low, "high": self.high, "within": self.within}


def read_interval(
    given: Between,
    variable: Variable,
    units: int,
    device: torch.device,
    what: str,
    known: Tensor | bool,
) -> Interval:
    """Read limits.

    Args:
        given: Limits that broadcast to the units' values.
        variable: What is known of the variable.
        units: How many units.
        device: Where the tensors go.
        what: What the evidence is called in messages.
        known: The elements whose values were seen, where limits don't count, ``(units, *inner)``.

    Raises:
        ValueError: Limits that are NaN, in the wrong order or of the wrong shape; a variable that
            all units share.
    """
    if variable.shared:
        raise ValueError(
            f"{what}: all units share this variable, and between() is for variables of a unit. "
            "Give its value."
        )
    seen = torch.as_tensor(known, device=device).expand(units, *variable.inner)
    seen = over_events(seen, seen.new_zeros(units, *variable.unit_shape))
    seen = seen.expand(units, *variable.unit_shape)
    ends = ("low", given.low, -torch.inf), ("high", given.high, torch.inf)
    low, high = (
        _read_limit(as_tensor(end, f"{what}: {side}").to(device), seen, none, f"{what}: {side}")
        for side, end, none in ends
    )
    _refuse(
        low >= high,
        f"{what}: low is not below high",
        "Give between() the lower limit first; give a value that is known as such, by values= "
        "where it is known of some of the units.",
        low,
        high,
    )
    first, last = _to_values(low, high, variable)
    _refuse(
        (first > last) | (first == torch.inf) | (last == -torch.inf),
        f"{what}: {'no whole number' if variable.discrete else 'no value of its dtype'} lies "
        "within the limits",
        "Widen them.",
        low,
        high,
    )
    event = len(variable.event_shape)
    limited = first.isfinite() | last.isfinite()
    within = limited.flatten(limited.dim() - event).any(-1) if event else limited
    return Interval(first, last, within)


def _read_limit(limit: Tensor, seen: Tensor, none: float, what: str) -> Tensor:
    """Return the limit of all elements, ``none`` where the value itself was seen."""
    try:
        limit = limit.double().expand(seen.shape).masked_fill(seen, none)
    except RuntimeError:
        raise ValueError(
            f"{what} has the shape {tuple(limit.shape)}; expected {tuple(seen.shape)}: units, "
            "inner plates, then the dimensions of one value."
        ) from None
    if bool(limit.isnan().any()):
        units = names_of_units(limit.isnan().reshape(len(limit), -1).any(1))
        raise ValueError(
            f"{what} is NaN for {units}. Give minus infinity or infinity where there is no limit."
        )
    return limit


def _to_values(low: Tensor, high: Tensor, variable: Variable) -> tuple[Tensor, Tensor]:
    """Move limits inwards to values of the variable."""
    if variable.discrete:
        return low.ceil(), high.floor()
    if variable.dtype == torch.float64:
        return low, high
    up, down = (torch.full_like(low, end, dtype=variable.dtype) for end in (torch.inf, -torch.inf))
    first, last = low.to(variable.dtype), high.to(variable.dtype)
    first = torch.where(first.double() < low, torch.nextafter(first, up), first)
    last = torch.where(last.double() > high, torch.nextafter(last, down), last)
    return first.double(), last.double()


def _refuse(bad: Tensor, problem: str, cure: str, low: Tensor, high: Tensor) -> None:
    if not bool(bad.any()):
        return
    units = names_of_units(bad.reshape(len(bad), -1).any(1))
    raise ValueError(
        f"{problem} for {units}: got {low[bad][0].item():g} and {high[bad][0].item():g}. {cure}"
    )


def _check_order(low: Tensor, high: Tensor) -> None:
    try:
        wrong = low.double() >= high.double()
    except RuntimeError:
        raise ValueError(
            f"between: low has the shape {tuple(low.shape)}, high {tuple(high.shape)}; expected one "
            "number each, or one for each unit."
        ) from None
    if bool(wrong.any()):
        ends = (end.double().expand(wrong.shape)[wrong][0].item() for end in (low, high))
        raise ValueError(
            "between: low is not below high: got {:g} and {:g}. ".format(*ends)
            + "Give the lower limit first; a value that is known is given as such."
        )


def _limit(end: Any) -> str:
    if hasattr(end, "item") and getattr(end, "shape", None) == ():
        end = end.item()
    return f"{end:g}" if isinstance(end, int | float) else "..."
