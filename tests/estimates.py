"""The error and the interval of estimates that have them."""

from pyrocausal.answers import Estimate, Interval

__all__ = ["error", "interval"]


def error(effect: Estimate) -> float:
    """Return the standard error of an estimate."""
    assert effect.se is not None
    return float(effect.se)


def interval(effect: Estimate) -> Interval:
    """Return the interval of an estimate."""
    assert effect.interval is not None
    return effect.interval
