"""Effects along some paths only: the recanting district, and the formula where there is none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pyrocausal.errors import NotIdentified
from pyrocausal.graph.mixed_graph import MixedGraph
from pyrocausal.identification.admg import Admg, Nodes
from pyrocausal.identification.estimand import Estimand, Step
from pyrocausal.identification.expressions import probability, renamed, verdict_of
from pyrocausal.identification.printing import printer_of
from pyrocausal.identification.query_text import PathQuery, Query
from pyrocausal.identification.roles import graph_of
from pyrocausal.identification.simplifying import multiplied, summed, tidied
from pyrocausal.identification.tian import Failure, Table, identify_factor
from pyrocausal.model import SCM

__all__ = ["identify_along_paths"]


def identify_along_paths(
    graph_or_scm: MixedGraph | SCM, outcome: str, do: str, paths: Iterable[Sequence[str]]
) -> Estimand:
    r"""Return a formula for the outcome where the action is felt along some paths only.

    Children of the action on these paths read x, the others x':

    .. math:: \sum_{D \setminus Y} \prod_i Q[D_i], \quad D = An(Y)\ in\ G[V \setminus X]

    which holds unless a district has a child of either kind (a *recanting district*; a single
    variable is a recanting witness).

    Args:
        graph_or_scm: A graph, whose latent nodes are projected out, or an SCM, by its graph.
        outcome: Y.
        do: X.
        paths: The active paths, each as its variables from X to Y.

    Returns:
        The estimand, with the symbols ``x`` along the paths and ``x'`` elsewhere.

    Raises:
        NotIdentified: There is a recanting district.
        ValueError: A path is none of the graph's.

    Example:
        >>> from pyrocausal import CausalGraph
        >>> graph = CausalGraph([("X", "W"), ("X", "Z"), ("W", "Y"), ("Z", "Y")])
        >>> print(identify_along_paths(graph, "Y", "X", [("X", "W", "Y")]).formula)
        sum_{w,z} P(y | w, z) P(z | x') P(w | x)

    References:
        Avin, Shpitser, Pearl (2005), Identifiability of path-specific effects.
        Shpitser (2013), Counterfactual graphical models for longitudinal mediation analysis with
        unobserved confounding.
    """
    graph = graph_of(graph_or_scm, "identify_along_paths")
    g = Admg.from_graph(graph)
    Query((outcome,), (do,)).check(graph)
    query = PathQuery(outcome, do, tuple(map(tuple, paths)))
    acted = g.induced(g.nodes - {do})
    relevant = acted.induced(acted.ancestors([outcome]))
    active, idle = _children(g, query, relevant)
    table = Table(g.induced(g.ancestors([outcome]) | {do}))
    labels = {do: do.lower(), f"{do}'": f"{do.lower()}'"}
    printer, factors, steps = printer_of(g.order, [do], labels), [], []
    for district in relevant.districts:
        if active & district and idle & district:
            raise _recanting(query, district, active, idle)
        known = identify_factor(table, district)
        if isinstance(known, Failure):
            parents = Nodes().union(*(g.parents[node] for node in district)) - district
            known = probability(district, do=parents)
        known = renamed(known, {do: do if active & district else f"{do}'"})
        factors.append(known)
        values = f"Q[{printer.names(district)}] = {printer.write(tidied(known))}"
        steps.append(Step("a district that feels one value of the action", values))
    hidden = relevant.sorted(relevant.nodes - {outcome})
    expression = tidied(summed(hidden, multiplied(reversed(factors))))
    return Estimand(
        query,
        expression,
        g.order,
        "path-specific",
        steps=tuple(steps),
        verdict=verdict_of(expression),
        outcome=(outcome,),
        labels=labels,
    )


def _children(g: Admg, query: PathQuery, relevant: Admg) -> tuple[Nodes, Nodes]:
    """Return the children of the action on an active path, and those on another path."""
    every = {
        (query.do, *rest)
        for child in g.children[query.do] & relevant.nodes
        for rest in _routes(relevant, child, query.outcome)
    }
    for path in query.paths:
        if path not in every:
            raise ValueError(
                f"identify_along_paths: {' -> '.join(path)} is no directed path from {query.do} to "
                f"{query.outcome}; the graph has {', '.join(map(' -> '.join, sorted(every)))}."
            )
    others = every - set(query.paths)
    return Nodes(path[1] for path in query.paths), Nodes(path[1] for path in others)


def _routes(g: Admg, source: str, target: str) -> Iterator[tuple[str, ...]]:
    """Yield the directed paths between two nodes."""
    if source == target:
        yield (source,)
    for child in g.sorted(g.children[source]):
        for rest in _routes(g, child, target):
            yield (source, *rest)


def _recanting(query: PathQuery, district: Nodes, active: Nodes, idle: Nodes) -> NotIdentified:
    witness = active & idle & district
    names = ", ".join(sorted(witness or district))
    kind = "witness" if witness else "district"
    return NotIdentified(
        f"{query} is not identified, neither from observation nor from experiments: {{{names}}} is a "
        f"recanting {kind}, which would have to feel {query.do} at two values at once. What would "
        "help: paths that part at the action itself, or observing the common causes."
    )
