"""Structural causal models as Pyro programs: seeing, doing, imagining."""

from pyrocausal.errors import (
    IncompleteEvidence,
    NotAbducible,
    NotIdentified,
    NotVectorized,
    PyrocausalError,
    UnknownVariable,
)
from pyrocausal.graph import CausalGraph
from pyrocausal.handlers import condition, do, exogenous, units, worlds
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
    # errors
    "IncompleteEvidence",
    "NotAbducible",
    "NotIdentified",
    "NotVectorized",
    "PyrocausalError",
    "UnknownVariable",
]
