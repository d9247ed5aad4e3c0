"""Checks of an SCM: is its inference calibrated, does it fit the data, does it keep the laws?"""

from pyrocausal.checking.findings import Finding
from pyrocausal.checking.report import CheckReport
from pyrocausal.checking.running import check

__all__ = ["CheckReport", "Finding", "check"]
