"""fit agrees with closed forms."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from fitted_programs import least_squares, line, line_data, param, parameters, positive, state
from torch import Tensor, nn

import pyrocausal as pc


def test_a_linear_regression_is_the_least_squares_one() -> None:
    data, scm = line_data(), pc.SCM(line)
    scm.fit(data, steps=600, lr=0.05, validation=0, seed=0)
    found = parameters(scm)
    intercept, slope, scale = least_squares(data["x"], data["y"])
    truth = {
        "mean": data["x"].mean().item(),
        "spread": data["x"].std(correction=0).item(),
        "intercept": intercept,
        "slope": slope,
        "scale": scale,
    }
    assert found == pytest.approx(truth, abs=1e-3)


def test_minibatches_and_held_out_units_give_the_same_line_within_its_standard_error() -> None:
    data, scm = line_data(2000), pc.SCM(line)
    report = scm.fit(pd.DataFrame({k: v.numpy() for k, v in data.items()}), batch_size=64, seed=0)
    _, slope, scale = least_squares(data["x"], data["y"])
    se = scale / math.sqrt(2000) / data["x"].std().item()
    assert parameters(scm)["slope"] == pytest.approx(slope, abs=4 * se)
    assert (report.units, report.held_out) == (1800, 200)


def test_a_logistic_regression_is_that_of_newtons_method() -> None:
    torch.manual_seed(0)
    x = torch.randn(800)
    y = torch.bernoulli(torch.sigmoid(0.5 - 1.5 * x))

    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Bernoulli(logits=param("a") + param("b") * x))

    scm = pc.SCM(program)
    scm.fit({"x": x, "y": y}, steps=500, lr=0.05, validation=0, seed=0)
    design, target = np.stack([np.ones(800), x.numpy()], 1).astype(float), y.numpy().astype(float)
    beta = np.zeros(2)
    for _ in range(20):
        p = 1 / (1 + np.exp(-design @ beta))
        hessian = design.T @ (design * (p * (1 - p))[:, None])
        beta += np.linalg.solve(hessian, design.T @ (target - p))
    assert list(parameters(scm).values()) == pytest.approx(beta, abs=1e-3)


def test_a_discrete_latent_is_fitted_by_the_score_function() -> None:
    torch.manual_seed(0)
    z = torch.bernoulli(torch.full((1000,), 0.3))
    x = 3 * z + torch.randn(1000)

    def program() -> None:
        logit = param("logit")
        z = pyro.sample("z", dist.Bernoulli(logits=logit))
        pyro.sample("x", dist.Normal(3 * z, 1.0))

    def guide(batch: Any) -> None:
        # The exact posterior logit is logit + 3 x - 9 / 2.
        pyro.sample("z", dist.Bernoulli(logits=param("a") + param("b", 1.0) * batch["x"]))

    scm = pc.SCM(program, latent=["z"])
    scm.fit({"x": x}, guide, steps=800, lr=0.03, batch_size=250, validation=0, seed=0)
    log_ratio = (3 * x - 4.5).to(torch.float64)
    grid = torch.linspace(-3, 1, 4001, dtype=torch.float64)[:, None]
    likelihood = torch.log(torch.sigmoid(grid) * log_ratio.exp() + torch.sigmoid(-grid)).sum(1)
    best = grid[likelihood.argmax()].item()
    curvature = likelihood[likelihood.argmax()] - likelihood
    se = (grid[:, 0] - best).abs()[(curvature - 0.5).abs().argmin()].item()
    assert parameters(scm)["logit"] == pytest.approx(best, abs=2 * se)


def test_an_amortized_guide_reaches_the_exact_log_likelihood() -> None:
    # z -> x1, x2, x3 with known loadings; the exact posterior of z is linear in x.
    loadings = torch.tensor([1.0, -0.5, 2.0])
    torch.manual_seed(0)
    x = torch.randn(400)[:, None] * loadings + torch.randn(400, 3)

    def program() -> None:
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        loc = z[:, None] * pyro.param("w", torch.ones(3))
        pyro.sample("x", dist.Normal(loc, 1.0).to_event(1))

    encoder = nn.Linear(3, 1)

    def guide(batch: Any) -> None:
        pyro.module("encoder", encoder)
        loc = encoder(batch["x"])[:, 0]
        pyro.sample("z", dist.Normal(loc, positive("s")))

    scm = pc.SCM(program, latent=["z"])
    report = scm.fit({"x": x}, guide, steps=800, lr=0.03, batch_size=100, validation=0, seed=0)
    w = state(scm)["w"]
    exact = torch.distributions.MultivariateNormal(
        torch.zeros(3), torch.outer(w, w) + torch.eye(3)
    )
    density = exact.log_prob(x)
    bound = -report.losses[-200:]  # two hundred minibatch estimates, one draw each
    assert bound.mean().item() == pytest.approx(
        density.mean().item(), abs=4 * bound.std().item() / math.sqrt(200)
    )


def test_inner_plates_are_fitted_element_by_element() -> None:
    x = torch.randn(300, 4) + torch.arange(4.0)

    def program() -> None:
        loc = pyro.param("loc", torch.zeros(4, 1))
        with pyro.plate("sensors", 4, dim=-2):
            pyro.sample("x", dist.Normal(loc, 1.0))

    scm = pc.SCM(program)
    scm.fit({"x": x}, steps=300, lr=0.1, batch_size=100, validation=0, seed=0)
    assert torch.allclose(state(scm)["loc"][:, 0], x.mean(0), atol=0.02)


def test_inputs_come_with_their_units() -> None:
    t = torch.linspace(-1, 1, 300)
    y = 3 * t + 0.1 * torch.randn(300)

    def program(t: Tensor) -> None:
        pyro.sample("y", dist.Normal(param("b") * t, 1.0))

    scm = pc.SCM(program)
    scm.fit({"y": y}, inputs={"t": t}, steps=400, lr=0.1, batch_size=100, validation=0, seed=0)
    assert parameters(scm)["b"] == pytest.approx(((t * y).sum() / (t * t).sum()).item(), abs=0.02)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_fit_on_a_gpu_finds_the_same_line() -> None:
    data, scm = line_data(), pc.SCM(line)
    scm.fit(data, steps=600, lr=0.05, validation=0, device="cuda", seed=0)
    assert {t.device.type for t in scm._core.scope.named().values()} == {"cuda"}
    slope = least_squares(data["x"], data["y"])[1]
    assert parameters(scm)["slope"] == pytest.approx(slope, abs=1e-3)
