"""Running a program as structural equations: noise first, then the interventions of each world."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from pyrocausal.engine.casting import cast
from pyrocausal.engine.pinning import SitesChanged
from pyrocausal.engine.placing import (
    changed,
    check_finite,
    check_support,
    leaves_support,
    place,
    place_numbers,
    spread,
)
from pyrocausal.engine.querying import SMALL, Noise, Query, input_rows
from pyrocausal.engine.rows import Layout, RowMessenger, Site
from pyrocausal.engine.so_far import RunSoFar
from pyrocausal.engine.tracing import quiet_seed
from pyrocausal.errors import NotAbducible
from pyrocausal.interventions import (
    Action,
    Edge,
    Mechanism,
    Set,
    Stochastic,
    World,
)
from pyrocausal.noise import StructuralEquation, structural_equation
from pyrocausal.requirements import require

__all__ = ["StructuralRun", "by_site", "edges_by_target"]


class StructuralRun(RowMessenger):
    """Runs a program as ``X = f(pa, U)``, with the interventions of several worlds.

    Attributes:
        natural_values: What intervened sites would have been, in program shape.
        redrawn: Sites whose mechanism was replaced by one with other noise.
        shared_names: Sites outside the units plate; they have no rows.
    """

    def __init__(
        self,
        query: Query,
        layout: Layout,
        noise: Noise,
        worlds: Sequence[World] = ((),),
        shared: dict[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.query, self.layout, self.noise, self.worlds = query, layout, noise, worlds
        self.shared = {} if shared is None else shared
        self.natural_values: dict[str, Tensor] = {}
        self.redrawn: set[str] = set()
        self.shared_names: set[str] = set()
        self.reads: dict[str, set[str]] = {}  # what the rule of a site has looked at
        self.actions = by_site(worlds)
        self.edges = edges_by_target(worlds)
        self.notes_sources = bool(self.edges)
        self._fresh: dict[tuple[str, Hashable], Tensor] = {}
        self.sources: dict[str, Any] = {}  # distributions whose support an edge's value is in

    def run(self) -> None:
        """Run the program.

        Raises:
            SitesChanged: It has other sites than when it was probed.
        """
        self.query.run(self, self.layout)
        for name in self.query.variables:
            if name not in self.values:
                raise SitesChanged(name)

    def results(self, values: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Return values (default: all) in result shape, without what all units share."""
        values = self.values if values is None else values
        return {
            name: self.layout.from_rows(value, self.event_dims[name])
            for name, value in values.items()
            if name not in self.shared_names
        }

    def factor(self, name: str) -> None:
        raise ValueError(
            f"The program has the factor statement {name!r}, which is no variable: it changes the "
            "density without saying how anything comes about. sample() and counterfactual() refuse "
            "it; fit() accepts it. Write it as an observed site to ask causal questions."
        )

    def visit(self, site: Site) -> Tensor:
        if self.query.variables and site.name not in self.query.variables:
            raise SitesChanged(site.name)
        if self.notes_sources and not site.deterministic:
            self.sources[site.name] = site.fn
        if site.shared:
            self.shared_names.add(site.name)
            return self._visit_shared(site)
        value = self.acted(site, self.natural(site))
        if self.layout.rows <= SMALL:
            self._refuse_nan(site, value)
        return value

    def _refuse_nan(self, site: Site, value: Tensor) -> None:
        if value.is_floating_point():
            require(
                ~value.isnan(),
                lambda: ValueError(
                    f"The program gives NaN at {site.name!r}. Look at what it is computed from: a "
                    "logarithm or root of a negative number, a division by zero."
                ),
            )

    def natural(self, site: Site) -> Tensor:
        """Return what the site's own equation gives, in program shape."""
        value = self._value_of(site)
        edges = self.edges_at(site)
        if not edges:
            return value
        other = self._value_of(self.through_edges(site))
        value = value.clone(memory_format=torch.contiguous_format)
        for index in {index for index, _ in edges}:
            part = self.layout.world(other, index, site.event_dim)
            self.layout.set_world(value, index, part, site.event_dim)
        return value

    def edges_at(self, site: Site) -> Sequence[tuple[int, Edge]]:
        """Return the edges into a site that are intervened on, with the number of the world."""
        return self.edges.get(site.name, ())

    def structural(self, site: Site) -> Tensor:
        """Return ``f(pa, U)``."""
        try:
            equation = self.query.equation(site)
        except NotAbducible as error:
            return self.without_equation(site, error)
        noise = self.noise.of(site.name, equation, site.inner)
        return equation.forward_rows(noise, self.layout.shape, len(site.inner))

    def without_equation(self, site: Site, error: NotAbducible) -> Tensor:
        """Draw a site that has no structural equation, where one world is asked for."""
        if len(self.worlds) > 1:
            raise error
        # Such a site draws by itself, chunk by chunk.
        key = self.query.streams(self.query.seed, site.name, 1).key(self.query.first)
        with quiet_seed(key):
            return site.fn.sample()  # type: ignore[no-any-return]

    def _visit_shared(self, site: Site) -> Tensor:
        name = site.name
        if site.value is not None:
            value = site.value
        else:
            if name not in self.shared:
                with quiet_seed(self.query.streams(self.query.seed, name, 1).key(0)):
                    self.shared[name] = site.fn.sample()
            value = self.shared[name]
        for _, action in self.actions.get(name, ()):
            if len(self.worlds) > 1:
                raise ValueError(
                    f"do({name!r}): all units share this variable, so several worlds can't differ "
                    "in it at once. Ask for one world at a time."
                )
            self.natural_values.setdefault(name, value)
            values = _WorldValues(self, 0, name)
            value = changed(action, name, value, values, site.event_dim, None)
            if site.value is None:
                check_support(site.fn, value, f"do({name!r})")
        return value

    def acted(self, site: Site, natural: Tensor) -> Tensor:
        """Return what the interventions make of a site's natural value in each world."""
        actions = self.actions.get(site.name)
        if not actions:
            return natural
        self.natural_values[site.name] = natural
        return self.changed_by(actions, site, natural)

    def changed_by(
        self, actions: Sequence[tuple[int, Action]], site: Site, value: Tensor
    ) -> Tensor:
        """Return what actions, each in a world, make of a site's value."""
        if all(isinstance(action, Set) for _, action in actions):
            value = self._set(site, value, actions)
        else:
            value = self._changed(site, value, actions)
            check_finite(value, site.name)
        if site.value is None:
            check_support(site.fn, value, f"do({site.name!r})")
            if leaves_support(site.fn, value):
                # What is below may have no meaning there: from here on torch checks parameters.
                torch.distributions.Distribution.set_default_validate_args(True)
        return value

    def _set(self, site: Site, natural: Tensor, actions: Sequence[tuple[int, Action]]) -> Tensor:
        layout, dim = self.layout, site.event_dim
        values = {index: action.value for index, action in actions if isinstance(action, Set)}
        numbers = [value for value in values.values() if not getattr(value, "shape", ())]
        if len(numbers) == len(actions) == layout.worlds == len(values):
            in_order = [values[index] for index in range(layout.worlds)]
            return place_numbers(in_order, natural, dim, layout, site.name)
        parts = []
        for index in range(layout.worlds):
            part = layout.world(natural, index, dim)
            if index in values:
                part = place(values[index], part, dim, layout, site.name)
            parts.append(part)
        return layout.joined(parts, dim)

    def _changed(
        self, site: Site, natural: Tensor, actions: Sequence[tuple[int, Action]]
    ) -> Tensor:
        layout, name, event_dim = self.layout, site.name, site.event_dim
        value = natural.clone(memory_format=torch.contiguous_format)
        for index, action in actions:
            part = layout.world(value, index, event_dim)
            if isinstance(action, Stochastic | Mechanism):
                new = self._redistribute(site, action, index, part)
            else:
                values = _WorldValues(self, index, name)
                new = changed(action, name, part, values, event_dim, layout)
            layout.set_world(value, index, new, event_dim)
        return value

    def _redistribute(
        self, site: Site, action: Stochastic | Mechanism, index: int, part: Tensor
    ) -> Tensor:
        one = Layout(self.layout.units, 1, self.layout.draws)
        if isinstance(action, Stochastic):
            fn = action.distribution
        else:
            fn = action.function(_WorldValues(self, index, site.name))
        fn = spread(fn, part, site.event_dim, site.name)
        equation = self._replacing(site, fn)
        if isinstance(action, Mechanism) and self._same_noise(site, equation):
            noise = self.noise.of(site.name, equation, site.inner)
        else:
            self.redrawn.add(site.name)
            noise = self._fresh_noise(site, equation)
        value = equation.forward_rows(noise, one.shape, len(site.inner))
        return cast(value, part.dtype, f"do({site.name!r})")

    def _replacing(self, site: Site, fn: Any) -> StructuralEquation:
        """Return the equation of a distribution in a site's place, coupled as the site is."""
        coupling = self.query.couplings.get(site.name)
        if isinstance(coupling, str):
            with suppress(NotAbducible):
                return structural_equation(fn, coupling, site.name)
        return structural_equation(fn, None, site.name)

    def _fresh_noise(self, site: Site, equation: StructuralEquation) -> Tensor:
        # Distributions of one noise law share it in all worlds; others of the site don't.
        law = _law(equation)
        if (site.name, law) not in self._fresh:
            stream = self.noise.stream(f"{site.name}.do")
            self._fresh[site.name, law] = self.noise.stacked(equation.draw(stream, site.inner))
        return self._fresh[site.name, law]

    def _same_noise(self, site: Site, equation: StructuralEquation) -> bool:
        if site.value is not None:
            return False
        try:
            return _law(self.query.equation(site)) == _law(equation)
        except NotAbducible:
            return False

    def through_edges(self, site: Site) -> Site:
        """Return the site as it is where the sources of its edges have the intervened values."""
        pinned, inputs = self._seen_through_edges(site)
        until = _Until(pinned, site.name)
        with suppress(_Reached):
            self.query.run(until, self.layout, **inputs)
        assert until.found is not None
        return until.found

    def _seen_through_edges(self, site: Site) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the values and the inputs that a site's equation is evaluated with."""
        pinned: dict[str, Tensor] = dict(self.values)
        inputs: dict[str, Tensor] = {}
        for index, edge in self.edges_at(site):
            if edge.source in pinned:
                old, dim = pinned[edge.source], self.event_dims[edge.source]
            else:
                old = inputs.get(
                    edge.source, input_rows(self.query.inputs[edge.source], self.layout)
                )
                dim = old.dim() - 1
            new = old.clone(memory_format=torch.contiguous_format)
            part = self.layout.world(new, index, dim)
            self.layout.set_world(
                new, index, place(edge.value, part, dim, self.layout, edge.source), dim
            )
            if edge.source in self.sources:
                what = f"edge({edge.source!r}, {edge.target!r})"
                check_support(self.sources[edge.source], new, what)
            (pinned if edge.source in pinned else inputs)[edge.source] = new
        return pinned, inputs

    def _value_of(self, site: Site) -> Tensor:
        return site.value if site.value is not None else self.structural(site)


