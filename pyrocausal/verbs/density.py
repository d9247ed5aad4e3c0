"""The log density of each unit."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints

from pyrocausal.engine.evidence import Evidence
from pyrocausal.engine.placing import check_support, spread
from pyrocausal.engine.rows import Layout, RowMessenger, Site, support_of
from pyrocausal.engine.structural import Query
from pyrocausal.interventions import Mechanism, Set, Stochastic, World
from pyrocausal.verbs.core import Core, Standing

__all__ = ["log_density"]


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
    needed = [v.name for v in core.anatomy.variables.values() if not v.deterministic]
    missing = [name for name in needed if name not in seen.values]
    if missing:
        raise ValueError(
            f"log_prob() needs every variable, latent ones too; data lack {', '.join(missing)}."
        )
    for name, mask in seen.observed.items():
        if name in needed and not bool(mask.all()):
            raise ValueError(
                f"log_prob() needs every value; data[{name!r}] has {int((~mask).sum())} missing."
            )


class _DensityRun(RowMessenger):
    """Pins every site to its datum and notes the log densities."""

    def __init__(self, query: Query, seen: Evidence, world: World) -> None:
        super().__init__()
        self.seen, self.query = seen, query
        self.layout = Layout(seen.units)
        self.actions = dict(item for item in world if isinstance(item, tuple))
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
        if site.value is not None:
            return site.value
        value = self.seen.values[site.name]
        if site.shared:
            return value
        value = self.layout.to_rows(value[None, None], len(site.inner))
        action = self.actions.get(site.name)
        if isinstance(action, Set):
            return value
        fn = site.fn if action is None else self._replaced(site, action, value)
        density = _log_prob(fn, value, f"data[{site.name!r}]")
        if site.mask is not None:
            density = torch.where(torch.as_tensor(site.mask), density, torch.zeros_like(density))
        self.terms.append(self.layout.from_rows(density).reshape(self.layout.units, -1).sum(1))
        return value

    def _replaced(self, site: Site, action: Any, value: Tensor) -> Any:
        fn = action.function(self.values) if isinstance(action, Mechanism) else action.distribution
        return spread(fn, value, site.event_dim, site.name)

    def factor(self, name: str) -> None:
        raise ValueError(
            f"The program has the factor statement {name!r}, so that its density is not "
            "normalised and log_prob() is not defined. Write it as an observed site."
        )


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
