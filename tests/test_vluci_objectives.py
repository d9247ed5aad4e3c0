"""The variational objectives of VLUCI against the exact likelihood, and the experimental cases."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pyrocausal import zoo
from pyrocausal.models import VLUCI, vluci_profile
from pyrocausal.models.vluci import _refuse_worse_than_twin
from pyrocausal.models.vluci_amortized import (
    Amortized,
    NormalGuide,
    Units,
    _divergence,
    fit_without_u,
    nodes_of,
    objective_of,
)
from pyrocausal.models.vluci_building import widened
from pyrocausal.models.vluci_experimental import ExperimentalResult
from pyrocausal.models.vluci_likelihood import Likelihood


def read(control: str, units: int, seed: int = 0) -> tuple[pd.DataFrame, Any, Any]:
    """Return covariates, treatment and outcome of a control."""
    model = zoo.CONFOUNDED[control]
    data = model.data(units, seed)
    return pd.DataFrame({n: data[n].numpy() for n in model.covariates}), data["t"], data["y"]


def exact(fit: Any) -> float:
    """Return the exact log likelihood of a unit at the parameters of the trained program."""
    likelihood: Likelihood = fit.twin.likelihood
    t, y, slots = fit.program.treatment, fit.program.outcome, likelihood.slots
    theta = torch.zeros(likelihood.size, dtype=torch.float64)
    g, s = y.loading[0, 0].double(), y.log_s[0].double().exp()
    parts = {
        "a": t.weights[:, 0], "b": y.weights, "ate": y.effect[0], "gamma": t.loading[0],
        "angle": torch.atan(g / s), "log_sd": (g**2 + s**2).sqrt().log(),
    }  # fmt: skip
    with torch.no_grad():
        for name, value in parts.items():
            theta[slots[name]] = value.detach().double()
        return float(likelihood.units(theta).mean()) - math.log(likelihood.scale)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["joint", "double"])
def test_the_bound_is_below_the_exact_likelihood_and_close_to_it(objective: Any) -> None:
    x, t, y = read("S1", 1000, seed=1)
    fit: Any = VLUCI(objective=objective).fit(x, t, y, instruments=["x4"])
    # Expectations over u are by quadrature: no noise hides a bound above what it bounds.
    gap = exact(fit) - fit.amortized.elbo
    assert -1e-5 < gap < 0.005
    # The training stays at the exact solution, from which it started: its own error is 0.25.
    assert fit.ate().point == pytest.approx(fit.profile.best.ate, abs=0.25)
    assert fit.amortized.elbo > fit.amortized.twin
    assert fit.amortized.kl > 0.05
    assert "lower bound" in str(fit)


def test_divergences_are_those_of_torch() -> None:
    torch.manual_seed(0)
    q, p = (NormalGuide(3, 2)(torch.randn(5, 3)) for _ in range(2))
    standard = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
    expected = torch.distributions.kl_divergence(q, standard)
    torch.testing.assert_close(_divergence(q, None), expected)
    torch.testing.assert_close(_divergence(q, p), torch.distributions.kl_divergence(q, p))


class Known(torch.nn.Module):
    """A guide that gives what it was told."""

    def __init__(self, given: torch.distributions.MultivariateNormal) -> None:
        super().__init__()
        self.given = given

    def forward(self, inputs: torch.Tensor) -> torch.distributions.MultivariateNormal:
        """Return it."""
        return self.given


def test_both_objectives_are_one_where_the_first_guide_is_the_prior() -> None:
    x, t, y = read("S1", 60)
    fit: Any = VLUCI(arms="shared").fit(x, t, y, instruments=["x4"])
    units, n = fit.units(), 60
    prior = torch.distributions.MultivariateNormal(torch.zeros(n, 1), torch.eye(1))
    near = torch.distributions.MultivariateNormal(torch.full((n, 1), 0.3), 0.5 * torch.eye(1))
    found = Amortized(fit.program, Known(near), Known(prior))  # type: ignore[arg-type]
    with torch.no_grad():
        fit.program.treatment.loading.zero_()  # then the treatment's term asks nothing of u
        nodes = nodes_of(1, units)
        joint = objective_of(found, units, "joint", nodes)
        double = objective_of(found, units, "double", nodes)
    torch.testing.assert_close(joint, double)


@pytest.mark.slow
def test_more_dimensions_of_u_keep_the_interval_of_one() -> None:
    x, t, y = read("S5", 500)
    fit: Any = VLUCI(latent_dim=2, hidden=(), steps=200).fit(x, t, y, instruments=["x4"])
    assert fit.objective == "joint"
    assert fit.twin.likelihood.form.arms == "separate"
    assert fit.posterior(num_draws=3).shape == (3, 500, 2)
    assert any("one-dimensional linear U" in text for text in fit.warnings)
    assert fit.ite(num_draws=2, point=True).shape == (2, 500)
    assert np.isfinite([fit.ate().low, fit.ate().high]).all()


@pytest.mark.slow
def test_a_free_effect_of_u_ends_above_the_same_model_without_u(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vluci_profile, "STEPS", 2)
    x, t, y = read("S5", 500)
    model = VLUCI(u_effect="free", hidden=(8,), steps=200)
    fit: Any = model.fit(x, t, y, instruments=["x4"])
    assert fit.amortized.elbo > fit.amortized.twin
    assert fit.amortized.kl > 0.05
    # It starts at the exact solution of linear effects, whose interval is 1.9 wide.
    effect = fit.ate(point=True).point
    assert effect == pytest.approx(fit.profile.best.ate, abs=0.3)
    assert fit.cate(x, point=True).mean() == pytest.approx(effect, abs=1e-4)
    spread = fit.cate(x, num_draws=20, point=True).std(0)
    assert float(spread.mean()) > 0.01  # U modifies the effect of S5


def test_a_fit_that_ends_below_the_model_without_u_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vluci_profile, "STEPS", 2)
    x, t, y = read("S1", 60)
    fit: Any = VLUCI().fit(x, t, y, instruments=["x4"])
    found = Amortized(fit.program, NormalGuide(1, 1), None, elbo=-2.0, twin=-1.98)
    with pytest.raises(RuntimeError, match="below the same model without U"):
        _refuse_worse_than_twin(found)
    _refuse_worse_than_twin(replace(found, twin=-1.995))


@pytest.mark.parametrize("latent_dim", [1, 2, 3, 6])
def test_nodes_have_the_moments_of_a_standard_normal(latent_dim: int) -> None:
    units = Units(torch.zeros(4000, 1), torch.zeros(4000), torch.zeros(4000))
    torch.manual_seed(0)
    z, weights = nodes_of(latent_dim, units)
    z = z.mean(1) if latent_dim > 3 else z[:, 0]
    # Draws: 8 means of 4000 each have a standard error of 0.006.
    torch.testing.assert_close(weights @ z, torch.zeros(latent_dim), atol=0.02, rtol=0)
    second = z.mT @ (weights[:, None] * z)
    if latent_dim <= 3:
        torch.testing.assert_close(second, torch.eye(latent_dim))
    assert float(weights.sum()) == pytest.approx(1.0)


def test_a_free_effect_of_u_starts_as_the_linear_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vluci_profile, "STEPS", 2)
    x, t, y = read("S1", 60)
    fit: Any = VLUCI().fit(x, t, y, instruments=["x4"])
    wider = widened(fit.program, 1, (8, 8), seed=0)
    units, u = fit.units(), torch.randn(60, 1)
    for free, plain in (
        (wider.treatment(units.x, u).logits, fit.program.treatment(units.x, u).logits),
        (wider.outcome(units.x, units.t, u).mean, fit.program.outcome(units.x, units.t, u).mean),
    ):
        torch.testing.assert_close(free, plain)
    # Learning without u leaves the networks blind to it.
    fit_without_u(wider, units, 5)
    free = wider.treatment.free
    assert free is not None
    features = wider.treatment.basis(units.x)
    assert float(free(torch.cat([features, u], 1)).detach().std()) > 0
    torch.testing.assert_close(
        free(torch.cat([features, u], 1)), free(torch.cat([features, u + 3], 1))
    )


def linear(units: int = 300) -> tuple[pd.DataFrame, Any, Any]:
    """Return covariates, a number as treatment, and an outcome, nothing hidden."""
    rng = np.random.default_rng(0)
    x = pd.DataFrame(rng.standard_normal((units, 2)), columns=["a", "b"])
    t = x.a + rng.standard_normal(units)
    return x, t, 1.5 * t + x.b + rng.standard_normal(units)


def test_a_number_as_treatment_is_experimental_and_says_so() -> None:
    fit = VLUCI(treatment="normal", steps=150).fit(*linear())
    assert isinstance(fit, ExperimentalResult)
    assert fit.twin == pytest.approx(1.5, abs=0.25)
    assert fit.ate().point is None
    assert math.isnan(fit.ate().low)
    assert fit.ate(values=(2.0, 0.0), point=True).point == pytest.approx(
        2 * (fit.ate(point=True).point or 0), rel=1e-3
    )
    assert "experimental" in str(fit)
    assert set(fit.scm.variables) == {"x", "u", "t", "y"}


@pytest.mark.slow
def test_categories_counts_and_gaps_are_experimental_and_say_so() -> None:
    x, t, y = linear()
    categories = (t > -0.5).astype(int) + (t > 0.5).astype(int)
    counts = np.random.default_rng(1).poisson(np.exp(0.3 * categories + 0.2 * x.a))
    gaps = x.copy()
    gaps.iloc[:5, 0] = np.nan
    fit: Any = VLUCI(treatment="categorical", outcome="poisson", steps=600).fit(
        gaps, categories, counts
    )
    assert any("5 missing covariates" in text for text in fit.warnings)
    # log ratios of 0.3 a step around a mean of 1.4
    assert 0.2 < fit.twin < 0.9
    assert fit.ate(values=(2.0, 0.0), point=True).point > 0
    plain: Any = VLUCI(objective="joint", steps=50).fit(gaps, (t > 0).astype(float), y)
    assert isinstance(plain, ExperimentalResult)
    with pytest.raises(ValueError, match="codes 0, 1"):
        VLUCI(treatment="categorical").fit(x, t, y)
    with pytest.raises(ValueError, match="no counts"):
        VLUCI(outcome="poisson").fit(x, (t > 0).astype(float), y)
