"""Simulating units for a guide to learn from."""

from __future__ import annotations

from torch import Tensor

from pyrocausal.engine.rows import RowMessenger, Site, run_on_rows
from pyrocausal.engine.tracing import quiet_seed
from pyrocausal.verbs.core import Core

__all__ = ["simulate"]


def simulate(core: Core, units: int, seed: int) -> dict[str, Tensor]:
    """Draw units, each variable by its distribution's own ``sample``.

    The law is that of ``SCM.sample``, without its noise, which takes a quantile function for some.

    Args:
        core: What belongs to the SCM.
        units: How many.
        seed: The seed.

    Returns:
        Variable to values, shape ``(units, *inner, *event)``.

    Raises:
        ValueError: The program has a ``pyro.factor``.
    """
    run = _Simulation()
    with core.session(), quiet_seed(seed):
        run_on_rows(core.program, run, units, {}, opens_units=core.anatomy.opens_units)
    variables = core.anatomy.variables
    return {n: value.movedim(len(variables[n].inner), 0) for n, value in run.values.items()}


class _Simulation(RowMessenger):
    """Draws each variable anew."""

    def visit(self, site: Site) -> Tensor:
        value: Tensor = site.fn.sample() if site.value is None else site.value
        return value

    def factor(self, name: str) -> None:
        raise ValueError(
            f"The program has the factor statement {name!r}, which simulations can't heed. Write "
            "it as an observed site."
        )
