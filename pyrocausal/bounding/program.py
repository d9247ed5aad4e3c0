"""The linear program over laws of response functions, and its linear-fractional form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pyrocausal.bounding.distinct_states import grouped

__all__ = ["Infeasible", "Laws", "import_scipy"]

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

_TOLERANCE = 1e-10  # the least that HiGHS takes
_LEAST_SCALE = 1e-9


class Infeasible(ValueError):
    """No law over the response functions gives the table."""


def import_scipy(name: str) -> Any:
    """Return a module of scipy, which only bounds need.

    Raises:
        ImportError: scipy is not installed.
    """
    from importlib import import_module

    try:
        return import_module(f"scipy.{name}")
    except ImportError as error:
        raise ImportError(
            "Bounds need scipy, which is not installed. Install it by: pip install "
            "'pyrocausal[bounds]'."
        ) from error


@dataclass(frozen=True, eq=False)
class Laws:
    """The laws over types under which each cell of ``Q[S]`` lies between two numbers.

    Attributes:
        cells: Which cell a type falls into in each context, shape ``(contexts, types)``.
        low: Least probability of each cell, shape ``(contexts, cells)``; NaN where unknown.
        high: Greatest probability, the same shape.
    """

    cells: Codes
    low: Array
    high: Array

    @cached_property
    def matrix(self) -> Any:
        """The map from a law to ``Q[S]``: sparse, shape ``(contexts * cells, types)``."""
        contexts, types = self.cells.shape
        rows = (self.cells + self.low.shape[1] * np.arange(contexts)[:, None]).ravel()
        columns = np.tile(np.arange(types), contexts)
        sparse = import_scipy("sparse")
        return sparse.csr_array(
            (np.ones(len(rows)), (rows, columns)), shape=(self.low.size, types)
        )

    def feasible(self) -> bool:
        """Tell whether there is such a law."""
        try:
            self.greatest(np.zeros(self.cells.shape[1]))
        except Infeasible:
            return False
        return True

    def range(self, amount: Array) -> tuple[float, float]:
        """Return the least and the greatest expectation of an amount."""
        return -self.greatest(-amount)[0], self.greatest(amount)[0]

    def greatest(self, amount: Array, per: Array | None = None) -> tuple[float, Array]:
        r"""Return the greatest expectation and a law that attains it.

        A ratio is made linear (Charnes, Cooper 1962) by the scale :math:`t = 1 / (per \cdot r)`:

        .. math:: \max \frac{amount \cdot r}{per \cdot r} = \max \{amount \cdot s :
            \; s = t r, \; per \cdot s = 1\}

        Args:
            amount: Value of each type, shape ``(types,)``.
            per: The denominator's value of each type; without, no ratio.

        Raises:
            Infeasible: There is no law, or the denominator is 0 under each.
        """
        per = np.ones(len(amount)) if per is None else per
        kept = self._undominated(amount, per)
        # The last variable is the scale; its column holds the right-hand sides.
        problem = import_scipy("optimize").linprog(
            np.append(-amount[kept], 0.0),
            **self._constraints(kept, per[kept]),
            bounds=(0, None),
            method="highs",
            options={
                "primal_feasibility_tolerance": _TOLERANCE,
                "dual_feasibility_tolerance": _TOLERANCE,
            },
        )
        if problem.status == 2:
            raise Infeasible("no law over the response functions gives the table")
        if problem.status != 0:
            raise RuntimeError(
                f"bounds: the linear program ended without a solution: {problem.message} Report "
                "the graph and the table."
            )
        law = np.zeros(len(amount))
        law[kept] = problem.x[:-1] / max(problem.x[-1], _LEAST_SCALE)
        return float(-problem.fun), law

    @cached_property
    def _kind(self) -> Codes:
        """The number of each type's kind, those being one that no table tells apart."""
        return grouped(list(self.cells))

    def _undominated(self, amount: Array, per: Array) -> Codes:
        """Return one type of each kind and denominator, that with the greatest amount."""
        order = np.lexsort((amount, per, self._kind))
        same = (np.diff(self._kind[order]) == 0) & (np.diff(per[order]) == 0)
        return np.asarray(order[np.append(~same, True)])

    @cached_property
    def _exact(self) -> Any:
        """The equations of the cells that are known, and that a law sums to the scale."""
        low = self.low.ravel()
        exact = low == self.high.ravel()
        total = np.append(np.ones(self.cells.shape[1]), -1.0)[None]
        sparse = import_scipy("sparse")
        return sparse.vstack([self._scaled(exact, low), sparse.csr_array(total)]).tocsc()

    @cached_property
    def _between(self) -> Any:
        """The inequalities of the cells that are known between limits."""
        low, high = self.low.ravel(), self.high.ravel()
        apart = low < high
        sparse = import_scipy("sparse")
        return sparse.vstack([self._scaled(apart, high), -self._scaled(apart, low)]).tocsc()

    def _scaled(self, cells: npt.NDArray[np.bool_], right: Array) -> Any:
        """Return equations ``B r = right * scale`` of some cells."""
        sparse = import_scipy("sparse")
        chosen = np.flatnonzero(cells)
        return sparse.hstack([self.matrix[chosen], sparse.csr_array(-right[chosen, None])])

    def _constraints(self, kept: Codes, per: Array) -> dict[str, Any]:
        sparse = import_scipy("sparse")
        columns = np.append(kept, self.cells.shape[1])
        ratio = sparse.csr_array(np.append(per, 0.0)[None])
        equal = sparse.vstack([self._exact[:, columns], ratio]).tocsc()
        found = {"A_eq": equal, "b_eq": np.eye(equal.shape[0])[-1]}
        if self._between.shape[0]:
            rows = self._between[:, columns]
            found |= {"A_ub": rows, "b_ub": np.zeros(rows.shape[0])}
        return found
