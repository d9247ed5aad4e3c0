"""Two models that agree in all that is observed and differ in an effect, built from a hedge."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import networkx as nx
import numpy as np

from pyrocausal.graph.mixed_graph import MixedGraph
from pyrocausal.identification.admg import Admg, Nodes
from pyrocausal.identification.discrete_models import DiscreteModel
from pyrocausal.identification.hedges import Hedge
from pyrocausal.identification.tables import Array

__all__ = ["two_models"]


def two_models(
    graph: MixedGraph, hedge: Hedge, noise: float = 0.2
) -> tuple[DiscreteModel, DiscreteModel]:
    """Return two models of the graph with one observed distribution and different effects.

    A variable's four states are pairs of bits ``2 h + c``. Fair coins on a bidirected tree over F
    make the parity of the roots' h a rare coin in both models; in the second F' reads only what
    lies inside F', so that an action on F leaves this parity alone, while in the first it
    becomes fair. The bits c carry it from the roots to the outcome.

    Args:
        graph: The graph that the hedge is for.
        hedge: The witness, for observation.
        noise: Probability of the private coins.

    Example:
        >>> from pyrocausal import CausalGraph
        >>> bow = CausalGraph([("X", "Y")], bidirected=[("X", "Y")])
        >>> hedge = Hedge(frozenset("XY"), frozenset("Y"), frozenset("Y"), ("Y",), ("X",))
        >>> one, two = two_models(bow, hedge)
        >>> float(abs(one.law() - two.law()).max())
        0.0
        >>> one.effect("Y", "X")[0, :].round(2), two.effect("Y", "X")[0, :].round(2)
        (array([0.5, 0. , 0.5, 0. ]), array([0.8, 0. , 0.2, 0. ]))

    References:
        Shpitser, Pearl (2006), Identification of joint interventional distributions in recursive
        semi-Markovian causal models (theorem 4).
    """
    plan = Plan.of(Admg.from_graph(graph), hedge, noise)
    return plan.model(apart=False), plan.model(apart=True)


@dataclass(frozen=True)
class Plan:
    """Which bits each variable reads.

    Attributes:
        g: The graph.
        hedge: The hedge.
        noise: Probability of the private coins.
        coins: The bidirected edges that stand for fair coins, a tree over F.
        down: Node of F to the child that reads its h.
        along: Node to the child that carries on the parity of the roots, towards the outcome.
    """

    g: Admg
    hedge: Hedge
    noise: float
    coins: tuple[tuple[str, str], ...]
    down: dict[str, str]
    along: dict[str, str]

    @classmethod
    def of(cls, g: Admg, hedge: Hedge, noise: float) -> Plan:
        """Choose the tree and the paths."""
        outer, inner = g.induced(hedge.outer), g.induced(hedge.inner)
        down = _steps(outer, hedge.roots) | _steps(inner, hedge.roots)
        towards = _steps(g.induced(g.nodes - set(hedge.do)), frozenset(hedge.outcome))
        along: dict[str, str] = {}
        for node in hedge.roots:
            while node in towards:
                along[node] = towards[node]
                node = towards[node]
        return cls(g, hedge, noise, _tree(g, hedge), down, along)

    def model(self, apart: bool) -> DiscreteModel:
        """Return the model in which F' reads what lies inside F' only, or the one without this."""
        coins = {f"coin of {a} and {b}": ((), np.array([0.5, 0.5])) for a, b in self.coins}
        nodes = {node: self._table(node, apart) for node in self.g.order}
        return DiscreteModel(self.g.order, {**coins, **nodes})

    def _table(self, node: str, apart: bool) -> tuple[tuple[str, ...], Array]:
        """Return a variable's parents and its table, from the bits that it reads."""
        inner = self.hedge.inner
        within = inner if apart and node in inner else self.hedge.outer
        parents = self.g.sorted(self.g.parents[node])
        mine = [pair for pair in self.coins if node in pair]
        states = np.indices((4,) * len(parents) + (2,) * len(mine))
        h = np.zeros(states.shape[1:], dtype=int)
        c = h.copy()
        for parent, state in zip(parents, states, strict=False):
            if self.down.get(parent) == node and {parent, node} <= within:
                h ^= state // 2
            if self.along.get(parent) == node:
                c ^= state % 2 ^ (state // 2 if parent in self.hedge.roots else 0)
        for pair, coin in zip(mine, states[len(parents) :], strict=True):
            if set(pair) <= within:
                h ^= coin
        table = np.zeros((*h.shape, 4))
        for n, e in product((0, 1), repeat=2):
            chance = self._chance(n, node == min(self.hedge.roots))
            chance *= self._chance(e, node in self.along.values())
            places = 2 * (h ^ n) + (c ^ e)
            table += chance * np.eye(4)[places]
        names = (*parents, *(f"coin of {a} and {b}" for a, b in mine))
        return names, table

    def _chance(self, value: int, there: bool) -> float:
        """Return the probability of a private coin's value; 0 is sure where there is no coin."""
        one = self.noise if there else 0.0
        return one if value else 1 - one


def _tree(g: Admg, hedge: Hedge) -> tuple[tuple[str, str], ...]:
    """Return a spanning tree of the bidirected edges in F that spans F' too."""
    edges = nx.Graph()
    for a in g.sorted(hedge.outer):
        for b in g.sorted(g.spouses[a] & hedge.outer):
            edges.add_edge(a, b, weight=0 if {a, b} <= hedge.inner else 1)
    return tuple(nx.minimum_spanning_tree(edges).edges)


def _steps(g: Admg, goal: Nodes) -> dict[str, str]:
    """Return for each node that leads to the goal a child that is one step nearer."""
    steps: dict[str, str] = {}
    new = dict.fromkeys(goal, "")
    while new:
        reached = goal | steps.keys()
        new = {
            n: min(g.children[n] & reached) for n in g.nodes - reached if g.children[n] & reached
        }
        steps |= new
    return steps
