"""Abduction: what the evidence says about each unit's exogenous noise, site by site."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyrocausal.engine.evidence import Evidence, names_of_units
from pyrocausal.engine.lifting import lift
from pyrocausal.engine.querying import Noise, Query, Replay, Tensors, eagerly
from pyrocausal.engine.rows import Layout, Site, over_events, units_where
from pyrocausal.engine.structural import StructuralRun
from pyrocausal.errors import IncompleteEvidence, NotAbducible
from pyrocausal.interventions import Policy, Set, World
from pyrocausal.naming import describe_evidence, describe_worlds, grouped
from pyrocausal.noise import StructuralEquation
from pyrocausal.requirements import require

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
        lines.append(f"given {describe_evidence(self.evidence.values) or 'no evidence'}")
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

    def run(query: Query, given: Tensors) -> tuple[Tensors, Any]:
        seen = replace(evidence, values=given["evidence"], observed=given["observed"])
        (acting,) = lifted.worlds(given["worlds"])
        noise = query.noise(evidence.units, draws)
        run = _AbductionRun(
            query, layout, noise, seen, acting, dict(given["shared"]), densities, above, inferred
        )
        run.run()
        known, unknown = noise.parted()
        results = {"noise": known, "factual": run.results(), "densities": run.densities}
        return results, (run.routes, unknown)

    kind = lifted.kind and ("abduct", lifted.kind, layout, densities, tuple(inferred.items()))
    tensors = {
        "evidence": values,
        "observed": observed,
        "worlds": lifted.values,
        "shared": shared or {},
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


class _AbductionRun(StructuralRun):
    """Gives observed sites their evidence, and keeps the noise that goes with it."""

    def __init__(
        self,
        query: Query,
        layout: Layout,
        noise: Noise,
        evidence: Evidence,
        world: World,
        shared: dict[str, Tensor] | None,
        with_densities: bool,
        above: Callable[[str], Iterable[str]],
        inferred: Mapping[str, str],
    ) -> None:
        super().__init__(query, layout, noise, (world,), shared)
        self.above, self.inferred = above, inferred
        self.unknown: dict[str, Tensor] = {}  # units whose value is not known though it might be
        self.evidence, self.with_densities = evidence, with_densities
        self.routes: dict[str, str] = {}
        self.densities: dict[str, Tensor] = {}

    def visit(self, site: Site) -> Tensor:
        value = super().visit(site)
        if site.shared:
            return value
        policy = any(isinstance(action, Policy) for _, action in self.actions.get(site.name, ()))
        if policy:
            self._note_unknown(site.name)
        settled = site.deterministic or site.name in self.actions
        if settled and site.name in self.evidence.values and site.name not in self.inferred:
            self._check_known_above(site.name)
            self._check_equal(site, value)
        if self.with_densities and not site.deterministic:
            density = site.fn.log_prob(value)
            self.densities[site.name] = self.layout.from_rows(density).detach()
        return value

    def natural(self, site: Site) -> Tensor:
        name = site.name
        if self.edges_at(site):
            site = self.through_edges(site)
        if site.value is not None:
            return site.value
        if name in self.inferred:
            return self._abduct(site)
        if name not in self.evidence.values or name in self.actions:
            self._refuse_hidden(name)
            self.routes[name] = "prior"
            return self.structural(site)
        return self._abduct(site)

    def without_equation(self, site: Site, error: NotAbducible) -> Tensor:
        self.noise.known[site.name] = error
        return super().without_equation(site, error)

    def _abduct(self, site: Site) -> Tensor:
        name, inner = site.name, len(site.inner)
        x = self.layout.to_rows(self.evidence.values[name], inner)
        observed = self._observed(site)
        self._check_known_above(name)
        try:
            equation = self.query.equation(site)
        except NotAbducible as error:
            if observed is not None:
                raise
            # Only a query that moves this site needs its noise: the error waits there.
            self.noise.known[name] = error
            self.routes[name] = "not abducible"
            return x
        self.routes[name] = self._route(name, equation, observed)
        if observed is None:
            self._check_possible(site, equation, x, None)
            self._keep(site, equation, self._posterior(site, equation, x))
            return x
        prior = self.layout.to_rows(self.noise.of(name, equation, site.inner), inner)
        x = torch.where(over_events(observed, x), x, equation.forward(prior))
        self._check_possible(site, equation, x, observed)
        posterior = self._posterior(site, equation, x)
        self._keep(site, equation, torch.where(over_events(observed, prior), posterior, prior))
        return x

    def _route(self, name: str, equation: StructuralEquation, observed: Tensor | None) -> str:
        """Name the ways a site's noise is had: by its equation, and where its value comes from."""
        inferred = self.inferred.get(name)
        if inferred is None:
            parts = [equation.route]
        elif equation.inverts and not inferred.endswith("where missing"):
            parts = [inferred]
        else:
            parts = [equation.route, inferred]
        if observed is not None:
            parts.append("prior where missing")
        return ", ".join(parts)

    def _observed(self, site: Site) -> Tensor | None:
        mask = self.evidence.observed.get(site.name)
        rows = None if mask is None else self.layout.to_rows(mask[None, None], len(site.inner))
        if site.mask is None or site.mask is True:
            return rows
        shape = (*site.inner, self.layout.rows)
        counted = torch.as_tensor(site.mask, device=self.query.device).expand(shape)
        if site.name in self.evidence.values:
            self.unknown[site.name] = self._units_of(~counted)
        return counted if rows is None else rows & counted

    def _posterior(self, site: Site, equation: StructuralEquation, x: Tensor) -> Tensor:
        if equation.posterior_shape is None:
            return equation.posterior(x)
        stream = self.noise.stream(f"{site.name} given its value")
        v = self.noise.stacked(stream.uniforms((*site.inner, *equation.posterior_shape)))
        return equation.posterior(x, self.layout.to_rows(v, len(site.inner)))

    def _keep(self, site: Site, equation: StructuralEquation, u: Tensor) -> None:
        self.noise.known[site.name] = self.layout.from_rows(u, len(equation.noise_shape))

    def _check_possible(
        self, site: Site, equation: StructuralEquation, x: Tensor, observed: Tensor | None
    ) -> None:
        if equation.everywhere:
            return
        possible = equation.possible(x)
        if observed is not None:
            possible = possible | ~observed
        possible = possible.expand(*site.inner, self.layout.rows)

        def error() -> ValueError:
            example = "it" if site.event_dim else f"{x[~possible][0].item():g}"
            return ValueError(
                f"evidence[{site.name!r}] is impossible for {self._units(~possible, 0)}: "
                f"{type(site.fn).__name__} gives {example} probability zero at the values of its "
                f"causes (support: {site.fn.support}). Correct {site.name!r} or its causes, or "
                "give NaN there."
            )

        require(possible, error)

    def _note_unknown(self, name: str) -> None:
        """Note that what a policy chose is not known where it read what is not known."""
        read = self.reads.get(name, set())
        causes = read.union(*(self.above(cause) for cause in read)) - self.shared_names
        units = torch.zeros(self.layout.units, dtype=torch.bool, device=self.query.device)
        for cause in causes:
            if self.routes.get(cause, "").startswith("prior"):
                units = units | ~torch.as_tensor(self.evidence.seen(cause), device=units.device)
            units = units | self.unknown.get(cause, False)
        if causes:
            self.unknown[name] = units

    def _check_known_above(self, name: str) -> None:
        for cause in {name, *self.above(name)} & self.unknown.keys():
            if cause == name and name not in self.actions:
                continue
            seen = torch.as_tensor(self.evidence.seen(name, partly=True), device=self.query.device)
            bad = self.unknown[cause] & seen
            if cause != name and name in self.unknown:
                bad = bad & ~self.unknown[name]
            require(~bad, partial(self._not_known, name, cause, bad))

    def _not_known(self, name: str, cause: str, bad: Tensor) -> IncompleteEvidence:
        why = (
            "was chosen by a rule of what is"
            if cause in self.actions
            else "is masked, so that it is"
        )
        return IncompleteEvidence(
            f"{cause!r} {why} not known for {names_of_units(bad)}, but {name!r}, which "
            f"depends on it, was observed. Give what the rule reads, or leave {name!r} out."
        )

    def _units(self, bad: Tensor, event_dim: int) -> str:
        return names_of_units(self._units_of(bad, event_dim))

    def _units_of(self, rows: Tensor, event_dim: int = 0) -> Tensor:
        """Return the units with any row, or part of one, where a mask holds."""
        return units_where(self.layout.from_rows(rows, event_dim))

    def _check_equal(self, site: Site, value: Tensor) -> None:
        seen = self.layout.to_rows(self.evidence.values[site.name], len(site.inner))
        equal = torch.isclose(seen, value, rtol=1e-4, atol=1e-5)
        observed = self._observed(site)
        if observed is not None:
            equal = equal | ~over_events(observed, equal)

        def error() -> ValueError:
            what = "an intervention sets it" if site.name in self.actions else "its causes give it"
            return ValueError(
                f"evidence[{site.name!r}] is impossible for "
                f"{self._units(~equal, site.event_dim)}: {what} another value. Correct it, or "
                f"leave {site.name!r} out."
            )

        require(equal, error)

    def _refuse_hidden(self, name: str) -> None:
        hidden = [a for _, a in self.actions.get(name, ()) if not isinstance(a, Set | Policy)]
        if hidden and name in self.evidence.values:
            raise NotAbducible(
                name,
                f"the evidence was read after {type(hidden[0]).__name__.lower()}() changed it, and "
                "what it was before can't be told. Give evidence read before the action.",
            )
