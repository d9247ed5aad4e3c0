"""Structural causal models as Pyro programs: seeing, doing, imagining."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

# The names as type checkers see them; at run time each is loaded when it is first used.
if TYPE_CHECKING:
    from pyrocausal import (
        datasets,
        distributed,
        guides,
        mechanisms,
        models,
        plot,
        queries,
        sensitivity,
        zoo,
    )
    from pyrocausal.answers import Answer, Effect, Estimate, Interval
    from pyrocausal.bounding import Bounds, bounds, causation_bounds
    from pyrocausal.checking import check
    from pyrocausal.decorating import scm
    from pyrocausal.engine.intervals import between
    from pyrocausal.errors import (
        CaptureWarning,
        ConvergenceWarning,
        IdentificationWarning,
        IncompleteEvidence,
        NotAbducible,
        NotCapturable,
        NotIdentified,
        NotVectorized,
        PyrocausalError,
        RungWarning,
        UnknownVariable,
        UnreliableWarning,
    )
    from pyrocausal.estimation import late
    from pyrocausal.graph import CausalGraph
    from pyrocausal.handlers import condition, do, exogenous, units, worlds
    from pyrocausal.identification import (
        Estimand,
        adjustment_sets,
        check_identification,
        frontdoor_sets,
        identify,
        implied_independences,
        instruments,
    )
    from pyrocausal.interventions import edge, edit, grid, mechanism, policy, shift
    from pyrocausal.low_precision import precision
    from pyrocausal.model import SCM
    from pyrocausal.queries import (
        Y,
        ate,
        att,
        attribute,
        atu,
        benefit,
        cate,
        cde,
        contrast,
        dose_response,
        effect,
        ett,
        harm,
        ite,
        nde,
        nie,
        path_effect,
        pn,
        pns,
        policy_value,
        ps,
        quantile_effect,
    )
    from pyrocausal.refuting import refute

    __version__: str

__all__ = [
    # the program with its verbs
    "SCM",  # sample, do, condition, abduct, counterfactual, fit
    "scm",  # decorator: a Pyro program becomes an SCM
    "precision",  # networks in TF32 or bfloat16 within a block
    # evidence
    "between",  # a value within limits: censored or rounded
    # effect handlers
    "condition",  # evidence
    "do",  # interventions
    "exogenous",  # exposes the noise U_X of each site
    "units",  # opens the plate over units, where some sites are shared
    "worlds",  # several worlds of the same units, on the same noise
    # the intervention algebra
    "edge",  # one edge only
    "edit",  # X := f(X)
    "grid",  # one world for each value
    "mechanism",  # X ~ another distribution
    "policy",  # X := f(other variables)
    "shift",  # X := X + d
    # graphs
    "CausalGraph",
    # modules, loaded when they are first used
    "datasets",  # real data, shipped or fetched
    "distributed",  # questions of files larger than memory, here or on a cluster
    "guides",  # amortized inference of what evidence lacks
    "mechanisms",  # modules that return a distribution given the parents
    "models",  # ready-made models with hidden confounders or many covariates
    "plot",  # pictures of graphs, worlds and answers
    "queries",  # the questions above
    "sensitivity",  # how strong hidden confounding would have to be
    "zoo",  # models with known truth
    # questions, each one line
    "ate",  # average effect
    "att",  # on the treated
    "attribute",  # why: root causes of an outlier, or of a change
    "atu",  # on the untreated
    "benefit",  # share of units whom the treatment helps
    "cate",  # for whom: by subgroup or modifier
    "cde",  # direct effect with the mediators held
    "contrast",  # any two worlds
    "dose_response",  # the mean outcome at each dose
    "effect",  # the mean of any counterfactual expression
    "ett",  # att under Pearl's name
    "harm",  # share of units whom the treatment harms
    "ite",  # unit by unit
    "late",  # on the compliers of an instrument, of a model or from data
    "nde",  # natural direct effect
    "nie",  # natural indirect effect
    "path_effect",  # through some edges only
    "pn",  # probability of necessity
    "pns",  # of necessity and sufficiency
    "policy_value",  # the mean outcome when a rule chooses
    "ps",  # of sufficiency
    "quantile_effect",  # of the outcome's distribution, or of the individual effect
    "Y",  # a variable in a world, to build expressions of
    # checks
    "check",  # inference, fit to data, laws: one table
    "refute",  # placebo treatment, random common cause, part of the data
    # answers
    "Answer",  # a number with its error, and what it rests on
    "Effect",  # of a model
    "Estimate",  # from data
    "Interval",  # limits, and whose errors they join
    # identification
    "Bounds",  # the range of answers that a graph and data leave open
    "Estimand",  # a formula in known distributions that equals a causal query
    "adjustment_sets",  # what to hold fixed, so that seeing is as good as doing
    "bounds",  # where a query is not identified: from a graph and data to that range
    "causation_bounds",  # the range of PN, PS and PNS that data and experiments leave open
    "frontdoor_sets",  # mediators that carry the whole effect and share no confounder
    "check_identification",  # an estimand on samples against the model's own do
    "identify",  # from a graph and a query to an estimand
    "implied_independences",  # what a graph claims of data, and a test of it
    "instruments",  # what moves the treatment and reaches the outcome through it alone
    # errors and warnings
    "CaptureWarning",
    "ConvergenceWarning",
    "IdentificationWarning",
    "IncompleteEvidence",
    "NotAbducible",
    "NotCapturable",
    "NotIdentified",
    "NotVectorized",
    "PyrocausalError",
    "RungWarning",
    "UnknownVariable",
    "UnreliableWarning",
]


# Where each name comes from: the only place, besides `__all__` and the imports above, to add one.
_HOMES = {
    "answers": ("Answer", "Effect", "Estimate", "Interval"),
    "bounding": ("Bounds", "bounds", "causation_bounds"),
    "engine.intervals": ("between",),
    "checking": ("check",),
    "decorating": ("scm",),
    "errors": (
        "CaptureWarning",
        "ConvergenceWarning",
        "IdentificationWarning",
        "IncompleteEvidence",
        "NotAbducible",
        "NotCapturable",
        "NotIdentified",
        "NotVectorized",
        "PyrocausalError",
        "RungWarning",
        "UnknownVariable",
        "UnreliableWarning",
    ),
    "estimation": ("late",),
    "graph": ("CausalGraph",),
    "handlers": ("condition", "do", "exogenous", "units", "worlds"),
    "identification": (
        "Estimand",
        "adjustment_sets",
        "check_identification",
        "frontdoor_sets",
        "identify",
        "implied_independences",
        "instruments",
    ),
    "interventions": ("edge", "edit", "grid", "mechanism", "policy", "shift"),
    "low_precision": ("precision",),
    "model": ("SCM",),
    "refuting": ("refute",),
    "queries": (
        "Y",
        "ate",
        "att",
        "attribute",
        "atu",
        "benefit",
        "cate",
        "cde",
        "contrast",
        "dose_response",
        "effect",
        "ett",
        "harm",
        "ite",
        "nde",
        "nie",
        "path_effect",
        "pn",
        "pns",
        "policy_value",
        "ps",
        "quantile_effect",
    ),
}
_MODULES = (
    "datasets",
    "distributed",
    "guides",
    "mechanisms",
    "models",
    "plot",
    "queries",
    "sensitivity",
    "zoo",
)
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"pyrocausal.{name}")
    if name in _HOME_OF:
        found = getattr(import_module(f"pyrocausal.{_HOME_OF[name]}"), name)
        globals()[name] = found  # the next look goes past this function
        return found
    if name == "__version__":
        try:
            return version("pyrocausal")
        except PackageNotFoundError:
            return "(not installed)"  # run from a checkout
    raise AttributeError(f"module 'pyrocausal' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
