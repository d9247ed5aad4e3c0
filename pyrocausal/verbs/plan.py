"""The abduction plan: each site's route, before any computing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pyrocausal.engine.tracing import Variable
from pyrocausal.errors import NotAbducible, UnknownVariable
from pyrocausal.noise import structural_equation
from pyrocausal.verbs.core import Core, probing_again

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """How each site's noise would be had from some evidence.

    Attributes:
        routes: Site to route.
        reasons: Site to the reason.
    """

    routes: Mapping[str, str]
    reasons: Mapping[str, str]

    def __repr__(self) -> str:
        site = max(map(len, self.routes), default=0)
        route = max(map(len, self.routes.values()), default=0)
        return "\n".join(
            f"{name:<{site}}  {how:<{route}}  {self.reasons[name]}"
            for name, how in self.routes.items()
        )


@probing_again
def make_plan(core: Core, evidence: Any) -> Plan:
    """Say how each site's noise would be had from evidence, or from names of variables."""
    observed = _names(evidence)
    variables = core.anatomy.variables
    for name in observed:
        if name not in variables:
            raise UnknownVariable(name, variables, "plan")
    distributions = core.distributions()
    routes, reasons = {}, {}
    for name, variable in variables.items():
        below = [other for other in observed if name in core.graph.ancestors(other)]
        routes[name], reasons[name] = _route(
            core, variable, distributions.get(name), name in observed, below
        )
    return Plan(routes, reasons)


def _names(evidence: Any) -> list[str]:
    if isinstance(evidence, str):
        return [evidence]
    if hasattr(evidence, "columns"):
        return list(evidence.columns)
    if isinstance(evidence, Iterable):
        return list(evidence)
    raise TypeError(f"plan() takes names or evidence; got {type(evidence).__name__}.")


def _route(
    core: Core, variable: Variable, fn: Any, observed: bool, below: list[str]
) -> tuple[str, str]:
    if variable.deterministic:
        return "deterministic", "a function of its parents, without noise"
    if variable.shared:
        return "posterior", "shared by all units: fitted with a guide"
    if not observed and below:
        return "inference", f"not observed, but {', '.join(below)} below it is"
    family = type(fn).__name__
    try:
        equation = structural_equation(fn, core.couplings.get(variable.name), variable.name)
    except NotAbducible:
        return "not abducible", f"{family} has no structural equation"
    if not observed:
        return "prior", "not observed, and nothing below it is"
    return equation.route, f"observed; {family} " + (
        "inverts" if equation.inverts else "has an exact posterior"
    )
