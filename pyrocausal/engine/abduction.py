"""Abduction: what the evidence says about each unit's exogenous noise, site by site."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from pyrocausal.engine.evidence import Evidence, names_of_units
from pyrocausal.engine.lifting import lift
from pyrocausal.engine.rows import Layout, Site, over_events
from pyrocausal.engine.structural import Noise, Query, Replay, StructuralRun, Tensors, eagerly
from pyrocausal.engine.tracing import Variable
from pyrocausal.errors import IncompleteEvidence, NotAbducible
from pyrocausal.interventions import Policy, Set, World
from pyrocausal.noise import StructuralEquation
from pyrocausal.requirements import require

__all__ = ["Abduction", "abduct", "check_complete"]


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
        densities: Site to log density of its factual value, for the first-use check.
    """

    evidence: Evidence
    noise: Noise
    factual: Mapping[str, Tensor]
    routes: Mapping[str, str]
    draws: int
    world: World = ()
    shared: Mapping[str, Tensor] = field(default_factory=dict)
    densities: Mapping[str, Tensor] = field(default_factory=dict)


def abduct(
    query: Query,
    evidence: Evidence,
    *,
    draws: int = 1,
    world: World = (),
    shared: dict[str, Tensor] | None = None,
    densities: bool = False,
    replay: Replay = eagerly,
) -> Abduction:
    """Infer the noise of every site from complete evidence, in one pass through the program.

    An observed site's noise is ``f^-1(pa, x)`` or a draw from its exact posterior; a site without
    evidence, and without evidence below it, draws from the prior.

    Args:
        query: The program and its arguments.
        evidence: What was seen.
        draws: Number of draws.
        world: Interventions that were in force when the evidence was seen.
        shared: Values of the sites that all units share.
        densities: Whether to note the densities that the first-use check compares.
        replay: Runs, or plays a run of the same kind again.

    Raises:
        ValueError: Evidence that is impossible.
        NotAbducible: A site without structural equation is missing.
    """
    layout, lifted = Layout(evidence.units, 1, draws), lift([world])

    def run(query: Query, given: Tensors) -> tuple[Tensors, Any]:
        seen = replace(evidence, values=given["evidence"], observed=given["observed"])
        (acting,) = lifted.worlds(given["worlds"])
        noise = query.noise(evidence.units, draws)
        run = _AbductionRun(query, layout, noise, seen, acting, dict(given["shared"]), densities)
        run.run()
        unknown = {name: u for name, u in noise.known.items() if isinstance(u, NotAbducible)}
        known = {name: u for name, u in noise.known.items() if not isinstance(u, NotAbducible)}
        results = {"noise": known, "factual": run.results(), "densities": run.densities}
        return results, (run.routes, unknown)

    kind = lifted.kind and ("abduct", lifted.kind, layout, densities)
    tensors = {
        "evidence": dict(evidence.values),
        "observed": dict(evidence.observed),
        "worlds": lifted.values,
        "shared": shared or {},
    }
    found, (routes, unknown) = replay(kind, query, tensors, run)
    noise = query.noise(evidence.units, draws)
    noise.known = {**found["noise"], **unknown}
    return Abduction(
        evidence=evidence,
        noise=noise,
        factual=found["factual"],
        routes=routes,
        draws=draws,
        world=world,
        shared=dict(shared or {}),
        densities=found["densities"],
    )


def check_complete(
    ancestors: Callable[[str], Iterable[str]],
    evidence: Evidence,
    variables: Mapping[str, Variable],
    latent: Sequence[str],
) -> None:
    """Check that no missing variable stands above an observed one, for any unit.

    Raises:
        IncompleteEvidence: The evidence needs inference.
        NotAbducible: A deterministic variable was seen whose causes were not.
        ValueError: Evidence on a latent variable.
    """
    for name in evidence.values:
        if name in latent:
            raise ValueError(
                f"evidence has {name!r}, which is latent: it is never observed. Declare the SCM "
                "without it in latent= if you do observe it."
            )
        above = ancestors(name)
        for ancestor, cause in variables.items():
            if ancestor not in above or cause.deterministic or cause.shared:
                continue
            missing = _missing_above(evidence, name, ancestor)
            if missing is not None:
                raise _incomplete(name, ancestor, missing, variables[name], ancestor in latent)


