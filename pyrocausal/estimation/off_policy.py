"""What a policy would have been worth, from data that another one made."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import torch

from pyrocausal.answers import Estimate, normal_interval
from pyrocausal.estimation.aipw import fold_of
from pyrocausal.estimation.finding import Finding, bootstrapped, by_influence, median_of
from pyrocausal.estimation.logged import Logged, read_logged
from pyrocausal.estimation.nuisance import (
    LeastSquares,
    Logistic,
    fitted_mean,
    fitted_probability,
    with_intercept,
)
from pyrocausal.estimation.study import shown
from pyrocausal.estimation.table import Array
from pyrocausal.interventions import Policy

__all__ = ["off_policy_value"]

_RARE: Final = 0.01
"""A propensity below it is worth a warning."""

_FEW: Final = 0.1
"""So small a share of the rows, that is left of their weights, is worth a warning."""


@dataclass(frozen=True, eq=False)
class _Task:
    """What is estimated, and by which models.

    Attributes:
        logged: The rows.
        wanted: For each policy its probabilities of the levels, shape ``(n, levels)``.
        outcome_model: Fitted in each arm.
        treatment_model: The propensities.
    """

    logged: Logged
    wanted: Sequence[Array]
    outcome_model: Any
    treatment_model: Any

    @property
    def as_it_was(self) -> tuple[float, Array]:
        """The mean outcome of the rows, or 0 of a comparison, and each row's influence on it."""
        y = self.logged.y
        if len(self.wanted) > 1:
            return 0.0, np.zeros(len(y))
        return float(y.mean()), y - y.mean()

    def take(self, index: npt.NDArray[np.intp]) -> _Task:
        wanted = [chances[index] for chances in self.wanted]
        return _Task(self.logged.take(index), wanted, self.outcome_model, self.treatment_model)

    def propensities(self, train: npt.NDArray[Any], at: npt.NDArray[Any]) -> Array:
        """Return the probability of each level, by columns or fitted, shape ``(at, levels)``."""
        known = self.logged.known_propensities()
        if known is not None:
            given: Array = known[at]
            return given
        z, arms = self.logged.z, self.logged.arms
        fits = [
            fitted_probability(self.treatment_model, z[train], arm, z[at])
            for arm in _modelled(arms)[train].T
        ]
        return np.column_stack([1 - fits[0], *fits] if len(fits) == 1 else fits)

    def weights(self, wanted: Array, propensities: Array) -> Array:
        """Return ``pi(x) / e(x)`` of the treatment that each row had, shape ``(n,)``.

        Raises:
            ValueError: A propensity of 0 where the policy wants what the row had.
        """
        arms = self.logged.arms
        had, chance = wanted[arms], propensities[arms]
        impossible = (had > 0) & (chance <= 0)
        if impossible.any():
            raise ValueError(
                f"policy_value: positivity: {int(impossible.sum())} rows have a propensity of 0 of "
                f"the {self.logged.treatment!r} that they had. Give other propensities, a smoother "
                "treatment_model, or fewer covariates."
            )
        weights = np.zeros(len(had))
        np.divide(had, chance, out=weights, where=had > 0)
        return weights


def off_policy_value(
    data: Any,
    policy: Any,
    outcome: Any,
    *,
    treatment: str,
    adjust: Sequence[str] = (),
    propensity: str | Mapping[Any, str] | None = None,
    versus: Any = None,
    method: Literal["aipw", "weighting"] = "aipw",
    level: float = 0.95,
    splits: int = 20,
    folds: int = 5,
    outcome_model: Any = None,
    treatment_model: Any = None,
    squares: bool = True,
    factors: Collection[str] = (),
    replicates: int = 200,
    seed: int | None = None,
) -> Estimate:
    r"""Estimate the mean outcome under a policy, or less another one's; see `pc.policy_value`.

    With the policy :math:`\pi`, propensities :math:`e` and mean outcomes :math:`m`, rows weigh
    :math:`w = \pi(x \mid z) / e(x \mid z)`. Hájek's estimate is ``sum w y / sum w``, the doubly
    robust one the mean of

    .. math:: \sum_k \pi(k \mid z) m_k(z) + w (y - m_x(z))

    Args:
        data: A DataFrame, or a mapping from name to values, rows first.
        policy: The rule: a function from a row's values by name to the treatment, or to the
            probabilities of treatments; or one value for all.
        outcome: Name of the outcome, or an event.
        treatment: Name of the treatment.
        adjust: Covariates that explain the treatment in the data.
        propensity: The column of the probability of the larger of two levels, or a mapping from level
            to column; fitted where left out.
        versus: A second policy, whose value is subtracted.
        method: ``"aipw"``, doubly robust, or ``"weighting"``.
        level: Probability that the interval is made for.
        splits: Random splits that the median is taken over.
        folds: Parts of a split.
        outcome_model: As in `pyrocausal.estimation.Options`.
        treatment_model: As in `pyrocausal.estimation.Options`.
        squares: Whether numbers have their squares in all regressions.
        factors: Variables whose numbers are codes.
        replicates: Bootstrap samples, where the interval is by bootstrap.
        seed: Gives the same estimate again.

    Returns:
        The estimate, with its standard error and interval.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> z, noise = rng.normal(size=(2, 2000))
        >>> x = (rng.random(2000) < 1 / (1 + np.exp(-z))).astype(float)
        >>> data = {"z": z, "x": x, "y": x * z + noise}
        >>> found = off_policy_value(
        ...     data, lambda v: v["z"] > 0, "y", treatment="x", adjust=["z"], seed=0
        ... )
        >>> (2 * np.pi) ** -0.5 in found.interval  # E[max(z, 0)]
        True

    References:
        Dudík, Langford, Li (2011), Doubly robust policy evaluation and learning.
    """
    if method not in ("aipw", "weighting"):
        raise ValueError(f'policy_value: got method={method!r}; expected "aipw" or "weighting".')
    adjust = [adjust] if isinstance(adjust, str) else list(adjust)
    logged = read_logged(
        data, outcome, treatment, adjust, propensity, squares=squares, factors=factors
    )
    policies = [policy] if versus is None else [policy, versus]
    task = _Task(
        logged,
        [logged.chosen(one) for one in policies],
        LeastSquares() if outcome_model is None else outcome_model,
        Logistic() if treatment_model is None else treatment_model,
    )
    rng = np.random.default_rng(seed)
    if method == "weighting":
        finding = _weighting(task, replicates, rng)
    else:
        finding = _aipw(task, splits, folds, rng)
    return _report(task, policies, finding, level)


