"""The handler ``worlds``."""

from collections.abc import Mapping
from typing import Any

import torch

from pyrocausal.engine.evidence import count_of
from pyrocausal.engine.rows import Layout, UnitsPlate
from pyrocausal.engine.structural import Noise, Query, StructuralRun
from pyrocausal.handlers.named import check_met, without_edges
from pyrocausal.interventions import read_worlds, targets
from pyrocausal.noise import Coupling, draw_seed, read_couplings

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
        seed: The seed of the units' noise.

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


class _Worlds(StructuralRun):
    def __init__(
        self, interventions: Any, size: int, couplings: dict[str, Coupling], seed: int | None
    ) -> None:
        every, _ = read_worlds(interventions)
        for item in (item for world in every for item in world):
            without_edges(item)
        device = torch.get_default_device()
        seed = draw_seed() if seed is None else seed
        query = Query(_nothing, {}, False, {}, couplings, seed, device)
        super().__init__(query, Layout(size, len(every)), Noise(seed, size, 1, device), every)

    def __enter__(self) -> Any:
        self.values, self.event_dims, self.natural_values = {}, {}, {}
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

    def factor(self, name: str) -> None:
        """Leave factors to the handlers outside: a bare handler answers no query."""


def _nothing() -> None:
    """The program of a query that never runs one: the handler is around it."""
