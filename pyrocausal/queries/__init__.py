"""Questions as one-liners: effects, mediation, probabilities of causation."""

from pyrocausal.queries.asking import Options
from pyrocausal.queries.attributing import attribute
from pyrocausal.queries.average import ate, att, atu, contrast, ett
from pyrocausal.queries.causation import benefit, harm, pn, pns, ps
from pyrocausal.queries.distributional import dose_response, quantile_effect
from pyrocausal.queries.general import effect
from pyrocausal.queries.individual import ite
from pyrocausal.queries.mediation import cde, nde, nie, path_effect
from pyrocausal.queries.policies import policy_value
from pyrocausal.queries.potential import Y
from pyrocausal.queries.subgroups import cate

__all__ = [
    "Options",
    "Y",
    "ate",
    "att",
    "attribute",
    "atu",
    "benefit",
    "cate",
    "cde",
    "contrast",
    "dose_response",
    "effect",
    "ett",
    "harm",
    "ite",
    "nde",
    "nie",
    "path_effect",
    "pn",
    "pns",
    "policy_value",
    "ps",
    "quantile_effect",
]
