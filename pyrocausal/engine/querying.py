"""What a run of a query needs to know, and the noise that it draws or is given."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor

from pyrocausal.engine.rows import Layout, Program, RowMessenger, Site, run_on_rows
from pyrocausal.errors import NotAbducible
from pyrocausal.noise import Coupling, Stream, StructuralEquation, structural_equation

__all__ = ["SMALL", "Noise", "Query", "Replay", "Run", "Tensors", "eagerly", "input_rows"]

SMALL: Final = 20_000
"""Rows up to which every query is checked; in larger ones the checks would show in the time."""
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
        first: The number of the first unit, where the query is answered in chunks.
    """

    program: Program
    inputs: Mapping[str, Any]
    opens_units: bool
    variables: Mapping[str, Any]
    couplings: Mapping[str, Coupling]
    seed: int
    device: torch.device
    streams: Callable[..., Stream] = Stream
    first: int = 0

    def noise(self, units: int, draws: int = 1) -> Noise:
        """Return the noise of some units, nothing of which is known yet."""
        return Noise(self.seed, units, draws, self.device, self.streams, self.first)

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

    def run(self, messenger: RowMessenger, layout: Layout, **changed: Tensor) -> None:
        """Run the program on the rows of a layout; ``changed`` replaces inputs, rows first."""
        inputs = {name: input_rows(value, layout) for name, value in self.inputs.items()}
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
    first: int = 0
    known: dict[str, Tensor | NotAbducible] = field(default_factory=dict)

    def stream(self, name: str) -> Stream:
        """Return the random numbers of a site."""
        draws = self.draws if self.draws > 1 else None
        return self.streams(self.seed, name, self.units, draws, self.device, self.first)

    def of(self, name: str, equation: StructuralEquation, inner: tuple[int, ...]) -> Tensor:
        """Return a site's noise, ``(draws, 1, units, *inner, *noise)``."""
        if name not in self.known:
            self.known[name] = self.stacked(equation.draw(self.stream(name), inner))
        known = self.known[name]
        if isinstance(known, NotAbducible):
            raise known
        return known

    def parted(self) -> tuple[dict[str, Tensor], dict[str, NotAbducible]]:
        """Return the noise that is known, and the errors in the place of the rest."""
        errors = {name: u for name, u in self.known.items() if isinstance(u, NotAbducible)}
        return {name: u for name, u in self.known.items() if isinstance(u, Tensor)}, errors

    def stacked(self, value: Tensor) -> Tensor:
        """Bring what a stream gives to the shape ``(draws, 1, units, ...)``."""
        return value.reshape(self.draws, 1, self.units, *value.shape[1 + (self.draws > 1) :])


def input_rows(value: Any, layout: Layout) -> Any:
    """Return an argument of the program on the rows of a layout."""
    if not isinstance(value, Tensor):
        return value
    return layout.to_rows(value.reshape(1, 1, *value.shape))
