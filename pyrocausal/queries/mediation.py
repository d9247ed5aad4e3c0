"""Through what: natural direct and indirect effects, controlled and path-specific ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from torch import Tensor

from pyrocausal.answers import Effect
from pyrocausal.errors import UnknownVariable
from pyrocausal.interventions import Edge
from pyrocausal.queries.answering import Measured, answer, compared
from pyrocausal.queries.asking import Options, Question, introduce, question
from pyrocausal.queries.average import contrast
from pyrocausal.queries.reading import action_on, names_of, pair
from pyrocausal.queries.scales import write

if TYPE_CHECKING:
    from pyrocausal.model import SCM

__all__ = ["cde", "nde", "nie", "path_effect"]

Values = Mapping[str, Tensor]


def nde(
    scm: SCM,
    treatment: str | Sequence[str],
    outcome: Any,
    *,
    mediators: str | Sequence[str] = (),
    values: tuple[Any, Any] = (1.0, 0.0),
    **options: Unpack[Options],
) -> Effect:
    """Return the natural direct effect, ``E[Y(x, M(x')) - Y(x', M(x'))]``; rung 3.

    The mediators keep what they are under control. One that is not named responds to the direct
    change of the treatment, and to those that are.

    Args:
        scm: The model.
        treatment: The variable that is set, or several.
        outcome: A variable's name, an event such as ``{"Y": 1}``, or a function.
        mediators: The mediators M; none named means all variables between treatment and outcome.
        values: The treated and the control value ``(x, x')``.
        options: ``given``, ``evidence``, ``scale``, ``inputs``, ``num_samples``, ``level`` and
            ``seed``; see `pyrocausal.queries.Options`.

    Raises:
        UnknownVariable: A name that is no variable.
        ValueError: A mediator that doesn't lie between treatment and outcome.

    Example:
        >>> def plant():
        ...     water = pyro.sample("water", dist.Bernoulli(0.5))
        ...     leaves = pyro.sample("leaves", dist.Normal(2.0 * water, 1.0))
        ...     pyro.sample("fruit", dist.Normal(water + leaves + water * leaves, 1.0))
        >>> effect = nde(pc.SCM(plant), "water", "fruit", seed=0)
        >>> abs(effect.value - 1.0) < 4 * effect.se
        True

    References:
        Pearl (2001), Direct and Indirect Effects.
    """
    return _natural(0, scm, treatment, outcome, mediators, values, options)


def nie(
    scm: SCM,
    treatment: str | Sequence[str],
    outcome: Any,
    *,
    mediators: str | Sequence[str] = (),
    values: tuple[Any, Any] = (1.0, 0.0),
    **options: Unpack[Options],
) -> Effect:
    """Return the natural indirect effect, ``E[Y(x', M(x)) - Y(x', M(x'))]``; rung 3.

    The treatment keeps its control value, and the mediators change as if it didn't. The average
    effect is ``nde`` less the ``nie`` of the reverse change, not their sum.

    Args:
        scm: The model.
        treatment: The variable that is set, or several.
        outcome: A variable's name, an event such as ``{"Y": 1}``, or a function.
        mediators: The mediators M; none named means all variables between treatment and outcome.
        values: The treated and the control value ``(x, x')``.
        options: ``given``, ``evidence``, ``scale``, ``inputs``, ``num_samples``, ``level`` and
            ``seed``; see `pyrocausal.queries.Options`.

    Raises:
        UnknownVariable: A name that is no variable.
        ValueError: A mediator that doesn't lie between treatment and outcome.

    Example:
        >>> def plant():
        ...     water = pyro.sample("water", dist.Bernoulli(0.5))
        ...     leaves = pyro.sample("leaves", dist.Normal(2.0 * water, 1.0))
        ...     pyro.sample("fruit", dist.Normal(water + leaves + water * leaves, 1.0))
        >>> effect = nie(pc.SCM(plant), "water", "fruit", seed=0)
        >>> abs(effect.value - 2.0) < 4 * effect.se
        True

    References:
        Pearl (2001), Direct and Indirect Effects.
    """
    return _natural(1, scm, treatment, outcome, mediators, values, options)


def cde(
    scm: SCM,
    treatment: str | Sequence[str],
    outcome: Any,
    *,
    mediators: Mapping[str, Any],
    values: tuple[Any, Any] = (1.0, 0.0),
    **options: Unpack[Options],
) -> Effect:
    """Return the controlled direct effect, ``E[Y(x, m) - Y(x', m)]``.

    Args:
        scm: The model.
        treatment: The variable that is set, or several.
        outcome: A variable's name, an event such as ``{"Y": 1}``, or a function.
        mediators: Each mediator with the value ``m`` that it is held at.
        values: The treated and the control value ``(x, x')``.
        options: ``given``, ``evidence``, ``scale``, ``inputs``, ``num_samples``, ``level`` and
            ``seed``; see `pyrocausal.queries.Options`.

    Raises:
        UnknownVariable: A name that is no variable.
        TypeError: Mediators without values.
        ValueError: The treatment among the mediators.

    Example:
        >>> def plant():
        ...     water = pyro.sample("water", dist.Bernoulli(0.5))
        ...     leaves = pyro.sample("leaves", dist.Normal(2.0 * water, 1.0))
        ...     pyro.sample("fruit", dist.Normal(water + leaves + water * leaves, 1.0))
        >>> round(cde(pc.SCM(plant), "water", "fruit", mediators={"leaves": 3.0}, seed=0).value, 3)
        4.0
    """
    if not isinstance(mediators, Mapping):
        raise TypeError(
            f"cde() got mediators={mediators!r}; expected a mapping from mediator to the value that "
            'it is held at, such as {"M": 0.0}.'
        )
    both = [name for name in mediators if name in names_of(treatment, "treatment")]
    if both:
        raise ValueError(f"cde() got {both[0]!r} as treatment and as mediator; expected others.")
    do, versus = ({**action_on(treatment, value), **mediators} for value in pair(values))
    return contrast(scm, outcome, do, versus, **options)


def path_effect(
    scm: SCM,
    treatment: str | Sequence[str],
    outcome: Any,
    *,
    edges: Collection[tuple[str, str]],
    values: tuple[Any, Any] = (1.0, 0.0),
    **options: Unpack[Options],
) -> Effect:
    """Return the effect through some edges only; rung 3.

    Each variable below the treatment sees what changed through the edges that are named, and what
    it sees under control through all others.

    Args:
        scm: The model.
        treatment: The variable that is set, or several.
        outcome: A variable's name, an event such as ``{"Y": 1}``, or a function.
        edges: The edges ``(cause, effect)`` that carry the change.
        values: The treated and the control value ``(x, x')``.
        options: ``given``, ``evidence``, ``scale``, ``inputs``, ``num_samples``, ``level`` and
            ``seed``; see `pyrocausal.queries.Options`.

    Raises:
        UnknownVariable: A name that is no variable.
        ValueError: No such edge.

    Example:
        >>> def plant():
        ...     water = pyro.sample("water", dist.Bernoulli(0.5))
        ...     leaves = pyro.sample("leaves", dist.Normal(2.0 * water, 1.0))
        ...     pyro.sample("fruit", dist.Normal(water + 3.0 * leaves, 1.0))
        >>> path = [("water", "leaves"), ("leaves", "fruit")]
        >>> round(path_effect(pc.SCM(plant), "water", "fruit", edges=path, seed=0).value, 3)
        6.0

    References:
        Pearl (2001), Direct and Indirect Effects; Avin, Shpitser, Pearl (2005), Identifiability of
        Path-Specific Effects.
    """
    introduce(scm, options)
    carrying = _checked_edges(scm, edges)

    def world(asked: Question, control: Values) -> Any:
        do = asked.actions[0]
        return (do, *_held_edges(asked, do, carrying, control))

    via = ", ".join(f"{tail} -> {head}" for tail, head in edges) or "no edge"
    return _nested(world, 1, f"via {via}", scm, treatment, outcome, values, options)


def _natural(
    indirect: int,
    scm: SCM,
    treatment: str | Sequence[str],
    outcome: Any,
    mediators: str | Sequence[str],
    values: tuple[Any, Any],
    options: Options,
) -> Effect:
    """Compare control with a world in which treatment and mediators follow different values."""
    introduce(scm, options)
    names = _mediators(scm, treatment, outcome, mediators)
    base = action_on(treatment, pair(values)[indirect])

    def world(asked: Question, source: Values) -> Any:
        return {**base, **{name: source[name] for name in names}}

    shown = ", ".join(names) or "no mediator"
    text = f"{shown} {'alone follows' if indirect else 'kept'}"
    return _nested(world, 1 - indirect, text, scm, treatment, outcome, values, options)


def _nested(
    world: Callable[[Question, Values], Any],
    source: int,
    text: str,
    scm: SCM,
    treatment: str | Sequence[str],
    outcome: Any,
    values: tuple[Any, Any],
    options: Options,
) -> Effect:
    """Compare a world, made of what the treated (0) or the control one (1) holds, with control."""
    actions = [action_on(treatment, value) for value in pair(values)]
    whole = question(scm, outcome, actions, options)

    def measure(now: Question) -> Measured:
        asked = now.ask()
        plain = asked.units.worlds(actions[source:])
        (mixed,) = asked.units.worlds([world(now, plain[0])])
        return compared(asked, *asked.of([mixed, plain[-1]]))

    do, versus = whole.worlds
    one, other = (
        whole.outcome.named(inside).mean(whole.told)
        for inside in (f"{do} for {versus}, {text}", versus)
    )
    return answer(whole, measure, write(one, other, whole.scale), rung=3)


def _mediators(
    scm: SCM, treatment: str | Sequence[str], outcome: Any, mediators: str | Sequence[str]
) -> list[str]:
    treatments = names_of(treatment, "treatment")
    named = names_of(mediators, "mediators")
    for name in [*treatments, *named]:
        if name not in scm.variables:
            raise UnknownVariable(name, scm.variables, "mediators")
    below = frozenset[str]().union(*(scm.graph.descendants(name) for name in treatments))
    above = frozenset(scm.graph.nodes)
    if isinstance(outcome, str | Mapping):
        ends = [outcome] if isinstance(outcome, str) else list(outcome)
        for end in ends:
            if end not in scm.variables:
                raise UnknownVariable(end, scm.variables, "outcome")
        above = frozenset().union(*(scm.graph.ancestors(end) for end in ends)) - {*ends}
    between = [n for n in scm.variables if n in (below & above) - {*treatments}]
    for name in named:
        if name not in between:
            raise ValueError(
                f"mediators got {name!r}, which doesn't lie between {', '.join(treatments)} and the "
                f"outcome; between them lie: {', '.join(between) or 'none'}."
            )
    return named or between


def _checked_edges(scm: SCM, edges: Collection[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    graph = scm.graph
    listed = isinstance(edges, Collection) and not isinstance(edges, str)
    if not listed or not all(_is_pair(edge) for edge in edges):
        raise TypeError(
            f"edges got {edges!r}; expected pairs of a cause and its effect, such as "
            '[("X", "M"), ("M", "Y")].'
        )
    for tail, head in edges:
        for name in (tail, head):
            if name not in graph:
                raise UnknownVariable(name, graph.nodes, "edges")
        if not graph.has_edge(tail, head):
            raise ValueError(
                f"edges got {tail} -> {head}, which the graph lacks. It has: "
                f"{', '.join(f'{a} -> {b}' for a, b in graph.edges)}."
            )
    return frozenset(edges)


def _is_pair(edge: Any) -> bool:
    return isinstance(edge, tuple | list) and len(edge) == 2


def _held_edges(
    asked: Question, do: Mapping[str, Any], carrying: frozenset[tuple[str, str]], control: Values
) -> list[Edge]:
    """Return the other edges below the treatment, which carry what they do under control."""
    return [
        Edge(tail, head, control[tail])
        for tail, head in asked.scm.graph.edges
        if tail in asked.reached and head not in do and (tail, head) not in carrying
    ]
