"""Reading a question: whose outcome, in which worlds, of which units."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from torch import Tensor

from pyrocausal.answers import check_level
from pyrocausal.engine.evidence import columns_of, count_of
from pyrocausal.engine.intervals import Between
from pyrocausal.interventions import Edge, Set, World, read_worlds, targets
from pyrocausal.naming import describe_worlds
from pyrocausal.noise.streams import draw_seed
from pyrocausal.queries.arguments import arguments_of, first_of, units_of
from pyrocausal.queries.options import Options, check_options
from pyrocausal.queries.outcomes import (
    Condition,
    Outcome,
    continuous,
    read_condition,
    read_outcome,
)
from pyrocausal.queries.population import Population, alike, evidenced, sampled, settles
from pyrocausal.queries.scales import Scale, read_scale

if TYPE_CHECKING:
    from pyrocausal.model import SCM

__all__ = ["SAMPLES", "Asked", "Options", "Question", "introduce", "question"]

SAMPLES: Final = 20_000
EACH: Final = 100  # draws of a unit that was seen, where that leaves its noise random
FEWEST: Final = 30  # units, below which a mean has no error to speak of
MOST_TIMES: Final = 50  # how many times as many units are drawn to find those that are meant
EXAMPLES: Final = 64


@dataclass(frozen=True)
class Question:
    """A question about an outcome in some worlds, of all units or of those that are meant.

    Attributes:
        scm: The model.
        outcome: What is averaged.
        actions: The intervention of each world, as a user writes it.
        given: Which units are meant, by their factual values.
        pinned: The same as values, where no drawn unit would meet them exactly.
        evidence: The units, where they were seen.
        inputs: The program's arguments, units first.
        num_samples: Number of units to draw, or of draws of the units that were seen.
        seed: Gives the same units again.
        scale: How two means are compared.
        level: Level of the interval.
        fewest: Number of units that a mean is taken over, at least.
        each: Number of draws of a unit that was seen, at least.
        nested: Whether there are worlds besides those of ``actions``.
    """

    scm: SCM
    outcome: Outcome
    actions: tuple[Any, ...]
    given: Condition | None
    pinned: Mapping[str, Any] | None
    evidence: Any
    inputs: Mapping[str, Any] | None
    num_samples: int
    seed: int
    scale: Scale
    level: float
    fewest: int = FEWEST
    each: int = EACH
    nested: bool = False

    @cached_property
    def worlds(self) -> list[str]:
        """Each world's intervention in symbols, such as ``X=1``."""
        return [describe_worlds(worlds) for worlds in self.interventions]

    @cached_property
    def interventions(self) -> list[tuple[World, ...]]:
        """What each action was read as."""
        return [read_worlds(action)[0] for action in self.actions]

    @cached_property
    def acted_on(self) -> frozenset[str]:
        """The variables that some world intervenes on."""
        every = chain.from_iterable(self.interventions)
        return frozenset(name for world in every for name in targets(world))

    @cached_property
    def reached(self) -> frozenset[str]:
        """The variables acted on, and all that lies below them."""
        graph = self.scm.graph
        below = [graph.descendants(name) for name in self.acted_on if name in graph]
        return self.acted_on.union(*below)

    @cached_property
    def between(self) -> tuple[str, ...]:
        """The random variables below the action that the outcome and ``given`` hang on."""
        names = {*self.outcome.names, *(self.given.names if self.given else ())}
        moved = self._above(names) & self.reached - self.acted_on
        return tuple(
            n for n, v in self.scm.variables.items() if n in moved and not v.deterministic
        )

    @cached_property
    def settled(self) -> bool:
        """Whether what was seen leaves no noise random that matters in the worlds."""
        if self.nested:
            return settles(self.scm, self.evidence, self.inputs, self.scm.variables)
        every = [world for worlds in self.interventions for world in worlds]
        sets = [frozenset(_set_by(world)) for world in every]
        moved = self._above(self.outcome.names) & self.reached - sets[0].intersection(*sets)
        return settles(self.scm, self.evidence, self.inputs, moved)

    def _above(self, names: Collection[str]) -> frozenset[str]:
        """Return some variables with all that lies above them; none named stand for all."""
        graph = self.scm.graph
        if not names:
            return frozenset(graph)
        return frozenset(names).union(*(graph.ancestors(name) for name in names))

    @property
    def told_below(self) -> bool:
        """Whether the units are told by something that the action changes."""
        told_by = self.given.names if self.given else ()
        return bool((self.reached - self.acted_on) & set(told_by))

    @property
    def rung(self) -> int:
        """3 where the units are told by what the action changes, or were seen; else 2."""
        told_by = self.given.names if self.given else ()
        return 3 if self.evidence is not None or self.reached & set(told_by) else 2

    @property
    def nothing_reached(self) -> bool:
        """Whether the outcome is known to lie above, or apart from, all that is acted on."""
        return bool(self.outcome.names) and not self.reached & set(self.outcome.names)

    def mean(self, world: int) -> str:
        """Write the mean outcome of one world in symbols."""
        given = [self.given.text] if self.given else []
        if self.rung == 2:
            return self.outcome.mean(", ".join([f"do({self.worlds[world]})", *given]))
        return self.outcome.named(self.worlds[world]).mean(self.told)

    @property
    def told(self) -> str:
        """Which units are meant, in symbols."""
        given = [self.given.text] if self.given else []
        return ", ".join([*given, *(["evidence"] if self.evidence is not None else [])])

    def ask(self) -> Asked:
        """Draw the units, or read what was seen of them, and find those that are meant."""
        if self.evidence is not None:
            units = evidenced(
                self.scm,
                self.evidence,
                self.inputs,
                self.num_samples,
                self.seed,
                each=1 if self.settled else self.each,
            )
            return Asked(self, units, self._chosen(units))
        if self.pinned is not None:
            units = alike(self.scm, self.pinned, self.num_samples, self.inputs, self.seed)
            return Asked(self, units, None)
        return self._enough()

    def _enough(self) -> Asked:
        """Draw units until as many as were asked for are meant, within reason."""
        units = sampled(self.scm, self.num_samples, self.inputs, self.seed)
        chosen = self._chosen(units)
        if chosen is None or self.inputs is not None:
            return Asked(self, units, chosen)
        share = max(chosen.double().mean().item(), 1 / MOST_TIMES)
        if share < 1:
            units = sampled(self.scm, round(self.num_samples / share), None, self.seed)
            chosen = self._chosen(units)
        return Asked(self, units, chosen)

    def least(self, units: Population) -> int:
        """Return how many units a mean is taken over, at least; one that was seen is enough."""
        return self.fewest if units.draws is None else 1

    def _chosen(self, units: Population) -> Tensor | None:
        if self.given is None:
            return None
        chosen = self.given(units.factual)
        _check_shape("given", chosen, units)
        fewest = self.least(units)
        if int(chosen.sum()) < fewest:
            raise ValueError(
                f"given ({self.given.text}) holds for {int(chosen.sum())} of {chosen.numel()} units; "
                f"expected at least {fewest}. Widen the condition, or raise num_samples."
            )
        return chosen


