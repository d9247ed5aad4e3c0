"""Monotonicity, an assumption in words: ``"Y increases in X"``."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyrocausal.errors import UnknownVariable
from pyrocausal.identification.admg import Admg

__all__ = ["Monotone", "check_order", "monotone_in", "read_monotone"]

_SIGNS = {"increases": 1, "decreases": -1}


@dataclass(frozen=True)
class Monotone:
    """No unit's ``effect`` moves against the sign when ``cause`` grows and all else stays."""

    effect: str
    cause: str
    sign: int

    def __str__(self) -> str:
        word = "increases" if self.sign > 0 else "decreases"
        return f"{self.effect} {word} in {self.cause}"


def read_monotone(assumptions: Collection[str], g: Admg) -> tuple[Monotone, ...]:
    """Return assumptions from their text.

    Raises:
        ValueError: The text is no assumption, or the cause is no parent of the effect.
        UnknownVariable: A name is no variable of the graph.
    """
    listed = [assumptions] if isinstance(assumptions, str) else assumptions
    return tuple(_read(text, g) for text in listed)


def _read(text: str, g: Admg) -> Monotone:
    match = re.fullmatch(r"\s*(.+?)\s+(increases|decreases)\s+in\s+(.+?)\s*", str(text))
    if not match:
        raise ValueError(
            f"bounds: can't read the assumption {text!r}; expected text such as 'Y increases in "
            "X' or 'Y decreases in X'."
        )
    effect, word, cause = match.groups()
    for name in (effect, cause):
        if name not in g.nodes:
            raise UnknownVariable(name, g.nodes, "bounds(assumptions=)")
    if cause not in g.parents[effect]:
        raise ValueError(
            f"bounds: {text!r}: {cause!r} is no direct cause of {effect!r} in the graph over "
            f"observed variables; its direct causes are {sorted(g.parents[effect])}. State the "
            "assumption for one of these."
        )
    return Monotone(effect, cause, _SIGNS[word])


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
