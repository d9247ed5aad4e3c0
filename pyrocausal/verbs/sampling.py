"""Rungs 1 and 2: seeing and doing."""

from collections.abc import Mapping, Sequence
from typing import Any

from pyrocausal.engine.evidence import count_of
from pyrocausal.engine.lifting import lift
from pyrocausal.engine.querying import Query, Tensors
from pyrocausal.engine.rows import Layout
from pyrocausal.engine.structural import StructuralRun
from pyrocausal.interventions import World
from pyrocausal.naming import describe_evidence, describe_worlds
from pyrocausal.results import Samples
from pyrocausal.verbs.answering import abduct_units, assumptions
from pyrocausal.verbs.core import Core, probing_again
from pyrocausal.verbs.posterior import fitted_shared, refuse_shared_below
from pyrocausal.verbs.standing import Standing

__all__ = ["sample"]


@probing_again
def sample(
    core: Core,
    standing: Standing,
    n: int,
    inputs: Mapping[str, Any] | None,
    variables: Sequence[str] | str | None,
    latent: bool,
    seed: int | None,
) -> Samples:
    """Draw ``n`` units from the program, or from what evidence leaves of it."""
    n = count_of(n, "n, the number of units,")
    with core.session():
        if standing.evidence:
            return _given_evidence(core, standing, n, inputs, variables, latent, seed)
        query = core.query(inputs, n, seed)
        core.check_worlds(standing.worlds)
        layout = Layout(n, len(standing.worlds))
        found = _run(core, query, layout, standing.worlds)
    values, natural = (
        found[part] if standing.listed else {k: v[0] for k, v in found[part].items()}
        for part in ("values", "natural")
    )
    return Samples(
        data=core.chosen({**values, **found["shared"]}, variables, latent),
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
    seed: int | None,
) -> Samples:
    seen = core.read(standing.evidence, inputs, units=n, where="condition")
    query = core.query(inputs, n, seed)
    abduction = abduct_units(core, standing, query, seen, None)
    given = describe_evidence(standing.evidence)
    doing = f"do({describe_worlds(standing.worlds)}), " if standing.acts else ""
    values = {name: value[0, 0] for name, value in abduction.factual.items()}
    return Samples(
        data=core.chosen(values, variables, latent),
        natural={},
        dims=("unit",),
        query=f"P(V | {doing}{given})",
        rung=2 if standing.acts else 1,
        seed=query.seed,
        routes=abduction.routes,
        assumptions=assumptions(core, abduction.routes, standing.worlds),
        units=seen.labels,
    )
