"""How strong must an unmeasured confounder be? Sensitivity analyses on summary numbers and data."""

from pyrocausal.sensitivity.evalues import EValue, evalue
from pyrocausal.sensitivity.marginal_model import MarginalBounds, msm_bounds, tipping_factor
from pyrocausal.sensitivity.no_assumptions import ManskiBounds, manski_bounds
from pyrocausal.sensitivity.omitted_variables import (
    AdjustedEstimate,
    RobustnessValue,
    Strength,
    benchmark,
    ovb_bounds,
    partial_r2,
    robustness_value,
)
from pyrocausal.sensitivity.report_card import Benchmark, Regression, SensitivityReport
from pyrocausal.sensitivity.reporting import report
from pyrocausal.sensitivity.set_intervals import imbens_manski

__all__ = [
    "AdjustedEstimate",
    "Benchmark",
    "EValue",
    "ManskiBounds",
    "MarginalBounds",
    "Regression",
    "RobustnessValue",
    "SensitivityReport",
    "Strength",
    "benchmark",
    "evalue",
    "imbens_manski",
    "manski_bounds",
    "msm_bounds",
    "ovb_bounds",
    "partial_r2",
    "report",
    "robustness_value",
    "tipping_factor",
]
