"""Rungs 1 and 2: seeing and doing."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from pyrocausal.engine.evidence import count_of
from pyrocausal.engine.rows import Layout
from pyrocausal.engine.structural import Noise, StructuralRun
from pyrocausal.results import Samples
from pyrocausal.verbs.answering import abduct_units, assumptions
from pyrocausal.verbs.core import Core, Standing, probing_again
from pyrocausal.verbs.naming import describe_evidence, describe_worlds
from pyrocausal.verbs.posterior import fitted_shared

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
        noise = Noise(query.seed, n, 1, query.device)
        shared = fitted_shared(core, query.seed)
        run = StructuralRun(query, layout, noise, standing.worlds, shared)
        run.run()
        values = {name: _result(core, run, name, v, standing) for name, v in run.values.items()}
        natural = {
            name: _result(core, run, name, v, standing) for name, v in run.natural_values.items()
        }
    return Samples(
        data=core.chosen(values, variables, latent),
        natural=natural,
        dims=("world", "unit") if standing.listed else ("unit",),
        query=f"P(V | do({describe_worlds(standing.worlds)}))" if standing.acts else "P(V)",
        rung=2 if standing.acts else 1,
        seed=query.seed,
        assumptions=assumptions(),
    )


def _result(
    core: Core, run: StructuralRun, name: str, value: Tensor, standing: Standing
) -> Tensor:
    if core.anatomy.variables[name].shared:
        return value
    result = run.layout.from_rows(value, run.event_dims[name])[0]
    return result if standing.listed else result[0]


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
        assumptions=assumptions(abduction.routes),
    )
