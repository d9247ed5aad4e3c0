"""Partial identification: the range of a causal query over all models that fit a table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np

from pyrocausal.bounding.answer import Bounds, Witness
from pyrocausal.bounding.asking import Asked
from pyrocausal.bounding.components import Component, limits
from pyrocausal.bounding.contradiction import Fit
from pyrocausal.bounding.distinct_states import distinct
from pyrocausal.bounding.monotone import check_order, read_monotone
from pyrocausal.bounding.program import Infeasible, import_scipy
from pyrocausal.bounding.response_functions import TooManyTypes
from pyrocausal.bounding.terms import Term, exact_term, limited_term
from pyrocausal.bounding.worlds import Linear, Range, World, impossible_condition
from pyrocausal.graph.mixed_graph import MixedGraph
from pyrocausal.identification.admg import Admg, Nodes
from pyrocausal.identification.arrays import NamedArray
from pyrocausal.identification.assumptions import Monotone
from pyrocausal.identification.tables import DiscreteTable, read_tables
from pyrocausal.model import SCM

__all__ = ["bounds"]

_LEVEL = 0.05

Answer = Range | Linear
Codes = Mapping[str, int]


def bounds(
    graph_or_scm: MixedGraph | SCM,
    data: Any,
    outcome: str | Mapping[str, Any],
    do: Mapping[str, Any],
    *,
    versus: Mapping[str, Any] | None = None,
    given: Mapping[str, Any] | None = None,
    assumptions: Collection[str] = (),
    weights: str | None = None,
) -> Bounds:
    r"""Return the range of ``P(outcome | do(do), given)`` over the models that fit the data.

    With :math:`P(y \mid do(x)) = \sum \prod_i Q[D_i]` (Tian's form of the ID algorithm), each
    c-factor that the table doesn't give is linear in the law r over response functions of its
    c-component S, whose own c-factor the table does give:

    .. math:: \min_r, \max_r \; c \cdot r \quad \text{subject to} \quad B r = Q[S],
        \; r \ge 0, \; 1 \cdot r = 1

    One such c-factor is one linear program (linear-fractional with ``given``), and sharp where
    the nodes of S share one latent common cause. Several are put together as products of
    intervals, which is valid but not sharp.

    Args:
        graph_or_scm: A graph, whose latent nodes are projected out, or an SCM, by its graph.
        data: Rows of discrete variables, a DataFrame or a mapping from name to values.
        outcome: Values by name, for their probability; or a name, for its mean.
        do: Value of each variable that is set.
        versus: What is set in a second world, whose answer is subtracted.
        given: Values that are observed *after* the action (rung 2).
        assumptions: Such as ``"Y increases in X"``: no unit's Y falls when X alone grows.
        weights: Column with the probability of each row; the rows are then all states of an exact
            joint distribution, without sampling error.

    Returns:
        The bounds. From rows they are those of the table's projection on the model (least
        Kullback-Leibler distance), and come with an outer 95 % interval.

    Raises:
        ValueError: The data contradict the graph; too many response functions; the query or the
            table makes no sense.
        UnknownVariable: A name is no variable of the graph, or no column.
        ImportError: scipy is not installed.

    Example:
        >>> import pandas as pd
        >>> from pyrocausal import CausalGraph
        >>> bow = CausalGraph([("X", "Y")], bidirected=[("X", "Y")])
        >>> table = pd.DataFrame({"X": [1, 1, 0, 0], "Y": [1, 0, 1, 0], "p": [0.3, 0.2, 0.1, 0.4]})
        >>> print(bounds(bow, table, "Y", do={"X": 1}, versus={"X": 0}, weights="p"))
        E[Y | do(X=1)] - E[Y | do(X=0)] in [-0.3000, 0.7000]
        rung: 2 (doing)
        sharp: yes, a model of the graph with this table attains each end
        route: linear program over 8 response functions of {X, Y}
        assumes: the graph X -> Y; X <-> Y

    References:
        Balke, Pearl (1997), Bounds on treatment effects from studies with imperfect compliance.
        Manski (1990), Nonparametric bounds on treatment effects.
        Tian, Pearl (2002), A general identification condition for causal effects.
    """
    graph = graph_or_scm.graph if isinstance(graph_or_scm, SCM) else graph_or_scm
    if not isinstance(graph, MixedGraph):
        raise TypeError(
            f"bounds: got {type(graph).__name__}; expected a CausalGraph or an SCM. Convert a "
            "networkx graph by CausalGraph.from_networkx(graph)."
        )
    import_scipy("optimize")
    asked = Asked(outcome, do, versus, given or {})
    asked.check(graph)
    return _Problem.read(graph, data, asked, assumptions, weights).solve()


@dataclass(frozen=True, eq=False)
class _Problem:
    """A query, a table and what they have to do with one another.

    Attributes:
        graph: The graph as it was given.
        g: Its projection, over the variables that matter.
        asked: The query.
        monotone: What is assumed.
        table: The table, a row for each distinct state.
        rows: Number of rows, None for exact probabilities.
    """

    graph: MixedGraph
    g: Admg
    asked: Asked
    monotone: tuple[Monotone, ...]
    table: DiscreteTable
    rows: int | None

    @classmethod
    def read(
        cls,
        graph: MixedGraph,
        data: Any,
        asked: Asked,
        assumptions: Collection[str],
        weights: str | None,
    ) -> _Problem:
        """Read the table's columns that matter."""
        whole = Admg.from_graph(graph)
        monotone = read_monotone(assumptions, whole)
        g = whole.induced(_relevant(whole, asked))
        observation = frozenset[str]()
        table = read_tables({observation: data}, {observation: g.nodes}, weights)[observation]
        relevant = tuple(a for a in monotone if a.effect in g.nodes)
        check_order(relevant, table.levels)
        rows = None if weights else len(table.weights)
        return cls(graph, g, asked, relevant, distinct(table), rows)

    @cached_property
    def worlds(self) -> list[World]:
        """The query in each world."""
        levels = self.table.levels
        amount, given = self.asked.amount(levels), self.asked.codes(self.asked.given, levels)
        return [
            World.of(self.g, amount, self.asked.codes(do, levels), given)
            for do in self.asked.worlds
        ]

    @cached_property
    def fit(self) -> Fit:
        """The table's projection."""
        inner = dict.fromkeys(nodes for world in self.worlds for nodes in world.inner)
        districts = dict.fromkeys(self.g.district(min(nodes)) for nodes in inner)
        return Fit(self.g, tuple(districts), self.monotone, self.table)

    def solve(self) -> Bounds:
        """Return the bounds and their interval."""
        self.fit.check(self.rows)
        answer = self._answer(exact_term)
        low, high, witnesses = _solved(answer)
        return Bounds(
            str(self.asked),
            low,
            high,
            self._sharp(answer),
            self._interval(low, high),
            self._route(answer),
            self.fit.distance,
            self.rows,
            (f"the graph {self.graph}", *map(str, self.monotone)),
            witnesses,
        )

    def _answer(self, term: Callable[[Component, Nodes, Codes], Term]) -> Answer:
        """Return the answer, or the difference of two worlds' answers."""
        answers = []
        for world in self.worlds:
            cached: dict[Nodes, Term] = {}
            for nodes in world.inner:
                component = self.fit.components[self.g.district(min(nodes))]
                cached[nodes] = term(component, nodes, world.fixed)
            answers.append(world.answer(cached.__getitem__))
        return answers[0] if len(answers) == 1 else _difference(*answers)

    def _interval(self, low: float, high: float) -> tuple[float, float] | None:
        """Return the bounds with each c-factor between its limits, if that can be computed."""
        if self.rows is None:
            return None
        ends = limits(tuple(self.fit.components.values()), self.table, self.rows, _LEVEL)

        def limited(component: Component, nodes: Nodes, fixed: Codes) -> Term:
            return limited_term(component, nodes, fixed, ends[component.nodes])

        try:
            least, greatest, _ = _solved(self._answer(limited))
        except TooManyTypes:
            return None
        return min(least, low), max(greatest, high)

    def _sharp(self, answer: Answer) -> bool:
        """Tell whether some model attains each end."""
        if isinstance(answer, Range):
            return answer.known
        return answer.open.whole and _one_latent(self.graph, answer.open.types.nodes)

    def _route(self, answer: Answer) -> str:
        """Tell how the answer was had."""
        if isinstance(answer, Linear):
            kind = "program" if answer.per is None else "fractional program"
            types = answer.open.types
            return (
                f"linear {kind} over {types.count:,} response functions of "
                f"{{{', '.join(types.nodes)}}}"
            )
        return (
            "identified: both ends are the estimand" if answer.known else "products of intervals"
        )


