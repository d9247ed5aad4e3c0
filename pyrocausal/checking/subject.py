"""What is checked: an SCM, rows of data, and units that are simulated like them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.distributions import constraints

from pyrocausal.checking.goodness import Array
from pyrocausal.engine.evidence import columns_of, read_inputs
from pyrocausal.engine.rows import over_events, support_of
from pyrocausal.engine.tracing import Variable
from pyrocausal.errors import UnknownVariable, UnreliableWarning
from pyrocausal.inference import METHODS, Method
from pyrocausal.model import SCM
from pyrocausal.noise import Stream

__all__ = ["Subject", "numbers", "read_subject"]

_LEVELS: Final = 10  # up to so many whole numbers are categories, which are no rounded values
_FEWEST: Final = 20  # rows from which a law can be told
Values = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Subject:
    """An SCM with the data it is held against.

    Attributes:
        scm: The SCM.
        data: Variable to what was seen, ``(rows, *inner, *event)``, NaN where missing; empty
            without data.
        inputs: The program's arguments, rows first.
        rows: Number of rows.
        seed: Gives the same simulations again.
        notes: What came up on the way, in words.
    """

    scm: SCM
    data: Values
    inputs: Mapping[str, Any]
    rows: int
    seed: int
    notes: list[str] = field(default_factory=list)

    def key(self, what: str) -> int:
        """Return a seed for one purpose, so that no simulation is the data over again."""
        return Stream(self.seed, f"check {what}", 1).key(0) % 2**62

    def random(self, what: str) -> np.random.Generator:
        """Return random numbers for one purpose."""
        return np.random.default_rng(self.key(what))

    @property
    def units(self) -> list[Variable]:
        """The random variables of a unit, in the order of execution."""
        return [v for v in self.scm.variables.values() if not v.deterministic and not v.shared]

    @cached_property
    def imitation(self) -> Values:
        """As many units as there are rows, with the same inputs, shared variables too."""
        return self._sample(self.rows, self.inputs, self.key("imitation"))

    def simulate(self, units: int, what: str) -> tuple[Values, Mapping[str, Any]]:
        """Draw units, with the inputs of random rows.

        Args:
            units: How many.
            what: The purpose, which has units of its own.

        Returns:
            Variable to values, latent and shared ones too; and the inputs.
        """
        place = torch.as_tensor(self.random(what).integers(0, max(self.rows, 1), units))
        inputs = {n: v[place] if isinstance(v, Tensor) else v for n, v in self.inputs.items()}
        return self._sample(units, inputs, self.key(what)), inputs

    def _sample(self, units: int, inputs: Mapping[str, Any], seed: int) -> Values:
        return dict(self.scm.sample(units, inputs=inputs or None, latent=True, seed=seed))

    def parents(self, name: str) -> list[str]:
        """Return the random causes of a variable, direct or by way of deterministic ones."""
        found: dict[str, None] = {}
        for cause in self.scm.graph.predecessors(name):
            variable = self.scm.variables.get(cause)
            if variable is not None:  # else it is an input
                found |= dict.fromkeys(self.parents(cause) if variable.deterministic else [cause])
        return list(found)

    @property
    def columns(self) -> dict[str, Array]:
        """Return what is one number a row, the inputs too, each of shape ``(rows,)``."""
        named = [v.name for v in self.units if v.name in self.data]
        found = {name: numbers(self.data[name]) for name in named}
        found |= {n: numbers(v) for n, v in self.inputs.items() if isinstance(v, Tensor)}
        return {name: value[0] for name, value in found.items() if len(value) == 1}

    def method(self, evidence: Values) -> Method:
        """Return what would be tried first, so that no chain is run for the few units it fails."""
        routes = self.scm.plan(evidence).routes.values()
        ways = {way for route in routes for way in route.split(" / ")} & set(METHODS)
        if ways == {"importance"}:
            return "importance"
        return "guide" if ways == {"guide"} else "auto"

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Take down what is unreliable, and give no warning of it."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        for one in caught:
            if not issubclass(one.category, UnreliableWarning):
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
            elif str(one.message) not in self.notes:
                self.notes.append(str(one.message))


def numbers(value: Tensor) -> Array:
    """Return the components of a variable, shape ``(components, units)``."""
    flat = value.detach().cpu().double().reshape(len(value), -1)
    return flat.T.numpy()


def read_subject(scm: SCM, data: Any, inputs: Any, rows: int, seed: int) -> Subject:
    """Read data, and choose rows at random where there are more than are looked at.

    Raises:
        UnknownVariable: No column is a variable.
        ValueError: Too few rows, wrong shapes, infinities, inputs of another length.
    """
    core = scm._core
    table = {} if data is None else columns_of(data, "data")
    columns = {name: value for name, value in table.items() if name in scm.variables}
    others = [name for name in table if name not in columns]
    if others and not columns:
        raise UnknownVariable(others[0], scm.variables, "data")
    given = {} if inputs is None else columns_of(inputs, "inputs")
    if not columns and not given:
        return Subject(scm, {}, {}, 0, seed)
    with core.session():
        seen = core.read(columns, given or None, where="data")
        arguments = read_inputs(given, seen.units, core.place())
    if seen.limits:
        raise ValueError(
            f"check got limits of {', '.join(seen.limits)} in data; expected values. Leave the "
            "column out: what is then left of the data is checked."
        )
    if columns and seen.units < _FEWEST:
        raise ValueError(
            f"check got {seen.units} rows of data; expected {_FEWEST} or more, to tell a law by."
        )
    values = dict(seen.values)
    for name, mask in seen.observed.items():
        value = values[name].double()
        values[name] = value.masked_fill(~over_events(mask, value), torch.nan)
    values |= _within_units(scm, values, seed)
    notes = [f"columns that are no variables were left out: {', '.join(others)}"] * bool(others)
    if seen.units <= rows:
        return Subject(scm, values, arguments, seen.units, seed, notes)
    place = torch.randperm(seen.units, generator=torch.Generator().manual_seed(seed % 2**62))
    place = place[:rows].sort().values
    shared = core.anatomy.shared
    subject = Subject(
        scm,
        {n: v if n in shared else v[place] for n, v in values.items()},
        {n: v[place] if isinstance(v, Tensor) else v for n, v in arguments.items()},
        rows,
        seed,
        notes,
    )
    subject.notes.append(f"{rows} of {seen.units} rows were looked at, chosen at random")
    return subject


def _within_units(scm: SCM, values: Values, seed: int) -> dict[str, Tensor]:
    """Spread whole numbers, such as ages in years, over the unit that they were rounded to.

    Only where the model draws any real number: their ties alone would tell them from its draws.
    """
    rng = np.random.default_rng(seed % 2**63)
    found = {}
    for name, fn in scm._core.distributions().items():
        support = support_of(fn)
        support = getattr(support, "base_constraint", support)  # of a mixture
        if name not in values or support is not constraints.real:
            continue
        value = values[name].double()
        seen = value[~value.isnan()]
        if len(seen.unique()) > _LEVELS and bool((seen == seen.round()).all()):
            found[name] = value + torch.as_tensor(rng.random(value.shape) - 0.5)
    return found
