"""Identification: from a graph and a query to a formula in what is known, and to its number."""

from pyrocausal.identification.adjustment import AdjustmentSets, adjustment_sets
from pyrocausal.identification.checking import IdentificationCheck, check_identification
from pyrocausal.identification.estimand import Estimand, Step
from pyrocausal.identification.frontdoor import FrontdoorSets, frontdoor_sets
from pyrocausal.identification.hedges import Hedge
from pyrocausal.identification.identifying import identify
from pyrocausal.identification.implications import Independences, implied_independences
from pyrocausal.identification.instrumental import Instruments, instruments
from pyrocausal.identification.path_specific import identify_along_paths

__all__ = [
    "AdjustmentSets",
    "Estimand",
    "FrontdoorSets",
    "Hedge",
    "IdentificationCheck",
    "Independences",
    "Instruments",
    "Step",
    "adjustment_sets",
    "check_identification",
    "frontdoor_sets",
    "identify",
    "identify_along_paths",
    "implied_independences",
    "instruments",
]