@dataclass(frozen=True)
class Asked:
    """A question with the units that it is asked about.

    Attributes:
        question: The question.
        units: The units.
        chosen: Which of them are meant, shape ``(unit,)`` or ``(draw, unit)``; all if None.
    """

    question: Question
    units: Population
    chosen: Tensor | None

    def of(self, values: Sequence[Mapping[str, Tensor]]) -> list[Tensor]:
        """Return the outcome of the units that are meant, in each world.

        Returns:
            Shape ``(unit,)``, or ``(draw, unit)`` where the units were seen and all are meant.
        """
        outcomes = [self.question.outcome(world) for world in values]
        for outcome in outcomes:
            _check_shape("outcome", outcome, self.units)
        if self.chosen is None:
            return outcomes
        return [outcome[self.chosen] for outcome in outcomes]

    def outcomes(self) -> list[Tensor]:
        """Return the outcome of the units that are meant, in each world of the question."""
        return self.of(self.units.worlds(self.question.actions))

    def replicates(self, outcomes: Tensor) -> Tensor:
        """Return what varies by chance alone: each unit's outcome, or each draw's mean.

        Of units that were seen and of which some are meant, a draw counts by how many it has.
        """
        if self.units.draws is None:
            return outcomes
        if self.chosen is None:
            return outcomes.mean(1)
        mean, draw = outcomes.mean(), self.chosen.nonzero()[:, 0]
        pulls = outcomes.new_zeros(self.units.draws).index_add(0, draw, outcomes - mean)
        return mean + pulls * (self.units.draws / len(outcomes))

    def among(self, inside: Tensor) -> Asked:
        """Return the same question of some of the units that are meant."""
        if self.chosen is None:
            return Asked(self.question, self.units, inside)
        chosen = self.chosen.clone()
        chosen[self.chosen] = inside
        return Asked(self.question, self.units, chosen)


