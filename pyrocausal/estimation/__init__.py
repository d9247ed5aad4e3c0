"""Estimation: from an estimand and a table of continuous variables to a number with its error."""

from pyrocausal.estimation.compliers import late
from pyrocausal.estimation.designs import Design
from pyrocausal.estimation.estimating import estimate
from pyrocausal.estimation.instrumental_inequality import (
    InstrumentalInequality,
    instrumental_inequality,
)
from pyrocausal.estimation.nuisance import LeastSquares, Logistic
from pyrocausal.estimation.options import Options
from pyrocausal.estimation.two_stage import two_stage_least_squares
from pyrocausal.estimation.weak_instruments import AndersonRubin

__all__ = [
    "AndersonRubin",
    "Design",
    "InstrumentalInequality",
    "LeastSquares",
    "Logistic",
    "Options",
    "estimate",
    "instrumental_inequality",
    "late",
    "two_stage_least_squares",
]
