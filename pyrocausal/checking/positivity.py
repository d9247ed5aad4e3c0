"""Overlap: could each unit of the data have had each value of a treatment?"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from pyrocausal.checking.findings import Finding
from pyrocausal.checking.goodness import Array
from pyrocausal.checking.subject import Subject

__all__ = ["overlap"]

CHECK: Final = "overlap"
_RARE: Final = 0.01
_SCARCE: Final = 0.05
_COMMON: Final = (
    0.05  # share of the rows from which a value counts; a rare value is rare everywhere
)
_TOLERATED: Final = 0.01  # share of the rows that may have a value with hardly any probability


def overlap(subject: Subject, treatment: str | None) -> list[Finding]:
    """Look at the propensities of discrete treatments, ``P(T = t | causes)``, in the data.

    Args:
        subject: The SCM and data.
        treatment: The treatment; None takes every discrete variable with causes and effects.
    """
    graph = subject.scm.graph
    names = [
        v.name
        for v in subject.units
        if v.name in subject.data
        and (v.name == treatment if treatment else v.discrete and set(graph.successors(v.name)))
    ]
    return [_overlap(subject, name) for name in names if treatment or subject.parents(name)]


def _overlap(subject: Subject, name: str) -> Finding:
    variable, causes = subject.scm.variables[name], subject.parents(name)
    unseen = [cause for cause in causes if cause not in subject.data]
    if not variable.discrete or variable.unit_shape:
        return Finding(CHECK, name, "", "not checked: it is not one of a few values", None)
    seen = subject.data[name].double()
    values, counts = seen[~seen.isnan()].unique(return_counts=True)
    values = values[counts >= _COMMON * len(seen)]
    if len(values) < 2:
        return Finding(CHECK, name, "", "not checked: fewer than two common values", None)
    if unseen:
        why = f"not checked: it depends on {', '.join(unseen)}, not in the data"
        return Finding(CHECK, name, "", why, None)
    try:
        chances = _propensities(subject, name, values)
    except ValueError as error:  # a cause has a value that the model holds for impossible
        return Finding(CHECK, name, "", f"not checked: {error}", None)
    last = chances[-1]
    rare, scarce = ((chances < limit).any(0).mean() for limit in (_RARE, _SCARCE))
    failed = bool(rare > _TOLERATED)
    figure = (
        f"P({name}={float(values[-1]):g}) from {last.min():.3g} to {last.max():.3g}; "
        f"{100 * rare:.3g} % of rows below {_RARE:g} for a value, {100 * scarce:.3g} % below "
        f"{_SCARCE:g}"
    )
    verdict = (
        "WEAK: for these rows an effect is extrapolation"
        if failed
        else "each value can occur almost everywhere"
    )
    return Finding(CHECK, name, figure, verdict, failed, float(rare))


def _propensities(subject: Subject, name: str, values: Tensor) -> Array:
    """Return the probability of each value in each row whose causes are known."""
    scm = subject.scm
    causes = {cause: subject.data[cause] for cause in subject.parents(name)}
    known = torch.ones(subject.rows, dtype=torch.bool, device=values.device)
    # What is no cause is held too, at any value, so that the density is that of the treatment.
    held = {n: v for n, v in subject.imitation.items() if n != name}
    held = {n: v for n, v in held.items() if not scm.variables[n].deterministic}
    for cause, value in causes.items():
        missing = value.double().isnan()
        held[cause] = torch.where(missing, held[cause], value).to(held[cause].dtype)
        known &= ~missing.reshape(len(missing), -1).any(1)
    acted, dtype = scm.do(held), scm.variables[name].dtype
    logs = [
        acted.log_prob({name: value.expand(subject.rows).to(dtype)}, inputs=subject.inputs or None)
        for value in values
    ]
    chances: Array = torch.stack(logs)[:, known].detach().double().exp().cpu().numpy()
    return chances
