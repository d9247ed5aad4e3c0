"""Estimands as numbers: a formula evaluated on tables of discrete variables."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyrocausal.identification.arrays import NamedArray, product, sum_product
from pyrocausal.identification.expressions import (
    Difference,
    Expression,
    Probability,
    Product,
    Ratio,
    Sum,
    factors_of,
    probabilities_in,
    variable_of,
)
from pyrocausal.identification.spread import spread_of, spread_probability
from pyrocausal.identification.tables import Array, DiscreteTable, read_tables

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["evaluate"]

Tables = Mapping[frozenset[str], DiscreteTable]
Codes = Mapping[str, int]


def evaluate(
    expression: Expression,
    outcome: Sequence[str],
    fixed: Mapping[str, Any],
    source: Any,
    weights: str | None,
    title: str,
) -> pd.Series[float]:
    """Return the value of an expression for each value of some names.

    Args:
        expression: The formula.
        outcome: The names whose values the answer is indexed by.
        fixed: Name to its value.
        source: Rows, or what an experiment set to its rows.
        weights: Name of the column of weights.
        title: Name of the answer.
    """
    import pandas as pd

    free = sorted(expression.free - {*outcome, *fixed})
    tables = _tables(expression, free, source, weights)
    levels = next(iter(tables.values())).levels
    known = {name: value for name, value in fixed.items() if variable_of(name) in levels}
    codes = {name: _code(variable_of(name), value, levels) for name, value in known.items()}
    array = Evaluation(tables).run(expression, codes)
    slices, law = _sliced(outcome, array, tables)
    defined = (law > 0) & ~np.isnan(slices).any(1)
    if not defined.any():
        raise _positivity(expression, tables, codes)
    slices, law = slices[defined], law[defined]
    answer = law / law.sum() @ slices
    names = list(map(variable_of, outcome))
    index: pd.Index[Any] = pd.Index(["probability"])
    if len(names) == 1:
        index = pd.Index(levels[names[0]], name=names[0])
    elif names:
        index = pd.MultiIndex.from_product([levels[n] for n in names], names=names)
    series = pd.Series(answer, index=index, name=title)
    if not set(array.names) - {*outcome}:
        return series
    spread, over = spread_of(slices), ", ".join(map(variable_of, free))
    series.attrs["spread"], text = spread, f"{spread:.2g}"
    if weights is None and len(slices) > 1 and not isinstance(source, DiscreteTable):

        def again(tables: Tables) -> Array:
            array = Evaluation(tables).run(expression, codes)
            return _sliced(outcome, array, tables)[0][defined]

        p = series.attrs["spread p"] = spread_probability(slices, tables, again)
        text += f" (p {p:.2g})"
    return series.rename(f"{title}; spread over {over} {text}")


def experiment_of(p: Probability) -> frozenset[str]:
    """Return what the experiment sets that a probability is read off."""
    return frozenset(map(variable_of, p.do))


class Cell(NamedTuple):
    """A combination of conditions that never occurs, and the probability that it leaves undefined."""

    probability: Probability
    codes: tuple[tuple[str, int], ...]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One run of a formula on tables.

    Attributes:
        tables: What an experiment set to its table.
        kept: In a trial, the only empty cells that stay undefined.
    """

    tables: Tables
    kept: Collection[Cell] | None = None

    def run(self, expression: Expression, fixed: Codes) -> NamedArray:
        """Return the value of an expression, with an axis for each name that isn't fixed."""
        match expression:
            case Probability():
                return self.probability(expression, fixed)
            case Sum(over, body):
                inside = {name: code for name, code in fixed.items() if name not in over}
                return sum_product(over, (self.run(f, inside) for f in factors_of(body)))
            case Product(factors):
                return product(self.run(factor, fixed) for factor in factors)
            case Ratio(numerator, denominator):
                return self.run(numerator, fixed).over(self.run(denominator, fixed))
            case Difference(first, second):
                return self.run(first, fixed).minus(self.run(second, fixed))

    def probability(self, p: Probability, fixed: Codes) -> NamedArray:
        """Return one probability from its own margin, NaN where it is undefined."""
        of, conditions = tuple(sorted(p.of)), tuple(sorted(p.given | p.do))
        joint = self.tables[experiment_of(p)].margin(tuple(map(variable_of, (*of, *conditions))))
        margin = joint.sum(tuple(range(len(of))), keepdims=True)
        values = np.full_like(joint, np.nan)
        np.divide(joint, margin, out=values, where=margin > 0)
        if self.kept is not None:
            values[np.isnan(values)] = 1.0
            for cell in self.kept:
                if cell.probability == p:
                    place: Any = (..., *(code for _, code in cell.codes))
                    values[place] = np.nan
        names = (*of, *conditions)
        left = tuple(name for name in names if name not in fixed)
        select: Any = tuple(fixed.get(name, slice(None)) for name in names)
        return NamedArray(left, values[select])


