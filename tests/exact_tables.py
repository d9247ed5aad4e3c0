"""Exact distributions as tables of all states, with their probabilities in the column ``p``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pyrocausal.identification.discrete_models import DiscreteModel

__all__ = ["states", "states_of"]


def states(names: Sequence[str], law: npt.NDArray[Any]) -> pd.DataFrame:
    """Return the states of variables, from an array with an axis for each."""
    rows = [dict(zip(names, state, strict=True)) for state in np.ndindex(*law.shape)]
    return pd.DataFrame(rows).assign(p=law.ravel())


def states_of(model: DiscreteModel, do: Sequence[str] = ()) -> pd.DataFrame:
    """Return the states of a model's observed variables, where some are set with equal shares."""
    table = model.table(do)
    return pd.DataFrame({**table.codes, "p": table.weights})
