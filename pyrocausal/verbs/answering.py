"""Rung 3: imagining, unit by unit: abduction, action, prediction."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pyrocausal.engine.abduction import Abduction, Origin, abduct
from pyrocausal.engine.completeness import ancestors_in, check_complete, named
from pyrocausal.engine.counterfactual import Prediction, predict, unmoved
from pyrocausal.engine.evidence import Evidence, same_evidence
from pyrocausal.engine.lifting import same_worlds
from pyrocausal.engine.querying import SMALL, Query
from pyrocausal.engine.rows import over_events, units_where
from pyrocausal.interventions import Set, World, read_worlds, targets
from pyrocausal.naming import (
    describe_couplings,
    describe_evidence,
    describe_worlds,
    undetermined,
)
from pyrocausal.results import Counterfactual
from pyrocausal.verbs.core import Core, probing_again
from pyrocausal.verbs.posterior import (
    number_of,
    posterior_runs,
    refuse_shared_below,
    shared_sites,
)
from pyrocausal.verbs.standing import Standing

__all__ = ["abduct_units", "abduction_of", "assumptions", "counterfactual"]


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
        refuse_shared_below(core, worlds)
        draws = number_of(num_draws)
        if abduction is not None:
            _check_same(abduction, seen, draws, standing, _origin(core, query))
            abductions = [abduction]
        elif shared_sites(core):
            # Shared sites take one value a run: their posterior draws are looped.
            abductions = [
                _abduct(core, standing, part, seen, 1, shared, densities=True)
                for part, shared in posterior_runs(core, query, seen, draws)
            ]
        else:
            first = _key(worlds) not in core.moved
            abductions = [_abduct(core, standing, query, seen, draws, {}, densities=first)]
        predictions = [_predict(core, query, each, worlds) for each in abductions]
        prediction, factual = _joined(predictions, abductions)
    abduction = abductions[0]
    kept = {"draw": num_draws is not None, "world": listed, "unit": not seen.scalar}
    routes = {
        **abduction.routes,
        **dict.fromkeys(prediction.redrawn, "fresh noise of the new mechanism"),
    }
    every = [(*abduction.world, *world) for world in worlds]
    chosen = core.chosen(prediction.values, variables, latent=True)
    return Counterfactual(
        data=_squeeze(chosen, kept),
        natural=_squeeze(prediction.natural, kept),
        factual=_squeeze(factual, {**kept, "world": False}),
        dims=tuple(name for name, there in kept.items() if there),
        query=f"V(do({describe_worlds(worlds)})) given {describe_evidence(abduction.evidence.values)}",
        rung=3,
        seed=query.seed,
        routes=routes,
        assumptions=assumptions(core, abduction.routes, worlds),
        units=seen.labels,
        abduction=abduction,
        random=(
            *undetermined(routes, every, core.descendants),
            *sorted(abduction.shared.keys() - seen.values.keys()),
        ),
    )


@probing_again
def abduction_of(
    core: Core,
    standing: Standing,
    evidence: Any,
    inputs: Mapping[str, Any] | None,
    num_draws: int | None,
    seed: int | None,
) -> Abduction:
    """Infer the noise of the units that were seen; see ``SCM.abduct``."""
    with core.session():
        seen = core.read(standing.with_evidence(evidence), inputs)
        query = core.query(inputs, seen.units, seed)
        return abduct_units(core, standing, query, seen, num_draws)


def abduct_units(
    core: Core, standing: Standing, query: Query, seen: Evidence, num_draws: int | None
) -> Abduction:
    """Infer the noise of units from evidence that was read already."""
    draws = number_of(num_draws)
    if not shared_sites(core):
        return _abduct(core, standing, query, seen, draws, {}, densities=True)
    if draws > 1:
        raise ValueError(
            "abduct() takes one draw of the variables that all units share; "
            f"got num_draws={draws}. Ask counterfactual(num_draws=...), which loops over them."
        )
    part, shared = posterior_runs(core, query, seen, 1)[0]
    return _abduct(core, standing, part, seen, 1, shared, densities=True)


def _abduct(
    core: Core,
    standing: Standing,
    query: Query,
    seen: Evidence,
    draws: int,
    shared: dict[str, Tensor],
    *,
    densities: bool,
) -> Abduction:
    if standing.listed:
        raise ValueError(
            "This SCM has a list of worlds; evidence is read in one world. Ask each do(...) alone."
        )
    core.check_worlds(standing.worlds)
    world = standing.worlds[0]
    above = ancestors_in(core.graph, world) if world else core.ancestors
    check_complete(above, seen, core.anatomy.variables, core.latent, world)

    origin = _origin(core, query)

    def abducted(query: Query) -> Abduction:
        return abduct(
            query,
            seen,
            draws=draws,
            world=world,
            shared=shared,
            densities=densities or draws * seen.units <= SMALL,
            above=above,
            origin=origin,
            replay=core.replay,
        )

    abduction = abducted(query)
    if "prior" in abduction.routes.values() and abduction.densities:
        # What was drawn from the prior must not matter to what was seen.
        again = abducted(replace(query, seed=query.seed + 1))
        moved = _moved(seen, abduction, again)
        if bool(moved.any()):
            core.learn(_with_gaps(seen), query.inputs, moved)
            above = ancestors_in(core.graph, world)
            check_complete(above, seen, core.anatomy.variables, core.latent, world)
    return abduction


def _moved(seen: Evidence, one: Abduction, other: Abduction) -> Tensor:
    """Return the units at which an observed variable's distribution differs in two abductions."""
    moved = torch.zeros(seen.units, dtype=torch.bool, device=one.noise.device)
    for name in seen.values.keys() & one.densities.keys() - set(targets(one.world)):
        same = unmoved(one.densities[name], other.densities[name])
        observed = torch.as_tensor(seen.seen(name), device=moved.device)
        moved = moved | (units_where(~same) & observed)
    return moved


