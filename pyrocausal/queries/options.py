"""What every question takes besides its own: which units, what scale, how many, how sure."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypedDict

from pyrocausal.queries.scales import Scale

__all__ = ["Options", "check_options"]


class Options(TypedDict, total=False):
    """What every question takes.

    Attributes:
        given: Which units are meant, by what they are in the factual world: a mapping from
            variable to value or ``pc.between(low, high)``, or a predicate such as
            ``lambda v: v["age"] > 50``.
        evidence: The units, where they were seen: mapping or DataFrame, units first.
        scale: ``"difference"``, ``"ratio"`` or ``"odds ratio"``, of the two means.
        inputs: The program's arguments by name, units first.
        num_samples: Number of units to draw, 20,000 if left out.
        level: Level of the interval, 0.95 if left out.
        seed: Gives the same units again.

    Example:
        >>> options: Options = {"given": {"large": 1.0}, "num_samples": 5000, "seed": 0}
        >>> effect = pc.ate(pc.zoo.simpson(), "surgery", "recovery", **options)
        >>> abs(effect.value - (192 / 263 - 55 / 80)) < 4 * effect.se
        True
    """

    given: Any
    evidence: Any
    scale: Scale
    inputs: Mapping[str, Any] | None
    num_samples: int
    level: float
    seed: int | None


def check_options(said: Mapping[str, Any]) -> None:
    """Check the names of options.

    Raises:
        TypeError: An option that there is not.
    """
    known = list(Options.__annotations__)
    for name in said:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise TypeError(
                f"There is no option {name!r}.{f' Did you mean {near[0]!r}?' if near else ''} "
                f"Options: {', '.join(known)}."
            )
