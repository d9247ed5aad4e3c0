"""Ready-made causal models, one idea a file."""

from pyrocausal.models.cevae import CEVAE
from pyrocausal.models.tarnet import TARNet
from pyrocausal.models.vluci import VLUCI

__all__ = ["CEVAE", "VLUCI", "TARNet"]
