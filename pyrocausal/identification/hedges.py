"""The hedge: the structure in a graph that keeps an effect from being identified."""

from __future__ import annotations

from dataclasses import dataclass

from pyrocausal.graph.mixed_graph import MixedGraph
from pyrocausal.identification.admg import Admg

__all__ = ["Hedge"]


@dataclass(frozen=True)
class Hedge:
    """Two nested bidirected-connected sets, the witness that ``P(outcome | do(do))`` is not identified.

    Attributes:
        outer: F, which meets the variables that are set.
        inner: F', inside F, without variables that are set.
        roots: R, inside F', which every variable of F reaches inside F, and of F' inside F'.
        outcome: The outcome whose effect the hedge is for; for a conditional, its conditions too.
        do: The variables that are set; for a conditional, with the conditions that act alike.

    Example:
        >>> from pyrocausal import CausalGraph
        >>> bow = CausalGraph([("X", "Y")], bidirected=[("X", "Y")])
        >>> hedge = Hedge(frozenset("XY"), frozenset("Y"), frozenset("Y"), ("Y",), ("X",))
        >>> print(hedge, hedge.verify(bow))
        hedge F={X, Y}, F'={Y}, R={Y} True

    References:
        Shpitser, Pearl (2006), Identification of joint interventional distributions in recursive
        semi-Markovian causal models.
    """

    outer: frozenset[str]
    inner: frozenset[str]
    roots: frozenset[str]
    outcome: tuple[str, ...]
    do: tuple[str, ...]

    def __str__(self) -> str:
        sets = (", ".join(sorted(nodes)) for nodes in (self.outer, self.inner, self.roots))
        return "hedge F={{{}}}, F'={{{}}}, R={{{}}}".format(*sets)

    def verify(self, graph: MixedGraph) -> bool:
        """Tell whether the sets form a hedge in a graph, by the definition alone."""
        return self.holds_in(Admg.from_graph(graph))

    def holds_in(self, g: Admg) -> bool:
        """Tell whether the sets form a hedge in an ADMG, by the definition alone."""
        x = frozenset(self.do)
        return (
            self.roots <= self.inner < self.outer <= g.nodes
            and bool(self.roots)
            and bool(x & self.outer)
            and not x & self.inner
            and all(len(g.induced(f).districts) == 1 for f in (self.inner, self.outer))
            and all(g.induced(f).ancestors(self.roots) == f for f in (self.inner, self.outer))
            and self.roots <= g.cut(into=x).ancestors(self.outcome)
        )
