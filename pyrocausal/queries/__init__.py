"""Questions as one-liners: effects, mediation, probabilities of causation."""

from pyrocausal.queries.asking import Options
from pyrocausal.queries.average import ate, att, atu, contrast
from pyrocausal.queries.individual import ite
from pyrocausal.queries.mediation import cde, nde, nie, path_effect
from pyrocausal.queries.subgroups import cate

__all__ = [
    "Options",
    "ate",
    "att",
    "atu",
    "cate",
    "cde",
    "contrast",
    "ite",
    "nde",
    "nie",
    "path_effect",
]
