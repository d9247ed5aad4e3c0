"""Reading a question: whose outcome, in which worlds, of which units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypedDict

from torch import Tensor

from pyrocausal.engine.evidence import count_of
from pyrocausal.interventions import World, read_worlds, targets
from pyrocausal.naming import describe_worlds
from pyrocausal.noise.streams import draw_seed
from pyrocausal.queries.outcomes import Condition, Outcome, read_condition, read_outcome
from pyrocausal.queries.population import Population, alike, evidenced, sampled
from pyrocausal.queries.scales import Scale, read_scale

if TYPE_CHECKING:
    from pyrocausal.model import SCM

__all__ = ["SAMPLES", "Asked", "Options", "Question", "action_on", "introduce", "pair", "question"]

SAMPLES: Final = 20_000
FEWEST: Final = 30  # units, below which a mean has no error to speak of
MOST_TIMES: Final = 50  # how many times as many units are drawn to find those that are meant
EXAMPLES: Final = 64


class Options(TypedDict, total=False):
    """What every question takes.

    Attributes:
        given: Which units are meant, by what they are in the factual world: a mapping from
            variable to value, or a predicate such as ``lambda v: v["age"] > 50``.
        evidence: The units, where they were seen: mapping or DataFrame, units first.
        scale: ``"difference"``, ``"ratio"`` or ``"odds ratio"``, of the two means.
        inputs: The program's arguments by name, units first.
        num_samples: Number of units to draw, 20,000 if left out.
        level: Level of the interval, 0.95 if left out.
        seed: Gives the same units again.
    """

    given: Any
    evidence: Any
    scale: Scale
    inputs: Mapping[str, Any] | None
    num_samples: int
    level: float
    seed: int | None


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
    """

    scm: SCM
    outcome: Outcome
    actions: tuple[Any, ...]
    given: Condition | None
    pinned: Mapping[str, float] | None
    evidence: Any
    inputs: Mapping[str, Any] | None
    num_samples: int
    seed: int
    scale: Scale
    level: float
    fewest: int = FEWEST

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
            units = evidenced(self.scm, self.evidence, self.inputs, self.num_samples, self.seed)
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
    from pyrocausal.model import SCM as Model

    if not isinstance(scm, Model):
        raise TypeError(f"Expected an SCM; got {type(scm).__name__}. Make one by pc.SCM(program).")
    if scm._standing.evidence:
        raise ValueError(
            f"A question was asked of {scm!r}. Ask the SCM without condition(...), and say which "
            "units are meant by given=, or what was seen of them by evidence=."
        )
    said = options or {}
    _check_options(said)
    introduce(scm, said)
    inputs, evidence = said.get("inputs"), said.get("evidence")
    seed = said.get("seed")
    seed = draw_seed() if seed is None else seed
    size = count_of(said.get("num_samples", SAMPLES), "num_samples")
    if inputs is not None and evidence is None:
        size = max((len(value) for value in inputs.values() if _rows(value)), default=size)
    if actions:
        scm.do(list(actions))  # what can't be done is told before anything is drawn
    level = said.get("level", 0.95)
    if not 0 < level < 1:
        raise ValueError(f"level got {level!r}; expected a probability such as 0.95.")
    condition, pinned = _read_given(scm, said.get("given"), inputs, size, seed)
    return Question(
        scm,
        read_outcome(outcome, scm.variables),
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


def pair(values: tuple[Any, Any]) -> tuple[Any, Any]:
    """Check that there are a treated and a control value.

    Raises:
        ValueError: Not two of them.

    Example:
        >>> pair([1.0, 0.0])
        (1.0, 0.0)
    """
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != 2:
        raise ValueError(
            f"values got {values!r}; expected the treated and the control value, such as (1.0, 0.0)."
        )
    return values[0], values[1]


def action_on(treatment: str | Sequence[str], value: Any) -> Mapping[str, Any]:
    """Return the intervention that sets one treatment, or several to a value each.

    Raises:
        ValueError: Not as many values as treatments.

    Example:
        >>> action_on(["A", "B"], (1.0, 0.0))
        {'A': 1.0, 'B': 0.0}
    """
    if isinstance(treatment, str):
        return {treatment: value}
    names = list(treatment)
    if not names or not isinstance(value, Sequence) or len(value) != len(names):
        raise ValueError(
            f"Got {len(names)} treatments and the value {value!r}; expected one value for each, "
            "such as values=((1.0, 1.0), (0.0, 0.0))."
        )
    return dict(zip(names, value, strict=True))


def _read_given(
    scm: SCM, given: Any, inputs: Mapping[str, Any] | None, size: int, seed: int
) -> tuple[Condition | None, Mapping[str, float] | None]:
    if given is None:
        return None, None
    example = sampled(scm, min(size, EXAMPLES), _first_of(inputs, EXAMPLES), seed).factual
    condition = read_condition(given, scm.variables, example)
    if isinstance(given, Mapping) and any(_continuous(scm, name) for name in given):
        return condition, {name: float(value) for name, value in given.items()}
    return condition, None


def _check_options(said: Mapping[str, Any]) -> None:
    known = list(Options.__annotations__)
    for name in said:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise TypeError(
                f"There is no option {name!r}.{f' Did you mean {near[0]!r}?' if near else ''} "
                f"Options: {', '.join(known)}."
            )


def introduce(scm: SCM, options: Options) -> None:
    """Show the program its first arguments, without which its variables are not known."""
    inputs = options.get("inputs")
    if inputs is not None:
        scm.sample(1, inputs=_first_of(inputs, 1), seed=0)


def _continuous(scm: SCM, name: str) -> bool:
    variable = scm.variables[name]
    return not (variable.discrete or variable.deterministic)


def _check_shape(what: str, found: Tensor, units: Population) -> None:
    shape = (units.size,) if units.draws is None else (units.draws, units.size)
    if found.shape != shape:
        raise ValueError(
            f"{what} has the shape {tuple(found.shape)}; expected one number a unit, {shape}. "
            'Give a function that makes one of several, such as lambda v: v["Y"].sum(-1).'
        )


def _rows(value: Any) -> bool:
    return hasattr(value, "__len__") and getattr(value, "ndim", 1) > 0


def _first_of(inputs: Mapping[str, Any] | None, number: int) -> Mapping[str, Any] | None:
    if inputs is None:
        return None
    return {n: v[:number] if _rows(v) else v for n, v in inputs.items()}
