"""The page's questions to a model: one action on all three rungs, and one unit's twin."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from pyrocausal.engine.abduction import Abduction
from pyrocausal.errors import PyrocausalError, UnreliableWarning
from pyrocausal.exploring.controls import Array, controls_of
from pyrocausal.exploring.views import Panel, Row, View
from pyrocausal.graph import CausalGraph
from pyrocausal.model import SCM
from pyrocausal.results import RUNGS, Counterfactual

__all__ = ["Explorer"]

DRAWS: Final = 200
"""Draws of a unit's noise, as far as what was seen of it leaves any open."""

REFUSALS: Final = (PyrocausalError, ValueError, TypeError)
"""What a question without an answer raises."""

Action = Mapping[str, float]


class Explorer:
    """A model with units that were simulated once, asked about one action after the other.

    Args:
        scm: The model.
        units: How many units to simulate.
        seed: One seed is one set of units on all rungs.
        inputs: The program's arguments by name.

    Raises:
        ValueError: No observed variable is one number a unit, so that there is nothing to set.

    Example:
        >>> from pyrocausal import zoo
        >>> explorer = Explorer(zoo.triangle(), units=100)
        >>> [control.name for control in explorer.controls]
        ['Z', 'X', 'Y']
        >>> explorer.look({"X": 1.0}, "Y", unit=3).doing.query
        'P(Y | do(X=1))'
    """

    def __init__(
        self,
        scm: SCM,
        *,
        units: int = 1000,
        seed: int = 0,
        inputs: Mapping[str, Any] | None = None,
    ) -> None:
        self.scm, self.units, self.seed, self.inputs = scm, units, seed, inputs
        self._facts = scm.sample(units, inputs=inputs, seed=seed)
        self.seen = self._numbers(self._facts)
        self.controls = controls_of(scm, self.seen)
        if not self.controls:
            raise ValueError(
                f"{scm.name} has no observed variable that is one number a unit; expected one, to "
                "set and to draw. Add a pyro.deterministic of what you make of its values."
            )
        self._abduct = lru_cache(maxsize=64)(self._abduct_anew)

    def evidence(self, unit: int) -> dict[str, Tensor]:
        """Return what was seen of a unit: its observed variables, but for functions of others."""
        return {
            name: self._facts[name][unit]
            for name, variable in self.scm.variables.items()
            if name in self._facts and not variable.deterministic and not variable.shared
        }

    def look(self, action: Action, outcome: str, unit: int) -> View:
        """Ask one action on all rungs.

        Args:
            action: Variable to the value it is set to; empty for no action.
            outcome: The variable whose distributions are shown.
            unit: The unit whose twin is shown.
        """
        doing = self._doing(action, outcome)
        imagining, rows = self._imagining(action, outcome, unit)
        after, facts = doing.values, self.seen[outcome]
        pairs = np.stack([facts, after]) if len(after) else np.empty((2, 0))
        return View(
            self.graph(action),
            told(action),
            self._seeing(action, outcome),
            doing,
            imagining,
            pairs,
            _pairs_told(pairs),
            rows,
        )

    def graph(self, action: Action) -> CausalGraph:
        """Return the graph under an action: what it sets hears no longer of its causes."""
        return self.scm.graph.do(*action) if action else self.scm.graph

    def _seeing(self, action: Action, outcome: str) -> Panel:
        """Rung 1: among the units that happen to have these values."""
        used = [control for control in self.controls if control.name in action]
        met = np.ones(self.units, dtype=bool)
        for control in used:
            met &= control.met(self.seen[control.name], action[control.name])
        given = ", ".join(control.told(action[control.name]) for control in used)
        query = f"P({outcome} | {given})" if given else f"P({outcome})"
        values = self.seen[outcome][met]
        if not len(values):
            words = f"none of {self.units} units was seen so"
            return Panel(RUNGS[1], query, words)
        who = f"{len(values)} of {self.units} units were seen so" if given else "all units"
        return Panel(RUNGS[1], query, f"{_moments(values)}; {who}", values)

    def _doing(self, action: Action, outcome: str) -> Panel:
        """Rung 2: all units after the action; their noise is that of rung 1."""
        query = f"P({outcome} | {told(action)})" if action else f"P({outcome})"
        try:
            acted = self.scm.do(dict(action)) if action else self.scm
            drawn = acted.sample(self.units, inputs=self.inputs, variables=outcome, seed=self.seed)
            values = _finite(drawn[outcome])
        except REFUSALS as error:
            return Panel(RUNGS[2], query, f"no answer: {error}")
        after = "after the action" if action else "no action"
        words = f"{_moments(values)}; all {self.units} units, {after}"
        return Panel(RUNGS[2], query, words, values)

    def _imagining(self, action: Action, outcome: str, unit: int) -> tuple[Panel, tuple[Row, ...]]:
        """Rung 3: this unit, with the noise that explains what was seen of it."""
        term = f"{outcome}({_assigned(action)})" if action else outcome
        query = f"P({term} | all that was seen of unit {unit})"
        try:
            abduction, doubt = self._abduct(unit)
            answer = self.twin(unit, action, abduction)
        except REFUSALS as error:
            return Panel(RUNGS[3], query, f"no answer: {error}"), ()
        rows = tuple(self._row(name, unit, action, answer) for name in self.seen)
        (row,) = (row for row in rows if row.variable == outcome)
        words = f"fact {row.fact:.4g}, twin {row.told}; this unit alone, its noise kept{doubt}"
        return Panel(RUNGS[3], query, words, row.twin), rows

    def twin(
        self, unit: int, action: Action, abduction: Abduction | None = None
    ) -> Counterfactual:
        """Return what a unit would have been: abduction, action, prediction."""
        evidence: Any = self.evidence(unit)
        return self.scm.counterfactual(
            evidence,
            dict(action),
            inputs=self.inputs,
            num_draws=DRAWS,
            abduction=abduction,
            seed=self.seed,
        )

    def _abduct_anew(self, unit: int) -> tuple[Abduction, str]:
        """Return a unit's noise, and a word where it is unreliable."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter(
                "ignore"
            )  # what is no word on this unit has no place on the page
            warnings.simplefilter("always", UnreliableWarning)
            found = self.scm.abduct(
                self.evidence(unit), inputs=self.inputs, num_draws=DRAWS, seed=self.seed
            )
        return found, "".join(f"; unreliable: {warning.message}" for warning in caught)

    def _row(self, name: str, unit: int, action: Action, answer: Counterfactual) -> Row:
        fact = float(self.seen[name][unit])
        twin = np.broadcast_to(_flat(answer[name]), DRAWS)
        moved = bool((abs(twin - fact) > 1e-6 * max(1.0, abs(fact))).any())
        role = "set" if name in action else "moved" if moved else "kept"
        return Row(name, fact, twin, role)

    def _numbers(self, values: Mapping[str, Tensor]) -> dict[str, Array]:
        """Return the variables that are one finite number a unit, shape ``(units,)``."""
        return {
            name: _flat(value)
            for name, value in values.items()
            if value.shape == (self.units,)
            and not self.scm.variables[name].shared
            and value.isfinite().all()
        }


def told(action: Action) -> str:
    """Return an action in symbols.

    Example:
        >>> told({"x": 1.0, "y": 0.5}), told({})
        ('do(x=1, y=0.5)', '')
    """
    return f"do({_assigned(action)})" if action else ""


def _assigned(action: Action) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in action.items())


def _flat(value: Tensor) -> Array:
    array: Array = value.detach().cpu().to(torch.float64).numpy()
    return array


def _finite(value: Tensor) -> Array:
    if not value.isfinite().all():
        raise ValueError("the action leads to values that are no numbers. Set other values.")
    return _flat(value)


def _moments(values: Array) -> str:
    return f"mean {values.mean():.4g}, sd {values.std():.3g}"


def _pairs_told(pairs: Array) -> str:
    change = pairs[1] - pairs[0]
    if not len(change):
        return "no answer"
    up, down = int((change > 0).sum()), int((change < 0).sum())
    return f"mean change {change.mean():.4g}; {up} units higher, {down} lower, the rest the same"
