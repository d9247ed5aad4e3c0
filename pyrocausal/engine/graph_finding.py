"""Finding the graph of a program: pin all its sites, change one, and see which others move."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import pyro
import torch
from torch import Tensor

from pyrocausal.engine.base_points import BasePoints, Column, Points, base_points, unbroken
from pyrocausal.engine.rows import Program
from pyrocausal.engine.tracing import Anatomy, parts_of, quiet_seed
from pyrocausal.graph import CausalGraph

__all__ = ["find_graph"]


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

    def seen(points: Points) -> set[tuple[str, str]]:
        before = _readings(program, points)
        return {
            (cause, child)
            for cause, changed in _changes(points, base)
            for child in _moved(program, before, points, changed)
        }
    return set().union(*unbroken(base.points, seen))
