"""The linear program over laws of response functions, and its linear-fractional form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Infeasible", "Laws", "import_scipy"]

Array = npt.NDArray[np.float64]

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

    cells: npt.NDArray[np.intp]
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
        types = len(amount)
        per = np.ones(types) if per is None else per
        # The last variable is the scale; its column moves the right-hand sides to the left.
        problem = import_scipy("optimize").linprog(
            np.append(-amount, 0.0),
            **self._rows(np.append(per, 0.0)),
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
        scale = max(problem.x[-1], _LEAST_SCALE)
        return float(-problem.fun), problem.x[:-1] / scale

    def _rows(self, per: Array) -> dict[str, Any]:
        """Return the constraints, with a last column for the scale."""
        sparse = import_scipy("sparse")
        low, high = self.low.ravel(), self.high.ravel()
        exact = low == high
        apart = np.flatnonzero(~exact & ~np.isnan(low))
        exact = np.flatnonzero(exact)

        def scaled(rows: npt.NDArray[np.intp], right: Array) -> Any:
            return sparse.hstack([self.matrix[rows], sparse.csr_array(-right[rows, None])])

        total = np.append(np.ones(len(per) - 1), -1.0)
        equal = sparse.vstack(
            [scaled(exact, low), sparse.csr_array(total[None]), sparse.csr_array(per[None])]
        )
        right = np.append(np.zeros(len(exact) + 1), 1.0)
        between = sparse.vstack([scaled(apart, high), -scaled(apart, low)])
        rows = {"A_eq": equal.tocsc(), "b_eq": right}
        if between.shape[0]:
            rows |= {"A_ub": between.tocsc(), "b_ub": np.zeros(between.shape[0])}
        return rows
