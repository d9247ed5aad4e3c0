"""Adjustment sets: which variables to hold fixed so that seeing is as good as doing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from pyrocausal.graph.mixed_graph import MixedGraph, Names
from pyrocausal.identification.admg import Admg, Nodes
from pyrocausal.identification.estimand import Estimand, Step
from pyrocausal.identification.expressions import Probability, Sum
from pyrocausal.identification.query_text import Query
from pyrocausal.identification.roles import ask, listed, shown, some_shown
from pyrocausal.identification.separators import Separators
from pyrocausal.identification.simplifying import multiplied
from pyrocausal.model import SCM

__all__ = ["AdjustmentSets", "adjusting", "adjustment_sets", "backdoor_graph", "on_causal_paths"]


def adjustment_sets(
    graph_or_scm: MixedGraph | SCM,
    outcome: Names,
    do: Names,
    *,
    required: Names = (),
    forbidden: Names = (),
) -> AdjustmentSets:
    r"""Return the sets of observed variables that give an effect by adjustment.

    .. math:: P(y \mid do(x)) = \sum_z P(y \mid x, z) \, P(z)

    holds in every model of the graph exactly if Z has no variable on, or caused by one on, a
    causal path from X to Y that leaves X once, and Z separates X from Y once the first edges of
    these paths are cut (the adjustment criterion; complete, also for several treatments and with
    latent variables).

    Args:
        graph_or_scm: A graph, whose latent nodes are projected out, or an SCM, by its graph.
        outcome: One name or several.
        do: Variables that are set, one or several.
        required: Variables that each set must hold.
        forbidden: Variables that no set may hold, such as those too dear to measure.

    Returns:
        The sets: iterate over the minimal ones, or ask for the cheapest or the most efficient.

    Raises:
        UnknownVariable: A name is no variable of the graph.
        ValueError: A latent variable, a name in two places, no treatment or no outcome.

    Example:
        >>> graph = pc.CausalGraph(
        ...     [("A", "X"), ("A", "C"), ("C", "Y"), ("X", "M"), ("M", "Y"), ("W", "M")]
        ... )
        >>> print(adjustment_sets(graph, outcome="Y", do="X"))
        Adjustment sets for P(Y | do(X)), rung 2: sum_z P(Y | X, z) P(z)
          minimal sets: {A}, {C}
          fewest variables: {C}
          least variance: {C, W}
          never hold: {M} (on a causal path, or caused by one on it)
          assumes: the graph; each value of X occurs in each stratum of the set

    References:
        Shpitser, VanderWeele, Robins (2010), On the validity of covariate adjustment for
        estimating causal effects.
        Perkovic, Textor, Kalisch, Maathuis (2018), Complete graphical characterization and
        construction of adjustment sets in Markov equivalence classes of ancestral graphs.
        van der Zander, Liskiewicz, Textor (2019), Separators and adjustment sets in causal
        graphs.
    """
    g, usable, (y, x, r) = ask(
        graph_or_scm, "adjustment_sets", forbidden, outcome=outcome, do=do, required=required
    )
    separators = adjusting(g, x, y, usable, r)
    post = g.descendants(on_causal_paths(g, x, y))
    return AdjustmentSets(listed(outcome), listed(do), r, post - x - y, g, separators)


@dataclass(frozen=True, eq=False)
class AdjustmentSets:
    """The adjustment sets of one effect; iterating gives the minimal ones.

    Attributes:
        outcome: Variables whose distribution is asked for.
        do: Variables that are set.
        required: Variables that each set holds.
        post_treatment: Observed variables that no set may hold: on a causal path, or below one.

    Example:
        >>> graph = pc.CausalGraph([("A", "X"), ("A", "C"), ("C", "Y"), ("X", "Y")])
        >>> sets = pc.adjustment_sets(graph, "Y", do="X")
        >>> [sorted(minimal) for minimal in sets], sorted(sets.post_treatment)
        ([['A'], ['C']], [])
    """

    outcome: tuple[str, ...]
    do: tuple[str, ...]
    required: Nodes
    post_treatment: Nodes
    _g: Admg
    _separators: Separators

    def __bool__(self) -> bool:
        return self._separators.exist

    def __iter__(self) -> Iterator[Nodes]:
        return self.minimal()

    def __contains__(self, names: Names) -> bool:
        return self.is_valid(names)

    def is_valid(self, names: Names) -> bool:
        """Tell whether a set meets the adjustment criterion, ``required`` and ``forbidden``.

        Example:
            >>> graph = pc.CausalGraph([("Z", "X"), ("Z", "Y"), ("X", "Y")])
            >>> sets = adjustment_sets(graph, "Y", "X")
            >>> sets.is_valid("Z"), sets.is_valid([])
            (True, False)
        """
        z, s = frozenset(listed(names)), self._separators
        return s.required <= z <= s.allowed and s.g.separated(s.x, s.y, z)

    def minimal(self, limit: int | None = None) -> Iterator[Nodes]:
        """Yield each set of which no part is one, sets near the treatments first.

        Args:
            limit: Stop after so many; there may be exponentially many, each soon after the last.
        """
        return self._separators.minimal(limit)

    def cheapest(self, cost: Mapping[str, float] | None = None) -> Nodes | None:
        """Return a set of least total cost, of several the one nearest to the outcome, or None.

        Args:
            cost: What it costs to measure a variable, a positive number; 1 for those not named.

        Raises:
            UnknownVariable: The cost of what is no variable.
            ValueError: A cost is not positive and finite.

        Example:
            >>> graph = pc.CausalGraph([("A", "X"), ("A", "B"), ("B", "Y"), ("X", "Y")])
            >>> sorted(adjustment_sets(graph, "Y", "X").cheapest({"B": 5.0}))
            ['A']
        """
        return self._separators.cheapest(cost)

    @cached_property
    def efficient(self) -> Nodes | None:
        r"""The set of least asymptotic variance among all sets, or None where none is known to be.

        ``O = Pa(C) \ forb`` with C the nodes on causal paths, and the required variables. It is
        best if it is a set here and shields the outcome from all else that other sets hold: where
        each outcome is an effect of a treatment, always without latent variables, and often with
        them. Best for regression in linear models and for efficient estimators in others.

        References:
            Henckel, Perkovic, Maathuis (2022), Graphical criteria for efficient total effect
            estimation via adjustment in causal linear models.
            Rotnitzky, Smucler (2020), Efficient adjustment sets for population average causal
            treatment effect estimation in graphical models.
        """
        s = self._separators
        causal = on_causal_paths(self._g, s.x, s.y)
        parents = frozenset[str]().union(*(self._g.parents[node] for node in causal))
        best = (parents - s.x - self._g.descendants(causal)) | self.required
        if not causal or not self.is_valid(best):
            return None
        unshielded = (s.allowed - best) & self._g.connected(s.y, best | s.x)
        rivals = (replace(s, required=s.required | {node}) for node in self._g.sorted(unshielded))
        return None if any(sets.exist for sets in rivals) else best

    @cached_property
    def efficient_minimal(self) -> Nodes | None:
        """The set of least asymptotic variance among the minimal ones, or None without any.

        It is the one nearest to the outcome, with latent variables too. A larger set may do
        better.

        References:
            Smucler, Sapienza, Rotnitzky (2022), Efficient adjustment sets in causal graphical
            models with hidden variables.
        """
        return self._separators.nearest()

    def estimand(self, names: Names) -> Estimand:
        """Return the formula for one of the sets, whose ``evaluate`` gives numbers.

        Raises:
            ValueError: The set is none of them.

        Example:
            >>> graph = pc.CausalGraph([("Z", "X"), ("Z", "Y"), ("X", "Y")])
            >>> print(adjustment_sets(graph, "Y", "X").estimand("Z"))
            P(y | do(x)) = sum_z P(y | x, z) P(z)
        """
        if not self.is_valid(names):
            raise ValueError(
                f"estimand: {sorted(listed(names))} is no adjustment set here; expected one for "
                "which is_valid is true, such as those that iterating gives."
            )
        z, (x, y) = frozenset(listed(names)), (self._separators.x, self._separators.y)
        stratum = Probability(y, x | z)
        whole = Sum(z, multiplied([stratum, Probability(z)])) if z else stratum
        return Estimand(
            Query(self.outcome, self.do),
            whole,
            self._g.order,
            "adjustment",
            adjustment=self._g.sorted(z),
            steps=(Step("adjustment", f"{shown(self._g, z)} meets the adjustment criterion"),),
            outcome=self.outcome,
        )

    def __str__(self) -> str:
        x, y = ", ".join(self.do), ", ".join(self.outcome)
        lines = [f"Adjustment sets for P({y} | do({x})), rung 2: sum_z P({y} | {x}, z) P(z)"]
        lines += self._found() if self else [f"  none: {self._why_none()}"]
        if self.required:
            lines.append(f"  required: {shown(self._g, self.required)}")
        if self.post_treatment:
            never = shown(self._g, self.post_treatment)
            lines.append(f"  never hold: {never} (on a causal path, or caused by one on it)")
        lines.append(f"  assumes: the graph; each value of {x} occurs in each stratum of the set")
        return "\n".join(lines)

    def _found(self) -> list[str]:
        lines = [f"  minimal sets: {some_shown(self._g, self.minimal)}"]
        lines.append(f"  fewest variables: {shown(self._g, self.cheapest() or frozenset())}")
        if self.efficient is not None:
            lines.append(f"  least variance: {shown(self._g, self.efficient)}")
        elif self.efficient_minimal is not None:
            best = shown(self._g, self.efficient_minimal)
            lines.append(f"  least variance among minimal sets: {best}")
        return lines

    def _why_none(self) -> str:
        s = self._separators
        if s.required & self.post_treatment:
            required = shown(self._g, s.required & self.post_treatment)
            return f"the required {required} can't be held fixed (see below); don't require it"
        return (
            f"whatever is held fixed, some path between {', '.join(self.do)} and "
            f"{', '.join(self.outcome)} that isn't causal stays open. pc.identify looks for other "
            "formulas, pc.instruments for instruments"
        )


def adjusting(
    g: Admg, x: Nodes, y: Nodes, usable: Nodes, required: Nodes = frozenset()
) -> Separators:
    """Return the sets that meet the adjustment criterion, by the separators that they are.

    Args:
        g: The graph.
        x: The treatments.
        y: The outcomes.
        usable: Other nodes that may be in a set, if the criterion allows.
        required: Nodes that must be.
    """
    causal = on_causal_paths(g, x, y)
    allowed = usable - g.descendants(causal)
    return Separators(backdoor_graph(g, x, causal), x, y, allowed, required)


def on_causal_paths(g: Admg, x: Nodes, y: Nodes) -> Nodes:
    """Return the nodes outside X on directed paths from X to Y that leave X once."""
    beyond = g.induced(g.nodes - x)
    first = frozenset[str]().union(*(g.children[node] for node in x)) - x
    return beyond.descendants(first) & beyond.ancestors(y)


def backdoor_graph(g: Admg, x: Nodes, causal: Nodes) -> Admg:
    """Return the graph without the first edges of the causal paths from X."""
    parents = {n: g.parents[n] - x if n in causal else g.parents[n] for n in g.order}
    return Admg(g.order, parents, g.spouses)