def _missing_above(evidence: Evidence, name: str, ancestor: str) -> str | None:
    # A part of a plate may depend on every part of another one.
    seen, above = evidence.seen(name, partly=True), evidence.seen(ancestor)
    if above is True:
        return None
    if above is False and seen is True:
        return ""
    bad = torch.as_tensor(seen) & ~torch.as_tensor(above)
    return f" for {names_of_units(bad.expand(evidence.units))}" if bool(bad.any()) else None


def _incomplete(
    name: str, ancestor: str, units: str, variable: Variable, latent: bool
) -> IncompleteEvidence | NotAbducible:
    kind = "latent" if latent else "missing"
    if variable.deterministic:
        return NotAbducible(
            name,
            f"it is a deterministic function of {ancestor!r}, which is {kind}{units}. Its value is "
            f"a constraint on its causes and can't be inverted; give {ancestor!r} as evidence.",
        )
    return IncompleteEvidence(
        f"{ancestor!r} is {kind}{units} but its descendant {name!r} was observed, so {ancestor!r} "
        f"has to be inferred from it. Give {ancestor!r} as evidence, or leave {name!r} out; "
        "inference for evidence of any pattern is what amortized guides (SCM.amortize) are for."
    )


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
    ) -> None:
        super().__init__(query, layout, noise, (world,), shared)
        self.evidence, self.with_densities = evidence, with_densities
        self.routes: dict[str, str] = {}
        self.densities: dict[str, Tensor] = {}

    def visit(self, site: Site) -> Tensor:
        value = super().visit(site)
        if site.shared:
            return value
        if site.name in self.evidence.values and (site.deterministic or site.name in self.actions):
            self._check_equal(site, value)
        if self.with_densities and not site.deterministic:
            density = site.fn.log_prob(value)
            self.densities[site.name] = self.layout.from_rows(density).detach()
        return value

    def natural(self, site: Site) -> Tensor:
        name = site.name
        if site.value is not None:
            return site.value
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
        x = self.layout.to_rows(self.evidence.values[name][None, None], inner)
        observed = self._observed(site)
        try:
            equation = self.query.equation(site)
        except NotAbducible as error:
            if observed is not None:
                raise
            # Only a query that moves this site needs its noise: the error waits there.
            self.noise.known[name] = error
            self.routes[name] = "not abducible"
            return x
        self.routes[name] = equation.route
        if observed is None:
            self._check_possible(site, equation, x, None)
            self._keep(site, equation, self._posterior(site, equation, x))
            return x
        prior = self.layout.to_rows(self.noise.of(name, equation, site.inner), inner)
        x = torch.where(over_events(observed, x), x, equation.forward(prior))
        self._check_possible(site, equation, x, observed)
        posterior = self._posterior(site, equation, x)
        self._keep(site, equation, torch.where(over_events(observed, prior), posterior, prior))
        self.routes[name] = f"{equation.route}, prior where missing"
        return x

    def _observed(self, site: Site) -> Tensor | None:
        mask = self.evidence.observed.get(site.name)
        rows = None if mask is None else self.layout.to_rows(mask[None, None], len(site.inner))
        if site.mask is None or site.mask is True:
            return rows
        shape = (*site.inner, self.layout.rows)
        counted = torch.as_tensor(site.mask, device=self.query.device).expand(shape)
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

    def _units(self, bad: Tensor, event_dim: int) -> str:
        whole = self.layout.from_rows(bad, event_dim)
        return names_of_units(whole.movedim(2, 0).flatten(1).any(1))

    def _check_equal(self, site: Site, value: Tensor) -> None:
        seen = self.layout.to_rows(self.evidence.values[site.name][None, None], len(site.inner))
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
