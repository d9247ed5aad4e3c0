"""Amortized guides: networks that infer missing variables of a unit from any evidence."""

from pyrocausal.guides.amortized import Amortized
from pyrocausal.guides.image_encoder import ImageEncoder, ImageGuide
from pyrocausal.guides.training import AmortizationReport, amortize, train

__all__ = [
    "AmortizationReport",
    "Amortized",
    "ImageEncoder",
    "ImageGuide",
    "amortize",
    "train",
]