def _relevant(g: Admg, asked: Asked) -> Nodes:
    """Return the variables that the query depends on, with their causes."""
    amount = NamedArray(asked.outcomes, np.zeros([1] * len(asked.outcomes)))
    given = dict.fromkeys(asked.given, 0)
    names = {*asked.outcomes, *asked.given}.union(*asked.worlds)
    for do in asked.worlds:
        for nodes in World.of(g, amount, dict.fromkeys(do, 0), given).inner:
            names |= g.district(min(nodes))
    return g.ancestors(names)


def _one_latent(graph: MixedGraph, nodes: Collection[str]) -> bool:
    """Tell whether one latent variable acts on all nodes, not pairs of them on several."""
    if len(nodes) <= 2:
        return True
    hidden = graph.subgraph([*graph.latent, *nodes])
    # An observed node on the way would hand on no more than its own value.
    cut = hidden.edge_subgraph([(a, b) for a, b in hidden.edges if a in graph.latent])
    return any(set(nodes) <= nx.descendants(cut, u) for u in graph.latent if u in cut)


def _difference(first: Answer, second: Answer) -> Answer:
    """Return the difference of two answers, linear where both are in the same law."""
    match first, second:
        case (Linear(a, x, None), Linear(b, y, None)) if a.types.nodes == b.types.nodes:
            return Linear(a, x - y)
        case (Linear(a, x, None), Range(value, _, True)):
            return Linear(a, x - value)
        case (Range(value, _, True), Linear(b, y, None)):
            return Linear(b, value - y)
    (low, high, _), (least, greatest, _) = _solved(first), _solved(second)
    known = all(isinstance(a, Range) and a.known for a in (first, second))
    return Range(low - greatest, high - least, known)


def _solved(answer: Answer) -> tuple[float, float, tuple[Witness, Witness] | None]:
    """Return the least and the greatest value, and the laws that attain them.

    Raises:
        ValueError: The condition has probability 0 in every model.
    """
    if isinstance(answer, Range):
        return answer.low, answer.high, None
    laws, types = answer.open.laws, answer.open.types
    try:
        low, least = laws.greatest(-answer.amount, answer.per)
        high, greatest = laws.greatest(answer.amount, answer.per)
    except Infeasible as error:
        raise impossible_condition() from error
    return -low, high, (Witness.of(types, least), Witness.of(types, greatest))
