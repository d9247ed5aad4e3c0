"""Rung 3: imagining, unit by unit: abduction, action, prediction."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from pyrocausal.abduction import Abduction, abduct, check_complete
from pyrocausal.core import Core, Standing, probing_again
from pyrocausal.counterfactual import Prediction, predict
from pyrocausal.errors import IncompleteEvidence
from pyrocausal.evidence import Evidence
from pyrocausal.interventions import World, read_worlds, targets
from pyrocausal.naming import describe_evidence, describe_worlds
from pyrocausal.results import Counterfactual
from pyrocausal.structural import Query

__all__ = ["abduct_units", "assumptions", "counterfactual"]


@probing_again
def counterfactual(
    core: Core,
    standing: Standing,
    evidence: Any,
    do: Any,
    inputs: Mapping[str, Any] | None,
    num_draws: int | None,
    variables: Sequence[str] | str | None,
    abduction: Abduction | None,
    grad: bool,
    seed: int | None,
) -> Counterfactual:
    """Answer what would have been; see ``SCM.counterfactual``."""
    worlds, listed = read_worlds(do)
    if standing.evidence:
        raise ValueError(
            "This SCM already holds evidence, read after its interventions. Pass all evidence that "
            "was read before the action to counterfactual(evidence=...)."
        )
    with core.session(grad=grad):
        seen = core.read(evidence, inputs)
        core.check_worlds(worlds)
        query = core.query(inputs, seen.units, seed)
        if abduction is None:
            first = _key(worlds) not in core.moved
            abduction = abduct_units(core, standing, query, seen, num_draws, densities=first)
        prediction = _predict(core, query, abduction, worlds)
    kept = {"draw": num_draws is not None, "world": listed, "unit": not seen.scalar}
    routes = {
        **abduction.routes,
        **dict.fromkeys(prediction.redrawn, "fresh noise of the new mechanism"),
    }
    chosen = core.chosen(prediction.values, variables, latent=True)
    return Counterfactual(
        data=_squeeze(chosen, kept),
        natural=_squeeze(prediction.natural, kept),
        factual=_squeeze(abduction.factual, {**kept, "world": False}),
        dims=tuple(name for name, there in kept.items() if there),
        query=f"V(do({describe_worlds(worlds)})) given {describe_evidence(abduction.evidence.values)}",
        rung=3,
        seed=query.seed,
        routes=routes,
        assumptions=assumptions(abduction.routes),
        abduction=abduction,
    )


def abduct_units(
    core: Core,
    standing: Standing,
    query: Query,
    seen: Evidence,
    num_draws: int | None,
    *,
    densities: bool = True,
) -> Abduction:
    """Infer the noise of the units that were seen; see ``SCM.abduct``."""
    if standing.listed:
        raise ValueError(
            "This SCM has a list of worlds; evidence is read in one world. Ask each do(...) alone."
        )
    variables = core.anatomy.variables
    shared = [name for name in core.anatomy.shared if not variables[name].deterministic]
    if shared:
        raise IncompleteEvidence(
            f"{shared[0]!r} is shared by all units and its posterior is not known. fit() the SCM "
            "with a guide for it first."
        )
    world = standing.worlds[0]
    ancestors = core.graph.do(*targets(world)).ancestors if world else core.ancestors
    check_complete(ancestors, seen, variables, core.latent)
    draws = _number_of(num_draws)
    return abduct(query, seen, draws=draws, world=world, densities=densities)


def assumptions(routes: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Say what an answer rests on and the data can't check."""
    coupled = [
        f"{name} ({route.split(',')[0]})"
        for name, route in (routes or {}).items()
        if route.startswith(("gumbel-max", "quantile", "independent"))
    ]
    model = "the program is the true mechanism of every variable"
    if not coupled:
        return (model,)
    return model, f"the coupling of the discrete variables {', '.join(coupled)}"


def _predict(
    core: Core, query: Query, abduction: Abduction, worlds: Sequence[World]
) -> Prediction:
    key = _key(worlds)
    first = key not in core.moved
    moved = core.moved.setdefault(key, set())
    return predict(
        query, abduction, worlds, core.descendants, unchecked=not first, moved=moved
    )


def _key(worlds: Sequence[World]) -> tuple[str, ...]:
    """What is intervened on; the first-use check is made once for each."""
    return tuple(sorted({name for world in worlds for name in targets(world)}))


def _squeeze(values: Mapping[str, Tensor], kept: Mapping[str, bool]) -> dict[str, Tensor]:
    absent = [dim for dim, there in reversed(list(enumerate(kept.values()))) if not there]
    result = dict(values)
    for dim in absent:
        result = {name: value.select(dim, 0) for name, value in result.items()}
    return result


def _number_of(num_draws: int | None) -> int:
    if num_draws is None:
        return 1
    if isinstance(num_draws, bool) or not isinstance(num_draws, int) or num_draws < 1:
        raise ValueError(f"num_draws is {num_draws!r}; expected a positive number, or None.")
    return num_draws
