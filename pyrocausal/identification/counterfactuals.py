"""From a counterfactual query to an expression in observation, or in experiments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pyrocausal.errors import NotIdentified
from pyrocausal.identification.admg import Admg, Nodes
from pyrocausal.identification.assumptions import Assumptions
from pyrocausal.identification.causation import under_monotonicity
from pyrocausal.identification.counterfactual_text import CounterfactualQuery, Event, Term
from pyrocausal.identification.estimand import Estimand, Step
from pyrocausal.identification.expressions import (
    ONE,
    Difference,
    Expression,
    probability,
    renamed,
    variable_of,
    verdict_of,
)
from pyrocausal.identification.potentials import Factor, Impossible, Joint, Values
from pyrocausal.identification.printing import printer_of
from pyrocausal.identification.query_text import Query
from pyrocausal.identification.simplifying import divided, multiplied, summed, tidied
from pyrocausal.identification.solving import OBSERVATION, solve
from pyrocausal.identification.tian import Failure, Table, identify_factor

__all__ = ["Conflict", "Search", "solve_counterfactual"]

_OBSERVATION = "observation gives it (ID)"
_EXPERIMENT = "an experiment gives it"

Named = tuple[Event, str]
"""An event and the name of its value."""


class Conflict(Exception):
    """A counterfactual factor that no experiment shows."""

    def __init__(self, factor: Factor) -> None:
        super().__init__(factor)
        self.factor = factor


def solve_counterfactual(
    g: Admg, query: CounterfactualQuery, assumptions: Assumptions
) -> Estimand:
    """Return the estimand of a counterfactual query; its verdict says what it is read off.

    Raises:
        NotIdentified: Neither observation nor experiments determine it.
        ValueError: The events contradict one another.

    References:
        Correa, Lee, Bareinboim (2021), Nested counterfactual identification from arbitrary
        surrogate experiments.
        Shpitser, Pearl (2007), What counterfactuals can be tested.
    """
    search = Search(g, assumptions, frozenset(query.actions()))
    outcome = search.name_outcome(query)
    try:
        expression = search.answer(query)
        if expression == ONE:
            raise Impossible("the probability is 1")
    except Impossible as contradiction:
        raise ValueError(
            f"identify: the events of {query} contradict one another, or one follows from the "
            f"others: {contradiction}. Ask about other values."
        ) from None
    except Conflict as conflict:
        raise _refusal(query, conflict.factor, search.values) from None
    return Estimand(
        query,
        expression,
        g.order,
        search.form,
        steps=tuple(search.steps),
        verdict=verdict_of(expression),
        outcome=outcome,
        labels=search.values.labels,
    )


@dataclass
class Search:
    """The search for the expression of one query.

    Attributes:
        g: The graph.
        assumptions: What is known beyond the graph.
        actions: The variables that subscripts set.
        values: The names of values in use.
        form: Name of the formula.
        steps: The derivation so far.
        open: Events whose distribution is asked for, with the names of their values.
    """

    g: Admg
    assumptions: Assumptions
    actions: Nodes
    values: Values = field(default_factory=Values)
    form: str = "counterfactual factors"
    steps: list[Step] = field(default_factory=list)
    open: dict[Event, str] = field(default_factory=dict)

    def name_outcome(self, query: CounterfactualQuery) -> tuple[str, ...]:
        """Return names for the values of the events whose distribution is asked for."""
        self.open = {
            event: self.values.fresh(event.term.variable)
            for event in query.events
            if event.value is None
        }
        return tuple(self.open.values())

    def answer(self, query: CounterfactualQuery) -> Expression:
        """Return the expression of a query."""
        expression = under_monotonicity(self, query)
        if expression is not None:
            return expression
        events, given = self.named(query.events), self.named(query.given)
        known = list(self.steps)
        try:
            return self.conditional(events, given) if given else self.joint(events)
        except Conflict:
            self.steps = known  # the way that came to nothing is no derivation
            joint = self.by_complement([*events, *given])
            if joint is None:
                raise
            return tidied(divided(joint, self.joint(given))) if given else joint

    def note(self, result: str, y: str, x: str) -> None:
        """Record that the answer rests on monotonicity."""
        self.form = "monotonicity"
        self.steps.append(Step(f"{y} increases in {x}", result))

    def named(self, events: Sequence[Event]) -> list[Named]:
        """Return events with the names of their values."""
        return [
            (e, self.open[e] if e.value is None else self.values.of(e.term.variable, e.value))
            for e in events
        ]

    def joint(self, events: Sequence[Named]) -> Expression:
        """Return the probability of events."""
        if len(events) == 1 and events[0][0].term.is_effect():
            return self.effect(*events[0])
        factors, hidden = self.factors(events)
        found = multiplied(self.factor(factor) for factor in reversed(factors))
        return tidied(summed(hidden, found))

    def conditional(self, events: Sequence[Named], given: Sequence[Named]) -> Expression:
        """Return the probability of events given others.

        Factors that no sum links to the events cancel, known or not.
        """
        asked = [name for _, name in events]
        factors, hidden = self.factors([*events, *given])
        used = {name for _, name in given}.union(
            *(self.settings(event.term) for event, _ in [*events, *given])
        )
        if set(asked) & used or len(set(asked)) < len(asked):
            # A name stands for more than the event's own value, which alone may be summed.
            return tidied(divided(self.joint([*events, *given]), self.joint(given)))
        linked = _linked(factors, {*hidden, *asked}, set(asked))
        inside = [name for name in hidden if any(name in factor.free for factor in linked)]
        found = multiplied(self.factor(factor) for factor in reversed(linked))
        joint = tidied(summed(inside, found))
        return tidied(divided(joint, summed(asked, joint)))

    def by_complement(self, events: Sequence[Named]) -> Expression | None:
        """Return the joint by ``P(A, x') = P(A) - P(A, x)`` for a binary X, if this helps."""
        for event, name in events:
            variable = event.term.variable
            others = [n for n in self.values.labels if n != name and variable_of(n) == variable]
            if event.term.subscripts or variable not in self.assumptions.binary or not others:
                continue
            rest = [(e, n) for e, n in events if e != event]
            other = Event(event.term, self.values.labels[others[0]])
            self.steps.append(
                Step(f"{variable} is binary", f"P(A, {event}) = P(A) - P(A, {other})")
            )
            return Difference(self.joint(rest), self.joint([*rest, (other, others[0])]))
        return None

    def settings(self, term: Term) -> set[str]:
        """Return the names of the values in a term's subscripts."""
        return set[str]().union(
            *(
                self.settings(part) if isinstance(part, Term) else {self.values.of(*part)}
                for part in term.subscripts
            )
        )

    def effect(self, event: Event, name: str) -> Expression:
        """Return the probability of one event in one world."""
        settings = {
            part[0]: self.values.of(*part)
            for part in event.term.subscripts
            if not isinstance(part, Term)
        }
        query = Query((event.term.variable,), tuple(settings))
        try:
            estimand = solve(self.g, query, [OBSERVATION])
        except NotIdentified:
            known = probability([name], do=settings.values())
            self.steps.append(Step(_EXPERIMENT, f"P({event}) = {self.write(known)}"))
            return known
        self.steps += estimand.steps
        return renamed(estimand.expression, {**settings, event.term.variable: name})

    def factors(self, events: Sequence[Named]) -> tuple[list[Factor], list[str]]:
        """Return the counterfactual factors of events, and the names to sum over."""
        joint = Joint(self.g, self.values)
        for event, name in events:
            joint.add(event, name)
        labels = self.values.labels
        if joint.hidden:
            summed_over = ", ".join(name.lower() for name in sorted(joint.hidden))
            unnested = f"the sum over {summed_over} of {joint.describe(labels)}"
            self.steps.append(Step("unnesting: a nested value is summed over", unnested))
        factors = joint.factors()
        hidden = sorted(joint.hidden, key=lambda name: (self.g.rank[variable_of(name)], name))
        texts = " ".join(factor.describe(labels) for factor in factors)
        self.steps.append(Step("counterfactual factors, each of a c-component", texts))
        return factors, hidden

    def factor(self, factor: Factor) -> Expression:
        """Return one factor from observation, or else from an experiment.

        Raises:
            Conflict: A variable has two values in it.
        """
        if factor.conflicts:
            raise Conflict(factor)
        district = frozenset(factor.values)
        known = identify_factor(Table(self.g.induced(self.g.ancestors(district))), district)
        rule = _OBSERVATION
        if isinstance(known, Failure):
            known, rule = probability(district, do=set(factor.settings) - district), _EXPERIMENT
        known = renamed(known, factor.names)
        text = f"{factor.describe(self.values.labels)} = {self.write(tidied(known))}"
        self.steps.append(Step(rule, text))
        return known

    def write(self, expression: Expression) -> str:
        """Return an expression as text."""
        return printer_of(self.g.order, self.actions, self.values.labels).write(expression)


def _linked(factors: Sequence[Factor], links: set[str], names: set[str]) -> list[Factor]:
    """Return the factors that are linked with some names, in their order."""
    reached, size = set(names), -1
    while size != len(reached):
        size = len(reached)
        for factor in factors:
            if factor.free & reached:
                reached |= factor.free & links
    return [factor for factor in factors if factor.free & reached]


def _refusal(query: CounterfactualQuery, factor: Factor, values: Values) -> NotIdentified:
    """Return the error that names the factor no experiment shows."""
    variables, witness = " and ".join(factor.conflicts), factor.describe(values.labels)
    return NotIdentified(
        f"{query} is not identified, neither from observation nor from experiments. The witness is "
        f"the counterfactual factor {witness}, with two values of {variables}: no experiment shows "
        "both worlds of one unit. What would help: an assumption, such as "
        "assumptions=['Y increases in X'] or ['X is binary']; for the probabilities of causation "
        "PN, PS and PNS the bounds of Tian and Pearl (pc.causation_bounds)."
    )
