"""Graphs written as their edges."""

import pyrocausal as pc

__all__ = ["graph_of"]


def graph_of(directed: str, bidirected: str = "") -> pc.CausalGraph:
    """Return a graph from edges such as ``X>Y`` and ``X-Y``."""
    return pc.CausalGraph(
        [tuple(edge.split(">")) for edge in directed.split()],  # type: ignore[misc]
        bidirected=[edge.split("-") for edge in bidirected.split()],
    )
