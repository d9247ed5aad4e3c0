"""Inference of what is missing above evidence: complete the evidence, then abduct exactly."""

from pyrocausal.inference.choosing import METHODS, Method
from pyrocausal.inference.completing import complete
from pyrocausal.inference.inferred import Completion, Quality
from pyrocausal.inference.patterns import patterns_of
from pyrocausal.inference.proposals import Proposal

__all__ = ["METHODS", "Completion", "Method", "Proposal", "Quality", "complete", "patterns_of"]
