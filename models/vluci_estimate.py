"""The answer of VLUCI: a point only where something gives one, and the set that is left open."""

from __future__ import annotations

import math
from typing import Final, Literal

from pyrocausal.answers import Estimate, Interval

__all__ = ["ASSUMPTIONS", "VLUCIEstimate", "vluci_estimate"]

ASSUMPTIONS: Final = (
    "no interference, and one version of each treatment",
    "covariates and a U that is independent of them account for all confounding",
    "every unit might have had either treatment",
    "the functional form of the heads",
)

Kind = Literal["profile", "identified set"]


class VLUCIEstimate(Estimate):
    """An estimate whose value is NaN, its ``point`` None, where the data give none.

    Example:
        >>> interval = Interval(1.0, 3.0)
        >>> print(vluci_estimate("ATE", None, None, interval, "identified set"))
        ATE: no point
        95 % interval: [1, 3]
        rung: 2 (doing)
        kind of interval: identified set
        assumes: no interference, ...
    """

    @property
    def point(self) -> float | None:
        """The value, or None where there is none."""
        value = float(self.value)
        return None if math.isnan(value) else value

    @property
    def low(self) -> float:
        """The lower limit."""
        return math.nan if self.interval is None else float(self.interval.lower)

    @property
    def high(self) -> float:
        """The upper limit."""
        return math.nan if self.interval is None else float(self.interval.upper)

    @property
    def kind(self) -> str:
        """What the interval is: ``"profile"`` or ``"identified set"``."""
        return str(self.details["kind of interval"])

    def card(self) -> list[tuple[str, str]]:
        """Return the lines of the card, each a label and its text."""
        first, *others = super().card()
        return [first if self.point is not None else ("", f"{self.query}: no point"), *others]


def vluci_estimate(
    query: str,
    point: float | None,
    se: float | None,
    interval: Interval | None,
    kind: Kind,
    *,
    bounds: Interval | None = None,
    bound: str = "",
    assumptions: tuple[str, ...] = (),
    warnings: tuple[str, ...] = (),
) -> VLUCIEstimate:
    """Return an answer.

    Args:
        query: The question in symbols.
        point: The value, if there is one.
        se: Its standard error.
        interval: Where the truth lies.
        kind: What the interval is.
        bounds: The set that a bound on U's strength leaves open.
        bound: That bound, in words.
        assumptions: What it rests on, besides what every answer does.
        warnings: What may be wrong with it.
    """
    details = {"kind of interval": kind, **({"bound": bound} if bound else {})}
    return VLUCIEstimate(
        value=math.nan if point is None else point,
        se=se,
        interval=interval,
        query=query,
        rung=2,
        assumptions=(*ASSUMPTIONS, *assumptions),
        warnings=warnings,
        bounds=bounds,
        details=details,
    )