def _tables(
    expression: Expression, free: Sequence[str], source: Any, weights: str | None
) -> Tables:
    """Return the tables that the expression reads, from one source or one for each experiment."""
    needed: dict[frozenset[str], set[str]] = {}
    for p in probabilities_in(expression):
        needed.setdefault(experiment_of(p), set()).update(map(variable_of, p.free))
    # The free variables' distribution is read off the table that stands first.
    next(iter(needed.values())).update(map(variable_of, free))
    if isinstance(source, DiscreteTable):
        return {frozenset(): source}
    sources = (
        {frozenset[str](): source} if set(needed) == {frozenset()} else _by_experiment(source)
    )
    for key in needed:
        if key not in sources:
            raise ValueError(
                f"evaluate: the formula needs {_experiment(key)}, but the source has "
                f"{', '.join(map(_experiment, sources))}. Give a mapping from what each set, such "
                "as {(): rows, 'Z': rows}."
            )
    return read_tables({key: sources[key] for key in needed}, needed, weights)


def _by_experiment(source: Any) -> dict[frozenset[str], Any]:
    """Return sources by what was set, from keys that are a name or several."""
    if not isinstance(source, Mapping):
        raise TypeError(
            f"evaluate: got {type(source).__name__} for a formula in several experiments; expected "
            "a mapping from what each set to its rows, such as {(): rows, 'Z': rows}."
        )
    return {frozenset([k] if isinstance(k, str) else k): rows for k, rows in source.items()}


def _experiment(key: frozenset[str]) -> str:
    return f"the experiment do({', '.join(sorted(key))})" if key else "observation"


def _code(name: str, value: Any, levels: Mapping[str, Any]) -> int:
    """Return the place of a value among a variable's levels."""
    places = np.flatnonzero(levels[name] == np.asarray(value))
    if not len(places):
        raise ValueError(
            f"evaluate: positivity: no row has {name}={value}; the rows have "
            f"{', '.join(map(str, levels[name]))}. Ask about one of these values."
        )
    return int(places[0])


def _sliced(outcome: Sequence[str], array: NamedArray, tables: Tables) -> tuple[Array, Array]:
    """Return the outcome's probabilities for each value of free variables, and these ones' law."""
    first = next(iter(tables.values()))
    free = tuple(name for name in array.names if name not in outcome)
    shape = [len(first.levels[variable_of(name)]) for name in outcome]
    slices = array.aligned((*free, *outcome))
    slices = np.broadcast_to(slices, (*slices.shape[: len(free)], *shape))
    law = first.margin(tuple(map(variable_of, free))).reshape(-1)
    return slices.reshape(len(law), -1), law


def _positivity(expression: Expression, tables: Tables, fixed: Codes) -> ValueError:
    """Return the error that names the first empty cell without which the answer would stand."""

    def matters(cells: Sequence[Cell]) -> bool:
        trial = Evaluation(tables, cells).run(expression, fixed)
        return bool(np.isnan(trial.values).any())

    cells = [c for p in dict.fromkeys(probabilities_in(expression)) for c in _empty(p, tables)]
    if not matters(cells):
        return ValueError(
            "evaluate: positivity: a denominator of the formula is 0 at the values asked about. "
            "Ask about values that occur together, or give more data."
        )
    while len(cells) > 1:
        half = cells[: len(cells) // 2]
        cells = half if matters(half) else cells[len(half) :]
    (cell,) = cells
    levels = tables[experiment_of(cell.probability)].levels
    values = ", ".join(
        f"{variable_of(name)}={levels[variable_of(name)][code]}" for name, code in cell.codes
    )
    return ValueError(
        f"evaluate: positivity: no row has {values}, but the formula needs the distribution of "
        f"{', '.join(sorted(cell.probability.of))} there. Merge values, restrict the question to "
        "where there are rows, or give more data."
    )


def _empty(p: Probability, tables: Tables) -> Iterator[Cell]:
    """Yield the combinations of a probability's conditions that never occur."""
    conditions = tuple(sorted(p.given | p.do))
    margin = tables[experiment_of(p)].margin(tuple(map(variable_of, conditions)))
    for index in np.argwhere(margin == 0):
        yield Cell(p, tuple(zip(conditions, map(int, index), strict=True)))
