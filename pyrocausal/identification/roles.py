"""What each variable of a question about a graph is there for, checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pyrocausal.errors import UnknownVariable
from pyrocausal.graph.mixed_graph import MixedGraph, Names
from pyrocausal.identification.admg import Admg, Nodes
from pyrocausal.model import SCM

__all__ = ["ask", "graph_of", "listed", "shown", "some_shown"]

_SHOWN = 8  # sets on a card


def graph_of(graph_or_scm: MixedGraph | SCM, where: str) -> MixedGraph:
    """Return a graph, or an SCM's.

    Raises:
        TypeError: Got neither.
    """
    graph = graph_or_scm.graph if isinstance(graph_or_scm, SCM) else graph_or_scm
    if not isinstance(graph, MixedGraph):
        raise TypeError(
            f"{where}: got {type(graph).__name__}; expected a CausalGraph or an SCM. Convert a "
            "networkx graph by CausalGraph.from_networkx(graph)."
        )
    return graph


def ask(
    graph_or_scm: MixedGraph | SCM, where: str, forbidden: Names = (), **roles: Names
) -> tuple[Admg, Nodes, list[Nodes]]:
    """Return the ADMG, the variables that may be used, and the names in each role.

    Args:
        graph_or_scm: A graph, whose latent nodes are projected out, or an SCM, by its graph.
        where: What asks.
        forbidden: Variables that may not be used, latent ones if one likes.
        roles: The names in each role; ``do`` and ``outcome`` must name some.

    Raises:
        UnknownVariable: A name is no variable of the graph.
        ValueError: A latent variable, a name in two places, a role without any.
    """
    graph = graph_of(graph_or_scm, where)
    named = {role: frozenset(listed(names)) for role, names in roles.items()}
    barred = frozenset(listed(forbidden))
    seen: dict[str, str] = {}
    for role, names in {**named, "forbidden": barred}.items():
        for name in sorted(names):
            if name not in graph:
                raise UnknownVariable(name, graph.observed, f"{where}({role}=)")
            if name in graph.latent and role != "forbidden":
                raise ValueError(
                    f"{where}: {role}={name!r} is latent; expected observed variables. Take it "
                    "out of latent=, or ask about an observed variable."
                )
            if name in seen:
                raise ValueError(
                    f"{where}: {name!r} is in {seen[name]} and in {role}; expected each variable "
                    "in one place. Drop it from one."
                )
            seen[name] = role
    for role in ("outcome", "do"):
        if role in named and not named[role]:
            raise ValueError(f"{where}: {role}= is empty; name at least one variable.")
    g = Admg.from_graph(graph)
    ends = named.get("do", frozenset()) | named.get("outcome", frozenset())
    return g, g.nodes - barred - ends, list(named.values())


def listed(names: Names) -> tuple[str, ...]:
    """Return one name or several as names without repeats."""
    return tuple(dict.fromkeys([names] if isinstance(names, str) else names))


def shown(g: Admg, nodes: Nodes) -> str:
    """Return a set in braces, causes first."""
    return f"{{{', '.join(g.sorted(nodes))}}}"


def some_shown(g: Admg, sets: Callable[[int], Iterable[Nodes]]) -> str:
    """Return the first sets, and dots where there are more.

    Args:
        g: The graph.
        sets: Gives so many sets at most.
    """
    found = [shown(g, nodes) for nodes in sets(_SHOWN + 1)]
    return ", ".join(found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
