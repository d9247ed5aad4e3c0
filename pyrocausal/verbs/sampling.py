"""Rungs 1 and 2: seeing and doing."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from pyrocausal.engine.abduction import Abduction
from pyrocausal.engine.evidence import Evidence, count_of
from pyrocausal.engine.lifting import lift
from pyrocausal.engine.querying import Query, Tensors
from pyrocausal.engine.rows import Layout
from pyrocausal.engine.structural import StructuralRun
from pyrocausal.interventions import World
from pyrocausal.naming import describe_evidence, describe_worlds
from pyrocausal.results import Samples
from pyrocausal.verbs.answering import abduct_units, assumptions, nothing_missing
from pyrocausal.verbs.chunking import (
    ABDUCTION,
    chunk_size,
    evidence_part,
    in_chunks,
    query_part,
)
from pyrocausal.verbs.core import Core, probing_again
from pyrocausal.verbs.fitted import warn_if_unidentified
from pyrocausal.verbs.posterior import fitted_shared, refuse_shared_below
from pyrocausal.verbs.standing import Standing

__all__ = ["sample"]

_DIMS = {"values": 1, "natural": 1, "shared": None, "shared natural": None}


@probing_again
def sample(
    core: Core,
    standing: Standing,
    n: int,
    inputs: Mapping[str, Any] | None,
    variables: Sequence[str] | str | None,
    latent: bool,
    max_memory: int | None,
    seed: int | None,
) -> Samples:
    """Draw ``n`` units from the program, or from what evidence leaves of it."""
    n = count_of(n, "n, the number of units,")
    warn_if_unidentified(core, standing.worlds, "sample", standing.evidence, variables)
    with core.session():
        if standing.evidence:
            return _given_evidence(core, standing, n, inputs, variables, latent, max_memory, seed)
        query, worlds = core.query(inputs, n, seed), standing.worlds
        core.check_worlds(worlds)

        def answer(first: int, count: int) -> tuple[Tensors, tuple[()]]:
            part = query_part(query, first, count)
            found = _run(core, part, Layout(count, len(worlds)), worlds)
            data = core.chosen({**found["values"], **found["shared"]}, variables, latent)
            parts = {"shared": found["shared"], "values": found["values"]}
            chosen = {p: {n: v for n, v in data.items() if n in parts[p]} for p in parts}
            return {**found, **chosen}, ()

        size = chunk_size(core, query, n, len(worlds), max_memory)
        found, _ = in_chunks(n, size, answer, _DIMS)
    values, natural = (
        found[part] if standing.listed else {k: v[0] for k, v in found[part].items()}
        for part in ("values", "natural")
    )
    return Samples(
        data={**values, **found["shared"]},
        natural={**natural, **found["shared natural"]},
        dims=("world", "unit") if standing.listed else ("unit",),
        query=f"P(V | do({describe_worlds(standing.worlds)}))" if standing.acts else "P(V)",
        rung=2 if standing.acts else 1,
        seed=query.seed,
        assumptions=assumptions(core, worlds=standing.worlds),
        shared=frozenset(found["shared"]),
    )


def _run(core: Core, query: Query, layout: Layout, worlds: Sequence[World]) -> Tensors:
    lifted, shared = lift(worlds), fitted_shared(core, query.seed)
    if shared:
        refuse_shared_below(core, worlds)

    def run(query: Query, given: Tensors) -> tuple[Tensors, Any]:
        noise, acting = query.noise(layout.units), lifted.worlds(given["worlds"])
        run = StructuralRun(query, layout, noise, acting, dict(given["shared"]))
        run.run()
        results = {
            "values": {name: value[0] for name, value in run.results().items()},
            "natural": {n: v[0] for n, v in run.results(run.natural_values).items()},
            "shared": {name: run.values[name] for name in run.values if name in run.shared_names},
            "shared natural": {
                n: v for n, v in run.natural_values.items() if n in run.shared_names
            },
        }
        return results, None

    kind = lifted.kind and ("sample", lifted.kind, layout)
    tensors = {"worlds": lifted.values, "shared": shared}
    return core.replay(kind, query, tensors, run)[0]


def _given_evidence(
    core: Core,
    standing: Standing,
    n: int,
    inputs: Mapping[str, Any] | None,
    variables: Sequence[str] | str | None,
    latent: bool,
    max_memory: int | None,
    seed: int | None,
) -> Samples:
    seen = core.read(standing.evidence, inputs, units=n, where="condition")
    query = core.query(inputs, n, seed)
    alike = n > 1 and _are_alike(seen, core, query)

    def answer(first: int, count: int) -> tuple[Tensors, Abduction]:
        part = query_part(query, first, count)
        given = evidence_part(seen, core, first, count)
        abduction = abduct_units(core, standing, part, given, None, alike=alike)
        values = {name: value[0, 0] for name, value in abduction.factual.items()}
        return {"values": core.chosen(values, variables, latent)}, abduction

    size = n
    if nothing_missing(core, standing, seen):
        size = chunk_size(core, query, n, ABDUCTION, max_memory)
    found, abduction = in_chunks(n, size, answer, {"values": 0})
    given = describe_evidence(standing.evidence)
    doing = f"do({describe_worlds(standing.worlds)}), " if standing.acts else ""
    return Samples(
        data=found["values"],
        natural={},
        dims=("unit",),
        query=f"P(V | {doing}{given})",
        rung=2 if standing.acts else 1,
        seed=query.seed,
        routes=abduction.routes,
        assumptions=assumptions(core, abduction.routes, standing.worlds),
        units=seen.labels,
        quality=abduction.quality,
    )


def _are_alike(seen: Evidence, core: Core, query: Query) -> bool:
    """Say whether the same was seen of all units."""
    values = [v for name, v in seen.values.items() if name not in core.anatomy.shared]
    inputs = [v for v in query.inputs.values() if isinstance(v, Tensor)]
    limits = [end for part in seen.limits.values() for end in part.tensors().values()]
    every = (*values, *seen.observed.values(), *limits, *inputs)
    return all(bool((value == value[:1]).all()) for value in every)
