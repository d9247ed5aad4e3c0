"""The abduction plan: each site's route, before any computing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import torch

from pyrocausal.engine.completeness import ancestors_in, mutilated
from pyrocausal.engine.evidence import Evidence, names_of_units
from pyrocausal.engine.querying import Query
from pyrocausal.engine.rows import Layout
from pyrocausal.engine.structural import StructuralRun
from pyrocausal.engine.tracing import Variable
from pyrocausal.errors import NotAbducible, UnknownVariable
from pyrocausal.inference import patterns_of
from pyrocausal.inference.choosing import foreseen
from pyrocausal.inference.patterns import Pattern
from pyrocausal.inference.problem import problem_of
from pyrocausal.noise import structural_equation
from pyrocausal.verbs.core import Core, probing_again
from pyrocausal.verbs.limiting import without_cdf
from pyrocausal.verbs.posterior import fitted_shared
from pyrocausal.verbs.standing import Standing

__all__ = ["Plan", "make_plan"]

_TRIED: Final = 16  # units on which the ways of inference are tried

Steps = dict[str, tuple[str, str]]
"""Site to route and reason."""


@dataclass(frozen=True)
class Plan:
    """How each site's noise would be had from some evidence.

    Attributes:
        routes: Site to route; the routes of several patterns of evidence are joined by ``/``.
        reasons: Site to the reason.
        patterns: What is inferred for which units, a line for each pattern of evidence; empty
            where nothing is.
    """

    routes: Mapping[str, str]
    reasons: Mapping[str, str]
    patterns: tuple[str, ...] = ()

    def __repr__(self) -> str:
        site = max(map(len, self.routes), default=0)
        route = max(map(len, self.routes.values()), default=0)
        lines = [
            f"{name:<{site}}  {how:<{route}}  {self.reasons[name]}"
            for name, how in self.routes.items()
        ]
        return "\n".join([*lines, *self.patterns])


@probing_again
def make_plan(core: Core, standing: Standing, evidence: Any) -> Plan:
    """Say how each site's noise would be had from evidence, or from names of variables."""
    world = standing.worlds[0]
    with core.session():
        seen, query, told = _read(core, evidence)
        graph = mutilated(core.graph, world)
        above = ancestors_in(core.graph, world)
        without = without_cdf(core, seen)
        found = patterns_of(
            seen, core.anatomy.variables, above, graph.predecessors, world, without
        )
        distributions = core.distributions()
        plans = [
            {
                **_steps(core, above, pattern, distributions, list(seen.values)),
                **_inferred(core, standing, query, seen, pattern),
            }
            for pattern in found
        ]
    names = list(core.anatomy.variables)
    return Plan(
        {name: " / ".join(dict.fromkeys(plan[name][0] for plan in plans)) for name in names},
        {name: "; ".join(dict.fromkeys(plan[name][1] for plan in plans)) for name in names},
        tuple(map(_line, found, plans)) if told and len(found) > 1 else (),
    )


def _read(core: Core, evidence: Any) -> tuple[Evidence, Query, bool]:
    """Return evidence, made up where only names were given, with the query; and which it is."""
    if isinstance(evidence, Mapping) or hasattr(evidence, "columns"):
        seen = core.read(evidence, None, where="plan")
        return seen, core.query(core.example_inputs(seen.units), seen.units, 0), True
    names = _names(evidence)
    for name in names:
        if name not in core.anatomy.variables:
            raise UnknownVariable(name, core.anatomy.variables, "plan")
    query = core.query(core.example_inputs(_TRIED), _TRIED, 0)
    shared = fitted_shared(core, 0)
    run = StructuralRun(query, Layout(_TRIED), query.noise(_TRIED), shared=shared)
    run.run()
    unit = {name: value[0, 0] for name, value in run.results().items()}
    values = {name: unit[name] if name in unit else run.values[name] for name in names}
    return Evidence(values, {}, _TRIED, False), query, False


def _names(evidence: Any) -> list[str]:
    if isinstance(evidence, str):
        return [evidence]
    if isinstance(evidence, Iterable):
        return list(evidence)
    raise TypeError(f"plan() takes names or evidence; got {type(evidence).__name__}.")


def _steps(
    core: Core, above: Any, pattern: Pattern, distributions: Mapping[str, Any], given: list[str]
) -> Steps:
    """Return the routes of what needs no inference."""
    variables = core.anatomy.variables
    limited = pattern.within
    observed = [name for name in given if name in pattern.observed]
    observed += [name for name in given if variables[name].deterministic or variables[name].shared]
    return {
        name: _route(core, variable, distributions.get(name), observed, limited, above)
        for name, variable in variables.items()
    }


def _route(
    core: Core,
    variable: Variable,
    fn: Any,
    observed: Collection[str],
    limited: Collection[str],
    above: Any,
) -> tuple[str, str]:
    name = variable.name
    if variable.deterministic:
        causes = [core.anatomy.variables[cause] for cause in above(name)]
        unknown = [
            v.name
            for v in causes
            if not v.deterministic and not v.shared and v.name not in observed
        ]
        if name in observed and unknown:
            return "not abducible", f"a function of {', '.join(unknown)}, not observed"
        return "deterministic", "a function of its parents, without noise"
    if variable.shared:
        return "posterior", "shared by all units: fitted with a guide"
    family = type(fn).__name__
    try:
        equation = structural_equation(fn, core.couplings.get(name), name)
    except NotAbducible:
        return "not abducible", f"{family} has no structural equation"
    if name in limited:
        where = " where it has limits" if name in observed else ""
        ways = () if equation.inverts and name not in observed else (equation.route,)
        return ", ".join((*ways, f"truncated{where}")), f"seen within limits; {family} has a CDF"
    if name not in observed:
        return "prior", "not observed, and nothing below it is"
    return equation.route, f"observed; {family} " + (
        "inverts" if equation.inverts else "has an exact posterior"
    )


def _inferred(
    core: Core, standing: Standing, query: Query, seen: Evidence, pattern: Pattern
) -> Steps:
    """Return the routes of what needs inference."""
    steps: Steps = {}
    few = replace(pattern, units=pattern.units[:_TRIED])
    for component in pattern.components:
        shared = fitted_shared(core, 0)
        problem = problem_of(query, seen, few, component, standing.worlds[0], shared)
        route, why = foreseen(problem, core.amortized)
        for name in component.missing:
            others = [other for other in component.missing if other != name]
            along = f" together with {', '.join(others)}" if others else ""
            below = ", ".join(component.factors)
            if name not in pattern.within:
                told = f"not observed, but {below} below is"
            else:
                told = f"seen within limits, {below} below too" if below else "seen within limits"
            steps[name] = route, f"{told}; inferred{along}: {why}"
    return steps


def _line(pattern: Pattern, plan: Steps) -> str:
    mask = torch.zeros(int(pattern.units.max()) + 1, dtype=torch.bool)
    mask[pattern.units] = True
    inferred = [name for part in pattern.components for name in part.missing]
    ways = ", ".join(f"{name} by {plan[name][0]}" for name in inferred) or "nothing"
    count, limited = len(pattern.units), [n for n in pattern.within if n not in pattern.observed]
    told = [*pattern.observed, *(f"{name} within limits" for name in limited)]
    return (
        f"{count} unit{'s' * (count != 1)} with {', '.join(told) or 'nothing'} "
        f"observed ({names_of_units(mask)}): {ways} inferred"
    )
