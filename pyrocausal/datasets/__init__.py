"""Small public data sets with known or published answers, as pandas data frames.

The textbook data sets are shipped with the package. The others aren't, since their licence does
not say that they may be: each loader takes the ``folder`` that holds one sub-folder a data set, or
reads it from the environment variable ``PYROCAUSAL_DATA``, and says where the files are had.

Images of a pendulum and of stroke digits are drawn from closed-form equations, and need no file;
``measure_...`` reads the variables behind them back from an image.
"""

from pyrocausal.datasets.discovery import sachs, sachs_edges, tuebingen, tuebingen_pairs
from pyrocausal.datasets.effects import acic2016, ihdp, twin_pairs, twins
from pyrocausal.datasets.handwritten import small_digits
from pyrocausal.datasets.images import MorphoMNIST, morphomnist, morphomnist_attributes
from pyrocausal.datasets.morphometry import measure_morphomnist
from pyrocausal.datasets.pendulums import (
    measure_pendulum,
    pendulum,
    pendulum_scm,
    render_pendulum,
)
from pyrocausal.datasets.stroke_digits import (
    measure_morpho_digits,
    morpho_digits,
    morpho_digits_scm,
    render_morpho_digits,
)
from pyrocausal.datasets.textbook import close_college, nhefs, nhefs_codebook, thornton_hiv

__all__ = [
    "MorphoMNIST",
    "acic2016",
    "close_college",
    "ihdp",
    "measure_morpho_digits",
    "measure_morphomnist",
    "measure_pendulum",
    "morpho_digits",
    "morpho_digits_scm",
    "morphomnist",
    "morphomnist_attributes",
    "nhefs",
    "nhefs_codebook",
    "pendulum",
    "pendulum_scm",
    "render_morpho_digits",
    "render_pendulum",
    "sachs",
    "sachs_edges",
    "small_digits",
    "thornton_hiv",
    "tuebingen",
    "tuebingen_pairs",
    "twin_pairs",
    "twins",
]
