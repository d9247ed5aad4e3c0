"""Abduction: what the evidence says about each unit's exogenous noise, site by site."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyrocausal.engine.abduction_run import AbductionRun
from pyrocausal.engine.evidence import Evidence
from pyrocausal.engine.intervals import Interval
from pyrocausal.engine.lifting import lift
from pyrocausal.engine.querying import Noise, Query, Replay, Tensors, eagerly
from pyrocausal.engine.rows import Layout, over_events
from pyrocausal.interventions import World
from pyrocausal.naming import describe_evidence, describe_worlds, grouped

if TYPE_CHECKING:
    from pyrocausal.inference import Completion, Quality

__all__ = ["Abduction", "Origin", "abduct"]


@dataclass(frozen=True, eq=False)
class Origin:
    """What an abduction rests on besides evidence: whose program, its parameters, its arguments."""

    owner: object
    parameters: Mapping[str, float] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Abduction:
    """The exogenous noise of some units given evidence, and the factual world it implies.

    Attributes:
        evidence: What was seen.
        noise: Site to noise, shape ``(draws, 1, units, *inner, *noise)``.
        factual: Variable to value in the factual world, ``(draws, 1, units, *inner, *event)``.
        routes: Site to the way its noise was found.
        draws: Number of draws.
        world: Interventions that were in force when the evidence was seen.
        shared: Values of the sites that all units share.
        densities: Site to log density of its factual value, for the check of what is kept.
        origin: What it rests on besides the evidence.
        quality: How good the draws of what had to be inferred are; ``None`` where nothing had.
    """

    evidence: Evidence
    noise: Noise
    factual: Mapping[str, Tensor]
    routes: Mapping[str, str]
    draws: int
    world: World = ()
    shared: Mapping[str, Tensor] = field(default_factory=dict)
    densities: Mapping[str, Tensor] = field(default_factory=dict)
    origin: Origin | None = None
    quality: Quality | None = None

    def __repr__(self) -> str:
        units, draws = self.evidence.units, self.draws
        lines = [f"noise of {units} unit{'s' * (units != 1)}, {draws} draw{'s' * (draws != 1)}"]
        lines.append(f"given {describe_evidence(self.evidence.told) or 'no evidence'}")
        if self.world:
            lines.append(f"under do({describe_worlds([self.world])})")
        lines.append(f"routes: {grouped(self.routes)}")
        if self.quality is not None:
            lines.append(f"inferred: {self.quality}")
        if self.shared:
            lines.append(f"shared by all units: {', '.join(self.shared)}")
        return "\n".join(lines)


def abduct(
    query: Query,
    evidence: Evidence,
    *,
    draws: int = 1,
    world: World = (),
    shared: dict[str, Tensor] | None = None,
    densities: bool = False,
    above: Callable[[str], Iterable[str]] = lambda name: (),
    origin: Origin | None = None,
    completion: Completion | None = None,
    replay: Replay = eagerly,
) -> Abduction:
    """Infer the noise of every site from complete evidence, in one pass through the program.

    Evidence is complete, or is made so by draws of what is missing above it. An observed site's
    noise is ``f^-1(pa, x)`` or a draw from its exact posterior; a site without evidence, and
    without evidence below it, draws from the prior.

    Args:
        query: The program and its arguments.
        evidence: What was seen.
        draws: Number of draws.
        world: Interventions that were in force when the evidence was seen.
        shared: Values of the sites that all units share.
        densities: Whether to note the densities that the check of what is kept compares.
        above: Says what lies above a variable in that world.
        origin: What the answer rests on besides the evidence.
        completion: Draws of what is missing above the evidence.
        replay: Runs, or plays a run of the same kind again.

    Raises:
        ValueError: Evidence that is impossible.
        IncompleteEvidence: A masked value, or one that a policy chose by what is not known, has
            an observed variable below it.
        NotAbducible: A site without structural equation is missing.
    """
    layout, lifted = Layout(evidence.units, 1, draws), lift([world])
    values, observed = _completed(evidence, completion)
    inferred = {
        name: f"{route} where missing" if name in evidence.values else route
        for name, route in (completion.routes if completion is not None else {}).items()
    }
    gaps = _gaps(evidence, observed, values)

    def run(query: Query, given: Tensors) -> tuple[Tensors, Any]:
        limits = {name: Interval(**given[f"limits of {name}"]) for name in evidence.limits}
        seen = replace(
            evidence, values=given["evidence"], observed=given["observed"], limits=limits
        )
        (acting,) = lifted.worlds(given["worlds"])
        noise = query.noise(evidence.units, draws)
        run = AbductionRun(
            query,
            layout,
            noise,
            seen,
            acting,
            dict(given["shared"]),
            densities,
            above,
            inferred,
            gaps,
        )
        run.run()
        known, unknown = noise.parted()
        results = {"noise": known, "factual": run.results(), "densities": run.densities}
        return results, (run.routes, unknown)

    kind = lifted.kind and (
        "abduct",
        lifted.kind,
        layout,
        densities,
        tuple(inferred.items()),
        gaps,
    )
    tensors = {
        "evidence": values,
        "observed": observed,
        "worlds": lifted.values,
        "shared": shared or {},
        **{f"limits of {name}": limits.tensors() for name, limits in evidence.limits.items()},
    }
    found, (routes, unknown) = replay(kind, query, tensors, run)
    noise = query.noise(evidence.units, draws)
    # A played run hands out what it found once: each answer gets its own copy.
    noise.known, routes = {**found["noise"], **unknown}, dict(routes)
    return Abduction(
        evidence=evidence,
        noise=noise,
        factual=found["factual"],
        routes=routes,
        draws=draws,
        world=world,
        shared=dict(shared or {}),
        densities=found["densities"],
        origin=origin,
        quality=None if completion is None else completion.quality,
    )


def _completed(
    evidence: Evidence, completion: Completion | None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return values, ``(draws or 1, 1, units, ...)``, and what is known, ``(units, *inner)``."""
    values = {name: value[None, None] for name, value in evidence.values.items()}
    observed = dict(evidence.observed)
    if completion is None:
        return values, observed
    for name, drawn in completion.values.items():
        known = completion.known[name]
        if name in evidence.values:
            seen = observed.get(name, torch.ones_like(known))
            drawn = torch.where(over_events(seen, evidence.values[name]), values[name], drawn)
            known = known | seen
        values[name] = drawn
        observed.pop(name, None)
        if not bool(known.all()):
            observed[name] = known
    return values, observed


def _gaps(
    evidence: Evidence, observed: Mapping[str, Tensor], values: Mapping[str, Tensor]
) -> frozenset[str]:
    """Return the variables with limits of which elements have neither a value nor limits."""
    found = set()
    for name, limits in evidence.limits.items():
        known = observed.get(name, torch.as_tensor(name in values))
        if not bool((limits.within | known.to(limits.within.device)).all()):
            found.add(name)
    return frozenset(found)
