"""The derivation of an estimand: actions and conditions sorted out, then c-factors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from pyrocausal.errors import NotIdentified
from pyrocausal.identification.admg import Admg, Nodes
from pyrocausal.identification.do_calculus import conditions_that_act
from pyrocausal.identification.estimand import Estimand, Step
from pyrocausal.identification.expressions import Expression, Probability, size, verdict_of
from pyrocausal.identification.hedges import Hedge
from pyrocausal.identification.named_forms import named_form
from pyrocausal.identification.printing import Printer
from pyrocausal.identification.query_text import Query
from pyrocausal.identification.simplifying import divided, multiplied, summed, tidied
from pyrocausal.identification.tian import Reduction, Table, reductions

__all__ = ["OBSERVATION", "solve"]

OBSERVATION: Nodes = frozenset()
"""What observation sets."""


def solve(g: Admg, query: Query, experiments: Sequence[Nodes]) -> Estimand:
    """Return the estimand of a query from some experiments.

    Raises:
        NotIdentified: There is none.
    """
    printer = Printer(g.order, frozenset(query.do))
    steps: list[Step] = []
    if not query.do and OBSERVATION in experiments:
        seen = Probability(frozenset(query.outcome), frozenset(query.given))
        why = Step("observation", "no action is asked about")
        return Estimand(
            query, seen, g.order, "observation", None, steps=(why,), outcome=query.outcome
        )
    y, x, z = _sorted_out(g, query, printer, steps)
    named = named_form(g, y, x, z) if OBSERVATION in experiments else None
    if named:
        form, expression, adjustment = named.name, named.expression, named.adjustment
        steps.append(Step(named.name, named.why))
    else:
        form, adjustment = "c-factors", None
        try:
            expression = _by_factors(g, y | z, x, experiments, printer, steps)
        except Unknown as unknown:
            raise _refusal(unknown, query, printer, experiments) from None
        if z:
            expression = tidied(divided(expression, summed(g.sorted(y), expression)))
            steps.append(Step("definition of a conditional", "the joint over its sum"))
    verdict = verdict_of(expression)
    return Estimand(
        query, expression, g.order, form, adjustment, verdict, tuple(steps), query.outcome
    )


class Unknown(Exception):
    """A c-factor that no experiment gives.

    Attributes:
        district: The c-factor's variables.
        hedges: What an experiment set to its witness.
    """

    def __init__(self, district: Nodes, hedges: dict[Nodes, Hedge]) -> None:
        super().__init__(district, hedges)
        self.district, self.hedges = district, hedges


def _sorted_out(
    g: Admg, query: Query, printer: Printer, steps: list[Step]
) -> tuple[Nodes, Nodes, Nodes]:
    """Return outcome, actions and conditions: what acts alike made an action, idle ones dropped."""
    y, x, z = map(frozenset, (query.outcome, query.do, query.given))
    acting = conditions_that_act(g, y, x, z)
    x, z = x | acting, z - acting
    if acting:
        steps.append(Step("rule 2 of the do-calculus (IDC)", printer.probability(y, z, x)))
    idle = x - g.cut(into=x).ancestors(y | z)
    if idle:
        x -= idle
        steps.append(Step("rule 3 of the do-calculus", printer.probability(y, z, x)))
    return y, x, z


def _by_factors(
    g: Admg,
    targets: Nodes,
    x: Nodes,
    experiments: Sequence[Nodes],
    printer: Printer,
    steps: list[Step],
) -> Expression:
    """Return ``P(targets | do(x))`` as the sum of a product of c-factors (Tian's form of ID)."""
    whole = g.induced(g.ancestors(targets))
    acted = whole.induced(whole.nodes - x)
    relevant = acted.induced(acted.ancestors(targets))
    if whole.nodes < g.nodes:
        steps.append(Step("ancestors (ID line 2)", f"restrict to {printer.names(whole.nodes)}"))
    hidden = relevant.sorted(relevant.nodes - targets)
    factors = " ".join(f"Q[{printer.names(d)}]" for d in relevant.districts)
    total = f"sum over {printer.names(hidden)} of {factors}" if hidden else factors
    steps.append(Step("c-components (ID line 4)", total))
    candidates = []
    for short in (True, False):
        tables = [Table(whole.induced(whole.nodes - do), do, short) for do in experiments]
        ways = [_known(district, tables, targets, x) for district in relevant.districts]
        found = multiplied(way[-1].value for way in ways)
        candidates.append((tidied(summed(hidden, found)), ways))
    expression, ways = min(candidates, key=lambda candidate: size(candidate[0]))
    for step in chain.from_iterable(ways):
        text = f"Q[{printer.names(step.nodes)}] = {printer.write(tidied(step.value), x)}"
        steps.append(Step(step.rule, text))
    return expression


def _known(district: Nodes, tables: Iterable[Table], targets: Nodes, x: Nodes) -> list[Reduction]:
    """Return the way to a c-factor from the first table that gives it."""
    hedges = {}
    for table in tables:
        if table.do & district:
            continue
        way = list(reductions(table, district))
        if way[-1].nodes == district:
            return way
        children = table.g.children
        roots = frozenset(node for node in district if not children[node] & district)
        outcome, acting = (tuple(sorted(names)) for names in (targets, x - table.do))
        hedges[table.do] = Hedge(way[-1].nodes, district, roots, outcome, acting)
    raise Unknown(district, hedges)


def _refusal(
    unknown: Unknown, query: Query, printer: Printer, experiments: Sequence[Nodes]
) -> NotIdentified:
    """Return the error that says why a query is not identified, and what would help."""
    names = [f"do({printer.names(do)})" if do else "observation" for do in experiments]
    asked = printer.probability(query.outcome, query.given, query.do)
    lines = [f"{asked} is not identified from {' and '.join(names) or 'nothing'}."]
    for do, hedge in unknown.hedges.items():
        place = f" in the experiment do({printer.names(do)})" if do else ""
        lines.append(
            f"The witness{place} is the {hedge}: unobserved common causes join the variables of "
            f"{{{', '.join(sorted(hedge.outer))}}}, and two models with the same graph and the same "
            "known distribution differ in the answer."
        )
    if not unknown.hedges:
        lines.append(
            f"No experiment leaves {', '.join(sorted(unknown.district))} alone, whose mechanisms "
            "the query needs."
        )
    lines.append(f"What would help: {_cures(query)}.")
    return NotIdentified(" ".join(lines), next(iter(unknown.hedges.values()), None))


def _cures(query: Query) -> str:
    """Return what would help where a query is not identified."""
    if not query.do:
        return "observation, or an experiment that leaves these variables alone"
    x = ", ".join(query.do)
    return (
        f"bounds (pc.bounds), an instrument for {x} (pc.instruments), an experiment that sets {x}, "
        "or observing the common causes"
    )
