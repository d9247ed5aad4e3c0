"""VLUCI's exact likelihood, its optimum and its curve, against quadrature and closed forms."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import integrate, optimize, special, stats

from pyrocausal import zoo
from pyrocausal.models import VLUCI
from pyrocausal.models.quadrature import log_mean_expit, log_mean_expit_product
from pyrocausal.models.vluci_columns import Columns, read_columns
from pyrocausal.models.vluci_features import Basis
from pyrocausal.models.vluci_likelihood import Form, Likelihood
from pyrocausal.models.vluci_loadings import Propensity
from pyrocausal.models.vluci_result import VLUCIResult
from pyrocausal.models.vluci_sets import effect_at, standard_error
from pyrocausal.models.vluci_two_stage import least_squares

Fit = Callable[..., VLUCIResult]
FORMS = {
    "shared": Form(),
    "separate": Form(arms="separate"),
    "probit": Form(link="probit"),
    "binary": Form(outcome="bernoulli"),
}


def read(control: str, units: int = 2000, seed: int = 0) -> tuple[pd.DataFrame, Any, Any]:
    """Return covariates, treatment and outcome of a control."""
    model = zoo.CONFOUNDED[control]
    data = model.data(units, seed)
    return pd.DataFrame({n: data[n].numpy() for n in model.covariates}), data["t"], data["y"]


@pytest.fixture(scope="module")
def fitted() -> Fit:
    """Fit a control once for all tests of this file."""
    known: dict[Any, VLUCIResult] = {}

    def fit(control: str, declared: bool = True) -> VLUCIResult:
        key = (control, declared)
        if key not in known:
            model = zoo.CONFOUNDED[control]
            found = VLUCI().fit(*read(control), instruments=model.instruments if declared else [])
            assert isinstance(found, VLUCIResult)
            known[key] = found
        return known[key]

    return fit


def small(form: Form, proxies: int = 0) -> Likelihood:
    """Return the likelihood of twelve units."""
    rng = np.random.default_rng(1)
    x = torch.tensor(rng.standard_normal((24, 2 + proxies)))
    t = torch.tensor(rng.integers(0, 2, 24), dtype=torch.float64)
    y = torch.tensor(rng.standard_normal(24))
    y = (y > 0).double() if form.outcome == "bernoulli" else y
    columns = read_columns(x, t, y, proxies=list(range(2, 2 + proxies)))
    basis = Basis(columns.x, [0, 1])
    return Likelihood(columns, form, (basis, basis, basis if form.arms == "separate" else None))


def by_quadrature(likelihood: Likelihood, theta: torch.Tensor, unit: int) -> float:
    """Integrate the density of one unit over U by scipy, from the parts of the parameters."""
    form, parts, slots = likelihood.form, likelihood.parts(theta), likelihood.slots
    t, y = float(likelihood.t[unit]), float(likelihood.y[unit])
    a, index = float(parts.a[unit]), float(parts.b[unit] + t * parts.effect[unit])
    gamma, g, s = float(parts.gamma), float(parts.g[int(t)]), float(parts.s[int(t)])
    link = special.expit if form.link == "logit" else stats.norm.cdf

    u = np.linspace(-9, 9, 20_001)
    density = stats.norm.pdf(u) * link((2 * t - 1) * (a + gamma * u))
    if form.outcome == "bernoulli":
        density *= special.expit((2 * y - 1) * (index + g * u))
    else:
        density *= stats.norm.pdf(y, index + g * u, s)
    for j, w in enumerate(likelihood.w[unit]):
        c, weight, log_s = (float(theta[slots[n]][j]) for n in ("c", "lambda", "log_s_w"))
        density *= stats.norm.pdf(float(w), c + weight * u, np.exp(log_s))
    return float(np.log(integrate.simpson(density, x=u)))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("ratio", [1.0, 0.1])
@pytest.mark.parametrize("gamma", [2.0, -1.0])
def test_the_exact_likelihood_is_the_integral_over_u(
    form: Form, ratio: float, gamma: float
) -> None:
    likelihood = small(form)
    theta = torch.linspace(-0.4, 0.6, likelihood.size, dtype=torch.float64)
    theta[likelihood.slots["gamma"]] = gamma
    # s / |g| is the cotangent of the angle; a binary outcome has a loading of 1 or 2 instead.
    g = 1 / (1 + ratio) * 2 if form.outcome == "bernoulli" else np.arctan(1 / ratio)
    theta[likelihood.slots["angle"]] = -g
    with torch.no_grad():
        found = likelihood.units(theta)
    for unit in (0, 5):
        assert float(found[unit]) == pytest.approx(
            by_quadrature(likelihood, theta, unit), abs=1e-6 if form.outcome == "normal" else 1e-4
        )


def test_proxies_enter_the_likelihood_as_the_integral_says() -> None:
    likelihood = small(Form(), proxies=3)
    theta = torch.linspace(-0.4, 0.6, likelihood.size, dtype=torch.float64)
    found = likelihood.units(theta)
    for unit in (1, 4):
        assert float(found[unit]) == pytest.approx(
            by_quadrature(likelihood, theta, unit), abs=1e-6
        )


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_gradient_is_that_of_finite_differences(form: Form) -> None:
    likelihood = small(form)
    theta = torch.linspace(-0.5, 0.7, likelihood.size, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(likelihood.loss(theta), theta)
    for place in range(likelihood.size):
        step = torch.zeros_like(theta)
        step[place] = 1e-5
        with torch.no_grad():
            rise = likelihood.loss(theta + step) - likelihood.loss(theta - step)
        assert float(slope[place]) == pytest.approx(float(rise) / 2e-5, abs=1e-7)


def test_means_of_sigmoids_have_their_known_values() -> None:
    eta = torch.tensor([0.0, 1.0, -2.0], dtype=torch.float64)
    omega = torch.tensor([1.0, -0.5, 2.0], dtype=torch.float64)
    for e, o, found in zip(eta, omega, log_mean_expit(eta, omega).exp(), strict=True):
        exact, _ = integrate.quad(
            lambda z, e=e, o=o: stats.norm.pdf(z) * special.expit(float(e + o * z)), -12, 12
        )
        assert float(found) == pytest.approx(exact, abs=1e-7)
    product = log_mean_expit_product(eta, omega, -eta, -omega).exp()
    square = log_mean_expit(eta, omega).exp()
    # expit(v) expit(-v) = expit(v) - expit(v)^2, and the mean of the square is at least that
    # of the mean.
    assert bool((product <= square - square**2 + 1e-12).all())


def test_the_twin_of_shared_linear_arms_is_least_squares(fitted: Fit) -> None:
    fit = fitted("S1")
    columns: Columns = fit.columns
    x = columns.x[:, columns.outcome_side]
    estimate, variance = least_squares(x, columns.t, columns.y)
    assert float(fit.twin.ate()) == pytest.approx(estimate, abs=1e-4)
    assert fit.twin.se == pytest.approx(variance**0.5, rel=0.01)


def test_with_the_instrument_the_truth_is_inside_and_without_it_the_set_is_wider(
    fitted: Fit,
) -> None:
    declared, plain = fitted("S1"), fitted("S2")
    low, high, _ = declared.profile.interval(0.95)
    assert low < 2.0 < high
    assert high - low < 0.9
    wide = plain.profile.interval(0.95)
    assert wide[1] - wide[0] > 2 * (high - low)
    assert declared.profile.ratio > 8
    assert plain.profile.ratio < 3.84


def test_the_profile_interval_ends_where_the_deviance_reaches_its_limit(fitted: Fit) -> None:
    profile = fitted("S1").profile
    for level, limit in ((0.95, 3.8415), (0.9, 2.7055)):
        for end in profile.interval(level)[:2]:
            assert profile.deviance(end) == pytest.approx(limit, abs=0.06)
    narrow, wide = profile.interval(0.9), profile.interval(0.95)
    assert wide[0] < narrow[0] < profile.best.ate < narrow[1] < wide[1]


@pytest.mark.parametrize(("gamma", "ratio"), [(1.0, 1.0), (2.0, -1.0)])
def test_the_loading_curve_follows_its_formula(fitted: Fit, gamma: float, ratio: float) -> None:
    fit = fitted("S2")
    likelihood = fit.twin.likelihood
    ate, theta, _, _ = effect_at(likelihood, fit.twin.optimum.theta, gamma, ratio)
    g = float(likelihood.parts(theta).g[0]) * likelihood.scale
    formula = float(fit.twin.ate()) - g * fit.propensity.delta(gamma)
    assert ate == pytest.approx(formula, abs=1e-3)


@pytest.mark.parametrize(("e", "gamma"), [(0.5, 1.0), (0.2, 2.0), (0.9, 12.0)])
def test_shares_of_variance_are_those_of_quadrature(e: float, gamma: float) -> None:
    propensity = Propensity(torch.full((10,), e))
    u = np.linspace(-8, 8, 20_001)
    density = stats.norm.pdf(u)

    def mean(values: Any) -> float:
        return float(integrate.simpson(density * values, x=u))

    a = optimize.brentq(lambda a: mean(special.expit(a + gamma * u)) - e, -40, 40, xtol=1e-12)
    p = special.expit(a + gamma * u)
    assert propensity.treatment_share(gamma) == pytest.approx(
        (mean(p**2) - e**2) / (e * (1 - e)), abs=1e-4
    )
    left = sum(
        mean(arm * u**2) - mean(arm * u) ** 2 / mean(arm)  # P(t) Var(u | t)
        for arm in (p, 1 - p)
    )
    assert propensity.remaining_variance(gamma) == pytest.approx(left, abs=1e-4)
    assert propensity.delta(gamma) == pytest.approx(
        gamma * mean(p * (1 - p)) / (e * (1 - e)), abs=1e-3
    )
    assert propensity.gamma(propensity.treatment_share(gamma)) == pytest.approx(gamma, rel=1e-3)


@pytest.mark.slow
def test_the_standard_error_at_fixed_loadings_is_that_of_weighted_rows(fitted: Fit) -> None:
    fit = fitted("S2")
    likelihood, ratio = fit.twin.likelihood, fit.propensity.outcome_ratio(1.0, 0.45)
    _, theta, _, _ = effect_at(likelihood, fit.twin.optimum.theta, 1.0, ratio)
    found = standard_error(likelihood, theta, 1.0, ratio)
    # Resampled units, with everything refitted.
    rng = np.random.default_rng(1)
    columns, effects = fit.columns, []
    for _ in range(40):
        rows = torch.tensor(rng.integers(0, 2000, 2000))
        again = Columns(
            columns.x[rows], columns.t[rows], columns.y[rows], columns.names, columns.roles
        )
        other = Likelihood(again, likelihood.form, likelihood.bases)
        effects.append(effect_at(other, theta, 1.0, ratio)[0])
    # The standard error of a standard deviation of 40 numbers is 11 %.
    assert found == pytest.approx(np.std(effects, ddof=1), rel=0.33)


@pytest.mark.slow
def test_effects_that_vary_follow_their_covariate() -> None:
    x, t, y = read("S3")
    fit: Any = VLUCI(effect="varying", basis="hinges").fit(x, t, y, instruments=["x4"])
    assert fit.ate().low < 1.0 < fit.ate().high
    cate = fit.cate(x, num_draws=40).mean(0)
    assert np.corrcoef(cate.numpy(), x.x1)[0, 1] > 0.9
