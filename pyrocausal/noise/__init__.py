"""Exogenous noise: the structural equation ``x = f(pa, u)`` behind each distribution family."""

from pyrocausal.noise import beta as beta  # each registers its families
from pyrocausal.noise import counts as counts
from pyrocausal.noise import delta as delta
from pyrocausal.noise import fresh as fresh
from pyrocausal.noise import gamma as gamma
from pyrocausal.noise import gumbel_max as gumbel_max
from pyrocausal.noise import location_scale as location_scale
from pyrocausal.noise import mixture as mixture
from pyrocausal.noise import multivariate as multivariate
from pyrocausal.noise import ordered as ordered
from pyrocausal.noise import positive as positive
from pyrocausal.noise import relaxed as relaxed
from pyrocausal.noise import student as student
from pyrocausal.noise import transformed as transformed
from pyrocausal.noise import von_mises as von_mises
from pyrocausal.noise import wrappers as wrappers
from pyrocausal.noise import zero_inflated as zero_inflated
from pyrocausal.noise.equation import (
    COUPLINGS,
    Coupling,
    StructuralEquation,
    read_couplings,
    register,
    structural_equation,
)
from pyrocausal.noise.streams import Stream, draw_seed

__all__ = [
    "COUPLINGS",
    "Coupling",
    "Stream",
    "StructuralEquation",
    "draw_seed",
    "read_couplings",
    "register",
    "structural_equation",
]
