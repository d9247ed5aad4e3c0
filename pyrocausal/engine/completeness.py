"""Whether evidence tells enough: an observed variable needs its causes for its noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch

from pyrocausal.engine.evidence import Evidence, names_of_units
from pyrocausal.engine.tracing import Variable
from pyrocausal.errors import NotAbducible
from pyrocausal.graph import CausalGraph
from pyrocausal.interventions import Action, Edge, Edit, Policy, Set, Shift, World

__all__ = ["ancestors_in", "check_complete", "mutilated", "named"]


def ancestors_in(graph: CausalGraph, world: World) -> Callable[[str], Iterable[str]]:
    """Return what says which variables lie above one where interventions are in force."""
    cut = mutilated(graph, world)
    return lambda name: cut.ancestors(name)


def mutilated(graph: CausalGraph, world: World) -> CausalGraph:
    """Return the graph where interventions are in force."""
    cut: CausalGraph = graph.copy()
    for item in world:
        if isinstance(item, Edge):
            cut.remove_edge(item.source, item.target)
        elif not isinstance(item[1], Shift | Edit):
            cut.remove_edges_from(list(cut.in_edges(item[0])))
    return cut


def named(world: World) -> Iterator[tuple[str, Action]]:
    """Return the actions on variables."""
    return (item for item in world if not isinstance(item, Edge))


def check_complete(
    ancestors: Callable[[str], Iterable[str]],
    evidence: Evidence,
    variables: Mapping[str, Variable],
    latent: Sequence[str],
    world: World = (),
) -> bool:
    """Say whether no missing variable stands above an observed one, for any unit.

    Args:
        ancestors: What lies above a variable where the evidence was seen; see ``ancestors_in``.
        evidence: What was seen.
        variables: The program's variables.
        latent: Those that are never observed.
        world: Interventions that were in force; what they set is known.

    Raises:
        NotAbducible: A deterministic variable was seen whose causes were not.
        ValueError: Evidence on a latent variable.
    """
    settled = {name for name, action in named(world) if isinstance(action, Set | Policy)}
    whole = True
    for name in evidence.told:
        if name in latent and name not in settled:
            raise ValueError(
                f"evidence has {name!r}, which is latent: it is never observed. Declare the SCM "
                "without it in latent= if you do observe it."
            )
        above = ancestors(name)
        for ancestor, cause in variables.items():
            if ancestor not in above or cause.deterministic or cause.shared:
                continue
            if ancestor in settled:
                continue
            missing = _missing_above(evidence, name, ancestor)
            if missing is not None and variables[name].deterministic:
                raise _not_inverted(name, ancestor, missing, ancestor in latent)
            whole = whole and missing is None
    return whole


def _missing_above(evidence: Evidence, name: str, ancestor: str) -> str | None:
    # A part of a plate may depend on every part of another one.
    seen, above = evidence.seen(name, partly=True), evidence.seen(ancestor)
    if name in evidence.limits and seen is not True:
        seen = torch.as_tensor(seen) | evidence.limited(name)
    if above is True:
        return None
    if above is False and seen is True:
        return ""
    bad = torch.as_tensor(seen) & ~torch.as_tensor(above)
    return f" for {names_of_units(bad.expand(evidence.units))}" if bool(bad.any()) else None


def _not_inverted(name: str, ancestor: str, units: str, latent: bool) -> NotAbducible:
    """Return the error that says that a function of what is not known was observed."""
    return NotAbducible(
        name,
        f"it is a deterministic function of {ancestor!r}, which is "
        f"{'latent' if latent else 'missing'}{units}. Its value is a constraint on its causes and "
        f"can't be inverted; give {ancestor!r} as evidence.",
    )
