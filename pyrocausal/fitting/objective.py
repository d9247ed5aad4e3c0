"""What a fit maximizes: the evidence lower bound, which is the log-likelihood without latents."""

from collections.abc import Mapping
from typing import Any

import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.distributions.util import is_identically_zero, scale_and_mask
from pyro.infer.util import MultiFrameTensor
from pyro.poutine.trace_struct import Trace
from torch import Tensor

from pyrocausal.engine.rows import UNITS, in_units, is_subsample
from pyrocausal.errors import IncompleteEvidence
from pyrocausal.fitting.guiding import GuideRun, read_guide
from pyrocausal.fitting.observing import Observed, Units, UnitsPlate, incomplete
from pyrocausal.verbs.core import Core

__all__ = [
    "LATENTS",
    "Objective",
    "base_of",
    "check_sites",
    "faults",
    "is_variable",
    "negative_elbo",
    "with_densities",
]

LATENTS = "(latents)"  # what the scores of all latent variables together are called


class Objective:
    """The program with its data, and the guide: both run on some rows of the units at a time.

    Args:
        core: What belongs to the SCM.
        units: All units.
        guide: A guide, what makes one, or ``None``.
        causes: Variables whose missing values the guide gives, with the words that say where.

    Attributes:
        model: Runs the program with the data of the rows at hand.
    """

    def __init__(self, core: Core, units: Units, guide: Any, causes: Mapping[str, str]) -> None:
        self.core, self.units, self.causes = core, units, causes
        self.opens_units = core.anatomy.opens_units
        self.plate = UnitsPlate(units.number)
        self.observed = Observed(units, tuple(causes), core.couplings)
        self.model = self._run  # one object, by which an AutoGuide's model is known again
        self.guide = GuideRun(
            read_guide(guide, core.program, self.model, tuple(causes)),
            self.plate,
            opens_units=self.opens_units,
            inferred=tuple(causes),
        )

    def _run(self, **_: Any) -> None:
        with self.observed, in_units(self.plate, opens_units=self.opens_units):
            self.core.program(**self.observed.units.inputs)

    def traces(self, rows: Tensor, units: Units, scale: float) -> tuple[Trace, Trace]:
        """Run guide and program, and return their traces with their densities; see ``run``."""
        return with_densities(*self.run(rows, units, scale))

    def run(self, rows: Tensor, units: Units, scale: float) -> tuple[Trace, Trace]:
        """Run guide and program.

        Args:
            rows: Numbers of the units at hand.
            units: These units.
            scale: How many units each of them stands for.

        Returns:
            The traces of program and guide, without densities.
        """
        self.plate.at(rows, scale)
        self.observed.units, self.observed.drawn = units, {}
        guide = poutine.trace(self.guide).get_trace(units)
        self.observed.drawn = {
            name: torch.as_tensor(guide.nodes[name]["value"])
            for name in self.causes
            if name in guide.nodes
        }
        model = poutine.trace(poutine.replay(self.model, trace=guide)).get_trace()
        return model, guide

    def scores(self, rows: Tensor, units: Units) -> tuple[Tensor, dict[str, Tensor]]:
        """Return each unit's part of the bound: all in all, and by observed variable.

        The draws of the guide are the same in every call.
        """
        model, guide = self.traces(rows, units, 1.0)
        parts: dict[str, Tensor] = {}
        total = torch.zeros(len(rows), device=rows.device)
        for sign, trace in ((1.0, model), (-1.0, guide)):
            for name, site in _unit_sites(trace):
                total = total + sign * _by_unit(site["log_prob"], len(rows))
                density = scale_and_mask(site["unscaled_log_prob"], 1.0, site["mask"])
                key = name if site["is_observed"] and name not in self.causes else LATENTS
                parts[key] = parts.get(key, 0.0) + sign * _by_unit(density, len(rows))
        return total, parts


def with_densities(model: Trace, guide: Trace) -> tuple[Trace, Trace]:
    """Compute the densities of all sites, in place."""
    model.compute_log_prob()
    guide.compute_score_parts()
    return model, guide


