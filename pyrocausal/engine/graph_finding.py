"""Finding the graph of a program: pin all its sites, change one, and see which others move."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import pyro
import torch
from torch import Tensor

from pyrocausal.engine.base_points import BasePoints, base_points
from pyrocausal.engine.points import BREAKDOWNS, Column, Points, unbroken
from pyrocausal.engine.rows import Program
from pyrocausal.engine.tracing import Anatomy, parts_of, quiet_seed
from pyrocausal.graph import CausalGraph

__all__ = ["find_graph"]

_TRIES = 4  # to find a value other than the one that is there


def find_graph(
    program: Program,
    anatomy: Anatomy,
    inputs: Callable[[int], Mapping[str, Any]],
    latent: tuple[str, ...] = (),
    bases: Mapping[str, Tensor] | None = None,
) -> CausalGraph:
    """Read the graph off a program by pinning.

    With every site fixed at each of many base points (rows), one site takes other values; the
    sites whose distribution moves on some row are its children. Base points and other values come
    from the prior, from all over the support of one variable at a time, and from mixtures: all
    categories (to about 30), counts 0 to 20 and powers of 2, real numbers on both sides at scales
    to 1000 times their size.

    What pinning can't see is an edge that is active only on a set which no base point meets: an
    effect only where a count is 37, where a real number lies in a sliver, or where many rare
    things coincide. Such an edge is missing from the graph, so that its effect is missing from
    counterfactuals. ``bases`` are further base points: an edge that is active there is found.

    Args:
        program: The program.
        anatomy: What ``dissect`` found.
        inputs: Returns the program's arguments for a number of rows.
        latent: Variables to mark as latent.
        bases: Values of some variables or inputs on further rows, shape
            ``(rows, *inner plates, *event)``, NaN where not known; a variable that all units
            share has one value, shape ``(*inner plates, *event)``. The other variables vary.

    Raises:
        SitesChanged: The program has other sites than when it was probed.
    """
    edges: set[tuple[str, str]] = set()
    with quiet_seed(2), pyro.validation_enabled(False):
        for base in base_points(program, anatomy, inputs, bases):
            edges |= _edges_at(program, base)
        roots = [key.name for key in base.points.columns if key.given]
    names = [*roots, *anatomy.variables]
    ordered = sorted(edges, key=lambda edge: [names.index(name) for name in edge])
    return CausalGraph(ordered, latent=latent, nodes=names)


def _edges_at(program: Program, base: BasePoints) -> set[tuple[str, str]]:
    """Return the edges that are seen from some base points."""

    def sound(points: Points) -> Points:
        points.run(program)
        return points

    points = base.points.unbroken(sound)
    if not len(points.ids):
        return set()
    before, names = _readings(program, points), list(points.anatomy.variables)
    edges = set()
    for key, changed in _changes(points, base):
        later = names if key.given else names[names.index(key.name) + 1 :]
        moved = _moved(program, points, changed, before, later)
        edges |= {(key.name, child) for child in moved}
    return edges


def _changes(points: Points, base: BasePoints) -> Iterator[tuple[Column, Points]]:
    """Yield points where one variable or input has other values, with its column."""
    for key, value in points.columns.items():
        yield key, points.having({key: _others(value, base.others[key])})
    for name, value in points.shared.items():
        others = [other for other in base.shared[name] if not torch.equal(other, value)]
        for other in others[:2]:
            yield Column(name), replace(points, shared={**points.shared, name: other})


def _others(value: Tensor, choice: Tensor) -> Tensor:
    """Return one of the values to choose from for each row, most often another than it has."""
    other = choice[torch.randint(len(choice), (len(value),))]
    for _ in range(_TRIES):
        again = (other == value).flatten(1).all(1) if value.dim() > 1 else other == value
        rows = again.nonzero()[:, 0]
        other[rows] = choice[torch.randint(len(choice), (len(rows),))]
    return other


def _moved(
    program: Program,
    points: Points,
    changed: Points,
    before: Mapping[str, "_Reading"],
    later: Sequence[str],
) -> set[str]:
    """Return the later sites whose distribution differs between two sets of points."""

    def attempt(rows: slice) -> set[str]:
        whole = rows == points.all
        first = before if whole else _readings(program, points.take(rows))
        second = _readings(program, changed if whole else changed.take(rows))
        return {name for name in later if first[name].differs(second[name])}

    return set().union(*unbroken(points.all, attempt))


def _readings(program: Program, points: Points) -> dict[str, "_Reading"]:
    found = points.run(program)
    return {name: _Reading(found[name], points.of(name)) for name in points.anatomy.variables}


class _Reading:
    """What a pinned run found at a site, and the value the site has there."""

    def __init__(self, found: Any, value: Tensor) -> None:
        self.found, self.value = found, value

    @cached_property
    def parts(self) -> dict[str, Tensor]:
        """The tensors that the distribution is made of."""
        return dict(parts_of(self.found))

    @cached_property
    def density(self) -> Tensor | None:
        """The log-density of the value; it may depend on what no part shows."""
        if isinstance(self.found, Tensor):
            return None
        try:
            found: Tensor = self.found.log_prob(self.value)
        except BREAKDOWNS:
            # The value lies outside the support that the site has here.
            return None
        return found

    def differs(self, other: "_Reading") -> bool:
        """Say whether the site has another distribution, or another computed value, there."""
        if type(self.found) is not type(other.found):
            return True
        shared = self.parts.keys() & other.parts.keys()
        if any(_differ(self.parts[key], other.parts[key]) for key in shared):
            return True
        first, second = self.density, other.density
        return first is not None and second is not None and _differ(first, second)


def _differ(first: Tensor, second: Tensor) -> bool:
    """Say whether numbers differ; NaN, as of inf - inf far from the prior, tells nothing."""
    if first.shape != second.shape:
        return True
    if torch.equal(first, second):
        return False
    known = ~(first.isnan() | second.isnan())
    return bool((known & (first != second)).any())
