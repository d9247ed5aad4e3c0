"""Programs as guarded graphs of tensor operations, which replay without Pyro or Python."""

from pyrocausal.capture.caching import cached
from pyrocausal.capture.capturing import Captured, capture

__all__ = ["Captured", "cached", "capture"]
