"""What a fit of VLUCI returns: effects with what they rest on, and the model as an SCM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from pyrocausal.answers import Interval
from pyrocausal.errors import NotIdentified
from pyrocausal.model import SCM
from pyrocausal.models.vluci_amortized import Amortized, Units
from pyrocausal.models.vluci_building import build_program, program_rows
from pyrocausal.models.vluci_columns import Columns, read_matrix, read_vector
from pyrocausal.models.vluci_curve import LoadingCurve
from pyrocausal.models.vluci_diagnosis import Diagnosis
from pyrocausal.models.vluci_estimate import VLUCIEstimate, vluci_estimate
from pyrocausal.models.vluci_loadings import Propensity, benchmarks, read_box
from pyrocausal.models.vluci_optimum import curvature
from pyrocausal.models.vluci_posterior import draw_posterior, grid_posterior
from pyrocausal.models.vluci_profile import Mode, Profile
from pyrocausal.models.vluci_program import VLUCIProgram, average_effect, effects_at
from pyrocausal.models.vluci_sets import IdentifiedSet, identified_set
from pyrocausal.models.vluci_twin import Twin
from pyrocausal.models.vluci_two_stage import TwoStage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["VLUCIResult"]

Bound = float | tuple[float, float]
Analysis = Literal["loading", "evalue", "ovb", "msm", "manski"]
WIDEST = 0.5
"""The largest standard deviation of a direction of parameters that the data leave flat."""


@dataclass(frozen=True, eq=False, repr=False)
class VLUCIResult:
    """A fitted VLUCI: ``ate``, ``cate``, ``ite``, ``sensitivity``, and ``scm`` for all else.

    Attributes:
        columns: The data.
        objective: What was maximised.
        twin: The fit without U.
        profile: The profile of the likelihood over effects, with its modes and both sign starts.
        diagnosis: First-stage F, warnings, and the verdict of the graph.
        program: The fitted Pyro program.
        amortized: The guides, for a variational objective.
        staged: The answer of the objective ``two_stage``.
        withdrawn: The effect with each instrument withdrawn, where there are several.
    """

    columns: Columns
    objective: str
    twin: Twin
    profile: Profile
    diagnosis: Diagnosis
    program: VLUCIProgram
    amortized: Amortized | None = None
    staged: TwoStage | None = None
    withdrawn: Mapping[str, float] | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may be wrong, and why there is no point where there is none."""
        return self.diagnosis.warnings

    @property
    def signs(self) -> Mapping[str, Mode]:
        """Where the starts with positive and with negative confounding ended."""
        return self.profile.signs

    @cached_property
    def scm(self) -> SCM:
        """The program as an SCM with ``u`` latent: do, condition, counterfactual, identify."""
        return self.program.scm()

    @cached_property
    def propensity(self) -> Propensity:
        """The twin's probabilities of treatment, and what loadings mean for them."""
        return Propensity(self.twin.propensities)

    def identified_set(self, bound: Bound = 3.0) -> IdentifiedSet:
        """Return the effects that a bound on U's strength leaves open.

        Args:
            bound: A multiple of the strongest covariate, or ``(R2_T, R2_Y)``.

        Raises:
            ValueError: A bound that is neither.
        """
        box = read_box(bound, benchmarks(self.columns))
        return identified_set(self.twin.likelihood, self.twin.optimum, self.propensity, box)

    def ate(self, level: float = 0.95, bound: Bound = 3.0, point: bool = False) -> VLUCIEstimate:
        r"""Return the average effect ``E[Y_1 - Y_0]``, or the set that is left open.

        With an instrument that moves the treatment (F of at least 10) and data that ask for U, it
        is the maximum with its profile interval ``{ATE: 2 (l_max - l(ATE)) <= q}``. Otherwise
        there is no point, and the interval covers each effect of the identified set under the
        bound, by Imbens and Manski; it holds only if the bound does.

        Args:
            level: Probability that the interval is made for.
            bound: How strong U may be: a multiple of the strongest observed covariate's partial
                R2s, a convention that no data can choose, or the pair ``(R2_T, R2_Y)`` itself.
            point: Whether to give the maximum of the likelihood as a point all the same.

        Raises:
            ValueError: A level or bound that makes no sense.
        """
        if not 0 < level < 1:
            raise ValueError(f"ate() got level={level!r}; expected a probability such as 0.95.")
        found = self.identified_set(bound)
        withheld = self.diagnosis.withheld
        profiled = not withheld or (point and len(self.columns.roles["proxies"]) >= 3)
        value: float | None = self._best() if not withheld or point else None
        se: float | None = None
        if profiled:
            low, high, _ = self.profile.interval(level)
            reach = NormalDist().inv_cdf((1 + level) / 2)
            se = (high - low) / (2 * reach)
            sources = ("the instruments reach the outcome through the treatment alone",)
            if withheld:
                sources = ("the proxies are noisy copies of U, independent given it",)
        else:
            low, high = found.interval(level)
            sources = ("U is no stronger than the bound: no data can tell",)
        if self.staged is not None and value is not None:
            se = self.staged.se
        return vluci_estimate(
            "E[Y | do(t=1)] - E[Y | do(t=0)]",
            value,
            se,
            Interval(low, high, level),
            "profile" if profiled else "identified set",
            bounds=Interval(found.low, found.high, level),
            bound=str(found.box),
            assumptions=sources,
            warnings=self.warnings,
        )

    def _best(self) -> float:
        if self.staged is not None:
            return self.staged.ate
        if self.amortized is not None:
            return average_effect(self.program)
        return self.profile.best.ate

    def cate(self, x: Any, num_draws: int = 200, *, point: bool = False, seed: int = 0) -> Tensor:
        """Return draws of the average effect at covariates, over the parameters.

        A variational objective has one set of parameters: its draws are of U, from the prior, and
        their mean is the effect.

        Args:
            x: Covariates of new units, with the columns of the fit.
            num_draws: Number of draws.
            point: As in `ate`: give them though the data don't identify them.
            seed: Of the draws.

        Returns:
            Shape ``(draw, unit)``.

        Raises:
            NotIdentified: The point is withheld, and was not asked for.
        """
        self._refuse_point("cate", point)
        likelihood = self.twin.likelihood
        matrix, _ = read_matrix(x, self.columns.names)
        if self.amortized is not None:
            rows = program_rows(self.columns, matrix)
            return effects_at(self.program, rows, draws=num_draws, seed=seed)
        designs = likelihood.features(matrix)
        draws = self.parameter_draws(num_draws, seed)
        with torch.no_grad():
            return torch.stack([likelihood.effects(theta, designs) for theta in draws])

    def parameter_draws(self, num_draws: int, seed: int = 0) -> Tensor:
        """Draw parameters around the maximum (Laplace), shape ``(draw, p)``.

        A direction that the data leave flat gets a standard deviation of 0.5 at most.
        """
        likelihood, theta = self.twin.likelihood, self.profile.best.theta
        information = curvature(likelihood.loss, theta) * len(self.columns.y)
        values, vectors = torch.linalg.eigh(information)
        root = vectors / values.clamp_min(WIDEST**-2).sqrt()
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(num_draws, len(theta), generator=generator, dtype=theta.dtype)
        return theta + z @ root.mT  # type: ignore[no-any-return]

    def ite(
        self,
        x: Any = None,
        t: Any = None,
        y: Any = None,
        num_draws: int = 200,
        *,
        point: bool = False,
        seed: int = 0,
    ) -> Tensor:
        """Return draws of each unit's own effect ``Y_1 - Y_0`` given what was seen of it.

        U is drawn from its posterior, and the program's own counterfactual does the rest.

        Args:
            x: Covariates; those of the fit by default.
            t: Their treatment.
            y: Their outcome.
            num_draws: Number of draws.
            point: As in `ate`: give them though the data don't identify them.
            seed: Of the draws.

        Returns:
            Shape ``(draw, unit)``.

        Raises:
            NotIdentified: The point is withheld, and was not asked for.
        """
        self._refuse_point("ite", point)
        units = self.units(x, t, y)
        u = self._posterior(units, num_draws, seed)
        rows = {"x": units.x, "t": units.t, "y": units.y}
        if units.w is not None:
            rows["w"] = units.w
        evidence = {k: v.repeat(num_draws, *[1] * (v.dim() - 1)) for k, v in rows.items()}
        evidence["u"] = u.flatten(0, 1).to(units.x)
        seen = self.program.scm(latent=False)
        worlds = seen.counterfactual(
            evidence, [{"t": 1.0}, {"t": 0.0}], variables=["y"], seed=seed
        )["y"]
        return (worlds[0] - worlds[1]).reshape(num_draws, -1)

    def posterior(
        self, x: Any = None, t: Any = None, y: Any = None, num_draws: int = 200, seed: int = 0
    ) -> Tensor:
        """Return draws of U given what was seen of each unit, shape ``(draw, unit, k)``."""
        return self._posterior(self.units(x, t, y), num_draws, seed)

    def units(self, x: Any = None, t: Any = None, y: Any = None) -> Units:
        """Return units in the program's own form; those of the fit by default."""
        columns = self.columns
        if x is None:
            matrix, treated, outcome = columns.x, columns.t, columns.y
        else:
            matrix, _ = read_matrix(x, columns.names)
            treated, outcome = read_vector(t, "t"), read_vector(y, "y")
        kind = self.program.rows.dtype
        w = matrix[:, list(columns.roles["proxies"])].to(kind) if self.program.proxies else None
        return Units(program_rows(columns, matrix), treated.to(kind), outcome.to(kind), w)

    def _posterior(self, units: Units, num_draws: int, seed: int) -> Tensor:
        if self.program.latent_dim == 1:
            grid = grid_posterior(self.program, units.x, units.t, units.y, units.w)
            return draw_posterior(*grid, num_draws, seed)
        assert self.amortized is not None
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.amortized.posterior(units).sample((num_draws,))

    def _refuse_point(self, what: str, point: bool) -> None:
        if self.diagnosis.withheld and not point:
            raise NotIdentified(
                f"{what}() has no answer here: {self.diagnosis.withheld[0]}. Ask ate() for the "
                "set that is left open, or pass point=True for what the maximum of the "
                "likelihood would give."
            )

    def sensitivity(self, analysis: Analysis = "loading", **options: Any) -> Any:
        """Return how the answer of the twin changes with a confounder's strength.

        Args:
            analysis: ``"loading"``, this model's own curve; or ``"evalue"``, ``"ovb"``, ``"msm"``,
                ``"manski"``, those of `pyrocausal.sensitivity`.
            options: Handed on.

        Raises:
            ValueError: There is no such analysis.
        """
        from pyrocausal.models.vluci_analyses import analyse

        return analyse(self, analysis, options)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the loading curve."""
        curve: LoadingCurve = self.sensitivity("loading")
        return curve.plot(ax)

    def at(self, mode: Mode) -> VLUCIProgram:
        """Return the program at another mode of the likelihood."""
        return build_program(self.twin.likelihood, mode.theta)

    def summary(self) -> str:
        """Return the card of the fit."""
        from pyrocausal.models.vluci_analyses import card

        return card(self)

    def __repr__(self) -> str:
        return self.summary()
