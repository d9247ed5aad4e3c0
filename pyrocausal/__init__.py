"""Structural causal models as Pyro programs: seeing, doing, imagining."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from pyrocausal.bounding import Bounds, bounds
from pyrocausal.errors import (
    CaptureWarning,
    IncompleteEvidence,
    NotAbducible,
    NotCapturable,
    NotIdentified,
    NotVectorized,
    PyrocausalError,
    RungWarning,
    UnknownVariable,
)
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
from pyrocausal.model import SCM, scm

if TYPE_CHECKING:
    from pyrocausal import datasets, mechanisms, zoo

    __version__: str

__all__ = [
    # the program with its verbs
    "SCM",  # sample, do, condition, abduct, counterfactual, fit
    "scm",  # decorator: a Pyro program becomes an SCM
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
    "mechanisms",  # modules that return a distribution given the parents
    "zoo",  # models with known truth
    # identification
    "Bounds",  # the range of answers that a graph and data leave open
    "Estimand",  # a formula in known distributions that equals a causal query
    "adjustment_sets",  # what to hold fixed, so that seeing is as good as doing
    "bounds",  # where a query is not identified: from a graph and data to that range
    "frontdoor_sets",  # mediators that carry the whole effect and share no confounder
    "check_identification",  # an estimand on samples against the model's own do
    "identify",  # from a graph and a query to an estimand
    "implied_independences",  # what a graph claims of data, and a test of it
    "instruments",  # what moves the treatment and reaches the outcome through it alone
    # errors and warnings
    "CaptureWarning",
    "IncompleteEvidence",
    "NotAbducible",
    "NotCapturable",
    "NotIdentified",
    "NotVectorized",
    "PyrocausalError",
    "RungWarning",
    "UnknownVariable",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        try:
            return version("pyrocausal")
        except PackageNotFoundError:
            return "(not installed)"  # run from a checkout
    if name in ("datasets", "mechanisms", "zoo"):
        return import_module(f"pyrocausal.{name}")
    raise AttributeError(f"module 'pyrocausal' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
