"""Rung 3: imagining, unit by unit: abduction, action, prediction."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pyrocausal.engine.abduction import Abduction, Origin, abduct
from pyrocausal.engine.completeness import ancestors_in, check_complete, mutilated, named
from pyrocausal.engine.counterfactual import Prediction, predict, unmoved
from pyrocausal.engine.evidence import Evidence
from pyrocausal.engine.querying import SMALL, Query, Tensors
from pyrocausal.engine.rows import over_events, units_where
from pyrocausal.inference import METHODS, Completion, Method, Quality, complete, patterns_of
from pyrocausal.interventions import Set, World, read_worlds, targets
from pyrocausal.naming import (
    describe_couplings,
    describe_evidence,
    describe_worlds,
    undetermined,
)
from pyrocausal.results import Counterfactual
from pyrocausal.verbs.chunking import (
    ABDUCTION,
    abduction_part,
    chunk_size,
    evidence_part,
    in_chunks,
    query_part,
)
from pyrocausal.verbs.core import Core, probing_again
from pyrocausal.verbs.fitted import warn_if_unidentified
from pyrocausal.verbs.limiting import without_cdf
from pyrocausal.verbs.posterior import (
    number_of,
    posterior_runs,
    refuse_shared_below,
    shared_sites,
)
from pyrocausal.verbs.reusing import check_same
from pyrocausal.verbs.standing import Standing

__all__ = ["abduct_units", "abduction_of", "assumptions", "counterfactual", "nothing_missing"]

_DIMS = {"values": 2, "natural": 2, "factual": 2}


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
    max_memory: int | None,
    seed: int | None,
) -> Counterfactual:
    """Answer what would have been; see ``SCM.counterfactual``."""
    if evidence is None or do is None:
        raise TypeError(
            f"counterfactual() got no {'evidence' if evidence is None else 'do'}=; expected what was "
            'seen of the units and what would have been done, such as evidence={"x": 0.3}, do={"x": '
            "1.0}. Of units that were not seen, ask do(...).sample(n); without an action, "
            "abduct(evidence)."
        )
    worlds, listed = read_worlds(do)
    if standing.evidence:
        raise ValueError(
            "This SCM already holds evidence, read after its interventions. Pass all evidence that "
            "was read before the action to counterfactual(evidence=...)."
        )
    with core.session(grad=grad):
        seen = core.read(evidence, inputs)
        core.check_worlds(worlds)
        warn_if_unidentified(core, worlds, "counterfactual", variables=variables)
        query = core.query(inputs, seen.units, seed)
        refuse_shared_below(core, worlds)
        draws = number_of(num_draws)
        given, anew = abduction, _key(worlds) not in core.moved
        if given is not None:
            check_same(given, seen, draws, standing, _origin(core, query))

        def answer(first: int, count: int) -> tuple[Tensors, tuple[Abduction, frozenset[str]]]:
            asked, some = query_part(query, first, count), evidence_part(seen, core, first, count)
            if given is not None:
                abductions = [abduction_part(given, some, first, count)]
            elif shared_sites(core):
                # Shared sites take one value a run: their posterior draws are looped.
                abductions = [
                    _abduct(core, standing, each, some, 1, shared, densities=True)
                    for each, shared in posterior_runs(core, asked, some, draws)
                ]
            else:
                abductions = [_abduct(core, standing, asked, some, draws, {}, densities=anew)]
            predictions = [_predict(core, asked, each, worlds) for each in abductions]
            prediction, factual = _joined(predictions, abductions)
            chosen = core.chosen(prediction.values, variables, latent=True)
            kept = factual if count == seen.units else {name: factual[name] for name in chosen}
            found = {"values": chosen, "natural": prediction.natural, "factual": dict(kept)}
            return found, (_told_by_all(abductions), prediction.redrawn)

        size = seen.units
        if not grad and nothing_missing(core, standing, seen):
            weight = draws * (len(worlds) + ABDUCTION)
            size = chunk_size(core, query, seen.units, weight, max_memory)
        graph = None
        while graph is not core.graph:  # a chunk may show an edge that earlier ones did not
            graph = core.graph
            found, (first, redrawn) = in_chunks(seen.units, size, answer, _DIMS)
    kept = {"draw": num_draws is not None, "world": listed, "unit": not seen.scalar}
    routes = {
        **first.routes,
        **dict.fromkeys(redrawn, "fresh noise of the new mechanism"),
    }
    every = [(*first.world, *world) for world in worlds]
    return Counterfactual(
        data=_squeeze(found["values"], kept),
        natural=_squeeze(found["natural"], kept),
        factual=_squeeze(found["factual"], {**kept, "world": False}),
        dims=tuple(name for name, there in kept.items() if there),
        query=f"V(do({describe_worlds(worlds)})) given {describe_evidence(seen.told)}",
        rung=3,
        seed=query.seed,
        routes=routes,
        assumptions=assumptions(core, first.routes, worlds),
        units=seen.labels,
        quality=first.quality,
        abduction=first if size == seen.units else given,
        random=(
            *undetermined(routes, every, core.descendants),
            *sorted(first.shared.keys() - seen.values.keys()),
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
    method: Method = "auto",
) -> Abduction:
    """Infer the noise of the units that were seen; see ``SCM.abduct``."""
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; expected one of {', '.join(METHODS)}.")
    with core.session():
        seen = core.read(standing.with_evidence(evidence), inputs)
        query = core.query(inputs, seen.units, seed)
        return abduct_units(core, standing, query, seen, num_draws, method)


def abduct_units(
    core: Core,
    standing: Standing,
    query: Query,
    seen: Evidence,
    num_draws: int | None,
    method: Method = "auto",
    alike: bool = False,
) -> Abduction:
    """Infer the noise of units from evidence that was read already.

    Units that are ``alike``, the same having been seen of all, share the work of inference.
    """
    draws = number_of(num_draws)
    if not shared_sites(core):
        return _abduct(
            core, standing, query, seen, draws, {}, densities=True, method=method, alike=alike
        )
    open_ones = [name for name in shared_sites(core) if name not in seen.values]
    if draws > 1 and open_ones:
        raise ValueError(
            f"abduct() takes one draw of the variables that all units share; got num_draws={draws}"
            f". Ask counterfactual(num_draws=...), which loops over them, or give "
            f"{', '.join(open_ones)} as evidence."
        )
    part, shared = posterior_runs(core, query, seen, 1)[0]
    return _abduct(
        core, standing, part, seen, draws, shared, densities=True, method=method, alike=alike
    )


def _abduct(
    core: Core,
    standing: Standing,
    query: Query,
    seen: Evidence,
    draws: int,
    shared: dict[str, Tensor],
    *,
    densities: bool,
    method: Method = "auto",
    alike: bool = False,
) -> Abduction:
    if standing.listed:
        raise ValueError(
            "This SCM has a list of worlds; evidence is read in one world. Ask each do(...) alone."
        )
    core.check_worlds(standing.worlds)
    world, origin = standing.worlds[0], _origin(core, query)
    densities = densities or draws * seen.units <= SMALL
    while True:
        above = ancestors_in(core.graph, world) if world else core.ancestors
        completion = _completion(core, query, seen, draws, world, shared, method, above, alike)

        def abducted(
            query: Query, above: Any = above, completion: Completion | None = completion
        ) -> Abduction:
            return abduct(
                query,
                seen,
                draws=draws,
                world=world,
                shared=shared,
                densities=densities,
                above=above,
                origin=origin,
                completion=completion,
                replay=core.replay,
            )

        abduction = abducted(query)
        if "prior" not in abduction.routes.values() or not abduction.densities:
            return abduction
        # What was drawn from the prior must not matter to what was seen.
        moved = _moved(seen, abduction, abducted(replace(query, seed=query.seed + 1)))
        if not bool(moved.any()):
            return abduction
        edges = core.graph.number_of_edges()
        core.learn(_with_gaps(seen), query.inputs, moved)
        if core.graph.number_of_edges() == edges:
            return abduction


def nothing_missing(core: Core, standing: Standing, seen: Evidence) -> bool:
    """Say whether nothing has to be inferred that is told by all units together."""
    world = standing.worlds[0]
    above = ancestors_in(core.graph, world) if world else core.ancestors
    whole = check_complete(above, seen, core.anatomy.variables, core.latent, world)
    return whole and not without_cdf(core, seen)


def _completion(
    core: Core,
    query: Query,
    seen: Evidence,
    draws: int,
    world: World,
    shared: dict[str, Tensor],
    method: Method,
    above: Callable[[str], Iterable[str]],
    alike: bool,
) -> Completion | None:
    """Infer what is missing above the evidence; ``None`` where nothing is."""
    variables, without = core.anatomy.variables, without_cdf(core, seen)
    if check_complete(above, seen, variables, core.latent, world) and not without:
        if method != "auto":
            raise ValueError(
                f"method={method!r}: nothing is missing above the evidence, so that abduction is "
                "exact. Leave method out."
            )
        return None
    graph, units = mutilated(core.graph, world), seen.units
    if alike:
        # Many draws of one unit serve as well as one draw of each of many.
        query, draws = replace(query_part(query, 0, 1), first=query.first), draws * units
        seen = evidence_part(seen, core, 0, 1)
    completion = complete(
        query,
        seen,
        patterns_of(seen, variables, above, graph.predecessors, world, without),
        draws,
        world=world,
        shared=shared,
        method=method,
        guide=core.amortized,
    )
    used = any("guide" in route for route in completion.routes.values())
    if used and hasattr(core.amortized, "check"):
        core.amortized.check(core)  # one of another kind may not know what it was trained on
    return completion.spread(units) if alike else completion


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


def _told_by_all(abductions: Sequence[Abduction]) -> Abduction:
    """Return the first abduction, with the quality of the draws of all."""
    qualities = [each.quality for each in abductions if each.quality is not None]
    if len(qualities) < 2:
        return abductions[0]
    return replace(abductions[0], quality=Quality.of_all(qualities))


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
