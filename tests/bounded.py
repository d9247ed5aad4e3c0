"""Graphs and tables whose bounds are known, and the two ends of an answer."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from exact_tables import states

import pyrocausal as pc

__all__ = ["BOW", "EFFECT", "INSTRUMENT", "LIPID", "MANSKI", "VITAMIN_A", "ends", "pair", "trial"]

BOW: Final = pc.CausalGraph([("X", "Y")], bidirected=[("X", "Y")])
INSTRUMENT: Final = pc.CausalGraph([("Z", "X"), ("X", "Y")], bidirected=[("X", "Y")])
EFFECT: Final[dict[str, Any]] = {"outcome": "Y", "do": {"X": 1}, "versus": {"X": 0}}

# P(y, x | z) for (y, x) = 00, 01, 10, 11, with z = 0 and then 1 (Balke, Pearl 1997)
LIPID: Final = ((0.919, 0, 0.081, 0), (0.315, 0.139, 0.073, 0.473))
VITAMIN_A: Final = ((0.0064, 0, 0.9936, 0), (0.0028, 0.0010, 0.1972, 0.7990))

# P(x, y) for (x, y) = 11, 10, 01, 00
MANSKI: Final = (0.3, 0.2, 0.1, 0.4)


def trial(table: Sequence[Sequence[float]]) -> pd.DataFrame:
    """Return the states of a trial with two equally large arms."""
    return states("ZYX", np.reshape(table, (2, 2, 2)) / 2)


def pair(x1y1: float, x1y0: float, x0y1: float, x0y0: float) -> pd.DataFrame:
    """Return the states of a cause and its effect."""
    return states("XY", np.array([[x0y0, x0y1], [x1y0, x1y1]]))


def ends(answer: pc.Bounds) -> tuple[float, float]:
    """Return the least and the greatest answer."""
    return answer.lower, answer.upper
