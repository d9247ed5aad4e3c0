"""The run of a program that finds the noise of each site from what was seen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Final

import torch
from torch import Tensor

from pyrocausal.engine.evidence import Evidence, names_of_units
from pyrocausal.engine.querying import Noise, Query
from pyrocausal.engine.rows import Layout, Site, over_events, units_where
from pyrocausal.engine.structural import StructuralRun
from pyrocausal.engine.within import draw_within, law_within, refuse_empty
from pyrocausal.errors import IncompleteEvidence, NotAbducible
from pyrocausal.interventions import Policy, Set, World
from pyrocausal.noise import StructuralEquation
from pyrocausal.requirements import require

__all__ = ["AbductionRun"]

_SLACK: Final = 1e-5  # what rounding may take a computed value beyond its limits


class AbductionRun(StructuralRun):
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
        gaps: Collection[str],
    ) -> None:
        super().__init__(query, layout, noise, (world,), shared)
        self.above, self.inferred, self.gaps = above, inferred, gaps
        self.unknown: dict[str, Tensor] = {}  # units whose value is not known though it might be
        self.evidence, self.with_densities = evidence, with_densities
        self.truncated: set[str] = set()  # what was drawn within limits
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
        if settled and site.name in self.evidence.told and site.name not in self.inferred:
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
        if name not in self.evidence.told or name in self.actions:
            self._refuse_hidden(name)
            self.routes[name] = "prior"
            return self.structural(site)
        return self._abduct(site)

    def without_equation(self, site: Site, error: NotAbducible) -> Tensor:
        self.noise.known[site.name] = error
        return super().without_equation(site, error)

    def _abduct(self, site: Site) -> Tensor:
        name, inner = site.name, len(site.inner)
        self._check_known_above(name)
        x, observed = self._seen(site)
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

    def _seen(self, site: Site) -> tuple[Tensor, Tensor | None]:
        """Return what was seen of a site, with draws within limits, and where that is anything."""
        name, inner = site.name, len(site.inner)
        value, observed = self.evidence.values.get(name), self._observed(site)
        if name not in self.evidence.limits or (value is not None and observed is None):
            return self.layout.to_rows(self.evidence.values[name], inner), observed
        limits = self.evidence.limits[name].rows(self.layout, inner)
        law, counted = law_within(self.query, site, limits), self._counted(site)
        assert law is not None  # else all are inferred
        within = limits.within if counted is None else limits.within & counted
        known = torch.zeros_like(within) if value is None or observed is None else observed
        self.truncated.add(name)
        refuse_empty(law, self.layout, site, limits, within & ~known)
        x = draw_within(law, self.noise, self.layout, site)
        if value is not None:
            x = torch.where(over_events(known, x), self.layout.to_rows(value, inner), x)
        return x, known | within if name in self.gaps or counted is not None else None

    def _route(self, name: str, equation: StructuralEquation, observed: Tensor | None) -> str:
        """Name the ways a site's noise is had: by its equation, and where its value comes from."""
        inferred = self.inferred.get(name)
        if inferred is None and name not in self.evidence.values and equation.inverts:
            parts = []
        elif inferred is None:
            parts = [equation.route]
        elif equation.inverts and not inferred.endswith("where missing"):
            parts = [inferred]
        else:
            parts = [equation.route, inferred]
        if name in self.truncated:
            alone = name not in self.evidence.values
            parts.append("truncated" if alone else "truncated where it has limits")
        if observed is not None:
            parts.append("prior where missing")
        return ", ".join(parts)

    def _observed(self, site: Site) -> Tensor | None:
        mask = self.evidence.observed.get(site.name)
        rows = None if mask is None else self.layout.to_rows(mask[None, None], len(site.inner))
        counted = self._counted(site)
        if counted is None:
            return rows
        if site.name in self.evidence.told:
            self.unknown[site.name] = self._units_of(~counted)
        return counted if rows is None else rows & counted

    def _counted(self, site: Site) -> Tensor | None:
        """Return where a site counts, ``None`` for everywhere."""
        if site.mask is None or site.mask is True:
            return None
        shape = (*site.inner, self.layout.rows)
        return torch.as_tensor(site.mask, device=self.query.device).expand(shape)

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
            seen = self.evidence.seen(name, partly=True) | self.evidence.limited(name)
            seen = torch.as_tensor(seen, device=self.query.device)
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
        equal = self._as_seen(site, value)

        def error() -> ValueError:
            what = "an intervention sets it" if site.name in self.actions else "its causes give it"
            return ValueError(
                f"evidence[{site.name!r}] is impossible for "
                f"{self._units(~equal, site.event_dim)}: {what} another value. Correct it, or "
                f"leave {site.name!r} out."
            )

        require(equal, error)

    def _as_seen(self, site: Site, value: Tensor) -> Tensor:
        """Say where a value is what was seen, or within its limits."""
        name, inner = site.name, len(site.inner)
        equal = torch.ones_like(value, dtype=torch.bool)
        if name in self.evidence.values:
            seen = self.layout.to_rows(self.evidence.values[name], inner)
            equal = torch.isclose(seen, value, rtol=1e-4, atol=1e-5)
            observed = self._observed(site)
            if observed is not None:
                equal = equal | ~over_events(observed, equal)
        if name in self.evidence.limits:
            limits = self.evidence.limits[name].rows(self.layout, inner)
            inside = (value >= limits.low - _SLACK) & (value <= limits.high + _SLACK)
            equal = equal & inside
        return equal

    def _refuse_hidden(self, name: str) -> None:
        hidden = [a for _, a in self.actions.get(name, ()) if not isinstance(a, Set | Policy)]
        if hidden and name in self.evidence.told:
            raise NotAbducible(
                name,
                f"the evidence was read after {type(hidden[0]).__name__.lower()}() changed it, and "
                "what it was before can't be told. Give evidence read before the action.",
            )
