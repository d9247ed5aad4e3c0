"""The units a question is about: the same ones, on the same noise, in every world."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from pyrocausal.engine.abduction import Abduction
from pyrocausal.noise.streams import draw_seed
from pyrocausal.verbs.fitted import unwarned

if TYPE_CHECKING:
    from pyrocausal.model import SCM

__all__ = ["Population", "alike", "evidenced", "sampled"]

Values = Mapping[str, Tensor]

FEWEST_DRAWS: Final = 100


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
        assumptions: What the worlds rest on and the data can't check.
    """

    draws: int | None = None
    units: Any = None

    def __init__(
        self, scm: SCM, size: int, inputs: Mapping[str, Any] | None, seed: int | None
    ) -> None:
        self.scm, self.size, self.inputs = scm, size, inputs
        self.seed = draw_seed() if seed is None else seed
        self.routes: Mapping[str, str] = {}
        self.assumptions: tuple[str, ...] = ()

    @cached_property
    def factual(self) -> Values:
        """The values of all variables in the factual world, shape ``(unit, ...)``."""
        answer = self.scm.sample(self.size, inputs=self.inputs, latent=True, seed=self.seed)
        self.assumptions = answer.assumptions
        return answer

    def worlds(self, interventions: Sequence[Any]) -> list[Values]:
        """Return the values of all variables in each world, shape ``(unit, ...)``."""
        with unwarned():
            answer = self.scm.do(list(interventions)).sample(
                self.size, inputs=self.inputs, latent=True, seed=self.seed
            )
        self.assumptions = answer.assumptions
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
        draws: Callable[[Abduction], int],
        seed: int | None,
    ) -> None:
        super().__init__(scm, 0, inputs, seed)
        self.evidence = evidence
        abduction = self._abduct(1)
        self.size, self.units = abduction.evidence.units, abduction.evidence.labels
        self.draws = draws(abduction)
        if self.draws > 1:
            abduction = self._abduct(self.draws)
        self.abduction, self.routes = abduction, abduction.routes

    @cached_property
    def factual(self) -> Values:
        return {name: value[:, 0] for name, value in self.abduction.factual.items()}

    def worlds(self, interventions: Sequence[Any]) -> list[Values]:
        with unwarned():
            answer = self.scm.counterfactual(
                self.evidence,
                list(interventions),
                inputs=self.inputs,
                num_draws=self.draws or 1,
                abduction=self.abduction,
                seed=self.seed,
            )
        self.assumptions = answer.assumptions
        values = {
            name: value if "unit" in answer.dims else value.unsqueeze(2)
            for name, value in answer.items()
        }
        return _apart(values, answer.shared, 1, len(interventions))

    def _abduct(self, draws: int) -> Abduction:
        return self.scm.abduct(self.evidence, inputs=self.inputs, num_draws=draws, seed=self.seed)


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
) -> Population:
    """Return units that were seen.

    Args:
        scm: The model.
        evidence: Mapping or DataFrame of the units' variables, units first; NaN where missing.
        inputs: The program's arguments by name, units first.
        num_samples: About how many draws of all units together to take, where the evidence leaves
            noise random; at least 100 a unit.
        seed: Gives the same draws again.
    """

    def draws(abduction: Abduction) -> int:
        if all(route == "exact" for route in abduction.routes.values()):
            return 1
        return max(FEWEST_DRAWS, num_samples // abduction.evidence.units)

    return Evidenced(scm, evidence, inputs, draws, seed)


def alike(
    scm: SCM,
    seen: Mapping[str, float],
    size: int,
    inputs: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Population:
    """Return units of which the same was seen, and that are else drawn from the model.

    Args:
        scm: The model.
        seen: Variable to the value that all units have.
        size: Number of units.
        inputs: The program's arguments by name, units first.
        seed: Gives the same units again.
    """
    evidence = {name: torch.full((size,), float(value)) for name, value in seen.items()}
    population = Alike(scm, evidence, inputs, lambda abduction: 1, seed)
    population.draws = None
    return population


def _first(values: Values) -> Values:
    return {name: value[0] for name, value in values.items()}


def _apart(values: Values, shared: frozenset[str], dim: int, worlds: int) -> list[Values]:
    own = {name: value for name, value in values.items() if name not in shared}
    return [{name: value.select(dim, i) for name, value in own.items()} for i in range(worlds)]
