"""Whether capturing and compiling pay, from the time of a step and the number of steps."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TOGETHER", "Compilation", "choose_compilation", "worth_capturing"]

# Measured on one core at two gigahertz; ratios decide, so that other machines change little.
SECONDS_TO_LOAD = 2.0
RUNS_TO_CAPTURE = 150  # eager steps that tracing and comparing take
REPLAYED = 0.6  # time of a replayed step, by that of an eager one
SECONDS_TO_COMPILE, SECONDS_BY_NODE = 12.0, 0.0075
GAIN = 3  # what is saved should be so many times what is spent
LARGE, MANY, HUGE = 2_000, 100_000, 10_000
TOGETHER = 10  # steps in one call
SMALL = 1_000  # nodes; larger steps leave little to gain by calling them together
OVERHEAD = 100e-6  # seconds that a step saves there


@dataclass(frozen=True)
class Compilation:
    """How to compile a step.

    Attributes:
        stride: How many steps go into one call.
        small: Whether to compile in less time to slower code.
    """

    stride: int
    small: bool


def worth_capturing(steps: int, seconds: float) -> bool:
    """Say whether so many steps, each of so many seconds, are worth a graph.

    Example:
        >>> worth_capturing(100, 0.005), worth_capturing(100_000, 0.005)
        (False, True)
    """
    saved = steps * seconds * (1 - REPLAYED)
    return saved > GAIN * RUNS_TO_CAPTURE * seconds + SECONDS_TO_LOAD


def choose_compilation(
    steps: int, seconds: float | None, nodes: int, *, single: bool = False
) -> Compilation | None:
    """Decide how to compile, or not to.

    Args:
        steps: Steps to go.
        seconds: Time of an eager step; ``None`` to compile in any case.
        nodes: Operations in the graph.
        single: Whether steps can't be taken together.

    Example:
        >>> choose_compilation(2_000, 0.005, nodes=600) is None
        True
        >>> choose_compilation(50_000, 0.005, nodes=600)
        Compilation(stride=1, small=False)
    """
    small = nodes >= LARGE and steps < MANY
    spent = SECONDS_TO_COMPILE + SECONDS_BY_NODE * nodes
    if seconds is not None and (nodes > HUGE or steps * seconds < GAIN * spent):
        return None
    # A call of ten steps compiles about three times as long as a call of one.
    together = nodes < SMALL and steps * OVERHEAD > GAIN * 2 * spent and not single
    return Compilation(TOGETHER if together else 1, small)
