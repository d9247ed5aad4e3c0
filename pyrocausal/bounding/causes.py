"""Probabilities of causation: necessity, sufficiency and both, from observation and experiment."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pyrocausal.bounding.answer import Bounds, Witness
from pyrocausal.bounding.asking import Asked, written
from pyrocausal.bounding.monotone import check_order, read_monotone
from pyrocausal.bounding.program import Infeasible, Laws
from pyrocausal.bounding.response_functions import ResponseFunctions
from pyrocausal.bounding.sampling_error import conditional_limits, free_cells
from pyrocausal.graph import CausalGraph
from pyrocausal.identification.admg import Admg
from pyrocausal.identification.tables import read_tables

__all__ = ["Causation", "causation_bounds"]

Array = npt.NDArray[np.float64]

_LEVEL = 0.05


class Causation(NamedTuple):
    """Bounds on the three probabilities of causation, y and x the event and its cause.

    Attributes:
        pn: Necessity, ``P(not y had X been x' | x, y)``.
        ps: Sufficiency, ``P(y had X been x | x', not y)``.
        pns: Both, ``P(y had X been x, not y had X been x')``.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"X": [1, 1, 0, 0], "Y": [1, 0, 1, 0], "p": [0.3, 0.2, 0.1, 0.4]})
        >>> found = pc.causation_bounds(table, {"Y": 1}, {"X": 1}, {"X": 0}, weights="p")
        >>> round(found.pns.lower, 4), round(found.pns.upper, 4)
        (0.0, 0.7)
    """

    pn: Bounds
    ps: Bounds
    pns: Bounds


def causation_bounds(
    data: Any,
    outcome: Mapping[str, Any],
    do: Mapping[str, Any],
    versus: Mapping[str, Any],
    *,
    effects: tuple[float, float] | None = None,
    assumptions: Collection[str] = (),
    weights: str | None = None,
) -> Causation:
    """Return bounds on the probabilities of necessity and of sufficiency of a cause.

    They range over all laws of response functions of X and Y that give the table of both and,
    where they are known, the effects of setting X (Tian, Pearl 2000). Nothing is assumed of what
    confounds them; other variables of a graph could narrow the bounds.

    Args:
        data: Rows of the two variables.
        outcome: The event y, one value by name.
        do: The cause x, one value by name.
        versus: The value x' that X would have had instead.
        effects: ``P(y | do(x))`` and ``P(y | do(x'))``, from an experiment or an estimand.
        assumptions: Such as ``"Y increases in X"``.
        weights: Column with the probability of each row, as in `bounds`.

    Returns:
        The bounds, sharp given the table and the effects. Their interval is for the table's
        sampling error; the effects count as exact.

    Raises:
        ValueError: The effects, or an assumption, contradict the table.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"X": [1, 1, 0, 0], "Y": [1, 0, 1, 0], "p": [0.3, 0.2, 0.1, 0.4]})
        >>> found = causation_bounds(
        ...     table, {"Y": 1}, {"X": 1}, {"X": 0}, effects=(0.6, 0.2), weights="p"
        ... )
        >>> print(*(f"{b.lower:.4f} {b.upper:.4f};" for b in found))
        0.6667 1.0000; 0.5000 0.7500; 0.4000 0.6000;

    References:
        Tian, Pearl (2000), Probabilities of causation: bounds and identification.
    """
    asked = Asked(outcome, do, versus, {})
    if not len(outcome) == len(do) == len(versus) == 1 or list(do) != list(versus):
        raise ValueError(
            f"causation_bounds: got outcome={outcome}, do={do}, versus={versus}; expected one "
            "value of one outcome, and two values of one cause."
        )
    (cause,), (effect,) = do, outcome
    graph = CausalGraph([(cause, effect)], bidirected=[(cause, effect)])
    asked.check(graph)
    g = Admg.from_graph(graph)
    monotone = read_monotone(assumptions, g)
    observation = frozenset[str]()
    table = read_tables({observation: data}, {observation: g.nodes}, weights)[observation]
    check_order(monotone, table.levels)
    sizes = {name: len(values) for name, values in table.levels.items()}
    codes = [asked.codes(values, table.levels) for values in (do, versus, outcome)]
    types = ResponseFunctions.of(g, g.nodes, sizes, monotone)
    pair = _Pair(types, codes[0][cause], codes[1][cause], codes[2][effect])
    joint = table.margin((cause, effect))
    rows = None if weights else len(table.weights)
    limits = None if rows is None else pair.laws(*_limits(joint, rows), effects)
    known = f"{effect} given do({cause}): {effects}" if effects else "no experiment"
    rests = (f"any confounding of {cause} and {effect}; {known}", *map(str, monotone))

    def answer(name: str, amount: Array, per: Array) -> Bounds:
        low, high, witnesses = _range(pair.laws(joint, joint, effects), amount, per, pair.types)
        interval = None
        if limits is not None:
            least, greatest, _ = _range(limits, amount, per, pair.types)
            interval = min(least, low), max(greatest, high)
        query = f"{name}({written(outcome)}; {written(do)} versus {written(versus)})"
        route = f"linear program over {pair.types.count:,} response functions"
        return Bounds(query, low, high, True, interval, route, 0.0, rows, rests, witnesses, rung=3)

    return Causation(**{name.lower(): answer(name, *a) for name, a in pair.amounts().items()})


@dataclass(frozen=True, eq=False)
class _Pair:
    """A cause with two of its values, and an event.

    Attributes:
        types: Response functions of both variables.
        present: Code of x.
        absent: Code of x'.
        event: Code of y.
    """

    types: ResponseFunctions
    present: int
    absent: int
    event: int

    def _under(self, code: int | None) -> Mapping[str, Any]:
        """Return the values of each type, as they come or with X set."""
        cause = self.types.nodes[0]
        free = {n: f for n, f in self.types.function_of.items() if code is None or n != cause}
        return self.types.run(free, {} if code is None else {cause: code})

    def _happens(self, code: int | None) -> Array:
        return np.asarray(self._under(code)[self.types.nodes[1]] == self.event, dtype=np.float64)

    def amounts(self) -> Mapping[str, tuple[Array, Array]]:
        """Return numerator and denominator of each probability, by type."""
        x = self._under(None)[self.types.nodes[0]]
        y, y_x, y_x0 = map(self._happens, (None, self.present, self.absent))
        necessary, sufficient = (x == self.present) * y, (x == self.absent) * (1 - y)
        return {
            "PN": (necessary * (1 - y_x0), necessary),
            "PS": (sufficient * y_x, sufficient),
            "PNS": (y_x * (1 - y_x0), np.ones_like(y)),
        }

    def laws(self, low: Array, high: Array, effects: tuple[float, float] | None) -> Laws:
        """Return the laws that give the table, between limits, and the effects."""
        cells = [self.types.cells(self.types.nodes)[0]]
        ends = [[array.ravel()] for array in (low, high)]
        for code, known in zip((self.present, self.absent), effects or (), strict=False):
            cells.append(self._happens(code).astype(np.intp))
            row = np.full(low.size, np.nan)
            row[1] = known
            for end in ends:
                end.append(row)
        return Laws(np.array(cells), *(np.array(end) for end in ends))


def _limits(joint: Array, rows: int) -> tuple[Array, Array]:
    """Return limits for a joint table, without conditions."""
    return conditional_limits(joint * rows, 0, _LEVEL / free_cells([(joint, 0)]))


def _range(
    laws: Laws, amount: Array, per: Array, types: ResponseFunctions
) -> tuple[float, float, tuple[Witness, Witness]]:
    try:
        low, least = laws.greatest(-amount, per)
        high, greatest = laws.greatest(amount, per)
    except Infeasible as error:
        raise ValueError(
            "causation_bounds: no model gives this table together with the effects and the "
            "assumptions, or the event and its cause never occur together. P(y | do(x)) lies "
            "between P(x, y) and P(x, y) + 1 - P(x); look for different populations."
        ) from error
    return -low, high, (Witness.of(types, least), Witness.of(types, greatest))
