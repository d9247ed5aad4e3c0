"""Posterior predictive checks: marginals, noise given the causes, and noises of each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from torch import Tensor

from pyrocausal.checking.findings import Finding, Measured, judged
from pyrocausal.checking.goodness import (
    Array,
    associated,
    joined,
    randomized_ranks,
    rank_correlation,
    same_law,
)
from pyrocausal.checking.subject import Subject, Values, numbers
from pyrocausal.errors import IncompleteEvidence, NotAbducible
from pyrocausal.model import SCM
from pyrocausal.noise import structural_equation

__all__ = ["Noises", "conditionals", "independent_noises", "marginals", "noises_of"]

MARGINAL: Final = "marginal law"
CONDITIONAL: Final = "noise given causes"
INDEPENDENT: Final = "independent noises"


def marginals(subject: Subject, level: float) -> list[Finding]:
    """Hold each variable's values against simulated ones, two samples of one law."""
    rng, imitation = subject.random("marginals"), subject.imitation
    measured = []
    for name, value in subject.data.items():
        if subject.scm.variables[name].shared:
            continue
        pairs = [
            (x[~np.isnan(x)], y)
            for x, y in zip(numbers(value), numbers(imitation[name]), strict=True)
        ]
        if any(not len(x) for x, _ in pairs):
            continue
        distance, tests = joined([same_law(x, y, rng) for x, y in pairs])
        seen, model = (np.concatenate(side) for side in zip(*pairs, strict=True))
        moments = (
            f"mean {seen.mean():.3g} in the data and {model.mean():.3g} in the model, "
            f"sd {seen.std():.3g} and {model.std():.3g}"
        )
        figure = f"KS distance {distance:.3f}"
        wrong = f"DATA DIFFER: {moments}"
        measured.append(Measured(name, figure, distance, "as in the data", wrong, tests))
    return judged(MARGINAL, measured, level)


@dataclass(frozen=True, eq=False)
class Noises:
    """The noise behind data, and behind simulated units.

    Attributes:
        seen: Variable to noise of the data, ``(numbers, rows)``; NaN where it is not observed.
        imitated: Variable to noise of simulated units.
        ranks: Variable to the ranks of the first among the second, uniform if the model is right.
    """

    seen: Mapping[str, Array]
    imitated: Mapping[str, Array]
    ranks: Mapping[str, Array]


def noises_of(subject: Subject) -> Noises | list[Finding]:
    """Abduct the noise behind the data, and behind units that are simulated like them.

    Of a discrete variable it is the noise of its quantile function, so that its rank is the
    randomised probability integral transform.

    Returns:
        The noises; or what to say where they can't be had.
    """
    scm = _by_quantiles(subject.scm)
    shared = {n: subject.imitation[n] for n in subject.scm._core.anatomy.shared}
    names = [n for n in subject.data if n not in shared]
    try:
        with subject.noting():
            seen, imitated = (
                _abducted(subject, scm, {**shared, **{n: values[n] for n in names}})
                for values in (subject.data, subject.imitation)
            )
    except (IncompleteEvidence, NotAbducible) as error:
        return [Finding(CONDITIONAL, "all", "", f"not checked: {error}", None)]
    except ValueError as error:
        return [Finding(CONDITIONAL, "all", "", f"THE DATA ARE IMPOSSIBLE: {error}", True)]
    rng = subject.random("noise ranks")
    for name, noise in seen.items():
        noise[:, np.isnan(numbers(subject.data[name])).any(0)] = np.nan
    ranks = {
        name: np.stack(
            [
                randomized_ranks(u, v[:, None], rng)
                for u, v in zip(noise, imitated[name], strict=True)
            ]
        )
        for name, noise in seen.items()
    }
    return Noises(seen, imitated, ranks)


def conditionals(subject: Subject, noises: Noises, level: float) -> list[Finding]:
    """Test the noise of each variable: its law, and whether it moves with the causes.

    If the model is right, the noise has the law of simulated noise, whatever the values of the
    causes are.
    """
    rng, columns = subject.random("conditionals"), subject.columns
    measured = []
    for name, noise in noises.seen.items():
        parents = {*subject.parents(name), *subject.inputs}
        causes = {cause: value for cause, value in columns.items() if cause in parents}
        results = []
        for u, v in zip(noise, noises.imitated[name], strict=True):
            here = ~np.isnan(u)
            distance, tests = same_law(u[here], v, rng)
            for cause, value in causes.items():
                both = here & ~np.isnan(value)
                tests[f"given {cause}"] = associated(u[both], value[both])
            results.append((distance, tests))
        distance, tests = joined(results)
        figure = f"KS distance {distance:.3f}"
        right, wrong = "as the model says", "THE MECHANISM IS WRONG"
        measured.append(Measured(name, figure, distance, right, wrong, tests))
    return judged(CONDITIONAL, measured, level)


def independent_noises(noises: Noises, level: float) -> list[Finding]:
    """Test whether the noises of variables are uncorrelated, pair by pair.

    Returns:
        The pairs that are correlated; else the one that comes closest to it.
    """
    single = {name: u[0] for name, u in noises.seen.items() if len(u) == 1}
    measured = []
    for x, y in combinations(single, 2):
        both = ~np.isnan(single[x]) & ~np.isnan(single[y])
        r, p = rank_correlation(single[x][both], single[y][both])
        wrong = "NOT INDEPENDENT: they may share a cause that the model lacks"
        figure = f"rank correlation {r:.3f}"
        measured.append(Measured(f"{x}, {y}", figure, r, "independent", wrong, {"Spearman": p}))
    found = sorted(judged(INDEPENDENT, measured, level), key=lambda finding: finding.p or 0.0)
    return [finding for finding in found if finding.failed] or found[:1]


def _by_quantiles(scm: SCM) -> SCM:
    """Return the SCM with the quantile coupling of each discrete variable that has one."""
    core = scm._core
    couplings = dict(core.couplings)
    for name, fn in core.distributions().items():
        if core.anatomy.variables[name].discrete:
            try:
                structural_equation(fn, "quantile", name)
            except NotAbducible:
                continue
            couplings[name] = "quantile"
    if couplings == dict(core.couplings):
        return scm
    twin = SCM(scm, noise=couplings)
    twin.amortized = scm.amortized
    return twin


def _abducted(subject: Subject, scm: SCM, values: Values) -> dict[str, Array]:
    """Return the noise of the observed variables, ``(numbers, units)``."""
    found = scm.abduct(
        values,
        inputs=subject.inputs or None,
        method=subject.method(values),
        seed=subject.key("noise"),
    )
    names = [v.name for v in subject.units if v.name in values]
    noise: dict[str, Tensor] = {name: found.noise.known[name] for name in names}  # type: ignore[misc]
    return {name: numbers(u[0, 0]) for name, u in noise.items() if u[0, 0].numel()}