class _Reached(Exception):
    """The site that was looked for."""


class _Until(RowMessenger):
    """Pins every site up to one, and stops there."""

    def __init__(self, pinned: Mapping[str, Tensor], target: str) -> None:
        super().__init__()
        self.pinned, self.target = pinned, target
        self.found: Site | None = None

    def visit(self, site: Site) -> Tensor:
        if site.name == self.target:
            self.found = site
            raise _Reached
        return self.pinned[site.name]


class _WorldValues(RunSoFar):
    """The values of one world's rows, cut out when they are read."""

    def __init__(self, run: StructuralRun, index: int, site: str) -> None:
        super().__init__(run.values, site, tuple(run.query.variables))
        self._run, self._index = run, index

    def __getitem__(self, name: str) -> Tensor:
        value = super().__getitem__(name)
        self._run.reads.setdefault(self._site, set()).add(name)
        if name in self._run.shared_names:
            return value
        return self._run.layout.world(value, self._index, self._run.event_dims[name])


def by_site(worlds: Sequence[World]) -> dict[str, list[tuple[int, Action]]]:
    """Return the actions on each site, with the number of the world."""
    actions: dict[str, list[tuple[int, Action]]] = {}
    for index, item in _items(worlds):
        if not isinstance(item, Edge):
            actions.setdefault(item[0], []).append((index, item[1]))
    return actions


def edges_by_target(worlds: Sequence[World]) -> dict[str, list[tuple[int, Edge]]]:
    """Return the edges into each site, with the number of the world."""
    edges: dict[str, list[tuple[int, Edge]]] = {}
    for index, item in _items(worlds):
        if isinstance(item, Edge):
            edges.setdefault(item.target, []).append((index, item))
    return edges


def _items(worlds: Sequence[World]) -> Iterator[tuple[int, tuple[str, Action] | Edge]]:
    for index, world in enumerate(worlds):
        for item in world:
            yield index, item


def _law(equation: StructuralEquation) -> tuple[Any, ...]:
    noise = equation.noise
    while hasattr(noise, "base_dist") and hasattr(noise, "reinterpreted_batch_ndims"):
        noise = noise.base_dist
    parts = tuple(_law(part) for part in equation.parts)
    # A joint noise is told by what it joins, and by what joins it.
    return type(equation) if parts else type(noise), tuple(equation.noise_shape), parts
