"""Data larger than memory: questions of files, a chunk at a time, here or on a cluster.

Fits of such data are ``SCM.fit`` itself: it takes files, and shares its work among the processes
that ``torchrun`` starts.
"""

from pyrocausal.distributed.asking import counterfactual, sample
from pyrocausal.distributed.averaging import effect
from pyrocausal.distributed.outputs import Written

__all__ = ["Written", "counterfactual", "effect", "sample"]
