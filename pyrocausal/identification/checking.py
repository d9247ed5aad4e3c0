"""The loop closed: an estimand from samples against the model's own action."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from pyrocausal.graph.mixed_graph import Names
from pyrocausal.identification.counterfactual_text import is_counterfactual
from pyrocausal.identification.estimand import Estimand
from pyrocausal.identification.expressions import probabilities_in
from pyrocausal.identification.identifying import identify
from pyrocausal.identification.query_text import Query, query_of
from pyrocausal.identification.tables import Array, DiscreteTable, is_continuous, read_tables
from pyrocausal.model import SCM

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["IdentificationCheck", "check_identification"]

_REPLICATES = 100
"""Draws of the Bayesian bootstrap, for the standard error of the estimand."""

_CLASSES = 4
"""Classes that a continuous outcome is cut into."""

_ERROR_RATE = 1e-3
"""Probability that a right estimand fails the check, over all its comparisons together."""


@dataclass(frozen=True)
class Comparison:
    """One probability by two ways.

    Attributes:
        values: Variable to its value, in the action, the conditions and the outcome.
        estimand: By the formula, from samples of the observed variables.
        action: By the model's own ``do``.
        standard_error: Of the difference.
    """

    values: Mapping[str, Any]
    estimand: float
    action: float
    standard_error: float

    @property
    def z(self) -> float:
        """The difference in standard errors."""
        difference = self.estimand - self.action
        return difference / self.standard_error if difference else 0.0


@dataclass(frozen=True)
class IdentificationCheck:
    """How well an estimand agrees with the model it was derived from.

    Attributes:
        estimand: The formula.
        n: Number of samples on either side.
        comparisons: One for each value of action, conditions and outcome.

    Example:
        >>> check = pc.check_identification(pc.zoo.simpson(), "P(recovery | do(surgery))")
        >>> check.agrees, len(check.comparisons)
        (True, 4)
    """

    estimand: Estimand
    n: int
    comparisons: tuple[Comparison, ...]

    @property
    def agrees(self) -> bool:
        """Whether no difference is larger than chance makes it, in one of a thousand checks."""
        limit = NormalDist().inv_cdf(1 - _ERROR_RATE / (2 * len(self.comparisons)))
        return self.worst < limit

    @property
    def worst(self) -> float:
        """The largest difference, in standard errors."""
        return max(abs(comparison.z) for comparison in self.comparisons)

    def to_frame(self) -> pd.DataFrame:
        """Return the comparisons as a table, one a row."""
        import pandas as pd

        return pd.DataFrame(
            {
                **c.values,
                "estimand": c.estimand,
                "action": c.action,
                "standard error": c.standard_error,
                "z": c.z,
            }
            for c in self.comparisons
        )

    def __str__(self) -> str:
        verdict = "agree" if self.agrees else "DISAGREE"
        return "\n".join(
            [
                f"{self.estimand}",
                f"the formula on samples and the model's own do {verdict} (rung 2)",
                f"largest difference: {self.worst:.1f} standard errors in {len(self.comparisons)} "
                f"comparisons, {self.n:,} samples",
                self.to_frame().to_string(index=False, float_format="{:.3f}".format),
            ]
        )


def check_identification(
    scm: SCM, query: Names, do: Names = (), given: Names = (), *, n: int = 20_000, seed: int = 0
) -> IdentificationCheck:
    """Compare an estimand on samples of what is observed with the model's own action.

    Args:
        scm: The model; its latent variables stay hidden from the formula.
        query: The query as text, ``"P(Y | do(X), Z)"``, or the outcome.
        do: Variables that are set, where the query is no text; discrete ones.
        given: Variables observed after the action, discrete ones.
        n: Samples of the observed variables, and of each action.
        seed: Seed of the samples.

    Returns:
        The comparison for each value; its ``agrees`` is the verdict. A continuous outcome is cut
        into quarters.

    Raises:
        NotIdentified: There is no formula to check.
        ValueError: A variable that the formula conditions on is continuous; a counterfactual.

    Example:
        >>> def clinic():
        ...     severe = pyro.sample("severe", dist.Bernoulli(0.4))
        ...     drug = pyro.sample("drug", dist.Bernoulli(0.2 + 0.6 * severe))
        ...     pyro.sample("well", dist.Bernoulli(0.6 + 0.2 * drug - 0.4 * severe))
        >>> check = check_identification(SCM(clinic), "P(well | do(drug))")
        >>> check.estimand.formula, check.agrees
        ('sum_severe P(well | drug, severe) P(severe)', True)
    """
    if is_counterfactual(query):
        raise ValueError(
            f"check_identification: {query} is counterfactual; expected an effect such as "
            "'P(Y | do(X))'. Compare scm.counterfactual with the estimand's evaluate by hand."
        )
    asked = query_of(query, do, given)
    estimand = identify(scm, asked.outcome, do=asked.do, given=asked.given)
    seen = {name: np.asarray(values) for name, values in scm.sample(n, seed=seed).items()}
    cuts = _cuts(estimand, seen)
    table = _table(estimand, asked, _cut(seen, cuts))
    rng = np.random.default_rng(seed)
    shares = rng.exponential(size=(_REPLICATES, n))
    replicates = [replace(table, weights=w / w.sum(), _margins={}) for w in shares]
    comparisons: list[Comparison] = []
    for i, values in enumerate(product(*(table.levels[name] for name in asked.do))):
        action = dict(zip(asked.do, values, strict=True))
        acted = scm.do({k: v.item() for k, v in action.items()}).sample(n, seed=seed + i + 1)
        truth = _cut({name: np.asarray(column) for name, column in acted.items()}, cuts)
        for seen_values in product(*(table.levels[name] for name in asked.given)):
            chosen = dict(zip(asked.given, seen_values, strict=True))
            comparisons += _compared(estimand, asked, table, replicates, action, chosen, truth)
    return IdentificationCheck(estimand, n, tuple(comparisons))


def _compared(
    estimand: Estimand,
    query: Query,
    table: DiscreteTable,
    replicates: list[DiscreteTable],
    do: Mapping[str, Any],
    given: Mapping[str, Any],
    acted: Mapping[str, Array],
) -> Iterator[Comparison]:
    """Yield the comparison of each value of the outcome, at one action and condition."""
    formula = estimand.evaluate(table, do, given)
    spread = np.std([estimand.evaluate(t, do, given).to_numpy() for t in replicates], axis=0)
    rows = np.ones(len(next(iter(acted.values()))), dtype=bool)
    for name, value in given.items():
        rows &= acted[name] == value
    if not rows.any():
        return
    for place, values in enumerate(product(*(table.levels[name] for name in query.outcome))):
        hit = rows.copy()
        for name, value in zip(query.outcome, values, strict=True):
            hit &= acted[name] == value
        share = hit.sum() / rows.sum()
        # One more of either kind keeps the error of a share of 0 or 1 from being 0.
        smooth = (hit.sum() + 1) / (rows.sum() + 2)
        error = np.sqrt(spread[place] ** 2 + smooth * (1 - smooth) / rows.sum())
        names = dict(zip(query.outcome, values, strict=True))
        chosen = {**do, **given, **names}
        yield Comparison(chosen, float(formula.iloc[place]), float(share), float(error))


def _cuts(estimand: Estimand, columns: Mapping[str, Array]) -> dict[str, Array]:
    """Return the borders of classes for each continuous outcome that nothing is conditioned on."""
    conditions = frozenset[str]().union(
        *(p.given | p.do for p in probabilities_in(estimand.expression))
    )
    return {
        name: np.quantile(columns[name], np.arange(1, _CLASSES) / _CLASSES)
        for name in estimand.outcome
        if name not in conditions and is_continuous(columns[name])
    }


def _cut(columns: Mapping[str, Array], cuts: Mapping[str, Array]) -> dict[str, Array]:
    """Return the columns, continuous ones as classes."""
    return {
        name: np.searchsorted(cuts[name], column).astype(float) if name in cuts else column
        for name, column in columns.items()
    }


def _table(estimand: Estimand, query: Query, columns: Mapping[str, Array]) -> DiscreteTable:
    mentioned = {name for p in probabilities_in(estimand.expression) for name in p.free}
    names = mentioned.union(query.outcome, query.do, query.given)
    nothing = frozenset[str]()
    return read_tables({nothing: columns}, {nothing: names}, None)[nothing]
