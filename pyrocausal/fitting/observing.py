"""The observed units of a fit: rows of data at a time, put in the place of the sites' values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from pyro.poutine.indep_messenger import IndepMessenger
from pyro.poutine.messenger import Messenger
from torch import Tensor

from pyrocausal.engine.evidence import Evidence, names_of_units
from pyrocausal.engine.rows import UNITS, over_events
from pyrocausal.engine.tracing import Variable
from pyrocausal.errors import IncompleteEvidence
from pyrocausal.graph import CausalGraph

__all__ = ["Observed", "Units", "UnitsPlate", "incomplete", "missing_causes", "read_units"]


@dataclass(frozen=True)
class Units:
    """Observed units.

    Attributes:
        number: How many.
        values: Variable to values in program shape, ``(*inner, units, *event)``; of a variable
            that all units share, its one value.
        missing: Variable to mask of its missing values, ``(*inner, units)``.
        inputs: The program's arguments, units first.
        variables: What is known of the program's variables.
    """

    number: int
    values: Mapping[str, Tensor]
    missing: Mapping[str, Tensor]
    inputs: Mapping[str, Any]
    variables: Mapping[str, Variable]

    def rows(self, index: Tensor) -> Units:
        """Return some of the units."""
        values = {
            name: value if self.variables[name].shared else self._pick(name, value, index)
            for name, value in self.values.items()
        }
        missing = {name: self._pick(name, mask, index) for name, mask in self.missing.items()}
        inputs = {
            name: value.index_select(0, index) if isinstance(value, Tensor) else value
            for name, value in self.inputs.items()
        }
        return Units(len(index), values, missing, inputs, self.variables)

    def to(self, device: torch.device) -> Units:
        """Return the units on a device."""
        return self.holding([tensor.to(device) for tensor in self.tensors()])

    def named(self) -> dict[str, Tensor]:
        """Return all that is held as tensors by name, in a fixed order."""
        parts = {"": self.values, "what is missing of ": self.missing, "the input ": self.inputs}
        return {
            f"{what}{name}": value
            for what, part in parts.items()
            for name, value in part.items()
            if isinstance(value, Tensor)
        }

    def tensors(self) -> list[Tensor]:
        """Return all that is held as tensors, in the same order."""
        return list(self.named().values())

    def holding(self, tensors: Sequence[Tensor]) -> Units:
        """Return these units with other tensors in the order of ``tensors()``."""
        new = iter(tensors)
        values, missing, inputs = (
            {k: next(new) if isinstance(v, Tensor) else v for k, v in part.items()}
            for part in (self.values, self.missing, self.inputs)
        )
        return Units(self.number, values, missing, inputs, self.variables)

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Return the least and the greatest value of each variable with one number a unit."""
        found = {}
        for name, value in self.values.items():
            variable = self.variables[name]
            known = value[~self.missing[name]] if name in self.missing else value
            if not (variable.shared or variable.unit_shape) and len(known):
                found[name] = float(known.min()), float(known.max())
        return found

    def batch(self) -> dict[str, Any]:
        """Return what a guide sees: inputs and data by name, NaN where a value is missing."""
        return {**self.inputs, **{name: self._shown(name) for name in self.values}}

    def _shown(self, name: str) -> Tensor:
        value = self.values[name]
        if name not in self.missing:
            return value
        missing = over_events(self.missing[name], value)
        return torch.where(missing, torch.nan, value)

    def _pick(self, name: str, value: Tensor, index: Tensor) -> Tensor:
        return value.index_select(len(self.variables[name].inner), index)


def read_units(
    seen: Evidence, inputs: Mapping[str, Any], variables: Mapping[str, Variable]
) -> Units:
    """Bring evidence to program shape; what is given for a deterministic site has no say."""
    values, missing = {}, {}
    for name, value in seen.values.items():
        variable = variables[name]
        if variable.deterministic or (variable.shared and name in seen.observed):
            continue
        inner = 0 if variable.shared else len(variable.inner)
        values[name] = value.detach().movedim(0, inner).contiguous() if inner else value.detach()
        if name in seen.observed:
            missing[name] = ~seen.observed[name].movedim(0, inner)
    plain = {k: v.detach() if isinstance(v, Tensor) else v for k, v in inputs.items()}
    return Units(seen.units, values, missing, plain, variables)


