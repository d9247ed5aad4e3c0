"""Running a program as structural equations: noise first, then the interventions of each world."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pyrocausal.engine.evidence import cast
from pyrocausal.engine.pinning import SitesChanged
from pyrocausal.engine.placing import changed, check_finite, check_support, place, spread
from pyrocausal.engine.rows import Layout, Program, RowMessenger, Site, run_on_rows
from pyrocausal.engine.tracing import quiet_seed
from pyrocausal.errors import NotAbducible
from pyrocausal.interventions import (
    Action,
    Edge,
    Mechanism,
    RunSoFar,
    Set,
    Stochastic,
    World,
)
from pyrocausal.noise import Coupling, Stream, StructuralEquation, structural_equation

__all__ = ["Noise", "Query", "Replay", "Run", "StructuralRun", "Tensors", "eagerly"]

Tensors = dict[str, dict[str, Tensor]]
"""Tensors by group and name."""


@dataclass(frozen=True)
class Query:
    """What one run of the program needs to know.

    Attributes:
        program: The program.
        inputs: Its arguments, one row a unit.
        opens_units: Whether the program opens the units plate itself.
        variables: Its variables, by name; none where they are not known.
        couplings: Site to coupling.
        seed: The seed of all noise.
        device: Where the noise lives.
        streams: Makes a stream of random numbers.
    """

    program: Program
    inputs: Mapping[str, Any]
    opens_units: bool
    variables: Mapping[str, Any]
    couplings: Mapping[str, Coupling]
    seed: int
    device: torch.device
    streams: Callable[..., Stream] = Stream

    def noise(self, units: int, draws: int = 1) -> "Noise":
        """Return the noise of some units, nothing of which is known yet."""
        return Noise(self.seed, units, draws, self.device, self.streams)

    def equation(self, site: Site) -> StructuralEquation:
        """Return a site's structural equation under the coupling chosen for it.

        Raises:
            NotAbducible: The site's family has no equation.
            ValueError: It has one, but not under this coupling.
        """
        coupling = self.couplings.get(site.name)
        try:
            return structural_equation(site.fn, coupling, site.name)
        except NotAbducible:
            if not isinstance(coupling, str):
                raise
            raise ValueError(
                f"noise[{site.name!r}] is {coupling!r}, which {type(site.fn).__name__} doesn't "
                "have. Leave it out for the family's own, or give a function."
            ) from None

    def run(self, messenger: "RowMessenger", layout: Layout, **changed: Tensor) -> None:
        """Run the program on the rows of a layout; ``changed`` replaces inputs, rows first."""
        inputs = {name: _input_rows(value, layout) for name, value in self.inputs.items()}
        inputs.update(changed)
        run_on_rows(self.program, messenger, layout.rows, inputs, opens_units=self.opens_units)


Run = Callable[[Query, Tensors], tuple[Tensors, Any]]
"""Returns results, and what was found that does not depend on the values of tensors."""
Replay = Callable[[Hashable, Query, Tensors, Run], tuple[Tensors, Any]]
"""Does a run of some kind, or plays one of the same kind again; ``None`` is no kind."""


def eagerly(kind: Hashable, query: Query, tensors: Tensors, run: Run) -> tuple[Tensors, Any]:
    """Do a run, without looking for one of the same kind."""
    return run(query, tensors)


@dataclass
class Noise:
    """The exogenous noise of one set of units, drawn where it is not known yet.

    Attributes:
        known: Site to noise, shape ``(draws, 1, units, *inner, *noise)``; a site whose noise
            can't be had maps to the error that says why.
    """

    seed: int
    units: int
    draws: int
    device: torch.device
    streams: Callable[..., Stream] = Stream
    known: dict[str, Tensor | NotAbducible] = field(default_factory=dict)

    def stream(self, name: str) -> Stream:
        """Return the random numbers of a site."""
        draws = self.draws if self.draws > 1 else None
        return self.streams(self.seed, name, self.units, draws, self.device)

    def of(self, name: str, equation: StructuralEquation, inner: tuple[int, ...]) -> Tensor:
        """Return a site's noise, ``(draws, 1, units, *inner, *noise)``."""
        if name not in self.known:
            self.known[name] = self.stacked(equation.draw(self.stream(name), inner))
        known = self.known[name]
        if isinstance(known, NotAbducible):
            raise known
        return known

    def stacked(self, value: Tensor) -> Tensor:
        """Bring what a stream gives to the shape ``(draws, 1, units, ...)``."""
        return value.reshape(self.draws, 1, self.units, *value.shape[1 + (self.draws > 1) :])


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
        self.actions = _by_site(worlds)
        self.edges = _edges_by_target(worlds)
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
        if self.edges and not site.deterministic:
            self.sources[site.name] = site.fn
        if site.shared:
            self.shared_names.add(site.name)
            return self._visit_shared(site)
        value = self.natural(site)
        if site.name in self.edges:
            value = self._follow_edges(site, value)
        if site.name in self.actions:
            value = self._act(site, value)
        return value

    def natural(self, site: Site) -> Tensor:
        """Return what the site's own equation gives, in program shape."""
        return self._value_of(site)

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
        with quiet_seed(self.query.streams(self.query.seed, site.name, 1).key(0)):
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
        return value

    def _act(self, site: Site, natural: Tensor) -> Tensor:
        name = site.name
        self.natural_values[name] = natural
        if all(isinstance(action, Set) for _, action in self.actions[name]):
            value = self._set(site, natural)
        else:
            value = self._changed(site, natural)
            check_finite(value, name)
        if site.value is None:
            check_support(site.fn, value, f"do({name!r})")
        return value

    def _set(self, site: Site, natural: Tensor) -> Tensor:
        layout, dim = self.layout, site.event_dim
        actions = self.actions[site.name]
        values = {index: action.value for index, action in actions if isinstance(action, Set)}
        parts = []
        for index in range(layout.worlds):
            part = layout.world(natural, index, dim)
            if index in values:
                part = place(values[index], part, dim, layout, site.name)
            parts.append(part)
        return layout.joined(parts, dim)

    def _changed(self, site: Site, natural: Tensor) -> Tensor:
        layout, name, event_dim = self.layout, site.name, site.event_dim
        value = natural.clone(memory_format=torch.contiguous_format)
        for index, action in self.actions[name]:
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
        equation = structural_equation(fn, None, site.name)
        stream = site.name
        if isinstance(action, Stochastic) or not self._same_noise(site, equation):
            stream = f"{site.name}.do"
            self.redrawn.add(site.name)
        noise = self.noise.of(stream, equation, site.inner)
        value = equation.forward_rows(noise, one.shape, len(site.inner))
        return cast(value, part.dtype, f"do({site.name!r})")

    def _same_noise(self, site: Site, equation: StructuralEquation) -> bool:
        if site.value is not None:
            return False
        return _law(self.query.equation(site)) == _law(equation)

    def _follow_edges(self, site: Site, natural: Tensor) -> Tensor:
        pinned, inputs = self._seen_through_edges(site)
        until = _Until(pinned, site.name)
        with suppress(_Reached):
            self.query.run(until, self.layout, **inputs)
        assert until.found is not None
        value = natural.clone(memory_format=torch.contiguous_format)
        other = self._value_of(until.found)
        for index in {index for index, _ in self.edges[site.name]}:
            part = self.layout.world(other, index, site.event_dim)
            self.layout.set_world(value, index, part, site.event_dim)
        return value

    def _seen_through_edges(self, site: Site) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the values and the inputs that a site's equation is evaluated with."""
        pinned: dict[str, Tensor] = dict(self.values)
        inputs: dict[str, Tensor] = {}
        for index, edge in self.edges[site.name]:
            if edge.source in pinned:
                old, dim = pinned[edge.source], self.event_dims[edge.source]
            else:
                old = inputs.get(
                    edge.source, _input_rows(self.query.inputs[edge.source], self.layout)
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
        if name in self._run.shared_names:
            return value
        return self._run.layout.world(value, self._index, self._run.event_dims[name])


def _by_site(worlds: Sequence[World]) -> dict[str, list[tuple[int, Action]]]:
    actions: dict[str, list[tuple[int, Action]]] = {}
    for index, item in _items(worlds):
        if not isinstance(item, Edge):
            actions.setdefault(item[0], []).append((index, item[1]))
    return actions


def _edges_by_target(worlds: Sequence[World]) -> dict[str, list[tuple[int, Edge]]]:
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
    return type(noise), tuple(equation.noise_shape)


def _input_rows(value: Any, layout: Layout) -> Any:
    if not isinstance(value, Tensor):
        return value
    return layout.to_rows(value.reshape(1, 1, *value.shape))
