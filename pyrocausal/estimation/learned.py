"""Conditional distributions that are this library's mechanisms, fitted by gradient steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyro.distributions as dist
import torch
from torch import Tensor

from pyrocausal.choosing import choose_mechanisms
from pyrocausal.engine.tracing import quiet_seed
from pyrocausal.estimation.conditionals import Columns, Conditional
from pyrocausal.estimation.table import Array, Rows, Values
from pyrocausal.graph import CausalGraph
from pyrocausal.model import SCM

__all__ = ["Learned"]

_STEPS = 500


class Learned(Conditional):
    """The mechanism that a column's kind calls for, a perceptron of its conditions or a table.

    Args:
        rows: What to fit to; numbers, categories as codes 0, 1, ...
        target: The variable.
        given: Its conditions.

    Raises:
        TypeError: Words.
        ValueError: A column that tells no mechanism.

    References:
        See `pyrocausal.choosing.choose_mechanisms` for which it is.
    """

    def __init__(self, rows: Rows, target: str, given: tuple[str, ...]) -> None:
        graph = CausalGraph([(name, target) for name in given], nodes=[target])
        data = {name: rows.columns[name] for name in (*given, target)}
        self.given = tuple(graph.predecessors(target))
        roots: dict[str, Any] = dict.fromkeys(given, dist.Normal(0.0, 1.0))
        with quiet_seed(0):
            self.mechanism = choose_mechanisms(graph, data, given=roots)[target]
        numbers = {
            name: torch.tensor(values, dtype=torch.float32) for name, values in data.items()
        }
        SCM.from_graph(
            graph,
            {**roots, target: self.mechanism},
            data=numbers,
            steps=_STEPS,
            seed=0,
            progress=False,
            compile=False,
        )
        self.mechanism.eval()

    def draw(self, given: Columns, rng: np.random.Generator) -> Values:
        with quiet_seed(int(rng.integers(2**32))):
            return self._array(self._distribution(given).sample())

    def mean(self, given: Columns) -> Array:
        return self._array(self._distribution(given).mean)

    def density(self, values: Values, given: Columns) -> Array:
        seen = torch.tensor(values, dtype=torch.float32)
        return self._array(self._distribution(given).log_prob(seen).exp())

    def _distribution(self, given: Columns) -> Any:
        parents = (torch.tensor(given[name], dtype=torch.float32) for name in self.given)
        with torch.no_grad():
            return self.mechanism(*parents)

    def _array(self, values: Tensor) -> Array:
        return np.asarray(values.double().numpy())
