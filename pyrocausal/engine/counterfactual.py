"""Action and prediction: the worlds that share the units' abducted noise."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pyrocausal.engine.abduction import Abduction
from pyrocausal.engine.lifting import lift
from pyrocausal.engine.querying import Query, Replay, Tensors, eagerly
from pyrocausal.engine.rows import Layout, Site, units_where
from pyrocausal.engine.structural import StructuralRun, by_site, edges_by_target
from pyrocausal.errors import NotAbducible
from pyrocausal.interventions import Edge, World, targets
from pyrocausal.requirements import require

__all__ = ["Prediction", "predict", "unmoved"]


@dataclass(frozen=True)
class Prediction:
    """What the worlds of one query look like.

    Attributes:
        values: Variable to value, shape ``(draws, worlds, units, *inner, *event)``.
        natural: Intervened variable to what it would have been there.
        redrawn: Sites whose new mechanism has other noise than the old one.
    """

    values: dict[str, Tensor]
    natural: dict[str, Tensor]
    redrawn: frozenset[str]


def predict(
    query: Query,
    abduction: Abduction,
    worlds: Sequence[World],
    descendants: Callable[[str], Iterable[str]],
    *,
    shared: dict[str, Tensor] | None = None,
    unchecked: bool = False,
    moved: set[str] | None = None,
    learn: Callable[[Mapping[str, Tensor], Tensor], None] = lambda values, units: None,
    replay: Replay = eagerly,
) -> Prediction:
    """Run the program in each world on the units' own noise.

    A variable that no intervention of a world reaches keeps its factual value bitwise.

    Args:
        query: The program and its arguments.
        abduction: The units' noise and factual values.
        worlds: The interventions of each world, on top of those of the abduction.
        descendants: What an intervention on a site reaches, by the program's graph.
        shared: Values of the sites that all units share.
        unchecked: Whether to skip the check that what the graph calls unmoved has not moved.
        moved: Sites that are known to move although the graph has no edge to them; grows.
        learn: Told the factual values, and the units at which the graph was found to lack an edge.
        replay: Runs, or plays a run of the same kind again.
    """
    # Action
    layout = Layout(abduction.evidence.units, len(worlds), abduction.draws)
    moved = set() if moved is None else moved
    while True:
        reached = [_reached(descendants, world, moved) for world in worlds]
        # Prediction
        try:
            return _predicted(query, abduction, worlds, reached, layout, shared, unchecked, replay)
        except _Moved as found:
            moved.add(found.site)
            learn({name: value[0, 0] for name, value in abduction.factual.items()}, found.units)


def _predicted(
    query: Query,
    abduction: Abduction,
    worlds: Sequence[World],
    reached: Sequence[frozenset[str]],
    layout: Layout,
    shared: dict[str, Tensor] | None,
    unchecked: bool,
    replay: Replay,
) -> Prediction:
    noise, unknown = abduction.noise.parted()
    lifted = lift([(*abduction.world, *world) for world in worlds])

    def run(query: Query, given: Tensors) -> tuple[Tensors, Any]:
        known = query.noise(layout.units, layout.draws)
        known.known = {**given["noise"], **unknown}
        run = _PredictionRun(
            query,
            layout,
            replace(
                abduction, noise=known, factual=given["factual"], densities=given["densities"]
            ),
            lifted.worlds(given["worlds"]),
            reached,
            dict(given["shared"]),
            unchecked,
        )
        run.run()
        results = {"values": run.results(), "natural": run.results(run.natural_values)}
        return results, frozenset(run.redrawn)

    kind = lifted.kind and (
        "predict",
        lifted.kind,
        len(abduction.world),
        layout,
        tuple(reached),
        unchecked,
    )
    tensors = {
        "noise": noise,
        "factual": dict(abduction.factual),
        "densities": {} if unchecked else dict(abduction.densities),
        "worlds": lifted.values,
        "shared": shared or {},
    }
    found, redrawn = replay(kind, query, tensors, run)
    return Prediction(found["values"], found["natural"], redrawn)


def _reached(
    descendants: Callable[[str], Iterable[str]], world: World, moved: Iterable[str]
) -> frozenset[str]:
    """Return what a world's interventions reach; a target counts only below another one."""
    below: list[Iterable[str]] = [descendants(name) for name in targets(world)]
    if world:
        below += [moved, *(descendants(name) for name in moved)]
    return frozenset().union(*below)


