"""Running a program with every site fixed: what would it have used there?"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pyrocausal.engine.rows import Program, RowMessenger, Site, run_on_rows

__all__ = ["OTHER_SITES", "SitesChanged", "run_pinned"]

OTHER_SITES = (
    "The program has other sites on other runs: {}. An SCM's variables are fixed: let their "
    "values, not their presence, depend on chance."
)


class SitesChanged(ValueError):
    """The program has other sites than when it was probed."""

    def __init__(self, name: str) -> None:
        super().__init__(OTHER_SITES.format(f"{name!r} comes and goes"))


def run_pinned(
    program: Program,
    values: Mapping[str, Tensor],
    rows: int,
    inputs: Mapping[str, Any],
    *,
    opens_units: bool,
    settle: bool = False,
) -> dict[str, Any]:
    """Run a program with every site fixed, and return what it would have used there.

    Args:
        program: The program.
        values: Site to its value, in program shape.
        rows: How many rows.
        inputs: The program's arguments, rows first.
        opens_units: Whether the program opens the units plate itself.
        settle: Whether deterministic sites follow from the others, instead of being fixed.

    Returns:
        Site to distribution, or to the computed value of a deterministic site.

    Raises:
        SitesChanged: The program has other sites than those that are fixed.
    """
    pinned = _Settled(values) if settle else _Pinned(values)
    run_on_rows(program, pinned, rows, inputs, opens_units=opens_units)
    for name in values:
        if name not in pinned.found:
            raise SitesChanged(name)
    return pinned.found


class _Pinned(RowMessenger):
    """Gives every site a fixed value, and notes what the program would have used there."""

    def __init__(self, pinned: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.pinned = pinned
        self.found: dict[str, Any] = {}

    def visit(self, site: Site) -> Tensor:
        if site.name not in self.pinned:
            raise SitesChanged(site.name)
        self.found[site.name] = site.fn if site.value is None else site.value
        return self.pinned[site.name]


class _Settled(_Pinned):
    """Leaves each deterministic site the value that the program computes."""

    def visit(self, site: Site) -> Tensor:
        pinned = super().visit(site)
        return pinned if site.value is None else site.value
