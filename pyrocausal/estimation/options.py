"""How an effect is to be estimated, checked."""

from __future__ import annotations

from collections.abc import Collection
from numbers import Integral, Real
from typing import Any, Literal, TypedDict, get_args

from pyrocausal.estimation.plug_in import Models
from pyrocausal.estimation.study import Population

__all__ = ["Method", "Options", "check_options"]

Method = Literal["aipw", "regression", "weighting", "plug-in"]

_TAKEN: dict[str, tuple[Method, ...]] = {
    "outcome_model": ("aipw", "regression"),
    "treatment_model": ("aipw", "weighting"),
    "trim": ("aipw", "weighting"),
}


class Options(TypedDict, total=False):
    """How an effect is to be estimated.

    Attributes:
        method: ``"aipw"`` (the default), ``"regression"``, ``"weighting"`` or ``"plug-in"``.
        population: Whose effect: of ``"all"`` (the default), of the ``"treated"``, who have the
            first value, or of the ``"untreated"``, who have the second.
        level: Probability that the interval is made for; .95 by default.
        splits: Random splits that AIPW takes the median over; 20 by default.
        folds: Parts of a split; 5 by default.
        trim: Leave out rows whose propensity of either value is less than this; the effect is
            then that of the others, as the card says. By default all rows stay.
        outcome_model: What has ``fit`` and ``predict``, as scikit-learn's regressions have, or
            for an outcome of 0 and 1 ``predict_proba``; by default least squares, in each arm.
        treatment_model: What has ``fit`` and ``predict_proba``; by default a logit.
        squares: Whether numbers have their squares in all regressions; by default they have.
        factors: Variables whose numbers are codes; words are codes anyway.
        models: What plug-in fits: ``"regressions"`` (the default), linear in the conditions, their
            squares and their products with the treatment; or ``"mechanisms"``, the networks and
            tables that ``SCM.from_graph`` chooses, which take seconds each to fit.
        replicates: Bootstrap samples, where the interval is by bootstrap; by default 200, and 20
            of mechanisms.
        seed: Gives the same estimate again.

    Example:
        >>> options: Options = {"method": "regression", "seed": 0}
        >>> rows = pc.zoo.simpson().sample(2000, seed=0).to_frame()
        >>> estimand = pc.identify(pc.zoo.simpson(), "recovery", do="surgery")
        >>> abs(estimand.estimate(rows, **options).value - (0.8325 - 0.7789)) < 0.1
        True
    """

    method: Method
    population: Population
    level: float
    splits: int
    folds: int
    trim: float | None
    outcome_model: Any
    treatment_model: Any
    squares: bool
    factors: Collection[str]
    models: Models
    replicates: int | None
    seed: int | None


def check_options(values: Any, options: Options) -> None:
    """Refuse what makes no sense.

    Raises:
        TypeError: An option that there isn't.
        ValueError: An option out of range, or one that the method has no use for.
    """
    unknown = sorted(options.keys() - Options.__annotations__.keys())
    if unknown:
        raise TypeError(
            f"estimate: there is no option {unknown[0]!r}; expected some of "
            f"{', '.join(Options.__annotations__)}."
        )
    if isinstance(values, str) or len(tuple(values)) != 2 or values[0] == values[1]:
        raise ValueError(
            f"estimate: got values={values!r}; expected two different ones, the first compared "
            "with the second."
        )
    for name, known in (
        ("method", get_args(Method)),
        ("population", get_args(Population)),
        ("models", get_args(Models)),
    ):
        got = options.get(name)
        if got not in known:
            raise ValueError(f"estimate: got {name}={got!r}; expected one of {list(known)}.")
    for name, least in (("splits", 1), ("folds", 2), ("replicates", 2)):
        number: Any = options.get(name)
        if number is None and name == "replicates":
            continue
        if not isinstance(number, Integral) or int(number) < least:
            raise ValueError(
                f"estimate: got {name}={number!r}; expected a whole number, at least {least}."
            )
    level, trim = options["level"], options["trim"]
    if not 0 < level < 1:
        raise ValueError(f"estimate: got level={level!r}; expected a probability such as 0.95.")
    if trim is not None and not (isinstance(trim, Real) and 0 < trim < 0.5):
        raise ValueError(
            f"estimate: got trim={trim!r}; expected the least propensity to keep, above 0 and below "
            "0.5, such as 0.05."
        )
    if options["method"] == "plug-in" and options["population"] != "all":
        raise ValueError(
            f'estimate: got population={options["population"]!r} with method="plug-in", which '
            'averages over all. Use "aipw", "regression" or "weighting", for adjustment estimands.'
        )
    if options["method"] != "plug-in" and options["models"] != "regressions":
        raise ValueError(
            f"estimate: got models={options['models']!r} with method={options['method']!r}; it is "
            "for plug-in. Leave it out."
        )
    for name, methods in _TAKEN.items():
        if options.get(name) is not None and options["method"] not in methods:
            raise ValueError(
                f"estimate: got {name}= with method={options['method']!r}, which has no use for "
                f"it; it is for {' and '.join(methods)}. Leave it out."
            )