class _Moved(Exception):
    """A site moved, at some units, that the graph does not connect with any intervention."""

    def __init__(self, site: str, units: Tensor) -> None:
        self.site, self.units = site, units
        super().__init__(site)


class _PredictionRun(StructuralRun):
    """Recomputes what an intervention reaches, and copies the rest from the factual world."""

    def __init__(
        self,
        query: Query,
        layout: Layout,
        abduction: Abduction,
        worlds: Sequence[World],
        reached: Sequence[frozenset[str]],
        shared: dict[str, Tensor] | None,
        unchecked: bool,
    ) -> None:
        # Each world does first what was in force when the evidence was seen.
        first = len(abduction.world)
        super().__init__(query, layout, abduction.noise, [w[first:] for w in worlds], shared)
        standing = [world[:first] for world in worlds]
        self.standing_actions, self.standing_edges = by_site(standing), edges_by_target(standing)
        self.notes_sources = bool(self.edges or self.standing_edges)
        self.abduction, self.reached, self.unchecked = abduction, reached, unchecked

    def recomputed(self, site: Site) -> set[int]:
        """Return the worlds in which a site has not the value of the factual world."""
        reached = {index for index, names in enumerate(self.reached) if site.name in names}
        return reached | {index for index, _ in self.edges.get(site.name, ())}

    def edges_at(self, site: Site) -> Sequence[tuple[int, Edge]]:
        anew = self.recomputed(site)
        standing = self.standing_edges.get(site.name, ())
        return [*(pair for pair in standing if pair[0] in anew), *super().edges_at(site)]

    def acted(self, site: Site, natural: Tensor) -> Tensor:
        anew = self.recomputed(site)
        standing = self.standing_actions.get(site.name, ())
        actions = [pair for pair in standing if pair[0] in anew]
        if actions:
            natural = self.changed_by(actions, site, natural)
        return super().acted(site, natural)

    def natural(self, site: Site) -> Tensor:
        anew = self.recomputed(site)
        kept = [index not in anew for index in range(self.layout.worlds)]
        if not any(kept):
            return super().natural(site)
        factual = self.layout.to_rows(self.abduction.factual[site.name], len(site.inner))
        if not self.unchecked:
            self._check_unmoved(site, factual, kept)
        if all(kept):
            return factual
        value = super().natural(site).clone(memory_format=torch.contiguous_format)
        for index in [index for index, keep in enumerate(kept) if keep]:
            part = self.layout.world(factual, index, site.event_dim)
            self.layout.set_world(value, index, part, site.event_dim)
        return value

    def without_equation(self, site: Site, error: NotAbducible) -> Tensor:
        raise error

    def _check_unmoved(self, site: Site, factual: Tensor, kept: Sequence[bool]) -> None:
        if site.value is not None:
            if site.name in self.standing_actions or site.name in self.standing_edges:
                return  # the factual value is what was made of it, not what it would have been
            now = self.layout.from_rows(site.value, site.event_dim)
            before = self.abduction.factual[site.name]
        else:
            now = self.layout.from_rows(site.fn.log_prob(factual))
            before = self.abduction.densities[site.name]
        every = unmoved(now, before)
        same = torch.stack([every[:, index] for index, keep in enumerate(kept) if keep], 1)
        require(same, lambda: _Moved(site.name, units_where(~same)))


def unmoved(now: Tensor, before: Tensor) -> Tensor:
    """Say where a density or a computed value is what it was, up to rounding."""
    return torch.isclose(now, before.expand_as(now), rtol=1e-3, atol=1e-3, equal_nan=True)
