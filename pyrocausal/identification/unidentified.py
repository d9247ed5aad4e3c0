"""A warning where a fitted SCM answers what its data do not determine."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from pyrocausal.errors import IdentificationWarning, NotIdentified
from pyrocausal.graph import CausalGraph
from pyrocausal.identification.admg import Admg
from pyrocausal.identification.query_text import Query
from pyrocausal.identification.solving import OBSERVATION, solve
from pyrocausal.interventions import World, targets

if TYPE_CHECKING:
    from pyrocausal.verbs.core import Core
    from pyrocausal.verbs.learnt import Learnt

__all__ = ["left_open", "unidentified", "warn_unidentified"]

_ASKED: WeakKeyDictionary[Learnt, set[tuple[str, frozenset[str], frozenset[str]]]] = (
    WeakKeyDictionary()
)
"""Fit to the questions that were looked at since: the verb, what it sets, what is asked."""

_TOLD: WeakKeyDictionary[Learnt, set[tuple[str, frozenset[str]]]] = WeakKeyDictionary()
"""Fit to what was warned of: the verb, and what it sets."""


def warn_unidentified(
    core: Core,
    worlds: Sequence[World],
    verb: str,
    given: Iterable[str] = (),
    variables: Iterable[str] | None = None,
) -> None:
    """Warn, once for each verb and set of actions, where a fit can't have learnt the answer.

    An SCM that was fitted to observations with latent variables answers any question about
    actions; where the graph and the observed distribution don't determine it, the answer is what
    the program assumes of what is latent. Without a fit, or latent variables, nothing happens.

    Args:
        core: The SCM.
        worlds: The interventions of each world.
        verb: What was asked, such as ``"sample"``.
        given: Variables that are observed after the action.
        variables: Variables that are asked about; by default all.
    """
    learnt = core.learnt
    acted = frozenset(name for world in worlds for name in targets(world))
    if learnt is None or not acted:
        return
    wanted = frozenset(core.anatomy.variables if variables is None else variables)
    told, asked = _TOLD.setdefault(learnt, set()), _ASKED.setdefault(learnt, set())
    if (verb, acted) in told or (verb, acted, wanted) in asked:
        return
    asked.add((verb, acted, wanted))
    if words := left_open(core, worlds, given, wanted):
        told.add((verb, acted))
        warnings.warn(f"{verb}(): {words}", IdentificationWarning, 6)


def left_open(
    core: Core, worlds: Sequence[World], given: Iterable[str], variables: Iterable[str]
) -> str:
    """Say what of a question about actions a fit can't have learnt; empty where all is.

    Args:
        core: The SCM.
        worlds: The interventions of each world.
        given: Variables that are observed after the action.
        variables: Variables that are asked about.
    """
    if core.learnt is None:
        return ""
    graph = _observed_graph(core, core.learnt.observed)
    acted = frozenset(name for world in worlds for name in targets(world)) & set(graph)
    if not graph.latent or not acted:
        return ""
    seen = (graph.observed & {*given}) - acted
    unknown = unidentified(graph, (graph.observed & {*variables}) - acted - seen, acted, seen)
    return _words(graph, unknown, acted, seen) if unknown else ""


def unidentified(
    graph: CausalGraph, outcome: Iterable[str], do: Iterable[str], given: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return the variables whose distribution under an action observation doesn't determine.

    Where each alone is determined but not all together, all are returned.

    Args:
        graph: The graph.
        outcome: Variables; what the action doesn't reach is left out.
        do: Variables that are set, latent ones too, which no data determine.
        given: Variables that are then observed.

    Example:
        >>> graph = pc.CausalGraph([("X", "M"), ("M", "Y"), ("X", "W")], bidirected=[("X", "W")])
        >>> unidentified(graph, ["M", "Y", "W"], ["X"])
        ('W',)
    """
    reached = graph.descendants(tuple(do)) if not {*given} else frozenset(graph)
    asked = [name for name in graph.topological_order() if name in {*outcome} & reached]
    if not asked or _is_known(graph, asked, do, given):
        return ()
    alone = [name for name in asked if not _is_known(graph, [name], do, given)]
    return tuple(alone or asked)


def _is_known(
    graph: CausalGraph, outcome: Iterable[str], do: Iterable[str], given: Iterable[str]
) -> bool:
    if {*do} & graph.latent:
        return False
    try:
        query = Query(tuple(outcome), tuple(sorted(do)), tuple(sorted(given)))
        solve(Admg.from_graph(graph), query, [OBSERVATION])
    except NotIdentified:
        return False
    return True


def _observed_graph(core: Core, observed: Iterable[str]) -> CausalGraph:
    """Return an SCM's graph in which all is latent that the fit had no data of.

    What all units share is a parameter, no common cause of a unit's variables.
    """
    variables = core.anatomy.variables
    graph = core.graph
    kept = [n for n in graph if n in observed or not (n in variables and variables[n].shared)]
    edges = [(a, b) for a, b in graph.edges if a in kept and b in kept]
    return CausalGraph(edges, latent=[n for n in kept if n not in observed], nodes=kept)


def _words(
    graph: CausalGraph,
    unknown: Sequence[str],
    acted: frozenset[str],
    given: frozenset[str],
) -> str:
    x = ", ".join(name for name in graph.topological_order() if name in acted)
    seen = "".join(f", {name}" for name in sorted(given))
    hidden = ", ".join(name for name in graph.topological_order() if name in graph.latent)
    return (
        f"the data that this SCM was fitted to don't determine "
        f"P({', '.join(unknown)} | do({x}){seen}): {hidden} was never observed, and the answer rests "
        f"on the distribution and the effects that the program assumes of it. "
        "pc.identify(scm, outcome, do=) names the witness; pc.bounds gives what discrete data leave "
        "open, an instrument or an experiment would help."
    )
