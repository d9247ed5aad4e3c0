"""Controls: what can be set of a model, and to which values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Final

import numpy as np
import numpy.typing as npt

from pyrocausal.model import SCM

__all__ = ["Array", "Control", "controls_of", "levels_of"]

Array = npt.NDArray[np.float64]

MOST_LEVELS: Final = 20
"""A variable with no more whole values than these is set by choice, and drawn as bars."""

NEAR: Final = 0.05
"""Units within this part of the range are taken to have been seen with a value."""


@dataclass(frozen=True)
class Control:
    """One variable to set, by choice or along a range.

    Attributes:
        name: The variable.
        levels: Its values, of which one is chosen; empty along a range.
        low: The least value that was seen.
        high: The greatest.
        step: The distance between two values of the range.
        middle: The value in the middle of what was seen.
    """

    name: str
    levels: tuple[float, ...]
    low: float
    high: float
    step: float
    middle: float

    @property
    def reach(self) -> float:
        """How far from a value a unit may be to count as seen with it."""
        return 0.0 if self.levels else NEAR * (self.high - self.low)

    def snap(self, value: float) -> float:
        """Return the nearest value of the range, without the last digits of binary fractions.

        Example:
            >>> Control("x", (), -1.0, 1.0, 0.1, 0.0).snap(0.30000000000000004)
            0.3
        """
        return round(value, max(0, -floor(log10(self.step))))

    def met(self, values: Array, value: float) -> npt.NDArray[np.bool_]:
        """Tell which units were seen with a value, or close to it.

        Args:
            values: The units' values, shape ``(units,)``.
            value: What they are held against.

        Example:
            >>> Control("x", (), 0.0, 10.0, 0.1, 5.0).met(np.array([1.0, 1.4, 2.0]), 1.0).tolist()
            [True, True, False]
        """
        met: npt.NDArray[np.bool_] = np.abs(values - value) <= self.reach
        return met

    def told(self, value: float) -> str:
        """Say which units were seen with a value."""
        near = f"{value - self.reach:.3g} ≤ {self.name} ≤ {value + self.reach:.3g}"
        return near if self.reach else f"{self.name}={value:g}"


def levels_of(values: Array) -> tuple[float, ...]:
    """Return the values of a variable that has few and whole ones, else nothing.

    Example:
        >>> levels_of(np.array([1.0, 0.0, 1.0])), levels_of(np.array([0.5, 1.0]))
        ((0.0, 1.0), ())
    """
    levels = np.unique(values)
    few = len(levels) <= MOST_LEVELS and bool((levels == np.round(levels)).all())
    return tuple(levels.tolist()) if few else ()


def controls_of(scm: SCM, seen: Mapping[str, Array]) -> tuple[Control, ...]:
    """Return a control for each variable that was seen, in the order of execution.

    Args:
        scm: The model.
        seen: Variable to the values of simulated units, shape ``(units,)``; what is latent, is
            shared by all units, or has several numbers a unit isn't there, and can't be set.

    Example:
        >>> model = SCM(lambda: pyro.sample("x", dist.Bernoulli(0.5)))
        >>> controls_of(model, {"x": np.array([0.0, 1.0, 1.0])})[0].levels
        (0.0, 1.0)
    """
    return tuple(
        _control(name, seen[name], variable.discrete)
        for name, variable in scm.variables.items()
        if name in seen
    )


def _control(name: str, values: Array, discrete: bool) -> Control:
    low, high = float(values.min()), float(values.max())
    levels = levels_of(values) or ((low,) if low == high else ())
    middle = float(np.quantile(values, 0.5, method="nearest"))
    if levels:
        return Control(name, levels, low, high, 1.0, middle)
    step = 1.0 if discrete else 10.0 ** floor(log10((high - low) / 50))
    ends = Control(name, (), floor(low / step) * step, ceil(high / step) * step, step, middle)
    low, high, middle = (ends.snap(value) for value in (ends.low, ends.high, middle))
    return Control(name, (), low, high, step, middle)
