"""What to do about a check that failed."""

from collections.abc import Mapping
from typing import Final

__all__ = ["next_step"]

_LAW: Final = (
    "the equations don't give back what they were given: look at structural equations of your own "
    "(pyrocausal.noise.register, noise=) and at state that the program keeps between runs"
)
_EDGE: Final = (
    "add an edge, or a common cause (latent=, or a bidirected edge), and ask pc.identify and "
    "pc.sensitivity what is then left"
)
_ESTIMATE: Final = (
    "don't rely on this estimate: look at the other lines, at pc.adjustment_sets, and at "
    "pc.sensitivity for what may be unmeasured"
)
_STEPS: Final[Mapping[str, str]] = {
    "calibration of abduction": 'infer otherwise: abduct(..., method="importance") or "nuts"; '
    "train a guide for longer: amortize(steps=...)",
    "marginal law": "if its noise given causes fails too, its own mechanism is wrong, otherwise "
    "that of a variable above it: see there",
    "noise given causes": "give it another mechanism, by SCM.from_graph(graph, "
    "mechanisms={{{name!r}: ...}}, data=...), or in a program another distribution or mean; or "
    "fit with more steps",
    "independent noises": _EDGE,
    "implied independences": _EDGE,
    "overlap": "ask about units that could have had either value, by given=, or for pc.bounds",
    "composition": _LAW,
    "effectiveness": _LAW,
    "reversibility": _LAW,
    "placebo treatment": _ESTIMATE,
    "random common cause": _ESTIMATE,
    "data subset": _ESTIMATE,
}


def next_step(check: str, name: str) -> str:
    """Return in words what to do where a check of a variable failed; empty if nothing is known.

    Args:
        check: The check.
        name: The variable, or ``"all"``.

    Example:
        >>> next_step("overlap", "treated")
        'ask about units that could have had either value, by given=, or for pc.bounds'
    """
    return _STEPS.get(check, "").format(name="name" if name == "all" else name)
