"""The handler ``worlds``."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pyrocausal.engine.evidence import count_of
from pyrocausal.engine.querying import Query
from pyrocausal.engine.rows import Layout, Site, UnitsPlate
from pyrocausal.engine.structural import StructuralRun
from pyrocausal.handlers.named import Wrapping, check_met, without_edges
from pyrocausal.interventions import read_worlds, targets
from pyrocausal.noise import Coupling, draw_seed, read_couplings
from pyrocausal.noise.equation import device_of

__all__ = ["worlds"]


def worlds(
    program: Any = None,
    interventions: Any = None,
    /,
    *,
    size: int,
    noise: Mapping[str, Coupling] | None = None,
    seed: int | None = None,
) -> Any:
    """Run a program in several worlds of the same units: all worlds share the units' noise.

    The program runs inside one plate ``units`` of ``worlds * size`` rows, the worlds outermost.

    Args:
        program: The program; leave it out for a context manager or decorator.
        interventions: A list of interventions, one a world; see ``SCM.do``.
        size: Number of units.
        noise: Site to coupling, for discrete sites.
        seed: The seed of the units' noise: with one, each run is of the same units, also in a loop
            such as Pyro's ``Predictive``; without, each run draws new units.

    Returns:
        The program under the handler; without a program, a context manager and decorator.

    Raises:
        UnknownVariable: After the run, when the program has no such site.
        NotAbducible: A site whose distribution has no structural equation.

    Example:
        >>> def program():
        ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
        ...     return pyro.sample("y", dist.Normal(2 * x, 1.0))
        >>> y = worlds(program, [{"x": 0.0}, {"x": 1.0}], size=3, seed=0)()
        >>> y.view(2, 3).diff(dim=0).round(decimals=4)
        tensor([[2., 2., 2.]])
    """
    if not callable(program):
        program, interventions = None, program
    size = count_of(size, "the size of pc.worlds()")
    handler = _Worlds(interventions, size, read_couplings(noise), seed)
    return handler if program is None else handler(program)


class _Worlds(Wrapping, StructuralRun):
    def __init__(
        self, interventions: Any, size: int, couplings: dict[str, Coupling], seed: int | None
    ) -> None:
        every, _ = read_worlds(interventions)
        for item in (item for world in every for item in world):
            without_edges(item)
        query = Query(_nothing, {}, False, {}, couplings, 0, torch.get_default_device())
        super().__init__(query, Layout(size, len(every)), query.noise(size), every)
        self.seed = seed

    def __enter__(self) -> Any:
        self.values, self.event_dims, self.natural_values = {}, {}, {}
        self.shared = {}
        seed = draw_seed() if self.seed is None else self.seed
        self.query = replace(self.query, seed=seed)
        self.noise = self.query.noise(self.layout.units)
        super().__enter__()
        self.plate = UnitsPlate(self.layout.rows)
        self.plate.__enter__()
        return self

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        self.plate.__exit__(exc_type, exc_value, traceback)
        super().__exit__(exc_type, exc_value, traceback)
        if exc_type is None:
            check_met((n for world in self.worlds for n in targets(world)), self.values, "worlds")
            check_met(self.query.couplings, self.values, "noise")

    def structural(self, site: Site) -> Tensor:
        # A program without an SCM has no device of its own: its parameters say where to work.
        self.noise.device = device_of(site.fn) or self.query.device
        return super().structural(site)

    def factor(self, name: str) -> None:
        """Leave factors to the handlers outside: a bare handler answers no query."""


def _nothing() -> None:
    """The program of a query that never runs one: the handler is around it."""
