"""The units a question is about: the same ones, on the same noise, in every world."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from pyrocausal.engine.intervals import Between, between
from pyrocausal.noise.streams import draw_seed
from pyrocausal.verbs.fitted import unwarned
from pyrocausal.verbs.posterior import shared_sites

if TYPE_CHECKING:
    from pyrocausal.inference import Quality
    from pyrocausal.model import SCM

__all__ = ["Population", "alike", "evidenced", "sampled", "settles"]

Values = Mapping[str, Tensor]

DETERMINED: Final = ("exact", "deterministic", "posterior")  # routes to noise that is no draw


class Population:
    """Units that are drawn from the model; the same seed gives the same ones in any world.

    Attributes:
        scm: The model.
        size: Number of units.
        inputs: The program's arguments, units first.
        seed: Gives the same units again.
        draws: Number of draws of the noise of each unit; ``None`` for units that are draws
            themselves.
        units: Labels of the units, a pandas index, where they have some.
        routes: Variable to the way its noise was had.
        quality: How well what was not seen is inferred; ``None`` where nothing is.
        assumptions: What the worlds rest on and the data can't check.
        shared: The values of the variables that all units share.
    """

    draws: int | None = None
    units: Any = None
    quality: Quality | None = None

    def __init__(
        self, scm: SCM, size: int, inputs: Mapping[str, Any] | None, seed: int | None
    ) -> None:
        self.scm, self.size, self.inputs = scm, size, inputs
        self.seed = draw_seed() if seed is None else seed
        self.routes: Mapping[str, str] = {}
        self.assumptions: tuple[str, ...] = ()
        self.shared: Values = {}

    @cached_property
    def factual(self) -> Values:
        """The values of all variables in the factual world, shape ``(unit, ...)``."""
        answer = self.scm.sample(self.size, inputs=self.inputs, latent=True, seed=self.seed)
        self.assumptions = answer.assumptions
        self.shared = {name: answer[name] for name in answer.shared}
        return {name: value for name, value in answer.items() if name not in answer.shared}

    def worlds(self, interventions: Sequence[Any]) -> list[Values]:
        """Return the values of all variables in each world, shape ``(unit, ...)``."""
        with unwarned():
            answer = self.scm.do(list(interventions)).sample(
                self.size, inputs=self.inputs, latent=True, seed=self.seed
            )
        self.assumptions = answer.assumptions
        self.shared = {name: answer[name] for name in answer.shared}
        return _apart(answer, answer.shared, 0, len(interventions))


class Evidenced(Population):
    """Units that were seen; what their evidence leaves open is drawn ``draws`` times.

    Values have the shape ``(draw, unit, ...)``.
    """

    def __init__(
        self,
        scm: SCM,
        evidence: Any,
        inputs: Mapping[str, Any] | None,
        draws: int,
        seed: int | None,
    ) -> None:
        super().__init__(scm, 0, inputs, seed)
        self.evidence, self.draws = evidence, draws
        self.abduction = scm.abduct(evidence, inputs=inputs, num_draws=draws, seed=self.seed)
        self.size, self.units = self.abduction.evidence.units, self.abduction.evidence.labels
        self.routes, self.quality = self.abduction.routes, self.abduction.quality
        self.shared = self.abduction.shared

    @cached_property
    def factual(self) -> Values:
        return {name: value[:, 0] for name, value in self.abduction.factual.items()}

    def worlds(self, interventions: Sequence[Any]) -> list[Values]:
        with unwarned():
            answer = self.scm.counterfactual(
                self.evidence,
                list(interventions),
                inputs=self.inputs,
                num_draws=self.abduction.draws,
                abduction=self.abduction,
                seed=self.seed,
            )
        self.assumptions = answer.assumptions
        values = {
            name: value if "unit" in answer.dims else value.unsqueeze(2)
            for name, value in answer.items()
        }
        return _apart(values, answer.shared, 1, len(interventions))


class Alike(Evidenced):
    """Units of which the same was seen: each stands for one draw of the rest."""

    @cached_property
    def factual(self) -> Values:
        return _first(super().factual)

    def worlds(self, interventions: Sequence[Any]) -> list[Values]:
        return [_first(world) for world in super().worlds(interventions)]


def sampled(
    scm: SCM, size: int, inputs: Mapping[str, Any] | None = None, seed: int | None = None
) -> Population:
    """Return units that are drawn from the model.

    Args:
        scm: The model.
        size: Number of units.
        inputs: The program's arguments by name, units first; they say the number of units.
        seed: Gives the same units again.
    """
    return Population(scm, size, inputs, seed)


def evidenced(
    scm: SCM,
    evidence: Any,
    inputs: Mapping[str, Any] | None = None,
    num_samples: int = 10_000,
    seed: int | None = None,
    *,
    each: int = 100,
) -> Population:
    """Return units that were seen.

    Args:
        scm: The model.
        evidence: Mapping or DataFrame of the units' variables, units first; NaN where missing.
        inputs: The program's arguments by name, units first.
        num_samples: About how many draws of all units together to take.
        seed: Gives the same draws again.
        each: How many draws of each unit, at least; 1 where the evidence leaves no noise random.

    Raises:
        ValueError: Random noise in a program with variables that all units share.
    """
    if each == 1:
        return Evidenced(scm, evidence, inputs, 1, seed)
    with scm._core.session():
        units = scm._core.read(evidence, inputs).units
    if shared_sites(scm._core):
        raise ValueError(
            f"The evidence leaves noise of the units random, and {', '.join(shared_sites(scm._core))} "
            "is shared by all of them. Ask scm.counterfactual(evidence, do, num_draws=...), which "
            "draws both."
        )
    return Evidenced(scm, evidence, inputs, max(each, num_samples // units), seed)


def settles(
    scm: SCM, evidence: Any, inputs: Mapping[str, Any] | None, moved: Collection[str]
) -> bool:
    """Say whether what was seen of some units determines all their noise that matters.

    A variable that was seen keeps its value, whatever its noise, unless some world moves it.

    Args:
        scm: The model.
        evidence: What was seen.
        inputs: The program's arguments.
        moved: The variables that some world moves, without those that all worlds set.
    """
    with scm._core.session():
        seen = scm._core.read(evidence, inputs)
    if seen.observed or seen.limits:
        return False
    still = seen.values.keys() - set(moved)
    routes = scm.plan(list(seen.values)).routes
    return all(name in still or how in DETERMINED for name, how in routes.items())


def alike(
    scm: SCM,
    seen: Mapping[str, Any],
    size: int,
    inputs: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Population:
    """Return units of which the same was seen, and that are else drawn from the model.

    Args:
        scm: The model.
        seen: Variable to the value that all units have, or to limits of theirs.
        size: Number of units.
        inputs: The program's arguments by name, units first.
        seed: Gives the same units again.
    """
    evidence = {
        name: between(torch.full((size,), float(value.low)), value.high)
        if isinstance(value, Between)
        else torch.full((size,), float(value))
        for name, value in seen.items()
    }
    population = Alike(scm, evidence, inputs, 1, seed)
    population.draws = None
    return population


def _first(values: Values) -> Values:
    return {name: value[0] for name, value in values.items()}


def _apart(values: Values, shared: frozenset[str], dim: int, worlds: int) -> list[Values]:
    own = {name: value for name, value in values.items() if name not in shared}
    return [{name: value.select(dim, i) for name, value in own.items()} for i in range(worlds)]
