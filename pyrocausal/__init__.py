"""Structural causal models as Pyro programs: seeing, doing, imagining."""

from pyrocausal.errors import (
    CaptureWarning,
    IncompleteEvidence,
    NotAbducible,
    NotCapturable,
    NotIdentified,
    NotVectorized,
    PyrocausalError,
    UnknownVariable,
)
from pyrocausal.graph import CausalGraph
from pyrocausal.handlers import condition, do, exogenous, units, worlds
from pyrocausal.identification import (
    Estimand,
    adjustment_sets,
    frontdoor_sets,
    identify,
    implied_independences,
    instruments,
)
from pyrocausal.interventions import edge, edit, grid, mechanism, policy, shift
from pyrocausal.model import SCM, scm

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
    # identification
    "Estimand",  # a formula in known distributions that equals a causal query
    "adjustment_sets",  # what to hold fixed, so that seeing is as good as doing
    "frontdoor_sets",  # mediators that carry the whole effect and share no confounder
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
    "UnknownVariable",
]