def _weighting(task: _Task, replicates: int, rng: np.random.Generator) -> Finding:
    everyone = np.arange(len(task.logged.y))
    e = task.propensities(everyone, everyone)
    details = {"method": "inverse probability weighting (Hájek)", **_treatment_notes(task)}
    figures, warnings = _overlap(task, e)
    rests = [] if task.logged.given else ["the treatment model is right"]
    notes: dict[str, Any] = {
        "details": {**details, **figures},
        "warnings": warnings,
        "assumptions": rests,
    }
    if task.logged.given or isinstance(task.treatment_model, Logistic):
        value, influence = _hajek(task, e)
        if not task.logged.given:
            influence = influence + _through_propensity(task)
        return by_influence(value, influence, task.as_it_was, **notes)

    def statistic(index: npt.NDArray[np.intp]) -> tuple[float, float]:
        drawn = task.take(index)
        return _hajek(drawn, drawn.propensities(everyone, everyone))[0], drawn.as_it_was[0]

    return bootstrapped(statistic(everyone), statistic, len(everyone), replicates, rng, **notes)


def _hajek(task: _Task, e: Array) -> tuple[float, Array]:
    """Return the estimate, and each row's influence on it were the propensities known."""
    value, influence = 0.0, np.zeros(len(task.logged.y))
    for sign, wanted in zip((1, -1), task.wanted, strict=False):
        w = task.weights(wanted, e)
        mean = float(w @ task.logged.y / w.sum())
        value += sign * mean
        influence = influence + sign * w * (task.logged.y - mean) / w.mean()
    return value, influence


def _through_propensity(task: _Task) -> Array:
    """Return each row's influence on Hájek's estimate by way of the fitted logits."""
    logged = task.logged
    arms = _modelled(logged.arms)
    models = [Logistic().fit(logged.z, arm) for arm in arms.T]
    x, y = torch.tensor(with_intercept(logged.z)), torch.tensor(logged.y)
    had = torch.tensor(logged.arms)
    wanted = [torch.tensor(chances)[had] for chances in task.wanted]

    def effect(beta: torch.Tensor) -> torch.Tensor:
        e = torch.sigmoid(x @ beta.T)
        e = torch.cat([1 - e, e], 1) if len(models) == 1 else e
        w = [chances / e[had] for chances in wanted]
        means = [one @ y / one.sum() for one in w]
        return means[0] - means[1] if len(means) > 1 else means[0]

    beta = torch.tensor(np.stack([model.coefficients for model in models]))
    slopes = torch.func.grad(effect)(beta).numpy()
    parts = [
        model.influence(logged.z, arm) @ slope
        for model, arm, slope in zip(models, arms.T, slopes, strict=True)
    ]
    return sum(parts, np.zeros(len(y)))


