"""The log density of each unit."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints

from pyrocausal.engine.completeness import mutilated
from pyrocausal.engine.evidence import Evidence, names_of_units
from pyrocausal.engine.placing import changed, check_support, spread
from pyrocausal.engine.querying import Query
from pyrocausal.engine.rows import (
    Layout,
    RowMessenger,
    Site,
    over_events,
    support_of,
    units_where,
)
from pyrocausal.engine.within import no_cdf
from pyrocausal.interventions import Mechanism, Set, Stochastic, World
from pyrocausal.noise import structural_equation
from pyrocausal.noise.interval_mass import log_mass
from pyrocausal.noise.truncation import truncated
from pyrocausal.requirements import require
from pyrocausal.verbs.core import Core, probing_again
from pyrocausal.verbs.standing import Standing

__all__ = ["log_density"]


@probing_again
def log_density(
    core: Core, standing: Standing, data: Any, inputs: Mapping[str, Any] | None
) -> Tensor:
    """Sum the log densities of a unit's sites; see ``SCM.log_prob``."""
    if standing.listed:
        raise ValueError("log_prob() takes an SCM with one world. Ask each do(...) alone.")
    if standing.evidence:
        raise ValueError(
            "log_prob() is the density of whole units, but this SCM holds evidence. Ask the SCM "
            "without condition(...), and give the evidence as data."
        )
    seen = core.read(data, inputs, where="data")
    core.check_worlds(standing.worlds)
    _check_whole(core, standing.worlds[0], seen)
    query = core.query(inputs, seen.units, 0)
    run = _DensityRun(query, seen, standing.worlds[0])
    query.run(run, run.layout)
    zero = torch.zeros(seen.units, device=query.device)
    return torch.stack(run.terms).sum(0) if run.terms else zero


def _check_whole(core: Core, world: World, seen: Evidence) -> None:
    actions = _actions(world)
    needed = [
        v.name
        for v in core.anatomy.variables.values()
        if not isinstance(actions.get(v.name), Set) and (v.name in actions or not v.deterministic)
    ]
    missing = [name for name in needed if name not in {**seen.values, **seen.limits}]
    if missing:
        raise ValueError(
            f"log_prob() needs every variable, latent ones too; data lack {', '.join(missing)}."
        )
    for name in needed:
        known = seen.known(name, core.anatomy.variables[name])
        if not bool(known.all()):
            raise ValueError(
                f"log_prob() needs every value; data[{name!r}] has {int((~known).sum())} missing."
            )
    _refuse_limits(core, world, seen, needed)


def _refuse_limits(core: Core, world: World, seen: Evidence, needed: Sequence[str]) -> None:
    """Raise where a variable that is known up to limits matters to another one."""
    graph = mutilated(core.graph, world)
    for name, limits in seen.limits.items():
        below = graph.descendants(name) & {*needed, *seen.values, *seen.limits}
        if name not in needed:
            raise ValueError(
                f"data[{name!r}]: log_prob() takes limits of random variables. Leave it out."
            )
        if below and bool(limits.within.any()):
            units = names_of_units(limits.within.reshape(seen.units, -1).any(1))
            raise ValueError(
                f"data[{name!r}] is known up to limits for {units}, and {', '.join(sorted(below))} "
                f"depends on it: log_prob() sums over no values. Give {name!r} its value."
            )


