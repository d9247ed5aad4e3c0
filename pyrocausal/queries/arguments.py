"""Reading the arguments of a program, once for all that a question runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyrocausal.engine.evidence import columns_of, read_inputs

if TYPE_CHECKING:
    from pyrocausal.model import SCM

__all__ = ["arguments_of", "first_of", "units_of"]


def arguments_of(scm: SCM, given: Any, evidence: Any, size: int) -> Mapping[str, Any] | None:
    """Read the program's arguments once, so that whatever asks meets tensors of its own dtype."""
    if given is None:
        return None
    columns = columns_of(given, "inputs")
    if evidence is None:
        units = units_of(columns, size)
    else:
        with scm._core.session():
            units = scm._core.read(evidence, columns).units
    return read_inputs(columns, units, scm._core.place())


def units_of(inputs: Mapping[str, Any], number: int) -> int:
    """Return how many units the inputs are of; a number where these leave it open."""
    return max((len(value) for value in inputs.values() if _has_rows(value)), default=number)


def _has_rows(value: Any) -> bool:
    return hasattr(value, "__len__") and getattr(value, "ndim", 1) > 0


def first_of(inputs: Mapping[str, Any] | None, number: int) -> Mapping[str, Any] | None:
    """Return the arguments of the first units, as many as there are up to a number."""
    if inputs is None:
        return None
    return {n: v[:number] if _has_rows(v) else v for n, v in inputs.items()}
