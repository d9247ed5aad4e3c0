"""Sensitivity analyses of a fit of VLUCI, and its card."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from pyrocausal.models.vluci_curve import LoadingCurve, loading_curve
from pyrocausal.models.vluci_loadings import benchmarks, read_box
from pyrocausal.models.vluci_two_stage import least_squares
from pyrocausal.sensitivity import (
    AdjustedEstimate,
    EValue,
    ManskiBounds,
    MarginalBounds,
    evalue,
    manski_bounds,
    msm_bounds,
    ovb_bounds,
)

if TYPE_CHECKING:
    from pyrocausal.models.vluci_result import VLUCIResult

__all__ = ["analyse", "card"]


def analyse(fit: VLUCIResult, analysis: str, options: Mapping[str, Any]) -> Any:
    """Run a sensitivity analysis; see ``VLUCIResult.sensitivity``."""
    analyses: dict[str, Callable[..., Any]] = {
        "loading": _loading,
        "evalue": _evalue,
        "ovb": _ovb,
        "msm": _msm,
        "manski": _manski,
    }
    if analysis not in analyses:
        raise ValueError(f"sensitivity() got {analysis!r}; expected one of {', '.join(analyses)}.")
    return analyses[analysis](fit, **options)


def _loading(fit: VLUCIResult, **options: Any) -> LoadingCurve:
    return loading_curve(fit.twin, fit.propensity, **options)


def _evalue(fit: VLUCIResult) -> EValue:
    likelihood, theta = fit.twin.likelihood, fit.twin.optimum.theta
    if likelihood.form.outcome == "normal":
        sd = float(fit.columns.y.std())
        return evalue(float(fit.twin.ate()) / sd, scale="difference", se=fit.twin.se / sd)
    with torch.no_grad():
        parts = likelihood.parts(theta)
        treated, control = (
            float(torch.sigmoid(parts.b + t * parts.effect).mean()) for t in (1.0, 0.0)
        )
    return evalue(treated / control)


def _ovb(fit: VLUCIResult, bound: float | tuple[float, float] = 1.0) -> AdjustedEstimate:
    columns = fit.columns
    x = columns.x[:, columns.outcome_side]
    estimate, variance = least_squares(x, columns.t, columns.y)
    box = read_box(bound, benchmarks(columns))
    df = len(columns.y) - x.shape[1] - 2
    return ovb_bounds(estimate, variance**0.5, df, box.treatment, box.outcome)


def _msm(fit: VLUCIResult, factor: float = 2.0, **options: Any) -> MarginalBounds:
    columns, e = fit.columns, fit.twin.propensities.detach()
    return msm_bounds(columns.y.numpy(), columns.t.numpy(), e.numpy(), factor, **options)


def _manski(fit: VLUCIResult, lo: float | None = None, hi: float | None = None) -> ManskiBounds:
    if fit.twin.likelihood.form.outcome == "bernoulli":
        lo, hi = 0.0 if lo is None else lo, 1.0 if hi is None else hi
    if lo is None or hi is None:
        raise ValueError(
            "sensitivity('manski') needs lo= and hi=, the least and greatest outcome there can "
            "be: without them the data bound nothing."
        )
    return manski_bounds(fit.columns.y.numpy(), fit.columns.t.numpy(), lo, hi)


def card(fit: VLUCIResult) -> str:
    """Return the card of a fit: twin, both signs, modes, loadings, F, verdict, warnings."""
    return "\n".join(_lines(fit))


def _lines(fit: VLUCIResult) -> Iterator[str]:
    columns, profile = fit.columns, fit.profile
    yield f"VLUCI, {fit.objective} objective: {len(columns.y)} units, {len(columns.names)} covariates"
    for role, places in columns.roles.items():
        if places:
            yield f"{role.replace('_', '-')}: {', '.join(columns.names[place] for place in places)}"
    answer = fit.ate()
    yield str(answer).splitlines()[0]
    yield f"95 % interval: {answer.interval} ({answer.kind})"
    if answer.kind != "profile":
        yield f"bound: {answer.details['bound']}; a convention that no data can choose"
    naive = fit.twin.ate()
    yield f"without U (twin): {float(naive):.4g}, 95 % interval {naive.interval}"
    for sign, mode in fit.signs.items():
        yield (
            f"start with {sign} confounding: ATE {mode.ate:.4g}, log likelihood "
            f"{mode.log_likelihood:+.2f} against the twin"
        )
    yield f"modes: {', '.join(f'{m.ate:.4g} ({m.log_likelihood:+.2f})' for m in profile.modes)}"
    yield f"2 (l_max - l_twin) = {profile.ratio:.3g}"
    if fit.diagnosis.f is not None:
        yield f"first-stage F = {fit.diagnosis.f:.3g}"
    for name, ate in (fit.withdrawn or {}).items():
        yield f"with {name} withdrawn from the instruments: ATE {ate:.4g}"
    yield from _variational(fit)
    yield f"identification: {fit.diagnosis.verdict}"
    yield "reconstructed from the abstract of Zhao et al. (2023)"
    for text in fit.warnings:
        yield f"warning: {text}"


def _variational(fit: VLUCIResult) -> Iterator[str]:
    if fit.staged is not None:
        staged = fit.staged
        yield f"two stages, {staged.draws} draws of U: ATE {staged.ate:.4g} (se {staged.se:.2g})"
    if fit.amortized is not None:
        found = fit.amortized
        yield (
            f"lower bound {found.elbo:.4f} a unit, without U {found.twin:.4f}; the guide is "
            f"{found.kl:.3f} nats from the prior"
        )
