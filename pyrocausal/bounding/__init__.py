"""Partial identification: bounds on causal queries that a graph and data don't determine."""

from pyrocausal.bounding.answer import Bounds, Witness
from pyrocausal.bounding.causes import Causation, causation_bounds
from pyrocausal.bounding.partial import bounds

__all__ = ["Bounds", "Causation", "Witness", "bounds", "causation_bounds"]
