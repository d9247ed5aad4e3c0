"""Captured graphs, kept with the model that they belong to."""

from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar

__all__ = ["cached"]

SIZE = 8  # graphs kept for each model; the oldest go first


class Guarded(Protocol):
    """What can tell that it is out of date: a ``Captured``, or what holds one."""

    def stale(self) -> str | None:
        """Name what has changed."""


Kept = TypeVar("Kept", bound=Guarded)


def cached(owner: Any, key: Hashable, make: Callable[[], Kept]) -> Kept:
    """Return a captured graph, making it anew where there is none or the program has changed.

    Args:
        owner: What the graph is kept with, such as an SCM's core.
        key: Says which graph: what was asked, and the shapes, dtypes and devices.
        make: Captures it.

    Raises:
        NotCapturable: As ``make`` raises it.
    """
    graphs: dict[Hashable, Any] = vars(owner).setdefault("_graphs", {})
    found: Kept | None = graphs.pop(key, None)
    if found is None or found.stale() is not None:
        found = make()
    graphs[key] = found  # the latest used is the last to go
    while len(graphs) > SIZE:
        del graphs[next(iter(graphs))]
    return found
