"""Small public data sets with known or published answers, as pandas data frames.

The textbook data sets are shipped with the package. The others aren't, since their licence does
not say that they may be: each loader takes the ``folder`` that holds one sub-folder a data set, or
reads it from the environment variable ``PYROCAUSAL_DATA``, and says where the files are had.
"""

from pyrocausal.datasets.discovery import sachs, sachs_edges, tuebingen, tuebingen_pairs
from pyrocausal.datasets.effects import acic2016, ihdp, twin_pairs, twins
from pyrocausal.datasets.images import MorphoMNIST, morphomnist, morphomnist_attributes
from pyrocausal.datasets.textbook import close_college, nhefs, nhefs_codebook, thornton_hiv

__all__ = [
    "MorphoMNIST",
    "acic2016",
    "close_college",
    "ihdp",
    "morphomnist",
    "morphomnist_attributes",
    "nhefs",
    "nhefs_codebook",
    "sachs",
    "sachs_edges",
    "thornton_hiv",
    "tuebingen",
    "tuebingen_pairs",
    "twin_pairs",
    "twins",
]