def missing_causes(
    seen: Evidence, graph: CausalGraph, variables: Mapping[str, Variable]
) -> dict[str, str]:
    """Find variables that are missing in units where something below them was observed.

    Variables in plates of the same sizes are compared element by element, since the elements of
    a plate are independent of each other.

    Returns:
        Variable to the words that say where.
    """
    found: dict[str, str] = {}
    for name, observed in seen.observed.items():
        if variables[name].shared or variables[name].deterministic:
            continue
        for below in sorted(graph.descendants(name)):
            variable = variables[below]
            if below not in seen.values or variable.deterministic or variable.shared:
                continue
            missing = ~observed
            there = seen.observed.get(below, missing.new_ones(seen.units, *variable.inner))
            if variables[name].inner != variable.inner:
                missing, there = _somewhere(missing), _somewhere(there)
            bad = _somewhere(missing & there)
            if bool(bad.any()):
                units = names_of_units(bad)
                found.setdefault(name, f"{name!r} for {units}, where {below!r} was observed")
    return found


class UnitsPlate(pyro.plate):
    """The units plate of a fit: its rows stand for all units that are trained on.

    Args:
        size: Number of units in the data, held-out ones included.
    """

    def __init__(self, size: int) -> None:
        # Pyro's own constructor is a sample statement; here the rows are known.
        IndepMessenger.__init__(self, UNITS, size, dim=-1)
        self.opened = False

    def at(self, rows: Tensor, scale: float) -> None:
        """Take other rows, the density of each of which counts ``scale`` times."""
        self._indices, self.subsample_size = rows, len(rows)
        self._weight = scale * self.subsample_size / self.size

    def _process_message(self, msg: Any) -> None:
        super()._process_message(msg)
        msg["scale"] = msg["scale"] * self._weight


class Observed(Messenger):
    """Gives the sites their data; stands outside all plates.

    A missing value is drawn from its own distribution and has no density: below it nothing was
    observed. Where something was, it is the guide's draw, with its density.

    Attributes:
        units: The rows at hand.
        inferred: Variables whose missing values the guide gives.
        drawn: What the guide drew.
    """

    def __init__(self, units: Units, inferred: Sequence[str]) -> None:
        super().__init__()
        self.units, self.inferred = units, inferred
        self.drawn: Mapping[str, Tensor] = {}

    def _pyro_sample(self, msg: Any) -> None:
        name = msg["name"]
        if msg["infer"].get("_deterministic"):
            return
        if name not in self.units.values:
            self._check_own(msg)
            return
        if name in self.inferred and name not in self.drawn:
            return  # an AutoGuide looks for what it is to draw
        value = self.units.values[name]
        if name in self.units.missing:
            value = self._completed(msg, value, self.units.missing[name])
        msg["value"], msg["is_observed"] = value, True

    def _completed(self, msg: Any, value: Tensor, missing: Tensor) -> Tensor:
        name = msg["name"]
        if name in self.inferred:
            other = self.drawn[name]
        else:
            with torch.no_grad():
                other = msg["fn"].sample()
            msg["mask"] = ~missing if msg["mask"] is None else msg["mask"] & ~missing
        return torch.where(over_events(missing, value), other, value)

    def _check_own(self, msg: Any) -> None:
        # A value that the program fixes with obs= has to be of the rows at hand.
        if not msg["is_observed"] or not isinstance(msg["value"], Tensor):
            return
        shape, batch = msg["value"].shape, msg["fn"].batch_shape
        dim = len(shape) - 1 - msg["fn"].event_dim
        if (
            any(frame.name == UNITS for frame in msg["cond_indep_stack"])
            and dim >= 0
            and (shape[dim] not in (1, batch[-1]))
        ):
            raise ValueError(
                f"The program fixes {msg['name']!r} to {shape[dim]} values with obs=, but is run "
                f"on {batch[-1]} units at a time. Leave obs= out and pass the values as data."
            )


def _somewhere(mask: Tensor) -> Tensor:
    return mask.reshape(len(mask), -1).any(1)


def incomplete(causes: Mapping[str, str]) -> IncompleteEvidence:
    """Return the error for values that are missing above observed ones."""
    return IncompleteEvidence(
        f"data lack {'; '.join(causes.values())}. Missing values above observed ones have to be "
        f"inferred: pass a guide with a site {next(iter(causes))!r} for them, or impute them, or "
        "leave these units out."
    )
