"""Graphs in notebooks: drawn by Graphviz, or by matplotlib where its program is missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import graphviz

from pyrocausal.graph import drawing

if TYPE_CHECKING:
    from pyrocausal.graph.causal_graph import CausalGraph

__all__ = ["Shown", "in_notebook"]


class Shown(graphviz.Digraph):  # type: ignore[misc]  # graphviz ships no types
    """A ``graphviz.Digraph`` that a notebook shows even without the program ``dot``.

    Attributes:
        causal_graph: What it is the picture of.
    """

    causal_graph: CausalGraph | None = None

    def _repr_mimebundle_(
        self,
        include: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        **_: object,
    ) -> dict[str, str]:
        try:
            bundle: dict[str, str] = super()._repr_mimebundle_(include, exclude)
        except (graphviz.ExecutableNotFound, graphviz.CalledProcessError):
            if self.causal_graph is None:
                raise
            return in_notebook(self.causal_graph)
        return bundle


def in_notebook(graph: CausalGraph) -> dict[str, str]:
    """Return what a notebook shows of a graph: its picture, or nothing but its text.

    Example:
        >>> from pyrocausal.graph.causal_graph import CausalGraph
        >>> [*in_notebook(CausalGraph([("x", "y")]))]
        ['image/svg+xml']
    """
    try:
        return {"image/svg+xml": drawing.picture(graph, "svg").decode()}
    except ModuleNotFoundError:
        return {}  # the text form is shown then
