"""Whether an earlier abduction is one of what is asked about now."""

from collections.abc import Mapping
from typing import Any

import torch

from pyrocausal.engine.abduction import Abduction, Origin
from pyrocausal.engine.evidence import Evidence, same_evidence
from pyrocausal.engine.lifting import same_worlds
from pyrocausal.naming import describe_worlds
from pyrocausal.verbs.standing import Standing

__all__ = ["check_same"]


def check_same(
    abduction: Abduction, seen: Evidence, draws: int, standing: Standing, origin: Origin
) -> None:
    """Check that an earlier abduction is one of the evidence that is asked about."""
    if not isinstance(abduction, Abduction):
        raise TypeError(
            f"abduction is a {type(abduction).__name__}; expected what SCM.abduct() returned."
        )
    before = abduction.origin
    if before is None or before.owner is not origin.owner:
        raise ValueError("abduction was made by another SCM. Leave it out, or ask that SCM.")
    if not same_worlds([abduction.world], standing.worlds):
        raise ValueError(
            f"abduction was made under do({describe_worlds([abduction.world])}); this SCM stands "
            f"under do({describe_worlds(standing.worlds)}). Leave it out."
        )
    if before.parameters != origin.parameters:
        raise ValueError("The parameters have changed since the abduction. Leave it out.")
    if not _same_inputs(before.inputs, origin.inputs):
        raise ValueError("abduction was made at other inputs. Leave it out, or pass the same.")
    if not same_evidence(abduction.evidence, seen):
        raise ValueError(
            "abduction is of other evidence. Pass the evidence that it was made from, or leave "
            "abduction out."
        )
    if abduction.draws != draws:
        raise ValueError(
            f"abduction has {abduction.draws} draws, but num_draws asks for {draws}. "
            f"Pass num_draws={abduction.draws}."
        )


def _same_inputs(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    def same(a: Any, b: Any) -> bool:
        both = isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor)
        return torch.equal(a, b) if both else bool(a is b or a == b)

    return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
