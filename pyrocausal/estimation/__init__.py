"""Estimation: from an estimand and a table of continuous variables to a number with its error."""

from pyrocausal.estimation.compliers import late
from pyrocausal.estimation.designs import Design
from pyrocausal.estimation.estimating import estimate
from pyrocausal.estimation.instrumental_inequality import (
    InstrumentalInequality,
    instrumental_inequality,
)
from pyrocausal.estimation.nuisance import LeastSquares, Logistic
from pyrocausal.estimation.off_policy import off_policy_value
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
    "off_policy_value",
    "two_stage_least_squares",
]
