"""Guides: programs that propose values for what was not observed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyro
import torch
from pyro.infer.autoguide import AutoGuide
from pyro.infer.autoguide.guides import AutoContinuous
from pyro.poutine.messenger import Messenger, _bound_partial
from torch import Tensor, nn

from pyrocausal.engine.parameters import evaluating, modules_of
from pyrocausal.engine.rows import Program, in_units, undisturbed
from pyrocausal.engine.tracing import quiet_seed
from pyrocausal.errors import IncompleteEvidence
from pyrocausal.fitting.observing import Units, UnitsPlate
from pyrocausal.verbs.core import Core

__all__ = [
    "Batch",
    "FittedGuide",
    "GuideRun",
    "posterior_draws",
    "read_guide",
    "rebase",
]


@dataclass
class FittedGuide:
    """A guide with what it takes to run it after the fit.

    Attributes:
        guide: The guide, an AutoGuide or a function of the batch.
        parameters: Names of its parameters in the store.
        example: A few units, for the draws of sites that all units share.
        size: Number of units in the data.
    """

    guide: Program
    parameters: tuple[str, ...]
    example: Units
    size: int

    @property
    def modules(self) -> list[nn.Module]:
        """The modules that the guide can reach."""
        return list(modules_of(self.guide).values())

    def to(self, device: torch.device) -> None:
        """Move the guide's modules and example; its parameters belong to the store."""
        for module in self.modules:
            module.to(device)
        self.example = self.example.to(device)


class Batch(dict[str, Any]):
    """What a guide sees: inputs and data by name, NaN where a value is missing.

    Attributes:
        inferred: Variables of which the guide gives the missing values.
    """

    def __init__(self, content: dict[str, Any], inferred: Sequence[str] = ()) -> None:
        super().__init__(content)
        self.inferred = tuple(inferred)


class GuideRun:
    """Runs a guide on the rows at hand, in the same plate as the program.

    Args:
        guide: The guide, or ``None`` when all is observed.
        plate: The units plate.
        opens_units: Whether the program, and so the guide, opens the plate itself.
        inferred: Variables of which the guide gives the missing values alone.
    """

    def __init__(
        self,
        guide: Program | None,
        plate: UnitsPlate,
        *,
        opens_units: bool,
        inferred: Sequence[str] = (),
    ) -> None:
        self.guide, self.plate, self.opens_units = guide, plate, opens_units
        self.inferred = inferred

    def __call__(self, units: Units) -> None:
        """Run the guide on some units."""
        if self.guide is None:
            return
        with _MissingOnly(units, self.inferred):
            if isinstance(self.guide, AutoGuide):
                # It opens the plates itself, and takes the model's arguments.
                self.guide.create_plates = self._plates
                self.guide(**units.inputs)
                self.guide.create_plates = None
                return
            with in_units(self.plate, opens_units=self.opens_units):
                self.guide(Batch(units.batch(), self.inferred))

    def _plates(self, *args: Any, **kwargs: Any) -> UnitsPlate:
        return self.plate


class _MissingOnly(Messenger):
    """Lets a guide's density count where a value is missing only."""

    def __init__(self, units: Units, inferred: Sequence[str]) -> None:
        super().__init__()
        self.masks = {
            site: units.missing[name]
            for name in inferred
            for site in (name, f"{name}_unconstrained")  # the second is an AutoNormal's own
        }

    def _pyro_sample(self, msg: Any) -> None:
        mask = self.masks.get(msg["name"])
        if mask is not None:
            msg["mask"] = mask if msg["mask"] is None else msg["mask"] & mask


def read_guide(guide: Any, program: Program, model: Program, inferred: Sequence[str]) -> Any:
    """Return the guide that ``fit`` runs: an AutoGuide reads off the model that has its data.

    Args:
        guide: A function of the batch, an AutoGuide, or what makes one from a model.
        program: The program, on which an AutoGuide may have been built.
        model: The program with its data.
        inferred: Variables whose missing values the guide is to give.

    Raises:
        TypeError: Not a callable.
        ValueError: A joint AutoGuide, where it would have to give some values of a site only.
    """
    if guide is not None and not callable(guide):
        raise TypeError(
            f"fit() got a {type(guide).__name__} as guide; expected a function of the batch, an "
            "AutoGuide such as AutoNormal(scm), or a class of AutoGuides."
        )
    if _makes_autoguides(guide):
        guide = guide(model)
    rebase(guide, program, model)
    if inferred and isinstance(guide, AutoContinuous):
        raise ValueError(
            f"{type(guide).__name__} gives all values of a site, but {inferred[0]!r} is missing "
            "in some units only. Use AutoNormal, AutoDelta or a guide of your own."
        )
    return guide


def rebase(guide: Any, old: Program, new: Program) -> None:
    """Let an AutoGuide that was built on one program read off another."""
    if isinstance(guide, nn.Module):
        for part in guide.modules():
            if isinstance(part, AutoGuide):
                part._model = (_replaced(part.model, old, new),)


def posterior_draws(core: Core, seed: int, num: int) -> dict[str, Tensor]:
    """Draw the sites that all units share from the fitted guide.

    Args:
        core: What belongs to the SCM.
        seed: The seed of the draws.
        num: How many.

    Returns:
        Site to draws, shape ``(num, *inner, *event)``.

    Raises:
        IncompleteEvidence: No guide was fitted.
    """
    fitted = core.guide
    if fitted is None:
        raise IncompleteEvidence("There is no fitted guide to draw from. fit() with one first.")
    shared = [
        name for name in core.anatomy.shared if not core.anatomy.variables[name].deterministic
    ]
    draws: dict[str, list[Tensor]] = {}
    with core.session(), evaluating(fitted.modules), undisturbed(), quiet_seed(seed):
        plate = UnitsPlate(fitted.size)
        plate.at(torch.arange(fitted.example.number, device=core.place()), 1.0)
        run = GuideRun(fitted.guide, plate, opens_units=core.anatomy.opens_units)
        for _ in range(num):
            sites = pyro.poutine.trace(run).get_trace(fitted.example).nodes
            for name in shared:
                if name in sites:
                    draws.setdefault(name, []).append(
                        torch.as_tensor(sites[name]["value"]).detach()
                    )
    return {name: torch.stack(values) for name, values in draws.items()}


def _makes_autoguides(guide: Any) -> bool:
    maker = guide.func if isinstance(guide, partial) else guide
    return isinstance(maker, type) and issubclass(maker, AutoGuide)


def _replaced(model: Any, old: Program, new: Program) -> Any:
    # An AutoGuide wraps its model in handlers: partial(wrap, handler, model), some of them bound.
    if model is old or getattr(model, "program", None) is old:
        return new
    if isinstance(model, _bound_partial):
        return _bound_partial(_replaced(model.func, old, new))
    if isinstance(model, partial) and len(model.args) == 2:
        handler, inner = model.args
        return partial(model.func, handler, _replaced(inner, old, new))
    return model
