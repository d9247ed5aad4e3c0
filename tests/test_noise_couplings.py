"""Couplings of discrete noise across worlds: Gumbel-max, quantile, independent."""

from typing import Any

import pyro.distributions as dist
import pytest
import torch
from discrete_families import (
    double,
    family,
    logits_of_both_signs,
    poisson_mixture,
    posterior_uniforms,
    uniforms,
    zero_inflated_poisson,
)
from scipy import stats

from pyrocausal.errors import NotAbducible
from pyrocausal.noise import structural_equation


def test_routes_name_the_coupling() -> None:
    d = dist.Bernoulli(torch.tensor(0.5))
    routes = [
        structural_equation(d, c).route for c in (None, "gumbel-max", "quantile", "independent")
    ]
    assert routes == ["gumbel-max", "gumbel-max", "quantile", "independent"]
    assert structural_equation(dist.Categorical(torch.ones(2))).route == "gumbel-max"
    assert structural_equation(dist.Poisson(torch.tensor(1.0))).route == "quantile"
    assert structural_equation(dist.Delta(torch.tensor(1.0))).route == "exact"
    inflated = zero_inflated_poisson(torch.float32)
    for coupling in ("gumbel-max", "quantile", "independent"):
        assert structural_equation(inflated, coupling).route == coupling


def test_the_two_couplings_of_a_bernoulli_are_one_equation() -> None:
    u = dist.Logistic(0.0, 1.0).sample((1000, 1)).double()
    d = dist.Bernoulli(logits=logits_of_both_signs(torch.float32))
    ours = [structural_equation(d, c).forward(u) for c in (None, "quantile")]
    assert torch.equal(*ours)


def skewed_poisson() -> Any:
    # It samples in a way of its own: so it has a law of its own.
    cls: Any = type("Skewed", (dist.Poisson,), {"sample": lambda self, shape=(): self.rate})
    return cls(torch.tensor(1.0))


@pytest.mark.parametrize(
    ("d", "coupling"),
    [
        (dist.Multinomial(3, torch.ones(2)), None),
        (dist.OneHotCategoricalStraightThrough(torch.ones(2)), None),
        (dist.Poisson(torch.tensor(1.0)), "gumbel-max"),
        (poisson_mixture(torch.float32), "independent"),
        (dist.Normal(0.0, 1.0), "quantile"),
        (skewed_poisson(), None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_families_without_an_equation_are_not_abducible(d: Any, coupling: str | None) -> None:
    with pytest.raises(NotAbducible, match="'site'"):
        structural_equation(d, coupling, site="site")


def test_a_class_that_gains_on_all_others_stays() -> None:
    # Oberst and Sontag's counterfactual stability.
    before, change = torch.randn(20_000, 5).double(), torch.randn(20_000, 5).double()
    d = dist.Categorical(logits=before)
    x = d.sample()
    equation = structural_equation(d)
    u = equation.posterior(x, posterior_uniforms(equation, 20_000))
    after = structural_equation(dist.Categorical(logits=before + change)).forward(u)
    changed = torch.gather(change, -1, torch.stack((x, after), -1))
    assert (after != x).any()
    # Whoever took over gained on the old class.
    assert (changed[:, 1] > changed[:, 0])[after != x].all()


def test_rounding_decides_no_tie() -> None:
    # All others come as close to the winner as uniforms can bring them.
    equation = family("Categorical by logits", torch.float64)[1]
    x = torch.arange(3).expand(1000, 3) % 3
    v = uniforms(1000, 3, 4)
    v = torch.where(torch.arange(4) == x.unsqueeze(-1), v, 1 - 2.0**-53)
    assert torch.equal(equation.forward(equation.posterior(x, v)), x)


def test_independent_worlds_share_the_draw_of_equal_parameters_only() -> None:
    n, rate = 100_000, torch.tensor(3.0)
    here, there = (structural_equation(dist.Poisson(r), "independent") for r in (rate, rate + 1))
    u = here.from_uniform(uniforms(n, 3))
    x, y = here.forward(u), there.forward(u)
    assert torch.equal(
        structural_equation(dist.Poisson(rate.clone()), "independent").forward(u), x
    )
    assert abs(torch.corrcoef(torch.stack((x, y)))[0, 1]) < 5 / n**0.5
    assert y.mean().item() == pytest.approx(4.0, abs=5 * (4 / n) ** 0.5)


def test_independent_draws_have_the_resolution_of_float64() -> None:
    n = 100_000
    equation = structural_equation(dist.Geometric(double(1e-12)), "independent")
    x = equation.forward(equation.from_uniform(uniforms(n, *equation.noise_shape)))
    assert len(x.unique()) == n  # two of them would agree with probability n^2 1e-12 / 4


def test_independent_counterfactuals_know_nothing_of_the_evidence() -> None:
    n = 100_000
    logits = torch.tensor([0.0, 1.0, -1.0])
    other = torch.tensor([1.0, -1.0, 0.0])
    x = dist.Categorical(logits=logits).sample((n,))
    equation = structural_equation(dist.Categorical(logits=logits), "independent")
    u = equation.posterior(x, posterior_uniforms(equation, n))
    y = structural_equation(dist.Categorical(logits=other), "independent").forward(u)
    table = torch.zeros(3, 3).index_put((x, y), torch.ones(n), accumulate=True)
    assert stats.chi2_contingency(table).pvalue > 1e-5
    expected = n * other.softmax(0)
    assert stats.chisquare(table.sum(0), expected * table.sum() / expected.sum()).pvalue > 1e-5


def test_rounding_of_the_parameters_keeps_the_factual_value() -> None:
    n = 20_000
    rate = torch.rand(n) * 10 + 0.1
    x = dist.Poisson(rate).sample()
    equation = structural_equation(dist.Poisson(rate), "independent")
    u = equation.posterior(x, posterior_uniforms(equation, n))
    rounded = structural_equation(dist.Poisson(rate * (1 + 2e-7)), "independent")
    assert torch.equal(rounded.forward(u), x)
    # Elsewhere too, save where a parameter lies on the border of two cells of the field.
    prior = equation.from_uniform(uniforms(n, 3))
    assert (rounded.forward(prior) != equation.forward(prior)).double().mean() < 2e-3