def question(
    scm: SCM, outcome: Any, actions: Sequence[Any], options: Options | None = None
) -> Question:
    """Read a question as a user writes it.

    Args:
        scm: The model.
        outcome: A variable's name, an event ``{"Y": 1}`` or a function of a world's values.
        actions: The intervention of each world.
        options: What else was said.

    Raises:
        UnknownVariable: A name that is no variable.
        TypeError: An unknown option, or something that can't be read.
        ValueError: An impossible value.
    """
    said = options or {}
    introduce(scm, said)
    evidence = said.get("evidence")
    seed = said.get("seed")
    seed = draw_seed() if seed is None else seed
    size = count_of(said.get("num_samples", SAMPLES), "num_samples")
    inputs = arguments_of(scm, said.get("inputs"), evidence, size)
    units = units_of(inputs or {}, size)
    size = units if evidence is None else size
    _check_actions(scm, actions)
    level = said.get("level", 0.95)
    check_level(level)
    read = read_outcome(outcome, scm.variables)
    _check_apart(read, actions)
    condition, pinned = _read_given(scm, said.get("given"), inputs, units, seed)
    return Question(
        scm,
        read,
        tuple(actions),
        condition,
        pinned,
        evidence,
        inputs,
        size,
        seed,
        read_scale(said.get("scale", "difference")),
        level,
    )


def _check_apart(outcome: Outcome, actions: Sequence[Any]) -> None:
    worlds = [world for one in actions for world in read_worlds(one)[0]]
    if outcome.names and worlds and all(set(targets(w)) >= set(outcome.names) for w in worlds):
        names = ", ".join(outcome.names)
        raise ValueError(
            f"The outcome {names} is itself acted on, so that the answer is what it is set to; "
            "expected an outcome apart from the treatment. Ask about a variable that lies below it."
        )


def _read_given(
    scm: SCM, given: Any, inputs: Mapping[str, Any] | None, units: int, seed: int
) -> tuple[Condition | None, Mapping[str, Any] | None]:
    if given is None:
        return None, None
    example = sampled(scm, min(units, EXAMPLES), first_of(inputs, EXAMPLES), seed).factual
    condition = read_condition(given, scm.variables, example)
    exact = given.items() if isinstance(given, Mapping) else ()
    if any(continuous(scm.variables[n]) and not isinstance(v, Between) for n, v in exact):
        return condition, dict(given)
    return condition, None


def _set_by(world: World) -> Iterator[str]:
    for item in world:
        if not isinstance(item, Edge) and isinstance(item[1], Set):
            yield item[0]


def _check_actions(scm: SCM, actions: Sequence[Any]) -> None:
    """Tell what can't be done before anything is drawn."""
    for action in actions:
        worlds, listed = read_worlds(action)
        if listed:
            raise ValueError(
                f"A question is about single worlds; got {describe_worlds(worlds)} for one of them. "
                "Ask about each, or pc.dose_response(...) for a curve over values."
            )
    if actions:
        scm.do(list(actions))


def introduce(scm: SCM, options: Options) -> None:
    """Check whom a question is put to, and show the program its first arguments if it needs them.

    Raises:
        TypeError: No SCM; an option that there is not; inputs that are no columns.
        ValueError: An SCM that holds evidence.
    """
    from pyrocausal.model import SCM as Model

    if not isinstance(scm, Model):
        raise TypeError(f"Expected an SCM; got {type(scm).__name__}. Make one by pc.SCM(program).")
    if scm._standing.evidence:
        raise ValueError(
            f"A question was asked of {scm!r}. Ask the SCM without condition(...), and say which "
            "units are meant by given=, or what was seen of them by evidence=."
        )
    check_options(options)
    inputs = options.get("inputs")
    columns = None if inputs is None else columns_of(inputs, "inputs")
    if columns is not None and not scm._core.knows_sites:
        scm.sample(1, inputs=first_of(columns, 1), seed=0)


def _check_shape(what: str, found: Tensor, units: Population) -> None:
    shape = (units.size,) if units.draws is None else (units.draws, units.size)
    if found.shape != shape:
        raise ValueError(
            f"{what} has the shape {tuple(found.shape)}; expected one number a unit, {shape}. "
            'Give a function that makes one of several, such as lambda v: v["Y"].sum(-1).'
        )
