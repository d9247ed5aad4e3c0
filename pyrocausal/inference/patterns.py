"""Which missing variables need inference: by unit, and split where evidence keeps them apart."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pyrocausal.engine.completeness import named
from pyrocausal.engine.evidence import Evidence
from pyrocausal.engine.tracing import Variable
from pyrocausal.interventions import Policy, Set, World

__all__ = ["Component", "Pattern", "patterns_of"]

Ancestors = Callable[[str], Iterable[str]]


@dataclass(frozen=True)
class Component:
    """Missing variables that have to be inferred together.

    Attributes:
        missing: Their names, in the order of execution.
        factors: The observed variables whose densities tell of them, or the probabilities of
            limits that they were seen to lie within.
    """

    missing: tuple[str, ...]
    factors: tuple[str, ...]


@dataclass(frozen=True)
class Pattern:
    """Units of which the same was observed.

    Attributes:
        units: Their numbers.
        observed: Names of the variables of which anything was observed.
        seen: Variable to the elements of its inner plates that were observed, shape ``inner``,
            for those that were observed in part.
        within: Variable to the elements that were seen to lie within limits, shape ``inner``.
        components: What has to be inferred, in parts that the evidence makes independent.
    """

    units: Tensor
    observed: tuple[str, ...]
    seen: Mapping[str, Tensor]
    within: Mapping[str, Tensor]
    components: tuple[Component, ...]


def patterns_of(
    evidence: Evidence,
    variables: Mapping[str, Variable],
    ancestors: Ancestors,
    parents: Ancestors,
    world: World = (),
    without_cdf: Collection[str] = (),
) -> list[Pattern]:
    """Group units by what was observed of them, and find what has to be inferred.

    A missing variable needs inference where something below it was observed. Two of them are
    inferred together if they meet in a mechanism; else what was observed separates them. One that
    was seen to lie within limits is missing too where something below it was observed; else the
    probability of its limits tells of its causes, and it is drawn when they are known.

    Args:
        evidence: What was seen.
        variables: The program's variables.
        ancestors: What lies above a variable where the evidence was seen.
        parents: What lies right above it there.
        world: Interventions that were in force; what they set is known.
        without_cdf: Variables within limits whose probability is not known.
    """
    settled = {name for name, action in named(world) if isinstance(action, Set | Policy)}
    random = [v.name for v in variables.values() if not v.deterministic and not v.shared]
    patterns = []
    for units, seen, within in _grouped(evidence, random):
        whole = [n for n in random if n in evidence.values and n not in seen]
        parts = {name: mask for name, mask in seen.items() if bool(mask.any())}
        observed = [n for n in evidence.values if n in whole or n in parts]
        told = [n for n in (*observed, *within) if n not in settled]
        above = {a for name in told for a in ancestors(name)}
        above |= {name for name in within if name in without_cdf}
        missing = [n for n in random if n in above and n not in whole and n not in settled]
        factors = [n for n in random if n in told]
        found = _components(missing, factors, variables, parents)
        patterns.append(Pattern(units, tuple(observed), parts, within, tuple(found)))
    return patterns


def _grouped(
    evidence: Evidence, random: Sequence[str]
) -> Iterator[tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]]:
    """Yield units with the masks they share: what was observed in part, and what has limits.

    The first are without those that hold everywhere, the second without those that hold nowhere.
    """
    observed = {n: evidence.observed[n] for n in random if n in evidence.observed}
    within = {n: evidence.limits[n].within for n in random if n in evidence.limits}
    masks = [*observed.values(), *within.values()]
    if not masks:
        yield torch.arange(evidence.units, device="cpu"), {}, {}
        return
    flat = [mask.reshape(evidence.units, -1) for mask in masks]
    rows, which = torch.cat(flat, 1).cpu().unique(dim=0, return_inverse=True)
    for number, row in enumerate(rows):
        parts = [
            part.reshape(mask.shape[1:]).to(mask.device)
            for mask, part in zip(masks, row.split([p.shape[1] for p in flat]), strict=True)
        ]
        seen = dict(zip(observed, parts, strict=False))
        limited = dict(zip(within, parts[len(observed) :], strict=True))
        yield (
            (which == number).nonzero().flatten(),
            {name: mask for name, mask in seen.items() if not bool(mask.all())},
            {name: mask for name, mask in limited.items() if bool(mask.any())},
        )


def _components(
    missing: Sequence[str],
    factors: Sequence[str],
    variables: Mapping[str, Variable],
    parents: Ancestors,
) -> Iterator[Component]:
    scopes = {
        name: {name, *_random_parents(name, variables, parents)} & set(missing)
        for name in {*missing, *factors}
    }
    left = list(missing)
    while left:
        joined = {left[0]}
        while True:
            wider = joined.union(*(scope for scope in scopes.values() if scope & joined))
            if wider == joined:
                break
            joined = wider
        touched = [name for name in factors if scopes[name] & joined and name not in joined]
        yield Component(tuple(n for n in missing if n in joined), tuple(touched))
        left = [name for name in left if name not in joined]


def _random_parents(
    name: str, variables: Mapping[str, Variable], parents: Ancestors
) -> Iterator[str]:
    """Yield the random variables that a mechanism reads, by way of deterministic ones too."""
    for parent in parents(name):
        if parent in variables and variables[parent].deterministic:
            yield from _random_parents(parent, variables, parents)
        else:
            yield parent
