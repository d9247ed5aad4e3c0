"""Mechanisms: modules whose ``forward(*parents)`` returns a distribution, ready to be learned."""

from pyrocausal.mechanisms import heads
from pyrocausal.mechanisms.base import Mechanism
from pyrocausal.mechanisms.encoder import Parent, ParentEncoder
from pyrocausal.mechanisms.flow import Flow
from pyrocausal.mechanisms.heads import Head
from pyrocausal.mechanisms.regression import MLP, Linear
from pyrocausal.mechanisms.table import Table

__all__ = [
    "MLP",
    "Flow",
    "Head",
    "Linear",
    "Mechanism",
    "Parent",
    "ParentEncoder",
    "Table",
    "heads",
]
