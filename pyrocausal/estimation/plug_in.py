"""Plug-in: an estimand's factors fitted one by one, and drawn from in turn."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pyrocausal.estimation.conditionals import Conditional, conditional
from pyrocausal.estimation.factors import Factor, Value, unfolded
from pyrocausal.estimation.finding import Finding, bootstrapped
from pyrocausal.estimation.learned import Learned
from pyrocausal.estimation.study import Study
from pyrocausal.estimation.table import Array, Values
from pyrocausal.identification.expressions import Expression, Ratio

__all__ = ["Models", "plug_in"]

Models = Literal["regressions", "mechanisms"]

_KINDS: dict[Models, str] = {
    "regressions": "tables of discrete variables, least squares and logits of others",
    "mechanisms": "mechanisms chosen by what each column holds, fitted by gradient steps",
}

_FEWEST_DRAWS = 4000
_AGAIN = 8
"""Simulations over which the answer is averaged; their spread is the Monte Carlo error."""


def plug_in(
    study: Study,
    expression: Expression,
    models: Models,
    replicates: int,
    rng: np.random.Generator,
) -> Finding:
    """Estimate by drawing from the estimand's factors, fitted as conditional distributions.

    Args:
        study: The question.
        expression: The estimand.
        models: What the factors are fitted by.
        replicates: Bootstrap samples, to each of which all factors are fitted afresh.
        rng: What draws.
    """
    if isinstance(expression, Ratio):
        parts = [unfolded(expression.numerator), unfolded(expression.denominator)]
    else:
        parts = [unfolded(expression)]
    seeds = rng.integers(2**32, size=_AGAIN)
    fits = _Fits(study, models)
    values = [_effect(fits, parts, seed) for seed in seeds]

    def statistic(index: npt.NDArray[np.intp]) -> tuple[float, float]:
        drawn = study.take(index)
        return _effect(_Fits(drawn, models), parts, seeds[0]), _naive(drawn)

    return bootstrapped(
        (float(np.mean(values)), _naive(study)),
        statistic,
        len(study.y),
        replicates,
        rng,
        monte_carlo=float(np.std(values, ddof=1) / _AGAIN**0.5),
        details={
            "method": f"plug-in, {replicates} bootstrap samples",
            "models": _KINDS[models],
        },
        assumptions=["each fitted conditional distribution is right"],
    )


@dataclass(eq=False)
class _Fits:
    """The conditional distributions of some rows, each fitted once."""

    study: Study
    models: Models = "regressions"
    found: dict[tuple[str, tuple[str, ...]], Conditional] = field(default_factory=dict)

    def of(self, target: str, given: Iterable[str]) -> Conditional:
        key = target, tuple(sorted(given))
        if key not in self.found:
            rows, study = self.study.rows, self.study
            if self.models == "mechanisms" and key[1]:
                self.found[key] = Learned(rows, *key)
            else:
                self.found[key] = conditional(rows, *key, study.treatment, study.squares)
        return self.found[key]


def _effect(fits: _Fits, parts: Sequence[Sequence[Factor]], seed: int) -> float:
    """Return the difference of two mean outcomes, drawn with the same random numbers."""
    means = []
    for value in fits.study.values:
        whole, *below = (_Simulation(fits, value, seed).mean(factors) for factors in parts)
        means.append(whole / below[0] if below else whole)
    return means[0] - means[1]


def _naive(study: Study) -> float:
    if study.has_levels:
        return study.naive[0]
    model = _Fits(study).of(study.outcome, [study.treatment])
    first, second = (model.mean({study.treatment: np.array([value])})[0] for value in study.values)
    return float(first - second)


class _Simulation:
    """Values drawn in turn, each from a factor whose conditions are drawn already."""

    def __init__(self, fits: _Fits, value: Any, seed: int) -> None:
        rows, study = len(fits.study.y), fits.study
        self.fits, self.rng = fits, np.random.default_rng(seed)
        self.number = rows * -(-_FEWEST_DRAWS // rows)
        self.outcome = Value(study.outcome)
        level = study.level(value) if study.has_levels else value
        self.values: dict[Value, Values] = {Value(study.treatment): np.full(self.number, level)}
        self.weight = np.ones(self.number)

    def mean(self, factors: Sequence[Factor]) -> float:
        """Return the mean of weight times outcome; of the weight alone where there is none."""
        self._free(factors)
        left = list(factors)
        while left:
            factor = self._next(left)
            left.remove(factor)
            if self.outcome in factor.of and self.outcome not in self.values and not left:
                return float((self.weight * self._last(factor)).mean())
            self._meet(factor)
        return float((self.weight * self.values.get(self.outcome, 1.0)).mean())

    def _free(self, factors: Sequence[Factor]) -> None:
        """Draw what the formula is conditioned on but says nothing of, from the rows."""
        drawn = frozenset[Value]().union(*(factor.of for factor in factors))
        given = frozenset[Value]().union(*(factor.given for factor in factors))
        free = [v for v in sorted(drawn | given) if v.copy == 0 and v != self.outcome]
        self._from_rows([v for v in free if v not in self.values])

    def _next(self, factors: Sequence[Factor]) -> Factor:
        """Return a factor whose conditions are known, the outcome's last."""
        ready = [factor for factor in factors if self.values.keys() >= factor.given]
        if not ready:
            raise ValueError(
                "estimate: plug-in finds no order in which the formula's factors can be drawn. Use "
                "evaluate, with continuous variables cut into classes."
            )
        return min(ready, key=lambda factor: self.outcome in factor.of)

    def _meet(self, factor: Factor) -> None:
        """Weight by the density of what is known of a factor, and draw the rest."""
        known = sorted(factor.of & self.values.keys())
        unknown = sorted(factor.of - self.values.keys())
        if not factor.given and not known:
            self._from_rows(unknown)
            return
        given = set(factor.given)
        for value in known:
            fitted, columns = self._fitted(value, given)
            self.weight = self.weight * fitted.density(self.values[value], columns)
            given.add(value)
        for value in unknown:
            fitted, columns = self._fitted(value, given)
            self.values[value] = fitted.draw(columns, self.rng)
            given.add(value)

    def _last(self, factor: Factor) -> Array:
        """Return the outcome's mean given the rest of its factor: less noise than a draw."""
        rest = factor.of - {self.outcome}
        if rest:
            self._meet(Factor(rest, factor.given))
        fitted, columns = self._fitted(self.outcome, factor.given | rest)
        return fitted.mean(columns)

    def _fitted(self, value: Value, given: Collection[Value]) -> tuple[Conditional, Any]:
        columns = {condition.variable: self.values[condition] for condition in given}
        if len(columns) < len(given):
            raise ValueError(
                "estimate: plug-in can't condition on two values of one variable. Use evaluate."
            )
        return self.fits.of(value.variable, columns), columns or {"": self.weight}

    def _from_rows(self, values: Sequence[Value]) -> None:
        """Draw some variables jointly, each row as often as another."""
        number = len(self.fits.study.y)
        places = self.rng.permutation(np.arange(self.number) % number)
        for value in values:
            self.values[value] = self.fits.study.rows.columns[value.variable][places]
