"""The special functions behind the noise, against scipy over their whole ranges."""

import math
from typing import Any

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from scipy import special, stats
from torch import Tensor

from pyrocausal.noise import beta, gamma, structural_equation
from pyrocausal.noise.beta import LogitBeta
from pyrocausal.noise.gamma import LogGamma
from pyrocausal.noise.tails import excess, from_log_pair, log1mexp, to_log_pair

F64 = torch.float64


def gamma_points() -> tuple[Tensor, Tensor, Tensor]:
    generator = np.random.default_rng(0)
    a = 10 ** generator.uniform(-2, 4, 3000)
    u = torch.tensor(generator.uniform(-27.6, 27.6, 3000))
    p = special.expit(-u.abs().numpy())
    x = np.where(u < 0, special.gammaincinv(a, p), special.gammainccinv(a, p))
    normal = x > 1e-290
    return torch.tensor(a)[normal], u[normal], torch.tensor(x)[normal]


def test_the_incomplete_gamma_function_and_its_inverse_are_scipys() -> None:
    a, u, x = gamma_points()
    # Torch's own gammainc is right to 2e-9 only.
    torch.testing.assert_close(from_log_pair(*gamma.log_cdf(a, x)), u, rtol=0, atol=1e-8)
    torch.testing.assert_close(LogGamma().quantile(u, a).exp(), x, rtol=1e-8, atol=0)


def test_the_incomplete_gamma_function_reaches_far_tails() -> None:
    # By mpmath with 50 digits: log P(1e4, 5e3), log P(20, 1e-20), log Q(1e4, 16e3).
    a = torch.tensor([1e4, 20.0, 1e4], dtype=F64)
    x = torch.tensor([5e3, 1e-20, 16e3], dtype=F64)
    log_f, log_s = gamma.log_cdf(a, x)
    found = torch.stack((log_f[0], log_f[1], log_s[2]))
    expected = torch.tensor(
        [-1936.3029753315976, -963.36965365837176, -1304.9774429968925], dtype=F64
    )
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize(("low", "high", "terms"), [(-2, 2, 32), (-2, 3, 64), (-2, 4, 128)])
def test_the_incomplete_beta_function_and_its_inverse_are_scipys(
    low: float, high: float, terms: int
) -> None:
    generator = np.random.default_rng(0)
    a, b = 10 ** generator.uniform(low, high, (2, 3000))
    u = generator.uniform(-27.6, 27.6, 3000)
    p = special.expit(-np.abs(u))
    x, y = special.betaincinv(a, b, p), special.betaincinv(b, a, p)
    # Of x and 1 - x, scipy gives the one in the smaller tail; take those with all digits.
    small = np.where(u < 0, x, y)
    good = (small > 1e-290) & (small < 0.5)
    w = np.sign(-u) * special.logit(np.where(good, small, 0.25))
    A, B, U, W = (torch.tensor(t[good]) for t in (a, b, u, w))
    found = from_log_pair(*beta.log_cdf(A, B, W, terms=terms))
    torch.testing.assert_close(found, U, rtol=0, atol=1e-10)
    torch.testing.assert_close(LogitBeta(terms).quantile(U, A, B), W, rtol=1e-10, atol=1e-10)


def test_the_beta_function_is_precise_for_large_parameters() -> None:
    a = torch.tensor([1e3, 1e4, 1e5], dtype=F64)
    w = torch.tensor([-1e-3, -1e-4, -1e-4], dtype=F64)
    found = beta.log_cdf(a, a, w)[0]
    many = beta.log_cdf(a, a, w, terms=1024)[0]
    torch.testing.assert_close(found, many, rtol=1e-8, atol=0)
    fewer = beta.log_cdf(a[:2], a[:2], w[:2], terms=64)[0]
    torch.testing.assert_close(fewer, many[:2], rtol=1e-8, atol=0)
    expected = special.betainc(a.numpy(), a.numpy(), special.expit(w.numpy()))
    torch.testing.assert_close(found.exp(), torch.tensor(expected), rtol=1e-8, atol=0)


def test_student_quantiles_are_scipys_for_all_degrees_of_freedom() -> None:
    generator = np.random.default_rng(0)
    df = 10 ** generator.uniform(-1, 8, 3000)
    u = generator.uniform(-27.6, 27.6, 3000)
    zero, one = torch.zeros((), dtype=F64), torch.ones((), dtype=F64)
    equation = structural_equation(dist.StudentT(torch.tensor(df), zero, one))
    x = equation.forward(torch.tensor(u))
    expected = -np.sign(u) * stats.t.ppf(special.expit(-np.abs(u)), df)
    torch.testing.assert_close(x, torch.tensor(expected), rtol=1e-8, atol=0)
    torch.testing.assert_close(equation.posterior(x), torch.tensor(u), rtol=0, atol=5e-8)


@pytest.mark.parametrize("law", ["gamma", "beta"])
def test_implicit_gradients_work_under_vmap_and_func_grad(law: str) -> None:
    scalar_law: Any = {"gamma": LogGamma(), "beta": LogitBeta()}[law]
    count = {"gamma": 1, "beta": 2}[law]
    theta = torch.rand(count, 5, dtype=F64) + 0.5
    u = torch.randn(5, dtype=F64)

    def quantile(u: Tensor, *theta: Tensor) -> Tensor:
        result: Tensor = scalar_law.quantile(u, *theta)
        return result

    together = torch.func.vmap(torch.func.grad(quantile, argnums=1))(u, *theta)
    leaf = theta[0].clone().requires_grad_()
    quantile(u, leaf, *theta[1:]).sum().backward()
    assert leaf.grad is not None
    torch.testing.assert_close(together, leaf.grad)


def test_second_derivatives_of_implicit_functions_are_refused() -> None:
    a, u = torch.tensor([2.0], dtype=F64, requires_grad=True), torch.zeros(1, dtype=F64)
    (first,) = torch.autograd.grad(LogGamma().quantile(u, a).sum(), a, create_graph=True)
    with pytest.raises(RuntimeError):
        first.sum().backward()


def test_the_tails_of_a_logit_are_exact() -> None:
    u = torch.tensor([-800.0, -30.0, 0.0, 30.0, 800.0], dtype=F64)
    log_f, log_s = to_log_pair(u)
    torch.testing.assert_close(from_log_pair(log_f, log_s), u, rtol=1e-15, atol=0)
    torch.testing.assert_close(log1mexp(log_f[:3]), log_s[:3], rtol=1e-14, atol=0)
    t = torch.tensor([-40.0, -1e-9, 1e-9, 0.4999, 0.5001], dtype=F64)
    expected = [39.0, 5e-19, 5e-19, math.expm1(0.4999) - 0.4999, math.expm1(0.5001) - 0.5001]
    torch.testing.assert_close(excess(t), torch.tensor(expected, dtype=F64), rtol=1e-9, atol=0)
