"""The estimate of an effect: the question checked, and handed to an estimator."""

from __future__ import annotations

from dataclasses import replace
from numbers import Real
from typing import Any, Final, Unpack

import numpy as np

from pyrocausal.answers import Estimate, Interval
from pyrocausal.estimation.aipw import aipw
from pyrocausal.estimation.finding import Finding, report
from pyrocausal.estimation.nuisance import LeastSquares, Logistic
from pyrocausal.estimation.options import Options, check_options
from pyrocausal.estimation.plug_in import plug_in
from pyrocausal.estimation.regression import regression
from pyrocausal.estimation.study import Study
from pyrocausal.estimation.table import read_rows
from pyrocausal.estimation.weighting import weighting
from pyrocausal.identification.estimand import Estimand
from pyrocausal.identification.expressions import probabilities_in, variable_of
from pyrocausal.identification.query_text import Query

__all__ = ["estimate"]

_DEFAULTS: Final[Options] = {
    "method": "aipw",
    "population": "all",
    "level": 0.95,
    "splits": 20,
    "folds": 5,
    "trim": None,
    "outcome_model": None,
    "treatment_model": None,
    "squares": True,
    "factors": (),
    "models": "regressions",
    "replicates": None,
    "seed": None,
}


def estimate(
    estimand: Estimand,
    data: Any,
    values: tuple[Any, Any] = (1.0, 0.0),
    **options: Unpack[Options],
) -> Estimate:
    """Estimate the effect of one value of a treatment against another; see ``Estimand.estimate``.

    Args:
        estimand: What ``pc.identify`` found.
        data: A DataFrame, or a mapping from name to values, rows first.
        values: The treated and the control value ``(x, x')``.
        options: See `pyrocausal.estimation.Options`.

    Returns:
        The estimate, with its standard error and interval.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> z = rng.normal(size=500)
        >>> x = rng.random(500) < 1 / (1 + np.exp(-z))
        >>> data = {"Z": z, "X": x, "Y": 2.0 * x + z + rng.normal(size=500)}
        >>> graph = pc.CausalGraph([("Z", "X"), ("Z", "Y"), ("X", "Y")])
        >>> effect = estimate(pc.identify(graph, "Y", do="X"), data, seed=0)
        >>> 2.0 in effect.interval
        True
    """
    query = _query(estimand)
    chosen: Options = {**_DEFAULTS, **options}
    check_options(values, chosen)
    study = _study(estimand, query, data, values, chosen)
    if estimand.form == "no effect":
        return _nothing(study, chosen["level"])
    if chosen["method"] != "plug-in" and estimand.adjustment is None:
        raise ValueError(
            f"estimate: method={chosen['method']!r} takes an adjustment estimand, but this is one "
            f'by {estimand.form}: {estimand.formula}. Use method="plug-in".'
        )
    finding = _found(study, estimand, chosen)
    return report(study, _with_graph(estimand, query, finding), chosen["level"])


def _study(
    estimand: Estimand, query: Query, data: Any, values: tuple[Any, Any], options: Options
) -> Study:
    """Return the rows that the formula needs, and what is asked of them."""
    (x,), (y,) = query.do, query.outcome
    z = estimand.adjustment or ()
    used = {variable_of(name) for p in probabilities_in(estimand.expression) for name in p.free}
    names = sorted({x, y, *z, *used})
    rows = read_rows(data, names, amounts=[y], factors=options["factors"])
    study = Study(rows, y, x, values, z, options["population"], options["squares"])
    if not study.has_levels:
        _check_dose(study)
    return study


def _found(study: Study, estimand: Estimand, options: Options) -> Finding:
    """Return what the method finds."""
    rng = np.random.default_rng(options["seed"])
    own = options["outcome_model"], options["treatment_model"]
    outcomes, treatments = LeastSquares() if own[0] is None else own[0], own[1]
    treatments = Logistic() if treatments is None else treatments
    models, trim = options["models"], options["trim"]
    replicates = options["replicates"] or (20 if models == "mechanisms" else 200)
    match options["method"]:
        case "aipw":
            splits, folds = options["splits"], options["folds"]
            return aipw(study, outcomes, treatments, splits, folds, trim, rng)
        case "regression":
            return regression(study, outcomes, replicates, rng)
        case "weighting":
            return weighting(study, treatments, trim, replicates, rng)
        case "plug-in":
            return plug_in(study, estimand.expression, models, replicates, rng)


def _with_graph(estimand: Estimand, query: Query, finding: Finding) -> Finding:
    """Add what any method rests on."""
    z = ", ".join(estimand.adjustment or ())
    held = f", by which {{{z}}} is enough to adjust for" if estimand.adjustment is not None else ""
    support = f"either value of {query.do[0]} may occur whatever else the formula conditions on"
    return replace(finding, assumptions=(f"the graph{held}", support, *finding.assumptions))


def _nothing(study: Study, level: float) -> Estimate:
    return Estimate(
        0.0,
        0.0,
        Interval(0.0, 0.0, level),
        str(study),
        rung=2 if study.population == "all" else 3,
        assumptions=(
            f"the graph, which has no causal path from {study.treatment} to {study.outcome}: the "
            "effect is 0 whatever the data",
        ),
        details={"method": "none needed", "rows": len(study.rows)},
    )


def _query(estimand: Estimand) -> Query:
    """Return the query of an effect of one variable on one other."""
    query = estimand.query
    if not isinstance(query, Query):
        raise ValueError(
            f"estimate: {query} is counterfactual; expected an effect such as 'P(Y | do(X))'. For "
            'the effect on the treated give population="treated"; evaluate gives other numbers.'
        )
    if len(query.do) != 1 or len(query.outcome) != 1 or query.given:
        raise ValueError(
            f"estimate: the query has outcome={list(query.outcome)}, do={list(query.do)} and "
            f"given={list(query.given)}; expected one outcome, one treatment and no condition. "
            "Use evaluate, or ask about one at a time."
        )
    if estimand.verdict != "observation":
        raise ValueError(
            "estimate: the formula needs experiments, but data are one table of observations. Use "
            "evaluate, for discrete variables."
        )
    return query


def _check_dose(study: Study) -> None:
    if not all(isinstance(value, Real) for value in study.values):
        raise ValueError(
            f"estimate: got values={study.values!r} of {study.treatment!r}, which is continuous; "
            "expected two numbers."
        )
    if study.population != "all":
        raise ValueError(
            f"estimate: got population={study.population!r}, but {study.treatment!r} is "
            'continuous: nobody is "treated". Leave it out.'
        )