def negative_elbo(model: Trace, guide: Trace) -> tuple[Tensor, Tensor]:
    """Return the negative evidence lower bound, and what to differentiate for its gradient.

    Draws that depend on the guide's parameters in a differentiable way are followed through;
    for others the score function estimator is used, per unit, as in Pyro's ``Trace_ELBO``. Unlike
    there, nothing waits for the device.
    """
    value = sum(site["log_prob_sum"] for site in _sites(model).values())
    gradient = value
    returns = None
    for site in _sites(guide).values():
        _, score, entropy = site["score_parts"]
        value = value - site["log_prob_sum"]
        if not is_identically_zero(entropy):
            gradient = gradient - entropy.sum()
        if not is_identically_zero(score):
            returns = _returns(model, guide) if returns is None else returns
            gradient = gradient + (returns.sum_to(site["cond_indep_stack"]) * score).sum()
    return -torch.as_tensor(value).detach(), -torch.as_tensor(gradient)


def check_sites(objective: Objective, model: Trace, guide: Trace) -> None:
    """Check that data and guide together cover the program.

    Raises:
        IncompleteEvidence: A variable has neither data nor a site in the guide.
        ValueError: The guide draws what it shouldn't, or a unit's variable outside the plate.
    """
    drawn = {
        name: site for name, site in _sites(guide).items() if not site["infer"].get("is_auxiliary")
    }
    for name, words in objective.causes.items():
        if name not in drawn:
            raise incomplete({name: words})
    latent = {name: site for name, site in _sites(model).items() if not site["is_observed"]}
    lacking = [name for name in latent if name not in drawn]
    if lacking:
        raise IncompleteEvidence(
            f"{', '.join(map(repr, lacking))}: neither data nor a site in the guide. Pass data "
            "for it, or a guide with this site: guide=AutoNormal, or a function guide(batch)."
        )
    for name, site in drawn.items():
        if name not in latent and name not in objective.causes:
            raise ValueError(
                f"The guide draws {name!r}, which the program has not, or which was observed. A "
                "guide has the latent variables alone; mark its own with "
                "infer={'is_auxiliary': True}."
            )
        if _in_units(_sites(model)[name]) and not _in_units(site):
            raise ValueError(
                f"The guide draws {name!r} for all units at once, but each unit has its own. Open "
                "`with pc.units():` around it, as the program does."
            )


def faults(model: Trace, guide: Trace) -> str:
    """Say which sites have densities that are NaN or infinite."""
    found = []
    for who, trace in (("", model), ("the guide's ", guide)):
        for name, site in _sites(trace).items():
            bad = ~site["log_prob"].isfinite()
            if bool(bad.any()):
                kind = type(base_of(site["fn"])).__name__
                found.append(
                    f"{who}{name!r} ({kind}, {int(bad.sum())} of {bad.numel()} densities)"
                )
    return ", ".join(found)


def is_variable(site: Any) -> bool:
    """Say whether a node of a trace is a variable, not a parameter or a plate's choice."""
    return bool(site["type"] == "sample" and not is_subsample(site["fn"]))


def base_of(fn: Any) -> Any:
    """Return the distribution inside masks, plates and event dimensions."""
    while isinstance(fn, dist.MaskedDistribution | dist.Independent | dist.ExpandedDistribution):
        fn = fn.base_dist
    return fn


def _returns(model: Trace, guide: Trace) -> Any:
    terms = MultiFrameTensor()
    for sign, trace in ((1.0, model), (-1.0, guide)):
        for site in _sites(trace).values():
            terms.add((site["cond_indep_stack"], sign * site["log_prob"].detach()))
    return terms


def _sites(trace: Trace) -> dict[str, Any]:
    return {name: site for name, site in trace.nodes.items() if is_variable(site)}


def _in_units(site: Any) -> bool:
    return any(frame.name == UNITS for frame in site["cond_indep_stack"])


def _unit_sites(trace: Trace) -> list[tuple[str, Any]]:
    return [
        (name, site)
        for name, site in _sites(trace).items()
        if _in_units(site) and not site["infer"].get("_deterministic")
    ]


def _by_unit(density: Tensor, rows: int) -> Tensor:
    return density.expand(torch.broadcast_shapes(density.shape, (rows,))).reshape(-1, rows).sum(0)
