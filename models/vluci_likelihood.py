"""The heads of VLUCI as one vector of parameters, and their exact likelihood with U integrated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from pyrocausal.models.quadrature import log_mean_expit, log_mean_expit_product
from pyrocausal.models.vluci_columns import Columns
from pyrocausal.models.vluci_features import Basis

__all__ = ["Form", "Likelihood", "Parts"]

GAMMA_SCALE: Final = 1.5
"""Prior standard deviation of gamma, which the likelihood alone lets run away."""
SLOPES_SCALE: Final = 5.0
"""Prior standard deviation of the log odds of treatment over units: binds where arms separate."""
EFFECTS_SCALE: Final = 1.0
"""Prior standard deviation of the effects over units, in standard deviations of the outcome."""


@dataclass(frozen=True)
class Form:
    """The functional form of the heads.

    Attributes:
        outcome: Family of the outcome, ``"normal"`` or ``"bernoulli"``.
        arms: ``"shared"`` where the arms share the loading of U and the noise, or ``"separate"``.
        effect: ``"constant"``, or ``"varying"`` with the covariates.
        link: Link of the treatment, ``"logit"`` or ``"probit"``.
    """

    outcome: Literal["normal", "bernoulli"] = "normal"
    arms: str = "shared"
    effect: str = "constant"
    link: str = "logit"


class Parts(NamedTuple):
    """What a vector of parameters says of each unit.

    Attributes:
        a: Log odds (probit index) of treatment at ``u = 0``, shape ``(n,)``.
        b: Index of the outcome at ``t = 0, u = 0``, shape ``(n,)``.
        effect: What treatment adds to it, shape ``(n,)``.
        gamma: Loading of U on treatment.
        g: Loadings of U on the outcome, one for each arm, shape ``(2,)``.
        s: Noise of the outcome, one for each arm, shape ``(2,)``.
    """

    a: Tensor
    b: Tensor
    effect: Tensor
    gamma: Tensor
    g: Tensor
    s: Tensor


class Likelihood:
    r"""``log p(t, y, w | x)`` of each unit, with a standard normal U integrated out.

    ``logit P(t=1) = a(x) + gamma u``, ``y = b(x) + t tau(x) + g_t u + s_t e``, and proxies
    ``w_j = c_j + lambda_j u + s_j e_j``. The outcome is standardised, and so are the features:
    at first all parameters have the same curvature, up to a factor.

    Args:
        columns: The data.
        form: The functional form.
        bases: Features of the treatment, of the outcome, and of the effect.
    """

    def __init__(
        self, columns: Columns, form: Form, bases: tuple[Basis, Basis, Basis | None]
    ) -> None:
        self.columns, self.form, self.bases = columns, form, bases
        self.t = columns.t
        self.sign = 2 * columns.t - 1
        normal = form.outcome == "normal"
        self.loc = float(columns.y.mean()) if normal else 0.0
        self.scale = float(columns.y.std()) if normal else 1.0
        self.y = (columns.y - self.loc) / self.scale
        w = columns.x[:, list(columns.roles["proxies"])]
        self.w_loc, self.w_scale = w.mean(0), (w - w.mean(0)).square().mean(0).sqrt()
        self.w = (w - self.w_loc) / self.w_scale
        self.designs = self.features(columns.x)
        self._lay_out()

    def _lay_out(self) -> None:
        arms, proxies = 1 + (self.form.arms == "separate"), self.w.shape[1]
        noises = arms if self.form.outcome == "normal" else 0
        # g = sd sin(angle), s = sd cos(angle): the limit without noise is an ordinary point, and
        # an angle is a share of variance. A binary outcome has the loadings themselves.
        sizes = {
            "a": self.designs[0].shape[1],
            "b": self.designs[1].shape[1],
            "ate": 1,
            "effect": self.designs[2].shape[1],
            "gamma": 1,
            "angle": arms,
            "log_sd": noises,
            "c": proxies,
            "lambda": proxies,
            "log_s_w": proxies,
        }
        self.slots: dict[str, slice] = {}
        start = 0
        for name, size in sizes.items():
            self.slots[name] = slice(start, start + size)
            start += size
        self.size = start

    def features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the heads are linear in: of treatment, outcome and effect, at covariates."""
        ones = x.new_ones(len(x), 1)
        to_t, to_y, to_effect = self.bases
        with torch.no_grad():
            effect = ones[:, :0] if to_effect is None else to_effect(x)
            return torch.cat([ones, to_t(x)], 1), torch.cat([ones, to_y(x)], 1), effect

    def parts(self, theta: Tensor, designs: tuple[Tensor, Tensor, Tensor] | None = None) -> Parts:
        """Return what a vector of parameters says of the units with these features."""
        to_t, to_y, to_effect = self.designs if designs is None else designs
        s = self.slots
        angle, sd = theta[s["angle"]], theta[s["log_sd"]].exp()
        g, noise = (
            (sd * angle.sin(), sd * angle.cos().abs()) if len(sd) else (angle, angle * 0 + 1)
        )
        return Parts(
            a=to_t @ theta[s["a"]],
            b=to_y @ theta[s["b"]],
            effect=theta[s["ate"]] + to_effect @ theta[s["effect"]],
            gamma=theta[s["gamma"]][0],
            g=g.expand(2),
            s=noise.expand(2),
        )

    def start(self) -> Tensor:
        """Return the parameters of no association at all."""
        theta = torch.zeros(self.size, dtype=torch.float64)
        share = self.t.mean()
        theta[self.slots["a"].start] = (share / (1 - share)).log()
        if self.form.outcome == "bernoulli":
            theta[self.slots["b"].start] = torch.logit(self.y.mean())
        return theta

    def units(self, theta: Tensor) -> Tensor:
        """Return the log likelihood of each unit, shape ``(n,)``."""
        parts = self.parts(theta)
        m, v, proxies = self.prior(theta)
        index = parts.b + self.t * parts.effect
        g = torch.where(self.t > 0.5, parts.g[1], parts.g[0])
        if self.form.outcome == "bernoulli":
            return proxies + self._binary(parts, index, g, m, v)
        s2 = torch.where(self.t > 0.5, parts.s[1], parts.s[0]) ** 2
        total = g**2 * v + s2
        rest = self.y - index - g * m
        density = -0.5 * (rest**2 / total + total.log() + math.log(2 * math.pi))
        return proxies + density + self._treated(parts, m + v * g * rest / total, v * s2 / total)

    def prior(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean and variance of U given the proxies, and their log density."""
        zero = self.y.new_zeros(())
        if not self.w.shape[1]:
            return zero, zero + 1, zero
        weight, log_s = theta[self.slots["lambda"]], theta[self.slots["log_s_w"]]
        rest = self.w - theta[self.slots["c"]]
        scaled = weight * torch.exp(-2 * log_s)
        v = 1 / (1 + (weight * scaled).sum())
        m = v * (rest @ scaled)
        # N(w; c, lambda lambda' + S), by the determinant lemma and Woodbury.
        square = (rest**2 * torch.exp(-2 * log_s)).sum(1) - m**2 / v
        log_det = 2 * log_s.sum() - v.log()
        return m, v, -0.5 * (square + log_det + len(weight) * math.log(2 * math.pi))

    def _treated(self, parts: Parts, m: Tensor, v: Tensor) -> Tensor:
        """Return ``log E P(t | u)`` over ``u ~ N(m, v)``."""
        eta = self.sign * (parts.a + parts.gamma * m)
        if self.form.link == "probit":
            return torch.special.log_ndtr(eta / (1 + parts.gamma**2 * v).sqrt())  # type: ignore[no-any-return]
        if not parts.gamma.requires_grad and float(parts.gamma) == 0:
            return logsigmoid(eta)
        return log_mean_expit(eta, (parts.gamma * v.sqrt()).expand_as(eta))

    def _binary(self, parts: Parts, index: Tensor, g: Tensor, m: Tensor, v: Tensor) -> Tensor:
        sign, sd = 2 * self.y - 1, v.sqrt()
        eta, omega = self.sign * (parts.a + parts.gamma * m), self.sign * parts.gamma * sd
        return log_mean_expit_product(eta, omega, sign * (index + g * m), sign * g * sd)

    def penalty(self, theta: Tensor) -> Tensor:
        """Return minus the log of the weak priors, once for all units."""
        s = self.slots
        total = (theta[s["gamma"]] ** 2).sum() / GAMMA_SCALE**2
        if self.form.outcome == "bernoulli":
            total = total + (theta[s["angle"]] ** 2).sum() / GAMMA_SCALE**2
        total = total + (theta[s["a"]][1:] ** 2).sum() / SLOPES_SCALE**2
        return (total + (theta[s["effect"]] ** 2).sum() / EFFECTS_SCALE**2) / 2

    def loss(self, theta: Tensor) -> Tensor:
        """Return minus the penalised log likelihood of a unit."""
        return (self.penalty(theta) - self.units(theta).sum()) / len(self.y)

    def average_effect(
        self, theta: Tensor, designs: tuple[Tensor, Tensor, Tensor] | None = None
    ) -> Tensor:
        """Return the average effect over units, on the scale of the outcome."""
        return self.effects(theta, designs).mean()

    def effects(
        self, theta: Tensor, designs: tuple[Tensor, Tensor, Tensor] | None = None
    ) -> Tensor:
        """Return ``E[Y_1 - Y_0 | x]`` of each unit, on the scale of the outcome, shape ``(n,)``."""
        parts = self.parts(theta, designs)
        if self.form.outcome == "normal":
            return parts.effect * self.scale
        g0, g1 = (loading.expand_as(parts.b) for loading in parts.g)
        return log_mean_expit(parts.b + parts.effect, g1).exp() - log_mean_expit(parts.b, g0).exp()

    def without_u(self, theta: Tensor) -> Tensor:
        """Constrain U to have no influence: the twin."""
        return self.with_loadings(theta, 0.0, (0.0, 0.0))

    def with_loadings(self, theta: Tensor, gamma: float, angles: tuple[float, float]) -> Tensor:
        """Constrain the loadings of U: gamma, and the angle (or g) of each arm."""
        theta = theta.clone()
        theta[self.slots["gamma"]] = gamma
        arms = self.slots["angle"]
        theta[arms] = theta.new_tensor(angles[: arms.stop - arms.start])
        return theta

    def with_ate(self, theta: Tensor, ate: float) -> Tensor:
        """Constrain the average effect."""
        theta, slot = theta.clone(), self.slots["ate"]
        if self.form.outcome == "normal":
            theta[slot] = ate / self.scale
            return theta
        with torch.no_grad():
            slope = self._solve_ate(theta, ate)
        # One more step of Newton, with gradient: the derivatives of the implicit function.
        root = theta.detach()[slot]
        theta[slot] = root
        step = (self.average_effect(theta) - ate) / slope
        theta = theta.clone()
        theta[slot] = root - step
        return theta

    def _solve_ate(self, theta: Tensor, ate: float) -> float:
        """Set the effect's intercept so that the average effect is ``ate``; return its slope."""
        slot, h = self.slots["ate"], 1e-5
        slope = 1.0
        for _ in range(30):
            gap = float(self.average_effect(theta)) - ate
            shifted = theta.clone()
            shifted[slot] += h
            slope = max((float(self.average_effect(shifted)) - gap - ate) / h, 1e-3)
            if abs(gap) < 1e-9:
                break
            theta[slot] -= max(-1.0, min(1.0, gap / slope))
        return slope