class _DensityRun(RowMessenger):
    """Pins every site to its datum and notes the log densities."""

    def __init__(self, query: Query, seen: Evidence, world: World) -> None:
        super().__init__()
        self.seen, self.query = seen, query
        self.layout = Layout(seen.units)
        self.actions = _actions(world)
        self.terms: list[Tensor] = []
        refused = [
            a for a in world if not isinstance(a, tuple) or not isinstance(a[1], _DENSITIES)
        ]
        if refused:
            raise ValueError(
                "log_prob() under shift, edit, policy or edge is not defined by the data alone. "
                "Use an SCM without interventions, or with values, distributions and mechanisms."
            )

    def visit(self, site: Site) -> Tensor:
        action = self.actions.get(site.name)
        if isinstance(action, Set):
            return self._set(site, action)
        if site.value is not None and action is None:
            self._check_equal(site, site.value, "its causes give it")
            return site.value
        value = self._datum(site)
        if site.shared:
            return value
        fn = site.fn if action is None else self._replaced(site, action, value)
        if site.name in self.seen.limits:
            value, density = self._limited(site, fn, value)
        else:
            density = _log_prob(fn, value, f"data[{site.name!r}]")
        if site.mask is not None:
            density = torch.where(torch.as_tensor(site.mask), density, torch.zeros_like(density))
        self.terms.append(self.layout.from_rows(density).reshape(self.layout.units, -1).sum(1))
        return value

    def _limited(self, site: Site, fn: Any, value: Tensor) -> tuple[Tensor, Tensor]:
        """Return values, of which some within limits stand for those not seen; and densities."""
        limits = self.seen.limits[site.name].rows(self.layout, len(site.inner))
        equation = structural_equation(fn, self.query.couplings.get(site.name), site.name)
        law = truncated(equation, limits.low, limits.high)
        mass = log_mass(equation, limits.low, limits.high)
        if law is None or mass is None:
            raise no_cdf(site.name, fn)
        half = torch.full((*law.log_mass.shape, *law.shape), 0.5, dtype=torch.float64)
        middle = law.value(half.to(value.device)).detach()
        value = torch.where(over_events(limits.within, value), middle.to(value.dtype), value)
        density = _log_prob(fn, value, f"data[{site.name!r}]")
        return value, torch.where(limits.within, mass.to(density.dtype), density)

    def _datum(self, site: Site) -> Tensor:
        value = self.seen.values.get(site.name)
        if value is None:
            variable = self.query.variables[site.name]
            shape = (self.seen.units, *variable.unit_shape)
            value = torch.zeros(shape, dtype=variable.dtype, device=self.query.device)
        return value if site.shared else self.layout.to_rows(value[None, None], len(site.inner))

    def _set(self, site: Site, action: Set) -> Tensor:
        fn, fixed = site.fn, site.value
        shape = fn.batch_shape + fn.event_shape if fixed is None else fixed.shape
        part = torch.zeros(
            shape, dtype=self.query.variables[site.name].dtype, device=self.query.device
        )
        layout = None if site.shared else self.layout
        value = changed(action, site.name, part, self.values, site.event_dim, layout)
        check_support(site.fn, value, f"do({site.name!r})")
        self._check_equal(site, value, "an intervention sets it")
        return value

    def _check_equal(self, site: Site, value: Tensor, who: str) -> None:
        if site.name not in self.seen.values:
            return
        equal = torch.isclose(self._datum(site), value, rtol=1e-4, atol=1e-5)
        observed = self.seen.observed.get(site.name)
        if observed is not None and not site.shared:
            rows = self.layout.to_rows(observed[None, None], len(site.inner))
            equal = equal | ~over_events(rows, equal)

        def error() -> ValueError:
            where = "" if site.shared else f" for {self._units(~equal, site.event_dim)}"
            return ValueError(
                f"data[{site.name!r}] is impossible{where}: {who} another value. Correct it, or "
                f"leave {site.name!r} out."
            )

        require(equal, error)

    def _units(self, bad: Tensor, event_dim: int) -> str:
        whole = self.layout.from_rows(bad, event_dim)
        return names_of_units(units_where(whole))

    def _replaced(self, site: Site, action: Any, value: Tensor) -> Any:
        fn = action.function(self.values) if isinstance(action, Mechanism) else action.distribution
        return spread(fn, value, site.event_dim, site.name)

    def factor(self, name: str) -> None:
        raise ValueError(
            f"The program has the factor statement {name!r}, so that its density is not "
            "normalised and log_prob() is not defined. Write it as an observed site."
        )


def _actions(world: World) -> dict[str, Any]:
    """Return the last action on each variable."""
    return dict(item for item in world if isinstance(item, tuple))


_DENSITIES: tuple[type, ...] = (Set, Stochastic, Mechanism)


def _log_prob(fn: Any, value: Tensor, what: str) -> Tensor:
    """Return the log density, minus infinity outside the support."""
    check_support(fn, value, what)
    density: Tensor = fn.log_prob(value)
    support = support_of(fn)
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    if support is None or support.is_discrete or support.event_dim:
        return density  # a simplex or a matrix is in its support up to rounding only
    inside = fn.support.check(value)
    return torch.where(inside, density, torch.full_like(density, -torch.inf))
