"""Experimental: treatments that are not binary, counts, and missing covariates, by the joint bound."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from pyrocausal.model import SCM
from pyrocausal.models.vluci_amortized import Amortized, Units, amortize, fit_without_u
from pyrocausal.models.vluci_building import program_rows
from pyrocausal.models.vluci_columns import Columns
from pyrocausal.models.vluci_diagnosis import verdict
from pyrocausal.models.vluci_estimate import VLUCIEstimate, vluci_estimate
from pyrocausal.models.vluci_features import Basis, Expansion
from pyrocausal.models.vluci_heads import Outcome, OutcomeHead, Treatment, TreatmentHead
from pyrocausal.models.vluci_program import ProxyHead, VLUCIProgram, average_effect

__all__ = ["ExperimentalResult", "fit_experimental"]


@dataclass(frozen=True, eq=False, repr=False)
class ExperimentalResult:
    """A fit beyond the binary treatment: the program, both sign starts, and no interval.

    Attributes:
        columns: The data, with missing covariates filled in.
        starts: The fits from positive and from negative confounding.
        twin: The effect without U, between the treatments 1 and 0.
        warnings: What may be wrong with it.
    """

    columns: Columns
    starts: dict[str, Amortized]
    twin: float
    warnings: tuple[str, ...]

    @property
    def best(self) -> Amortized:
        """The start that ended with the higher bound."""
        return max(self.starts.values(), key=lambda found: found.elbo)

    @cached_property
    def scm(self) -> SCM:
        """The program as an SCM with ``u`` latent."""
        return self.best.program.scm()

    def ate(self, values: tuple[float, float] = (1.0, 0.0), point: bool = False) -> VLUCIEstimate:
        """Return the average effect of one treatment against another: no point, unless asked for.

        Args:
            values: The treatment, and what it is compared with.
            point: Whether to give the maximum of the bound as a point.
        """
        value = average_effect(self.best.program, values) if point else None
        query = f"E[Y | do(t={values[0]:g})] - E[Y | do(t={values[1]:g})]"
        return vluci_estimate(query, value, None, None, "identified set", warnings=self.warnings)

    def summary(self) -> str:
        """Return the card of the fit."""
        lines = [f"VLUCI, joint objective, experimental: {len(self.columns.y)} units"]
        lines.append(f"without U (twin): {self.twin:.4g}")
        for sign, found in self.starts.items():
            effect = average_effect(found.program, (1.0, 0.0))
            lines.append(f"start with {sign} confounding: {effect:.4g}, bound {found.elbo:.4f}")
        lines.append(f"identification: {verdict(self.columns)}")
        return "\n".join([*lines, *(f"warning: {text}" for text in self.warnings)])

    def __repr__(self) -> str:
        return self.summary()


def fit_experimental(
    columns: Columns,
    treatment: Treatment,
    outcome: Outcome,
    *,
    latent_dim: int,
    expansion: Expansion,
    varying: bool,
    steps: int,
    seed: int,
) -> ExperimentalResult:
    """Fit by the joint bound from both signs of confounding.

    Args:
        columns: The data.
        treatment: Family of the treatment.
        outcome: Family of the outcome.
        latent_dim: Dimension of U.
        expansion: What the heads are linear in.
        varying: Whether the effect varies with the covariates.
        steps: Steps of each stage.
        seed: Of guides and draws.
    """
    columns, notes = _filled(columns)
    program = _program(columns, treatment, outcome, latent_dim, expansion, varying)
    kind = program.rows.dtype
    proxies = columns.x[:, list(columns.roles["proxies"])].to(kind)
    units = Units(
        program.rows, columns.t.to(kind), columns.y.to(kind), proxies if program.proxies else None
    )
    without = fit_without_u(program, units, steps)
    twin = average_effect(program, (1.0, 0.0))
    starts = {}
    for sign, side in (("+", 1.0), ("-", -1.0)):
        started = _with_confounding(program, side)
        found = amortize(started, units, "joint", seed, steps, twin=without)
        starts[sign] = replace(found, start=sign)
    best = max(starts.values(), key=lambda found: found.elbo)
    warnings = [
        "experimental: no interval is computed, and nothing beyond the form of the heads, or an "
        "instrument, identifies U's part",
        *columns.notes,
        *notes,
    ]
    if best.elbo < best.twin - 0.01:
        warnings.append("the fit ends below the same model without U: don't believe it")
    if best.kl < 0.01:
        warnings.append(f"the guide has collapsed: KL = {best.kl:.2g} nats a unit")
    return ExperimentalResult(columns, starts, twin, tuple(warnings))


def _filled(columns: Columns) -> tuple[Columns, list[str]]:
    x = columns.x
    gaps = x.isnan()
    if not bool(gaps.any()):
        return columns, []
    filled = torch.where(gaps, x.nanmean(0).nan_to_num(0.0), x)
    note = (
        f"{int(gaps.sum())} missing covariates were replaced by the means of their columns, as if "
        "they were known"
    )
    return replace(columns, x=filled), [note]


def _program(
    columns: Columns,
    treatment: Treatment,
    outcome: Outcome,
    latent_dim: int,
    expansion: Expansion,
    varying: bool,
) -> VLUCIProgram:
    rows = program_rows(columns, columns.x)
    kept = columns.positions("proxies")
    sides = [
        [kept.index(p) for p in side] for side in (columns.treatment_side, columns.outcome_side)
    ]
    to_t, to_y = (Basis(rows, side, expansion) for side in sides)
    categories = int(columns.t.max()) + 1 if treatment == "categorical" else 2
    effects = to_y if varying else None
    normal = outcome == "normal"
    loc, scale = (float(columns.y.mean()), float(columns.y.std())) if normal else (0.0, 1.0)
    first = TreatmentHead(to_t, latent_dim, treatment, categories=categories)
    second = OutcomeHead(
        to_y, effects, latent_dim, outcome, categories=categories, loc=loc, scale=scale
    )
    proxies = ProxyHead(len(columns.roles["proxies"])) if columns.roles["proxies"] else None
    return VLUCIProgram(rows, first, second, latent_dim, proxies)


def _with_confounding(program: VLUCIProgram, side: float) -> VLUCIProgram:
    started = deepcopy(program)
    with torch.no_grad():
        started.treatment.loading[:1] = 0.5
        noise: Tensor = started.outcome.log_s.exp()
        started.outcome.loading[:, 0] = side * 0.5 * noise
    return started