def _with_gaps(seen: Evidence) -> dict[str, Tensor]:
    """Return what was seen with NaN for what is missing, without what can't hold a NaN."""
    values = {}
    for name, value in seen.values.items():
        mask = seen.observed.get(name)
        if mask is None:
            values[name] = value
        elif value.is_floating_point():
            values[name] = value.masked_fill(~over_events(mask, value), torch.nan)
    return values


def _origin(core: Core, query: Query) -> Origin:
    # A sum tells a fitted parameter from an unfitted one, whichever way it was written to.
    named = core.scope.named().items()
    sums = {name: float(tensor.detach().double().sum()) for name, tensor in named}
    return Origin(core, sums, query.inputs)


def _check_same(
    abduction: Abduction, seen: Evidence, draws: int, standing: Standing, origin: Origin
) -> None:
    """Check that an earlier abduction is one of the evidence that is asked about."""
    if not isinstance(abduction, Abduction):
        raise TypeError(
            f"abduction is a {type(abduction).__name__}; expected what SCM.abduct() returned."
        )
    before = abduction.origin
    if before is None or before.owner is not origin.owner:
        raise ValueError("abduction was made by another SCM. Leave it out, or ask that SCM.")
    if not same_worlds([abduction.world], standing.worlds):
        raise ValueError(
            f"abduction was made under do({describe_worlds([abduction.world])}); this SCM stands "
            f"under do({describe_worlds(standing.worlds)}). Leave it out."
        )
    if before.parameters != origin.parameters:
        raise ValueError("The parameters have changed since the abduction. Leave it out.")
    if not _same_inputs(before.inputs, origin.inputs):
        raise ValueError("abduction was made at other inputs. Leave it out, or pass the same.")
    if not same_evidence(abduction.evidence, seen):
        raise ValueError(
            "abduction is of other evidence. Pass the evidence that it was made from, or leave "
            "abduction out."
        )
    if abduction.draws != draws:
        raise ValueError(
            f"abduction has {abduction.draws} draws, but num_draws asks for {draws}. "
            f"Pass num_draws={abduction.draws}."
        )


def _same_inputs(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    def same(a: Any, b: Any) -> bool:
        both = isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor)
        return torch.equal(a, b) if both else bool(a is b or a == b)

    return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)


def _joined(
    predictions: Sequence[Prediction], abductions: Sequence[Abduction]
) -> tuple[Prediction, Mapping[str, Tensor]]:
    """Stack the runs of several posterior draws along the draw dimension."""
    first, factual = predictions[0], abductions[0].factual
    if len(predictions) == 1:
        return first, factual

    def stacked(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    joined = Prediction(
        stacked([p.values for p in predictions]),
        stacked([p.natural for p in predictions]),
        first.redrawn,
    )
    return joined, stacked([a.factual for a in abductions])


def assumptions(
    core: Core, routes: Mapping[str, str] | None = None, worlds: Sequence[World] = ()
) -> tuple[str, ...]:
    """Say what an answer rests on and the data can't check.

    Args:
        core: The SCM.
        routes: The way each variable's noise was had.
        worlds: The interventions; what all of them set has no noise in the answer.
    """
    sets = [{name for name, act in named(world) if isinstance(act, Set)} for world in worlds]
    fixed = set.intersection(*sets) if sets else set()
    used = {name: route for name, route in (routes or {}).items() if name not in fixed}
    said = ["the program is the true mechanism of every variable"]
    said += describe_couplings(used, core.anatomy.variables)
    hidden = [u for u in core.latent if not fixed.issuperset(core.graph.successors(u))]
    if hidden:
        said.append(f"the distribution and the effects of {', '.join(hidden)}, never observed")
    return tuple(said)


def _predict(
    core: Core, query: Query, abduction: Abduction, worlds: Sequence[World]
) -> Prediction:
    moved = core.moved.setdefault(_key(worlds), set())
    return predict(
        query,
        abduction,
        worlds,
        core.descendants,
        shared=dict(abduction.shared),
        unchecked=not abduction.densities,
        moved=moved,
        learn=lambda values, units: core.learn(values, query.inputs, units),
        replay=core.replay,
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
