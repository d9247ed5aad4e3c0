"""VLUCI: effects under unobserved confounding, inferred variationally and told honestly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import torch

from pyrocausal.mechanisms.base import check_count, check_counts
from pyrocausal.models.vluci_amortized import Amortized, amortize, fit_without_u
from pyrocausal.models.vluci_building import build_program, learn_bases, widened
from pyrocausal.models.vluci_columns import Columns, Names, read_columns
from pyrocausal.models.vluci_diagnosis import diagnose
from pyrocausal.models.vluci_experimental import ExperimentalResult, fit_experimental
from pyrocausal.models.vluci_features import Expansion
from pyrocausal.models.vluci_heads import Outcome, Treatment
from pyrocausal.models.vluci_likelihood import Form, Likelihood
from pyrocausal.models.vluci_optimum import minimise
from pyrocausal.models.vluci_posterior import draw_posterior, grid_posterior
from pyrocausal.models.vluci_profile import Profile
from pyrocausal.models.vluci_result import VLUCIResult
from pyrocausal.models.vluci_twin import Twin
from pyrocausal.models.vluci_two_stage import Learner, least_squares, two_stage

__all__ = ["VLUCI"]

Objective = Literal["exact", "joint", "double", "two_stage"]
CHOICES = {
    "outcome": get_args(Outcome),
    "objective": get_args(Objective),
    "u_effect": ("linear", "free"),
    "arms": ("shared", "separate"),
    "effect": ("constant", "varying"),
    "treatment": get_args(Treatment),
    "treatment_link": ("logit", "probit"),
    "basis": get_args(Expansion),
}
DRAWS = 20
"""Copies of U in the second stage."""
FREE = (64, 64)
"""Layers of the networks of a free effect of U."""


class VLUCI:
    r"""Variational learning of an unobserved confounder, in an interpretable form.

    **Reconstructed from the abstract** of Zhao et al. (2023), whose equations, code and settings
    were not at hand; what identifies U, on which the abstract is silent, is explicit here.

    .. math::
        u \sim N(0, I), \quad
        \mathrm{logit} \, P(t=1) = a(x) + \gamma u, \quad
        y = b(x) + t \, \tau(x) + g_t u + s_t \epsilon

    U is independent of the covariates by convention. **Nothing in the data says what U does**
    unless something else is declared: an instrument (it moves the treatment and reaches the
    outcome through it alone), or proxies of U. Without an instrument the answer is the set of
    effects that a stated bound on U's strength leaves open.

    Args:
        latent_dim: Dimension of U. Any linear U of more dimensions equals one of one dimension
            with arms of their own, for treatment and outcome: 1 is enough.
        outcome: Family of the outcome; ``"poisson"`` is experimental.
        objective: ``"exact"``, by quadrature, for a U of one dimension with linear effects (the
            default there); ``"joint"``, the evidence lower bound (the default elsewhere);
            ``"double"``, a reading of the abstract's "doubly variational", which is no bound;
            ``"two_stage"``, draws of U as a covariate of any learner.
        u_effect: ``"linear"``, or ``"free"`` for networks in x and u.
        arms: Whether the arms share the outcome's loading, noise and slopes (``"shared"``).
        effect: Whether the effect is ``"constant"`` or varies with the covariates.
        treatment: Family of the treatment; all but ``"bernoulli"`` are experimental.
        treatment_link: ``"logit"`` or ``"probit"``, whose likelihood is in closed form.
        basis: What the heads are linear in: the columns, or also their ``"hinges"``.
        hidden: Sizes of the layers of networks whose last layer is used instead. They are learned
            without U, and then kept.
        learner: Second stage of ``"two_stage"``: from covariates, treatment and outcome to an
            average effect and its variance.
        steps: Steps of each of the two stages of a variational objective.

    Raises:
        ValueError: An option that there is none of, a dimension below 1, or options that don't go
            together.

    Example:
        >>> from pyrocausal.zoo.confounders import CONFOUNDED
        >>> data = CONFOUNDED["S1"].data(1000, seed=0)
        >>> x = torch.stack([data[name] for name in ("x1", "x2", "x4")], 1)
        >>> fit = VLUCI().fit(x, data["t"], data["y"], instruments=[2])
        >>> answer = fit.ate()
        >>> answer.low < 2.0 < answer.high, answer.kind
        (True, 'profile')

    References:
        Zhao et al. (2023), VLUCI: Variational Learning of Unobserved Confounders for
        Counterfactual Inference.
    """

    def __init__(
        self,
        latent_dim: int = 1,
        outcome: Outcome = "normal",
        objective: Objective | None = None,
        u_effect: Literal["linear", "free"] = "linear",
        arms: Literal["shared", "separate"] = "shared",
        effect: Literal["constant", "varying"] = "constant",
        treatment: Treatment = "bernoulli",
        treatment_link: Literal["logit", "probit"] = "logit",
        basis: Expansion = "linear",
        hidden: Sequence[int] = (),
        learner: Learner = least_squares,
        steps: int = 800,
    ) -> None:
        check_count(latent_dim, "latent_dim")
        check_count(steps, "steps")
        check_counts(hidden, "hidden")
        self.latent_dim, self.outcome, self.u_effect = latent_dim, outcome, u_effect
        self.arms, self.effect, self.treatment = arms, effect, treatment
        self.treatment_link, self.basis, self.hidden = treatment_link, basis, tuple(hidden)
        self.learner, self.steps = learner, steps
        plain = latent_dim == 1 and u_effect == "linear" and not self._experimental
        self.objective: Objective = objective or ("exact" if plain else "joint")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"VLUCI got {name}={getattr(self, name)!r}; expected one of "
                    f"{', '.join(map(repr, choices))}."
                )
        if self.objective in ("exact", "two_stage") and not plain:
            raise ValueError(
                f"VLUCI got objective={self.objective!r} for latent_dim={latent_dim}, "
                f"u_effect={u_effect!r}, treatment={treatment!r}, outcome={outcome!r}; it needs a "
                "U of one dimension with linear effects, a binary treatment, and a normal or "
                "binary outcome. Use objective='joint'."
            )
        if treatment_link == "probit" and outcome != "normal":
            raise ValueError(
                "VLUCI got treatment_link='probit' with a binary outcome; expected 'logit' there."
            )

    @property
    def _experimental(self) -> bool:
        return self.treatment != "bernoulli" or self.outcome == "poisson"

    def fit(
        self,
        x: Any,
        t: Any,
        y: Any,
        *,
        instruments: Names = (),
        outcome_only: Names = (),
        proxies: Names = (),
        seed: int = 0,
    ) -> VLUCIResult | ExperimentalResult:
        """Fit the model; units without treatment or outcome are dropped, with a note.

        Args:
            x: Covariates, a DataFrame or an array of shape ``(n, d)``.
            t: Treatment, shape ``(n,)``; 0 and 1 unless another family was asked for.
            y: Outcome, shape ``(n,)``.
            instruments: Covariates, by name or number, that move the treatment and reach the
                outcome through it alone. This can't be learned from data: a confounder that is
                declared an instrument is confidently wrong.
            outcome_only: Covariates that don't influence the treatment.
            proxies: Covariates that are noisy linear copies of U, independent given it.
            seed: Of networks, guides and draws.

        Returns:
            The result; an `ExperimentalResult` for treatments that are not binary, counts, and
            missing covariates (objective ``"joint"``).

        Raises:
            UnknownVariable: A role names no covariate.
            ValueError: A treatment with one level or an outcome that doesn't vary; lengths that
                differ; a covariate in two roles; missing covariates with another objective.
            RuntimeError: A variational fit that ends below the same model without U.

        Example:
            >>> x, t = torch.randn(200, 2), torch.arange(200) % 2
            >>> fit = VLUCI().fit(x, t, x[:, 0] + t)
            >>> fit.ate().point is None
            True
        """
        columns = read_columns(
            x, t, y, instruments=instruments, outcome_only=outcome_only, proxies=proxies
        )
        self._check_families(columns)
        missing = bool(columns.x.isnan().any())
        if missing and self.objective != "joint":
            raise ValueError(
                f"fit() got {int(columns.x.isnan().sum())} missing covariates; expected none with "
                f"objective={self.objective!r}. Impute them, or use objective='joint', which is "
                "experimental."
            )
        if self._experimental or missing:
            return fit_experimental(
                columns,
                self.treatment,
                self.outcome,
                latent_dim=self.latent_dim,
                expansion=self.basis,
                varying=self.effect == "varying",
                steps=self.steps,
                seed=seed,
            )
        return self._fit(columns, seed)

    def _fit(self, columns: Columns, seed: int) -> VLUCIResult:
        likelihood = self._likelihood(columns, seed)
        optimum = minimise(likelihood.loss, likelihood.start(), likelihood.without_u)
        twin = Twin.of(likelihood, optimum)
        profile = Profile(likelihood, optimum)
        result = VLUCIResult(
            columns=columns,
            objective=self.objective,
            twin=twin,
            profile=profile,
            diagnosis=diagnose(columns, profile, twin.propensities, twin.se),
            program=build_program(likelihood, profile.interior()),
            withdrawn=self._withdrawn(columns, seed),
        )
        if self.objective == "two_stage":
            return self._second_stage(result, seed)
        if self.objective in ("joint", "double"):
            return self._variational(result, seed)
        return result

    def _likelihood(self, columns: Columns, seed: int) -> Likelihood:
        # A U of several dimensions acts as one of one dimension with arms of their own.
        several = self.latent_dim > 1 or self.u_effect == "free"
        arms = "separate" if several else self.arms
        outcome: Any = self.outcome
        form = Form(outcome, arms, self.effect, self.treatment_link)
        varying = self.effect == "varying" or arms == "separate"
        bases = learn_bases(columns, self.outcome, varying, self.basis, self.hidden, seed)
        return Likelihood(columns, form, bases)

    def _withdrawn(self, columns: Columns, seed: int) -> dict[str, float]:
        """Return the effect with each instrument taken for an ordinary covariate."""
        places, found = columns.roles["instruments"], {}
        for place in places if len(places) > 1 else ():
            kept = tuple(other for other in places if other != place)
            fewer = replace(columns, roles={**columns.roles, "instruments": kept})
            likelihood = self._likelihood(fewer, seed)
            twin = minimise(likelihood.loss, likelihood.start(), likelihood.without_u)
            starts = (
                likelihood.with_loadings(twin.theta, 0.5, (angle, angle)) for angle in (0.5, -0.5)
            )
            best = min((minimise(likelihood.loss, s) for s in starts), key=lambda o: o.loss)
            found[columns.names[place]] = float(likelihood.average_effect(best.theta))
        return found

    def _second_stage(self, result: VLUCIResult, seed: int) -> VLUCIResult:
        columns, likelihood, units = result.columns, result.twin.likelihood, result.units()
        copies = []
        # Each copy has parameters of its own: otherwise their error would be no part of Rubin's.
        for number, theta in enumerate(result.parameter_draws(DRAWS, seed)):
            program = build_program(likelihood, theta)
            grid = grid_posterior(program, units.x, units.t, units.y, units.w)
            copies.append(draw_posterior(*grid, 1, seed + number)[0])
        u, x = torch.stack(copies), columns.x[:, columns.outcome_side]
        return replace(result, staged=two_stage(u, x, columns.t, columns.y, self.learner))

    def _variational(self, result: VLUCIResult, seed: int) -> VLUCIResult:
        program = result.program
        twin = build_program(result.twin.likelihood, result.twin.optimum.theta)
        if self.latent_dim > 1 or self.u_effect == "free":
            hidden = (self.hidden or FREE) if self.u_effect == "free" else ()
            program, twin = (
                widened(one, self.latent_dim, hidden, seed) for one in (program, twin)
            )
        result = replace(result, program=program)
        objective: Literal["joint", "double"] = "double" if self.objective == "double" else "joint"
        without_u = fit_without_u(twin, result.units(), self.steps)
        # What the covariates explain is known then: the fit starts above the twin, with the
        # loadings of the exact solution.
        for head, learned in (
            (program.treatment, twin.treatment),
            (program.outcome, twin.outcome),
        ):
            if head.free is not None and learned.free is not None:
                head.free.load_state_dict(learned.free.state_dict())
        amortized = amortize(program, result.units(), objective, seed, self.steps, twin=without_u)
        _refuse_worse_than_twin(amortized)
        warnings = result.diagnosis.warnings
        if amortized.kl < 0.01:
            warnings += (f"the guide has collapsed: KL = {amortized.kl:.2g} nats a unit",)
        if result.twin.likelihood.form.arms != self.arms:
            warnings += ("intervals are those of a one-dimensional linear U with separate arms",)
        diagnosis = replace(result.diagnosis, warnings=warnings)
        return replace(result, amortized=amortized, diagnosis=diagnosis)

    def _check_families(self, columns: Columns) -> None:
        t, y = columns.t, columns.y
        levels = t.unique()
        if len(levels) == 1:
            raise ValueError(
                f"fit() got the treatment {levels[0].item():g} for every unit; expected two "
                "levels at least. Without the other nothing can be compared."
            )
        if self.treatment == "bernoulli" and levels.tolist() != [0.0, 1.0]:
            raise ValueError(
                f"fit() got treatments such as {levels[:3].tolist()}; expected 0 and 1. Recode t, "
                "or use VLUCI(treatment='normal') or 'categorical', which are experimental."
            )
        if self.treatment == "categorical" and not _is_code(t):
            raise ValueError(
                f"fit() got treatments such as {levels[:3].tolist()}; expected codes 0, 1, ..."
            )
        if self.outcome == "bernoulli" and not bool(((y == 0) | (y == 1)).all()):
            raise ValueError(
                f"fit() got outcomes such as {y[(y != 0) & (y != 1)][0].item():g}; expected 0 and "
                "1. Recode y, or use VLUCI(outcome='normal')."
            )
        if self.outcome == "poisson" and not _is_code(y):
            raise ValueError("fit() got outcomes that are no counts; expected 0, 1, 2, ...")


def _is_code(values: torch.Tensor) -> bool:
    return bool(((values >= 0) & (values == values.round())).all())


def _refuse_worse_than_twin(found: Amortized) -> None:
    if found.elbo < found.twin - 0.01:
        raise RuntimeError(
            f"The variational fit ends at {found.elbo:.4f} nats a unit, below the same model "
            f"without U ({found.twin:.4f}): it is not to be believed. Raise steps, or use "
            "objective='exact'."
        )
