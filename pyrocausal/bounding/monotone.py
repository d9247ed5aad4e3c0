"""Monotonicity, an assumption in words: ``"Y increases in X"``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pyrocausal.identification.admg import Admg
from pyrocausal.identification.assumptions import Monotone, read_assumptions

__all__ = ["check_order", "monotone_in", "read_monotone"]


def read_monotone(assumptions: Collection[str], g: Admg) -> tuple[Monotone, ...]:
    """Return assumptions from their text.

    Raises:
        ValueError: The text is no such assumption, or the cause is no parent of the effect.
        UnknownVariable: A name is no variable of the graph.
    """
    found = read_assumptions(assumptions, g.nodes, "bounds")
    if found.binary:
        raise ValueError(
            f"bounds: got the assumption '{min(found.binary)} is binary'; the data tell which "
            "values it has. Leave it out."
        )
    for assumed in found.monotone:
        if assumed.cause not in g.parents[assumed.effect]:
            raise ValueError(
                f"bounds: '{assumed}': {assumed.cause!r} is no direct cause of {assumed.effect!r} "
                "in the graph over observed variables; its direct causes are "
                f"{sorted(g.parents[assumed.effect])}. State the assumption for one of these."
            )
    return found.monotone


def check_order(assumptions: Collection[Monotone], levels: Mapping[str, npt.NDArray[Any]]) -> None:
    """Refuse an assumption about a variable whose values have no order.

    Raises:
        ValueError: The variable has more than two values and they are no numbers.
    """
    for name in (name for a in assumptions for name in (a.effect, a.cause)):
        if name in levels and levels[name].dtype.kind not in "biuf":
            raise ValueError(
                f"bounds: the values of {name!r} ({', '.join(map(str, levels[name]))}) are no "
                "numbers, so 'increases' has no meaning. Recode them as numbers in their order."
            )


def monotone_in(functions: npt.NDArray[np.intp], axis: int, sign: int) -> npt.NDArray[np.bool_]:
    """Tell which functions never move against the sign along one parent.

    Args:
        functions: Shape ``(functions, *sizes of the parents)``.
        axis: The parent's axis.
        sign: 1 increasing, -1 decreasing.

    Example:
        >>> import numpy as np
        >>> monotone_in(np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), axis=1, sign=1)
        array([ True,  True, False,  True])
    """
    steps = np.diff(functions, axis=axis).reshape(len(functions), -1)
    return np.asarray((sign * steps >= 0).all(1))
