"""Running the checks, one after the other, into one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pyrocausal.checking.calibration import calibration
from pyrocausal.checking.findings import Finding
from pyrocausal.checking.goodness import Array
from pyrocausal.checking.implications import implied
from pyrocausal.checking.laws import laws
from pyrocausal.checking.positivity import overlap
from pyrocausal.checking.predictive import (
    Noises,
    conditionals,
    independent_noises,
    marginals,
    noises_of,
)
from pyrocausal.checking.report import CheckReport
from pyrocausal.checking.subject import Subject, read_subject
from pyrocausal.engine.evidence import as_sequence, count_of
from pyrocausal.errors import NotIdentified, UnknownVariable
from pyrocausal.model import SCM
from pyrocausal.noise.streams import draw_seed
from pyrocausal.queries.asking import introduce
from pyrocausal.refuting import refute as refuted
from pyrocausal.verbs.standing import Standing

__all__ = ["check"]

_REPEATS: Final = 30  # changed data sets for each refuter


def check(
    scm: SCM,
    data: Any = None,
    *,
    evidence: Sequence[str] | None = None,
    treatment: str | None = None,
    outcome: str | None = None,
    refute: bool = False,
    inputs: Mapping[str, Any] | None = None,
    units: int = 500,
    rows: int = 2000,
    level: float = 0.01,
    seed: int | None = None,
) -> CheckReport:
    r"""Check an SCM: its inference, its fit to data, its laws; one table says what was found.

    =========================  =================================================================
    check                      what is looked at
    =========================  =================================================================
    calibration of abduction   ranks of simulated true values among their draws given evidence
    marginal law               values of a variable in the data against simulated ones
    noise given causes         noise behind the data: its law, whatever the causes are
    independent noises         rank correlation of the noises of two variables
    implied independences      each independence that the graph claims, on the data
    overlap                    propensities of discrete treatments in the data
    composition, ...           the laws of counterfactuals, on simulated units
    refuters                   the estimate of the effect on changed data (``refute=True``)
    =========================  =================================================================

    Without data only the calibration and the laws are checked. Each check rejects a right model
    with probability ``level`` at most, whatever the number of variables (Bonferroni's correction);
    one that was fitted to the same data still more rarely. What passes may still be wrong.

    Args:
        scm: The SCM, without ``do`` or ``condition``.
        data: Rows of the variables, a DataFrame or a mapping from name to values, NaN where
            missing; other columns are left out.
        evidence: The observed variables for the calibration. By default all but the latent ones;
            without latent ones those without effects; or what an amortized guide was made for.
        treatment: Whose overlap is checked; by default all discrete variables with causes and
            effects.
        outcome: Whose estimate is refuted.
        refute: Whether to refute the estimate of the treatment's effect; see `pc.refute`.
        inputs: The program's arguments by name, rows first.
        units: Simulated units for the calibration.
        rows: The most rows of data that are looked at, chosen at random from more.
        level: Probability that a check rejects what is right.
        seed: Gives the same report again.

    Returns:
        A report that prints as a table; ``passed``, ``failures``, ``to_frame()``, ``plot()``.

    Raises:
        TypeError: No SCM.
        UnknownVariable: A name that is no variable.
        ValueError: An SCM under ``do`` or ``condition``, too few rows or units, a level outside
            (0, 1), ``refute=True`` without data, treatment or outcome.

    Example:
        >>> def clinic():
        ...     severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
        ...     pyro.sample("recovery", dist.Normal(-severity, 0.5))
        >>> model = pc.SCM(clinic)
        >>> data = dict(model.sample(500, seed=0))
        >>> check(model, data, seed=1).passed
        True
        >>> data["recovery"] = 0.5 * data["recovery"]
        >>> found = check(model, data, seed=1).failures[0]
        >>> print(found.check, found.variable)
        marginal law recovery

    References:
        Talts, Betancourt, Simpson, Vehtari, Gelman (2018), Validating Bayesian inference
        algorithms with simulation-based calibration.
        Czado, Gneiting, Held (2009), Predictive model assessment for count data, for the
        randomised probability integral transform.
        Sharma, Kiciman (2020), DoWhy: an end-to-end library for causal inference.
    """
    _check_options(scm, data, treatment, outcome, refute, level, inputs)
    observed = as_sequence(evidence, "evidence")
    units, rows = count_of(units, "units"), count_of(rows, "rows")
    subject = read_subject(scm, data, inputs, rows, draw_seed() if seed is None else seed)
    findings, ranks = calibration(subject, observed, units, level)
    if subject.data:
        more, noise_ranks = _against_data(subject, treatment, level)
        findings += more
        ranks = {**ranks, **noise_ranks}
    findings += laws(subject)
    if refute:
        findings += _refuters(scm, data, str(treatment), str(outcome), level, subject.seed)
    return CheckReport(scm.name, tuple(findings), level, tuple(subject.notes), ranks)


def _against_data(
    subject: Subject, treatment: str | None, level: float
) -> tuple[list[Finding], dict[str, Array]]:
    findings, ranks = marginals(subject, level), dict[str, Array]()
    noises = noises_of(subject)
    if isinstance(noises, Noises):
        findings += conditionals(subject, noises, level)
        findings += independent_noises(noises, level)
        ranks = {f"noise of {name}": u for name, u in noises.ranks.items()}
    else:
        findings += noises
    findings += implied(subject, level)
    return findings + overlap(subject, treatment), ranks


def _refuters(
    scm: SCM, data: Any, treatment: str, outcome: str, level: float, seed: int
) -> list[Finding]:
    """Refute the estimate that the graph and the data give of an effect."""
    effect = f"{treatment} -> {outcome}"
    try:
        found = refuted(scm, data, treatment, outcome, repeats=_REPEATS, level=level, seed=seed)
    except NotIdentified as error:
        return [Finding("refuters", effect, "", f"not checked: {error}", None)]
    return [
        Finding(
            one.refuter,
            effect,
            f"mean estimate {one.mean:.3g}, expected {one.expected:.3g}",
            one.verdict,
            one.rejected,
            one.mean,
            {"t": one.p_value},
        )
        for one in found.refutations
    ]


def _check_options(
    scm: SCM,
    data: Any,
    treatment: str | None,
    outcome: str | None,
    refute: bool,
    level: float,
    inputs: Any,
) -> None:
    if not isinstance(scm, SCM):
        raise TypeError(f"check got a {type(scm).__name__}; expected an SCM: pc.SCM(program).")
    if scm._standing != Standing():
        raise ValueError(f"check got {scm!r}; expected an SCM without do(...) or condition(...).")
    introduce(scm, {"inputs": inputs})
    if not 0 < level < 1:
        raise ValueError(f"check got level={level!r}; expected a probability such as 0.01.")
    if refute and (data is None or treatment is None or outcome is None):
        raise ValueError(
            "check(refute=True) refutes the estimate of an effect from data: give data, "
            "treatment= and outcome= too."
        )
    for name in (treatment, outcome):
        if name is not None and name not in scm.variables:
            raise UnknownVariable(name, scm.variables, "check")
