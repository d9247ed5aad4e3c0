"""Simulation-based calibration: is what abduction infers as uncertain as it should be?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from pyrocausal.checking.findings import Finding, Measured, judged
from pyrocausal.checking.goodness import Array, joined, randomized_ranks, uniformity
from pyrocausal.checking.subject import Subject, Values, numbers
from pyrocausal.errors import IncompleteEvidence, NotAbducible, UnknownVariable

__all__ = ["calibration"]

Ranks = dict[str, Array]

CHECK: Final = "calibration of abduction"
_DRAWS: Final = 49  # the ranks of a value among them fill cells of equal width
_THINNED: Final = 4
"""Of so many draws one is kept: draws of equal weight are spread more evenly than chance would."""


def calibration(
    subject: Subject, evidence: Sequence[str] | None, units: int, level: float
) -> tuple[list[Finding], Ranks]:
    """Rank true values, which are simulated, among their draws given evidence.

    Args:
        subject: The SCM.
        evidence: The observed variables; None chooses.
        units: Number of simulated units.
        level: Probability that right inference is rejected.

    Returns:
        A finding for each missing ancestor of the evidence, and the ranks, ``(components, units)``.

    Raises:
        UnknownVariable: Evidence that is no variable.
    """
    observed = _evidence(subject, evidence)
    missing = _missing(subject, observed)
    given = f"given {', '.join(observed)}"
    shared = [v.name for v in subject.scm.variables.values() if v.shared and not v.deterministic]
    if not missing:
        found = [_unchecked("all", f"nothing has to be inferred {given}")]
        return [*found, *_posterior(shared)], {}
    # Their posterior is that of a fit; what is inferred of a unit is checked at one draw of it.
    if shared:
        given += f" and {', '.join(shared)}"
    truth, inputs = subject.simulate(units, "calibration")
    try:
        draws = _abducted(subject, truth, [*observed, *shared], missing, inputs)
    except (IncompleteEvidence, NotAbducible) as error:
        return [_unchecked(", ".join(missing), f"not checked: {error}")], {}
    ranks = _ranks(subject, truth, draws)
    measured = [_measured(name, ranks[name], given) for name in missing]
    return [
        *judged(CHECK, measured, level),
        *_guide_alone(subject, truth, observed, missing),
        *_posterior(shared),
    ], ranks


def _evidence(subject: Subject, asked: Sequence[str] | None) -> list[str]:
    """Return the observed variables: those asked for, a guide's own, or what leaves most open."""
    variables, latent = subject.scm.variables, subject.scm.latent
    if asked is not None:
        for name in asked:
            if name not in variables:
                raise UnknownVariable(name, variables, "evidence")
        return [name for name in variables if name in set(asked)]
    guide = subject.scm.amortized
    if guide is not None and guide.patterns.sets:
        return min(map(sorted, guide.patterns.sets), key=lambda seen: (len(seen), seen))
    plain = [v.name for v in subject.units if v.name not in latent]
    if latent:
        return plain
    return [name for name in plain if not set(subject.scm.graph.successors(name))]


def _missing(subject: Subject, observed: Sequence[str]) -> list[str]:
    above = {cause for name in observed for cause in subject.scm.graph.ancestors(name)}
    return [v.name for v in subject.units if v.name in above - set(observed)]


def _abducted(
    subject: Subject,
    truth: Values,
    observed: Sequence[str],
    missing: Sequence[str],
    inputs: Mapping[str, Any],
) -> dict[str, Tensor]:
    """Return draws of what is missing, ``(draws, units, *inner, *event)``."""
    seen = {name: truth[name] for name in observed}
    covered = _covered(subject, observed, missing)
    with subject.noting():
        found = subject.scm.abduct(
            seen,
            inputs=inputs or None,
            method="guide" if covered else subject.method(seen),
            num_draws=_DRAWS * _THINNED,
            seed=subject.key("abduction"),
        )
    return {name: found.factual[name][:_DRAWS, 0] for name in missing}


def _covered(subject: Subject, observed: Sequence[str], missing: Sequence[str]) -> bool:
    guide = subject.scm.amortized
    return guide is not None and guide.covers(frozenset(observed), frozenset(missing))


def _ranks(subject: Subject, truth: Values, draws: Mapping[str, Tensor]) -> Ranks:
    rng = subject.random("ranks")

    def of(name: str) -> Iterator[Array]:
        parts = (
            draws[name].double().flatten(2) if draws[name].dim() > 2 else draws[name][..., None]
        )
        for true, drawn in zip(numbers(truth[name]), parts.unbind(-1), strict=True):
            yield randomized_ranks(true, drawn.cpu().double().numpy(), rng)

    return {name: np.stack(list(of(name))) for name in draws}


def _measured(name: str, ranks: Array, given: str) -> Measured:
    distance, tests = joined([uniformity(u) for u in ranks])
    return Measured(
        name,
        f"KS distance {distance:.3f}, {given}",
        distance,
        "calibrated",
        f"NOT CALIBRATED: {_shape(ranks)}",
        tests,
    )


def _shape(ranks: Array) -> str:
    """Say in words how ranks differ from uniform ones."""
    shift, spread = float(ranks.mean()) - 0.5, 12 * float(ranks.var())
    if abs(shift) > 3 / sqrt(12 * ranks.size):
        return f"draws are too {'low' if shift > 0 else 'high'}"
    return f"draws are too {'narrow' if spread > 1 else 'wide'}"


def _guide_alone(
    subject: Subject, truth: Values, observed: Sequence[str], missing: Sequence[str]
) -> list[Finding]:
    """Say how the guide does before its draws are weighed; no failure, since they are."""
    guide = subject.scm.amortized
    if guide is None or not _covered(subject, observed, missing):
        return []
    device = truth[missing[0]].device
    draws, _ = guide.draw(
        {name: truth[name] for name in observed},
        missing,
        _DRAWS,
        torch.Generator(device).manual_seed(subject.key("guide")),
    )
    ranks = _ranks(subject, truth, {name: draws[name] for name in missing})
    findings = []
    for name in missing:
        distance, _ = joined([uniformity(u) for u in ranks[name]])
        figure = f"KS distance {distance:.3f}"
        verdict = "for comparison: answers weigh its draws"
        findings.append(Finding("guide before weighing", name, figure, verdict, None, distance))
    return findings


def _posterior(shared: Sequence[str]) -> list[Finding]:
    why = "not checked: all units share it, and each rank would take a fit to data of its own"
    return [_unchecked(name, why) for name in shared]


def _unchecked(variable: str, why: str) -> Finding:
    return Finding(CHECK, variable, "", why, None)
