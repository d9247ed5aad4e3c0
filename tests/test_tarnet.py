"""TARNet and CFR: their distances against closed forms and scipy, their effects against truth."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import optimize
from scipy.spatial.distance import cdist

from pyrocausal.models import TARNet
from pyrocausal.models.balance import linear_mmd, rbf_mmd, wasserstein
from pyrocausal.models.tarnet_program import _logistic

RNG = np.random.default_rng(0)
X = pd.DataFrame(RNG.standard_normal((400, 3)), columns=["a", "b", "c"])
T = (RNG.uniform(size=400) < 1 / (1 + np.exp(-X.a))).astype(float)
Y = X.b + T * (2 + X.c) + 0.5 * RNG.standard_normal(400)
SMALL: dict[str, Any] = {"representation": (32, 16), "heads": (16,), "epochs": 60}


def test_the_kernel_distance_is_its_double_sum() -> None:
    a, b = RNG.standard_normal((5, 2)), RNG.standard_normal((7, 2)) + 1
    k = [np.exp(-(cdist(p, q) ** 2) / 4) for p, q in ((a, a), (b, b), (a, b))]
    expected = (k[0].sum() - 5) / 20 + (k[1].sum() - 7) / 42 - 2 * k[2].mean()
    found = rbf_mmd(torch.tensor(a), torch.tensor(b), sigma=2.0)
    assert float(found) == pytest.approx(expected, abs=1e-12)


def test_the_linear_distance_is_that_of_means() -> None:
    a, b = RNG.standard_normal((5, 2)), RNG.standard_normal((7, 2)) + 1
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum()
    assert float(linear_mmd(torch.tensor(a), torch.tensor(b))) == pytest.approx(expected)


def test_the_transport_cost_is_near_the_best_plan() -> None:
    a, b = RNG.standard_normal((12, 2)), RNG.standard_normal((12, 2)) + 3
    cost = cdist(a, b)
    row, column = optimize.linear_sum_assignment(cost)
    best = cost[row, column].mean()
    found = float(wasserstein(torch.tensor(a), torch.tensor(b), rounds=200))
    # The entropy keeps it above the best plan, and below the independent one.
    assert best - 1e-6 <= found <= cost.mean()
    assert found == pytest.approx(best, rel=0.15)


def test_distances_have_slopes_where_representations_meet() -> None:
    for distance in (linear_mmd, rbf_mmd, wasserstein):
        a = torch.zeros(3, 2, requires_grad=True)
        (slope,) = torch.autograd.grad(distance(a, torch.cat([a.detach()[:2], a[:1] + 1])), a)
        assert bool(slope.isfinite().all())


def test_effects_are_near_the_truth_and_follow_their_covariate() -> None:
    fit = TARNet(**SMALL).fit(X, T, Y)
    cate = fit.cate(X).numpy()
    assert cate.mean() == pytest.approx((2 + X.c).mean(), abs=0.25)
    assert np.corrcoef(cate, X.c)[0, 1] > 0.8
    assert float(fit.ate()) == pytest.approx(cate.mean(), abs=1e-5)


@pytest.mark.parametrize("ipm", ["wasserstein", "linear_mmd", "rbf_mmd"])
def test_balance_brings_the_arms_together(ipm: Any) -> None:
    options = SMALL | {"epochs": 15}

    def apart(fit: Any) -> float:
        phi = fit.program.represent(fit.program.basis.standardised(fit.program.rows))
        return float(linear_mmd(phi[fit.columns.t > 0.5], phi[fit.columns.t < 0.5]))

    free = apart(TARNet(**options).fit(X, T, Y))
    assert apart(TARNet(alpha=20.0, ipm=ipm, **options).fit(X, T, Y)) < free / 2


def test_the_program_is_an_scm_whose_counterfactuals_keep_the_noise() -> None:
    fit = TARNet(**SMALL | {"epochs": 3}).fit(X, T, Y)
    assert set(fit.scm.graph.edges) == {("x", "t"), ("x", "y"), ("t", "y")}
    seen = {"x": X.to_numpy(), "t": T, "y": Y}
    worlds = fit.scm.counterfactual(seen, [{"t": 0.0}, {"t": 1.0}])["y"]
    factual = np.where(T > 0.5, worlds[1], worlds[0])
    np.testing.assert_allclose(factual, Y, atol=1e-4)
    np.testing.assert_allclose(worlds[1] - worlds[0], fit.cate(X), atol=1e-4)


def test_the_propensity_is_a_ridged_logistic_regression() -> None:
    z = torch.tensor(X.to_numpy())
    found = _logistic(z, torch.tensor(T)).numpy()

    def loss(w: Any) -> float:
        eta = w[0] + X.to_numpy() @ w[1:]
        return float((np.logaddexp(0, eta) - T * eta).sum() + (w**2).sum() / 50)

    expected = optimize.minimize(loss, np.zeros(4), tol=1e-10).x
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_seed_gives_the_same_fit_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    options = SMALL | {"epochs": 2}
    first, second = (TARNet(**options).fit(X, T, Y, seed=5).cate(X) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())


def test_what_makes_no_sense_is_refused() -> None:
    for options, message in (
        ({"alpha": -1.0}, "from 0"),
        ({"ipm": "cosine"}, "linear_mmd"),
        ({"outcome": "poisson"}, "'normal' or 'bernoulli'"),
    ):
        with pytest.raises(ValueError, match=message):
            TARNet(**options)
    gaps = X.copy()
    gaps.iloc[0, 0] = np.nan
    for x, t, y, message in (
        (X, np.ones(400), Y, "both there"),
        (gaps, T, Y, "missing covariates"),
        (X, T, np.full(400, 2.0), "an outcome that is 2"),
    ):
        with pytest.raises(ValueError, match=message):
            TARNet(**SMALL).fit(x, t, y)
    with pytest.raises(ValueError, match="besides 0 and 1"):
        TARNet(outcome="bernoulli").fit(X, T, Y)
