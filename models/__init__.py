"""Ready-made causal models, one idea a file."""

from pyrocausal.models.causal_diffae import CausalDiffAE
from pyrocausal.models.cevae import CEVAE
from pyrocausal.models.deep_scm import DeepSCM
from pyrocausal.models.tarnet import TARNet
from pyrocausal.models.vluci import VLUCI

__all__ = ["CEVAE", "VLUCI", "CausalDiffAE", "DeepSCM", "TARNet"]
