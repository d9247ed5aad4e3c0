"""From a graph and a query to an estimand, or to the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterable

from pyrocausal.errors import UnknownVariable
from pyrocausal.graph.mixed_graph import MixedGraph, Names
from pyrocausal.identification.admg import Admg, Nodes
from pyrocausal.identification.assumptions import Assumptions, read_assumptions
from pyrocausal.identification.counterfactual_text import (
    is_counterfactual,
    read_counterfactual,
)
from pyrocausal.identification.counterfactuals import solve_counterfactual
from pyrocausal.identification.estimand import Estimand
from pyrocausal.identification.query_text import query_of
from pyrocausal.identification.roles import graph_of
from pyrocausal.identification.solving import solve
from pyrocausal.model import SCM

__all__ = ["identify"]


def identify(
    graph_or_scm: MixedGraph | SCM,
    outcome: Names,
    do: Names = (),
    given: Names = (),
    *,
    available: Iterable[Names] = ((),),
    assumptions: Iterable[str] = (),
) -> Estimand:
    r"""Return a formula in known distributions that equals ``P(outcome | do(do), given)``.

    With ``D = An(Y)`` in ``G[V \ X]``, the effect is a product of c-factors, one for each
    district of ``G[D]``, each from the district of G that holds it (Tian's form of the ID
    algorithm; complete):

    .. math:: P(y \mid do(x)) = \sum_{D \setminus Y} \prod_i Q[D_i]

    Args:
        graph_or_scm: A graph, whose latent nodes are projected out, or an SCM, by its graph.
        outcome: One name or several; or the whole query as text, ``"P(Y | do(X), Z)"``, also a
            counterfactual one, ``"P(Y_{X=1} | X=0)"`` or nested ``"P(Y_{X=1, M_{X=0}})"``; the
            estimand's ``verdict`` then says whether observation or experiments give it.
        do: Variables that are set.
        given: Variables that are observed *after* the action (rung 2).
        assumptions: For counterfactuals, sentences such as ``"Y increases in X"`` and
            ``"X is binary"``.
        available: The experiments whose distribution of all variables is known, each by what it
            sets; nothing stands for observation.

    Returns:
        The estimand, which prints as the formula; its ``evaluate`` gives numbers.

    Raises:
        NotIdentified: Two models with the same graph and the same known distributions differ in
            the answer; ``hedge`` is the witness.
        UnknownVariable: A name is no variable of the graph.
        ValueError: The query makes no sense: a latent variable, a name in two places.

    Example:
        >>> from pyrocausal import CausalGraph
        >>> napkin = CausalGraph(
        ...     [("W", "Z"), ("Z", "X"), ("X", "Y")], bidirected=[("W", "X"), ("W", "Y")]
        ... )
        >>> print(identify(napkin, "Y", do="X"))
        P(y | do(x)) = [sum_w P(x, y | w, z) P(w)] / [sum_w P(x | w, z) P(w)], any z
        >>> confounded = CausalGraph([("Z", "X"), ("Z", "Y"), ("X", "Y")])
        >>> print(identify(confounded, "P(Y_{X=1} | X=0)"))
        P(Y_{X=1} | X=0) = sum_z P(y | x=1, z) P(z | x=0)

    References:
        Tian, Pearl (2002), A general identification condition for causal effects.
        Shpitser, Pearl (2006), Identification of conditional interventional distributions.
        Correa, Lee, Bareinboim (2021), Nested counterfactual identification from arbitrary
        surrogate experiments.
        Lee, Correa, Bareinboim (2019), General identifiability with arbitrary surrogate
        experiments.
    """
    graph = graph_of(graph_or_scm, "identify")
    g = Admg.from_graph(graph)
    if is_counterfactual(outcome):
        asked = read_counterfactual(str(outcome)).check(graph)
        return solve_counterfactual(g, asked, _assumed(assumptions, graph))
    query = query_of(outcome, do, given).check(graph)
    return solve(g, query, _experiments(available, g))


def _experiments(available: Iterable[Names], g: Admg) -> tuple[Nodes, ...]:
    """Return what each available experiment sets."""
    if isinstance(available, str):
        raise TypeError(
            f"identify: got available={available!r}; expected a list of experiments, each the "
            "names that it sets, such as [(), 'Z'] for observation and do(Z)."
        )
    sets = [frozenset([names] if isinstance(names, str) else names) for names in available]
    for name in sorted(frozenset[str]().union(*sets)):
        if name not in g.nodes:
            raise UnknownVariable(name, g.nodes, "identify(available=)")
    return tuple(dict.fromkeys(sets))


def _assumed(sentences: Iterable[str], graph: MixedGraph) -> Assumptions:
    """Return the assumptions of a counterfactual query."""
    found = read_assumptions(sentences, graph)
    for assumed in found.monotone:
        if assumed.sign < 0:
            raise ValueError(
                f"identify: got the assumption '{assumed}'; expected one that increases. Turn the "
                f"values of {assumed.cause!r} round, in the query and in the data."
            )
    return found
