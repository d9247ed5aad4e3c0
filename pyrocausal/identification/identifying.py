"""From a graph and a query to an estimand, or to the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterable

from pyrocausal.errors import UnknownVariable
from pyrocausal.graph.mixed_graph import MixedGraph, Names
from pyrocausal.identification.admg import Admg, Nodes
from pyrocausal.identification.assumptions import read_assumptions
from pyrocausal.identification.counterfactual_text import (
    is_counterfactual,
    read_counterfactual,
)
from pyrocausal.identification.counterfactuals import solve_counterfactual
from pyrocausal.identification.estimand import Estimand
from pyrocausal.identification.query_text import query_of
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
        outcome: One name or several; or the whole query as text, ``"P(Y | do(X), Z)"``.
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

    References:
        Tian, Pearl (2002), A general identification condition for causal effects.
        Shpitser, Pearl (2006), Identification of conditional interventional distributions.
        Lee, Correa, Bareinboim (2019), General identifiability with arbitrary surrogate
        experiments.
    """
    graph = graph_or_scm.graph if isinstance(graph_or_scm, SCM) else graph_or_scm
    if not isinstance(graph, MixedGraph):
        raise TypeError(
            f"identify: got {type(graph).__name__}; expected a CausalGraph or an SCM. Convert a "
            "networkx graph by CausalGraph.from_networkx(graph)."
        )
    g = Admg.from_graph(graph)
    if is_counterfactual(outcome):
        asked = read_counterfactual(str(outcome)).check(graph)
        return solve_counterfactual(g, asked, read_assumptions(assumptions, graph))
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
