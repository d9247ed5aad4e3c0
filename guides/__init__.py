"""Amortized guides: networks that infer missing variables of a unit from any evidence."""

from pyrocausal.guides.amortized import Amortized
from pyrocausal.guides.training import AmortizationReport, amortize, train

__all__ = ["AmortizationReport", "Amortized", "amortize", "train"]
