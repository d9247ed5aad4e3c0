"""The variables that all units share, drawn from the posterior that a guide was fitted to."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from pyrocausal.engine.evidence import Evidence, count_of
from pyrocausal.engine.querying import Query
from pyrocausal.errors import IncompleteEvidence, NotAbducible
from pyrocausal.fitting.guiding import posterior_draws
from pyrocausal.interventions import World, targets
from pyrocausal.noise import Stream
from pyrocausal.verbs.core import Core

__all__ = ["fitted_shared", "number_of", "posterior_runs", "refuse_shared_below", "shared_sites"]


def shared_sites(core: Core) -> list[str]:
    """Return the random variables that lie outside the units plate."""
    variables = core.anatomy.variables
    return [name for name in core.anatomy.shared if not variables[name].deterministic]


def fitted_shared(core: Core, seed: int) -> dict[str, Tensor]:
    """Draw the shared variables once from the fitted guide; empty where none was fitted."""
    if core.guide is None or not shared_sites(core):
        return {}
    seed = seed if core.posterior_seed is None else core.posterior_seed
    return {name: draws[0] for name, draws in posterior_draws(core, seed, 1).items()}


def refuse_shared_below(core: Core, worlds: Sequence[World]) -> None:
    """Refuse an action on a shared variable where a shared one below it has a value already.

    Raises:
        NotAbducible: The noise of the one below is not kept.
    """
    variables = core.anatomy.variables
    for name in {name for world in worlds for name in targets(world) if variables[name].shared}:
        for other in shared_sites(core):
            if other in core.descendants(name):
                raise NotAbducible(
                    other,
                    f"it is shared by all units and lies below {name!r}, on which you act; the "
                    f"noise of shared variables is not inferred. Act on {other!r} too, or ask "
                    "do(...).sample() of an SCM without a posterior for it.",
                )


def posterior_runs(
    core: Core, query: Query, seen: Evidence, draws: int
) -> list[tuple[Query, dict[str, Tensor]]]:
    """Return, for each draw, the query with its own noise and the values of the shared sites.

    Raises:
        IncompleteEvidence: A shared site has neither a posterior nor a value in the evidence.
    """
    names = shared_sites(core)
    given = {name: seen.values[name] for name in names if name in seen.values}
    drawn = {}
    if len(given) < len(names) and core.guide is not None:
        seed = query.seed if core.posterior_seed is None else core.posterior_seed
        drawn = posterior_draws(core, seed, draws)
    for name in names:
        if name not in given and name not in drawn:
            raise IncompleteEvidence(
                f"{name!r} is shared by all units and its posterior is not known. fit() the SCM "
                "with a guide for it first, or give its value as evidence."
            )
    runs = []
    for index in range(draws):
        seed = query.seed if index == 0 else Stream(query.seed, "draw", 1).key(index)
        shared = {name: values[index] for name, values in drawn.items()}
        runs.append((replace(query, seed=seed), {**shared, **given}))
    return runs


def number_of(num_draws: int | None) -> int:
    """Read ``num_draws``: ``None`` is one draw without a dimension."""
    return 1 if num_draws is None else count_of(num_draws, "num_draws")
