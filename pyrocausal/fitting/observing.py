"""The observed units of a fit: rows of data at a time, put in the place of the sites' values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyro
import torch
from pyro.poutine.indep_messenger import IndepMessenger
from pyro.poutine.messenger import Messenger
from torch import Tensor

from pyrocausal.engine.evidence import Evidence, names_of_units
from pyrocausal.engine.intervals import Interval
from pyrocausal.engine.rows import UNITS, over_events
from pyrocausal.engine.tracing import Variable
from pyrocausal.errors import IncompleteEvidence
from pyrocausal.fitting.limited import LimitedDistribution
from pyrocausal.graph import CausalGraph
from pyrocausal.noise import Coupling

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
        limits: Variable to limits, in program shape, that some of its values were seen to lie
            within; what stands in their place has no say.
    """

    number: int
    values: Mapping[str, Tensor]
    missing: Mapping[str, Tensor]
    inputs: Mapping[str, Any]
    variables: Mapping[str, Variable]
    limits: Mapping[str, Interval] = field(default_factory=dict)

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
        limits = {
            name: Interval(*(self._pick(name, part, index) for part in one.tensors().values()))
            for name, one in self.limits.items()
        }
        return Units(len(index), values, missing, inputs, self.variables, limits)

    def to(self, device: torch.device) -> Units:
        """Return the units on a device."""
        return self.holding([tensor.to(device) for tensor in self.tensors()])

    def named(self) -> dict[str, Tensor]:
        """Return all that is held as tensors by name, in a fixed order."""
        limits = {
            f"{name}: {part}": tensor
            for name, one in self.limits.items()
            for part, tensor in one.tensors().items()
        }
        parts: dict[str, Mapping[str, Any]] = {
            "": self.values,
            "what is missing of ": self.missing,
            "the input ": self.inputs,
            "the limits of ": limits,
        }
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
        limits = {name: Interval(next(new), next(new), next(new)) for name in self.limits}
        return Units(self.number, values, missing, inputs, self.variables, limits)

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Return the least and the greatest value of each variable with one number a unit."""
        found = {}
        for name, value in self.values.items():
            variable = self.variables[name]
            unseen = self.unseen(name)
            known = value if unseen is None else value[~unseen]
            if not (variable.shared or variable.unit_shape) and len(known):
                found[name] = float(known.min()), float(known.max())
        return found

    def unseen(self, name: str) -> Tensor | None:
        """Return where a variable's value was not seen; ``None`` for nowhere."""
        missing = self.missing.get(name)
        if name not in self.limits:
            return missing
        within = self.limits[name].within
        return within if missing is None else missing | within

    def batch(self) -> dict[str, Any]:
        """Return what a guide sees: inputs and data by name, NaN where a value was not seen."""
        return {**self.inputs, **{name: self._shown(name) for name in self.values}}

    def _shown(self, name: str) -> Tensor:
        value, unseen = self.values[name], self.unseen(name)
        return (
            value if unseen is None else torch.where(over_events(unseen, value), torch.nan, value)
        )

    def _pick(self, name: str, value: Tensor, index: Tensor) -> Tensor:
        return value.index_select(len(self.variables[name].inner), index)


def read_units(
    seen: Evidence, inputs: Mapping[str, Any], variables: Mapping[str, Variable]
) -> Units:
    """Bring evidence to program shape; what is given for a deterministic site has no say."""
    values, missing, limits = {}, {}, {}
    for name in {**seen.values, **seen.limits}:
        variable, observed = variables[name], seen.observed.get(name)
        if variable.deterministic or (variable.shared and observed is not None):
            continue
        inner = 0 if variable.shared else len(variable.inner)
        if name in seen.limits:
            limits[name] = Interval(
                *(part.movedim(0, inner) for part in seen.limits[name].tensors().values())
            )
            observed = seen.known(name, variable)
        value = seen.values.get(name)
        if value is None:
            shape = (seen.units, *variable.unit_shape)
            value = torch.zeros(shape, dtype=variable.dtype, device=seen.limits[name].low.device)
        values[name] = value.detach().movedim(0, inner).contiguous() if inner else value.detach()
        if observed is not None and not bool(observed.all()):
            missing[name] = ~observed.movedim(0, inner)
    plain = {k: v.detach() if isinstance(v, Tensor) else v for k, v in inputs.items()}
    return Units(seen.units, values, missing, plain, variables, limits)


def missing_causes(
    seen: Evidence,
    lacking: Mapping[str, Tensor],
    graph: CausalGraph,
    variables: Mapping[str, Variable],
) -> dict[str, str]:
    """Find variables that are lacking in units where something below them was observed.

    Variables in plates of the same sizes are compared element by element, since the elements of
    a plate are independent of each other.

    Args:
        seen: What was observed.
        lacking: Variable to the elements that are lacking, ``(units, *inner)``.
        graph: The graph.
        variables: What is known of the program's variables.

    Returns:
        Variable to the words that say where.
    """
    found: dict[str, str] = {}
    for name, missing in lacking.items():
        if variables[name].shared or variables[name].deterministic:
            continue
        for below in sorted(graph.descendants(name)):
            variable = variables[below]
            there = below in seen.values or below in seen.limits
            if not there or variable.deterministic or variable.shared:
                continue
            gap, known = missing, seen.known(below, variable)
            if variables[name].inner != variable.inner:
                gap, known = _somewhere(gap), _somewhere(known)
            bad = _somewhere(gap & known)
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
        couplings: Variable to the coupling of its noise, where one was chosen.
        drawn: What the guide drew.
    """

    def __init__(
        self, units: Units, inferred: Sequence[str], couplings: Mapping[str, Coupling]
    ) -> None:
        super().__init__()
        self.units, self.inferred, self.couplings = units, inferred, couplings
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
        if name in self.units.limits:
            value = self._limited(msg, value, self.units.limits[name])
        msg["value"], msg["is_observed"] = value, True

    def _limited(self, msg: Any, value: Tensor, limits: Interval) -> Tensor:
        # What stands for a value that only limits are known of has no say: nothing below was seen.
        with torch.no_grad():
            other = msg["fn"].sample()
        coupling = self.couplings.get(msg["name"])
        msg["fn"] = LimitedDistribution(msg["fn"], limits, msg["name"], coupling)
        return torch.where(over_events(limits.within, value), other, value)

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
