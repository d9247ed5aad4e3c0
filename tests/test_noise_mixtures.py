"""Mixtures, zero-inflated families and point masses: what the evidence tells of each part."""

import pyro.distributions as dist
import pytest
import torch
from discrete_families import posterior_uniforms, uniforms
from scipy import stats

from pyrocausal.noise import Stream, structural_equation


def test_a_mixture_of_normals_returns_float32_evidence_bit_by_bit() -> None:
    means = torch.tensor([[-1.0, 3.0], [0.0, 0.5]])
    d = dist.MixtureSameFamily(dist.Categorical(torch.ones(2, 2)), dist.Normal(means, 0.7))
    equation = structural_equation(d)
    x = d.sample((10_000,))
    u = equation.posterior(x, posterior_uniforms(equation, 10_000, 2))
    assert u.shape == (10_000, 2, 3)
    assert equation.forward(u).dtype == torch.float32
    torch.testing.assert_close(equation.forward(u), x, rtol=1e-6, atol=1e-6)
    assert stats.kstest(u[:, 0, 2], "norm").pvalue > 1e-5


def test_a_mixture_picks_the_component_by_its_posterior_probability() -> None:
    means = torch.tensor([-1.0, 1.5]).double()
    d = dist.MixtureSameFamily(dist.Categorical(torch.tensor([0.3, 0.7])), dist.Normal(means, 1.0))
    equation = structural_equation(d)
    n, x = 100_000, torch.tensor(0.4).double()
    u = equation.posterior(x.expand(n), posterior_uniforms(equation, n))
    second = (u[:, 2] - (x - means[1])).abs() < 1e-9
    joint = torch.tensor([0.3, 0.7]) * dist.Normal(means, 1.0).log_prob(x).exp()
    p = (joint[1] / joint.sum()).item()
    assert second.double().mean().item() == pytest.approx(p, abs=5 * (p * (1 - p) / n) ** 0.5)


def test_a_mixture_passes_gradients_to_its_components_alone() -> None:
    bound = torch.tensor([1.0, 5.0], requires_grad=True)
    d = dist.MixtureSameFamily(
        dist.Categorical(torch.ones(2)), dist.Uniform(torch.zeros(2), bound, validate_args=False)
    )
    equation = structural_equation(d)
    # 4 is impossible under the first component, whose gradient must then be 0, not NaN.
    u = equation.posterior(torch.tensor(4.0), posterior_uniforms(equation))
    u.sum().backward()
    assert bound.grad is not None
    assert bound.grad.tolist() == pytest.approx([0.0, -4 / 25])


def test_a_mixture_of_vectors_keeps_them_whole() -> None:
    loc = torch.tensor([[[-9.0, -9.0], [9.0, 9.0]]] * 4)
    d = dist.MixtureSameFamily(
        dist.Categorical(torch.ones(4, 2)), dist.Normal(loc, 1.0).to_event(1)
    )
    equation = structural_equation(d)
    x = equation.forward(equation.from_uniform(uniforms(500, 4, 4)))
    assert x.shape == (500, 4, 2)
    assert (x[..., 0].sign() == x[..., 1].sign()).all()
    u = equation.posterior(x, posterior_uniforms(equation, 500, 4))
    torch.testing.assert_close(equation.forward(u), x)


def test_zero_inflation_learns_of_the_base_only_through_an_open_gate() -> None:
    gate, rate, n = 0.4, 1.3, 100_000
    d = dist.ZeroInflatedPoisson(torch.tensor(rate).double(), gate=torch.tensor(gate).double())
    equation = structural_equation(d)
    u = equation.posterior(torch.zeros(n).double(), posterior_uniforms(equation, n))
    on = u[:, 0] > -torch.logit(torch.tensor(gate))
    p = gate / (gate + (1 - gate) * float(stats.poisson(rate).pmf(0)))
    assert on.double().mean().item() == pytest.approx(p, abs=5 * (p * (1 - p) / n) ** 0.5)
    assert stats.kstest(u[on, 1], "logistic").pvalue > 1e-5
    assert (structural_equation(d.base_dist).forward(u[~on, 1]) == 0).all()


def test_a_continuous_base_gives_zero_through_the_gate_alone() -> None:
    d = dist.ZeroInflatedDistribution(dist.Normal(torch.zeros(()), 1.0), gate=torch.tensor(0.01))
    equation = structural_equation(d)
    assert not equation.everywhere
    x = torch.tensor([0.0, 0.7])
    u = equation.posterior(x, posterior_uniforms(equation, 2))
    assert torch.equal(equation.forward(u), x)
    assert (u[:, 0] > -torch.logit(torch.tensor(0.01))).tolist() == [True, False]


def test_a_point_mass_has_no_noise() -> None:
    value = torch.arange(6.0).reshape(2, 3).requires_grad_()
    d = dist.Delta(value, event_dim=1)
    equation = structural_equation(d)
    assert equation.inverts
    assert equation.noise.shape() == (2, 0)
    assert equation.noise.log_prob(equation.noise.sample()).tolist() == [0.0, 0.0]
    u = equation.draw(Stream(0, "x", units=5, draws=4), (2,))
    assert u.shape == (4, 5, 2, 0)
    x = equation.forward(u)
    assert torch.equal(x, value.expand(4, 5, 2, 3))
    assert x.requires_grad
    assert equation.posterior(x).shape == (4, 5, 2, 0)
    assert not equation.everywhere
    assert equation.possible(value * (1 + 1e-7)).tolist() == [True, True]
    assert equation.possible(value + torch.tensor([0.0, 0.0, 1.0])).tolist() == [False, False]
