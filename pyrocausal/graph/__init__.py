"""The causal graph: what it is, its notations, its pictures."""

from pyrocausal.graph.causal_graph import CausalGraph

__all__ = ["CausalGraph"]