def _aipw(task: _Task, splits: int, folds: int, rng: np.random.Generator) -> Finding:
    fewest = task.logged.arms.sum(0).min()
    if fewest < folds:
        raise ValueError(
            f"policy_value: a value of {task.logged.treatment!r} has {fewest} rows; expected at "
            f"least one for each of {folds} folds. Use fewer folds, or more data."
        )
    findings, propensities = [], []
    for _ in range(splits):
        means, e = _crossfitted(task, folds, rng)
        findings.append(by_influence(*_doubly_robust(task, means, e), task.as_it_was))
        propensities.append(e)
    figures, warnings = _overlap(task, np.median(propensities, axis=0))
    details = {
        "method": f"AIPW, {folds} folds, median of {splits} splits",
        "outcome model": f"{task.outcome_model!r} in each arm",
        **_treatment_notes(task),
        **figures,
    }
    rests = "one of the two models is right, or both come near the truth fast enough"
    assumptions = [] if task.logged.given else [rests]
    return median_of(findings, details=details, assumptions=assumptions, warnings=warnings)


def _doubly_robust(task: _Task, means: Array, e: Array) -> tuple[float, Array]:
    """Return the estimate from fitted models, and each row's influence on it."""
    psi = np.zeros(len(task.logged.y))
    residuals = task.logged.y - means[task.logged.arms]
    for sign, wanted in zip((1, -1), task.wanted, strict=False):
        psi += sign * ((wanted * means).sum(1) + task.weights(wanted, e) * residuals)
    value = float(psi.mean())
    return value, psi - value


def _crossfitted(task: _Task, folds: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return means and propensities of each row by models that didn't see it."""
    arms, y, z = task.logged.arms, task.logged.y, task.logged.z
    fold = fold_of(arms, folds, rng)
    means, e = np.empty((2, *arms.shape))
    for k in range(folds):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        e[test] = task.propensities(train, test)
        for side, arm in enumerate(arms.T):
            fit = train[arm[train]]
            means[test, side] = fitted_mean(task.outcome_model, z[fit], y[fit], z[test])
    return means, e


def _modelled(arms: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the arms that have a model of their own: of two, one is the other's complement."""
    return arms[:, 1:] if arms.shape[1] == 2 else arms


def _overlap(task: _Task, e: Array) -> tuple[dict[str, str], list[str]]:
    """Return figures and warnings of how well the data cover what the policy wants."""
    figures, warnings = {}, []
    for which, wanted in zip(("policy", "other policy"), task.wanted, strict=False):
        chances = np.where(wanted > 0, e, 1.0).min(1)
        w = task.weights(wanted, e)
        left = float(w.sum() ** 2 / (w**2).sum())
        figures[f"propensity of what the {which} gives"] = (
            f"{chances.min():.3g} to {chances.max():.3g}"
        )
        figures[f"effective rows of the {which}"] = f"{left:.0f} of {len(w)}"
        rare = int((chances < _RARE).sum())
        if rare or left < _FEW * len(w):
            warnings.append(
                f"overlap: {rare} rows have a propensity below {_RARE:g} of what the {which} "
                f"gives them, and the weights leave {left:.0f} of {len(w)} rows: the answer leans "
                "on few"
            )
    return figures, warnings


def _treatment_notes(task: _Task) -> dict[str, str]:
    if task.logged.given:
        return {"propensity": f"given, in {', '.join(task.logged.given.values())}"}
    return {"treatment model": repr(task.treatment_model)}


def _report(task: _Task, policies: Sequence[Any], finding: Finding, level: float) -> Estimate:
    logged, se = task.logged, finding.variance**0.5
    z = ", ".join(logged.adjust)
    x = logged.treatment
    details = dict(finding.details)
    if len(policies) == 1:
        gain = finding.value - finding.naive
        details["as it was"] = f"{finding.naive:.4g} (se {finding.naive_variance**0.5:.2g})"
        details["policy - as it was"] = gain
        details["policy - as it was, interval"] = normal_interval(
            gain, {"sampling": finding.paired_variance**0.5}, level
        )
    warnings = list(finding.warnings)
    if logged.rows.dropped:
        warnings.append(
            f"{logged.rows.dropped} more rows lack a value and were left out, which is right if "
            "values are missing at random"
        )
    if z:
        enough = f"{x} and the outcome have no common causes but by way of {{{z}}}"
    else:
        enough = f"{x} and the outcome have no common causes"
    return Estimate(
        finding.value,
        se,
        normal_interval(finding.value, {"sampling": se}, level),
        " - ".join(_formula(logged, policy) for policy in policies),
        rung=2,
        assumptions=(
            enough,
            f"each {x} that the policy gives may occur whatever the covariates",
            *finding.assumptions,
        ),
        warnings=tuple(warnings),
        details={**details, "rows": len(logged.rows)},
    )


def _formula(logged: Logged, policy: Any) -> str:
    action = policy.function if isinstance(policy, Policy) else policy
    distribution = isinstance(action, torch.distributions.Distribution)
    given = "policy" if callable(action) or distribution else shown(action)
    world = f"do({logged.treatment}={given})"
    if isinstance(logged.outcome, str):
        return f"E[{logged.outcome} | {world}]"
    event = ", ".join(f"{name}={shown(value)}" for name, value in logged.outcome.items())
    return f"P({event} | {world})"
