"""Front-door sets: mediators that carry the whole effect and share no confounder."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from pyrocausal.graph.mixed_graph import MixedGraph, Names
from pyrocausal.identification.admg import Admg, Nodes
from pyrocausal.identification.estimand import Estimand, Step
from pyrocausal.identification.expressions import Probability, Sum
from pyrocausal.identification.query_text import Query
from pyrocausal.identification.roles import ask, listed, shown, some_shown
from pyrocausal.identification.simplifying import multiplied
from pyrocausal.model import SCM

__all__ = ["FrontdoorSets", "frontdoor_sets"]


def frontdoor_sets(
    graph_or_scm: MixedGraph | SCM,
    outcome: Names,
    do: Names,
    *,
    required: Names = (),
    forbidden: Names = (),
) -> FrontdoorSets:
    r"""Return the sets of mediators that give an effect by the front door.

    .. math:: P(y \mid do(x)) = \sum_m P(m \mid x) \sum_{x'} P(y \mid x', m) \, P(x')

    holds if M meets every directed path from X to Y, no back-door path from X to M is open, and
    X blocks every back-door path from M to Y.

    Args:
        graph_or_scm: A graph, whose latent nodes are projected out, or an SCM, by its graph.
        outcome: One name or several.
        do: Variables that are set, one or several.
        required: Variables that each set must hold.
        forbidden: Variables that no set may hold.

    Returns:
        The sets: iterate over the minimal ones, or ask for the largest.

    Raises:
        UnknownVariable: A name is no variable of the graph.
        ValueError: A latent variable, a name in two places, no treatment or no outcome.

    Example:
        >>> smoking = pc.CausalGraph([("X", "M"), ("M", "Y")], bidirected=[("X", "Y")])
        >>> print(frontdoor_sets(smoking, outcome="Y", do="X"))
        Front-door sets for P(Y | do(X)), rung 2: sum_m P(m | X) sum_x P(Y | x, m) P(x)
          minimal sets: {M}
          largest set: {M}
          assumes: the graph; each value of X occurs with each value of the set

    References:
        Pearl (1995), Causal diagrams for empirical research.
        Jeong, Tian, Bareinboim (2022), Finding and listing front-door adjustment sets.
        Wienöbst, van der Zander, Liskiewicz (2024), Linear-time algorithms for front-door
        adjustment in causal graphs.
    """
    g, usable, (_, x, r) = ask(
        graph_or_scm, "frontdoor_sets", forbidden, outcome=outcome, do=do, required=required
    )
    # No separation from X rests on others in the set: each node is fit or not by itself.
    fit = usable - g.cut(out_of=x).connected(x)
    return FrontdoorSets(listed(outcome), listed(do), r, g, fit)


@dataclass(frozen=True, eq=False)
class FrontdoorSets:
    """The front-door sets of one effect; iterating gives the minimal ones.

    Attributes:
        outcome: Variables whose distribution is asked for.
        do: Variables that are set.
        required: Variables that each set holds.

    Example:
        >>> graph = pc.CausalGraph([("X", "M"), ("M", "Y")], bidirected=[("X", "Y")])
        >>> [sorted(minimal) for minimal in pc.frontdoor_sets(graph, "Y", do="X")]
        [['M']]
    """

    outcome: tuple[str, ...]
    do: tuple[str, ...]
    required: Nodes
    _g: Admg
    _fit: Nodes

    def __bool__(self) -> bool:
        return self.largest is not None

    def __iter__(self) -> Iterator[Nodes]:
        return self.minimal()

    def __contains__(self, names: Names) -> bool:
        return self.is_valid(names)

    @cached_property
    def largest(self) -> Nodes | None:
        """The union of all front-door sets, which is one, or None without any."""
        return self._within(self._fit)

    def is_valid(self, names: Names) -> bool:
        """Tell whether a set meets the front-door criterion, ``required`` and ``forbidden``.

        Example:
            >>> graph = pc.CausalGraph([("X", "M"), ("M", "Y")], bidirected=[("X", "Y")])
            >>> frontdoor_sets(graph, "Y", "X").is_valid("M")
            True
        """
        m = frozenset(listed(names))
        return m <= self._fit and self._within(m) == m

    def minimal(self, limit: int | None = None) -> Iterator[Nodes]:
        """Yield every front-door set of which no part with the required variables is one.

        Args:
            limit: Stop after so many; there may be exponentially many.
        """
        return islice(self._minimal(), limit)

    def estimand(self, names: Names) -> Estimand:
        """Return the formula for one of the sets, whose ``evaluate`` gives numbers.

        Raises:
            ValueError: The set is none of them.

        Example:
            >>> graph = pc.CausalGraph([("X", "M"), ("M", "Y")], bidirected=[("X", "Y")])
            >>> print(frontdoor_sets(graph, "Y", "X").estimand("M"))
            P(y | do(x)) = sum_m P(m | x) sum_x' P(y | x', m) P(x')
        """
        if not self.is_valid(names):
            raise ValueError(
                f"estimand: {sorted(listed(names))} is no front-door set here; expected one for "
                "which is_valid is true, such as those that iterating gives."
            )
        m, x = frozenset(listed(names)), frozenset(self.do)
        inner = Sum(x, multiplied([Probability(frozenset(self.outcome), x | m), Probability(x)]))
        whole = Sum(m, multiplied([Probability(m, x), inner])) if m else inner
        return Estimand(
            Query(self.outcome, self.do),
            whole,
            self._g.order,
            "front door",
            steps=(Step("front door", f"{shown(self._g, m)} meets the front-door criterion"),),
            outcome=self.outcome,
        )

    def __str__(self) -> str:
        x, y = ", ".join(self.do), ", ".join(self.outcome)
        lines = [
            f"Front-door sets for P({y} | do({x})), rung 2: "
            f"sum_m P(m | {x}) sum_x P({y} | x, m) P(x)"
        ]
        if self.largest is None:
            lines.append("  none: pc.identify looks for other formulas")
        else:
            lines.append(f"  minimal sets: {some_shown(self._g, self.minimal)}")
            lines.append(f"  largest set: {shown(self._g, self.largest)}")
        if self.required:
            lines.append(f"  required: {shown(self._g, self.required)}")
        lines.append(f"  assumes: the graph; each value of {x} occurs with each value of the set")
        return "\n".join(lines)

    def _minimal(self) -> Iterator[Nodes]:
        """Yield the minimal sets, each once."""
        waiting = deque([self._fit])
        tried, found = set[Nodes](), set[Nodes]()
        while waiting:
            within = self._within(waiting.popleft())
            if within is None or within in tried:
                continue
            tried.add(within)
            least = self._least(within)
            if least not in found:
                found.add(least)
                yield least
            # Any other minimal set lacks a node of this one.
            waiting.extend(within - {node} for node in self._g.sorted(least - self.required))

    def _least(self, nodes: Nodes) -> Nodes:
        """Return a minimal set inside a front-door set; early nodes leave first."""
        for node in self._g.sorted(nodes - self.required):
            smaller = self._within(nodes - {node})
            nodes = nodes if smaller is None else smaller
        return nodes

    def _within(self, nodes: Nodes) -> Nodes | None:
        """Return the largest front-door set among some fit nodes, or None.

        Unions of sets that X shields from Y are shielded too, so that the largest is what is left
        when unshielded nodes leave, until none does.
        """
        x, y = frozenset(self.do), frozenset(self.outcome)
        while bad := nodes & self._g.cut(out_of=nodes).connected(y, x):
            nodes -= bad
        intercepted = not self._g.induced(self._g.nodes - nodes).descendants(x) & y
        return nodes if self.required <= nodes and intercepted else None
