"""Discrete and mixed families: every law of a structural equation on every named family."""

from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from discrete_families import (
    INF,
    draws_for,
    each_dtype,
    each_family,
    family,
    posterior_uniforms,
    uniforms,
    wrong_round_trips,
)
from scipy import stats
from torch import Tensor

from pyrocausal.noise import Stream, structural_equation


@each_family
@each_dtype
def test_forward_returns_the_value_that_the_noise_was_inferred_from(
    name: str, dtype: torch.dtype
) -> None:
    d, equation = family(name, dtype)
    assert wrong_round_trips(d, equation, draws_for(d, 100_000)) == 0


@each_family
@each_dtype
def test_forward_returns_what_the_distribution_returns(name: str, dtype: torch.dtype) -> None:
    d, equation = family(name, dtype)
    stream = Stream(0, "x", units=3, draws=2)
    inner = d.batch_shape
    x = equation.forward(equation.draw(stream, tuple(inner)))
    assert x.shape == (2, 3, *inner, *d.event_shape)
    assert x.dtype == d.sample().dtype
    assert not x.requires_grad


def values_of(d: Any) -> Tensor:
    """The first values of a family, shape ``(values, *batch, *event)``."""
    values: Tensor
    if isinstance(d, (dist.Bernoulli, dist.Categorical, dist.OneHotCategorical)):
        values = d.enumerate_support()
        return values
    values = (
        torch.cartesian_prod(*[torch.arange(2.0)] * 2) if d.event_shape else torch.arange(400.0)
    )
    batch = d.batch_shape
    return values.reshape(-1, *(1,) * len(batch), *d.event_shape).expand(-1, *d.shape())


def probabilities_of(d: Any, values: Tensor) -> Tensor:
    inside = structural_equation(d).possible(values)
    return torch.where(inside, d.log_prob(values).double().exp(), 0.0)


def pooled_chi_square(observed: Tensor, expected: Tensor) -> float:
    """Return the p-value of counts, with the bins that expect fewer than 5 as one."""
    rare = expected < 5
    bins = [torch.cat((c[~rare], c[rare].sum(0, keepdim=True))) for c in (observed, expected)]
    if bins[1][-1] < 5:  # still too few for the chi-square law, and they must be few
        assert bins[0][-1] < 30
        bins = [c[:-1] for c in bins]
    if len(bins[0]) == 1:
        return 1.0
    return float(stats.chisquare(bins[0], bins[1] * bins[0].sum() / bins[1].sum()).pvalue)


@each_family
def test_prior_noise_gives_the_distribution_s_law(name: str) -> None:
    # Some hundred comparisons at a fixed seed: a p-value below 1e-5 is no accident.
    with pyro.validation_enabled(False):  # the list of values goes beyond the support
        d, equation = family(name, torch.float64)
        d = d.expand(d.batch_shape or (1,))
    draws, size = draws_for(d, 100_000), torch.Size(d.batch_shape).numel()
    x = equation.forward(equation.from_uniform(uniforms(draws, size, *equation.noise_shape)))
    values = values_of(d)
    expected = draws * probabilities_of(d, values)
    x, values = (t.reshape(len(t), size, -1).double() for t in (x, values))
    for b in range(size):
        if expected[:, b].sum() > 0.999 * draws:  # else there are too many values
            same = (x[:, b] == values[:, b].unsqueeze(1)).all(-1)
            assert pooled_chi_square(same.sum(1).double(), expected[:, b]) > 1e-5


@each_family
def test_posterior_noise_over_the_data_is_the_prior_noise(name: str) -> None:
    d, equation = family(name, torch.float64)
    draws = draws_for(d, 30_000)
    x = d.sample((draws,))  # torch's own sampler
    v = posterior_uniforms(equation, draws, *d.batch_shape)
    u = equation.posterior(x, v).reshape(draws, -1, equation.noise_shape.numel())
    prior = equation.from_uniform(uniforms(60_000, *equation.noise_shape)).reshape(60_000, -1)
    if equation.route == "independent":
        u, prior = u[..., :1], prior[..., :1]  # the key; the rest is the evidence itself
    for b in range(u.shape[1]):
        for element in range(u.shape[2]):
            assert stats.ks_2samp(u[:, b, element], prior[:, element]).pvalue > 1e-5
        # Ranks have no heavy tails: their correlation is below 5 standard errors.
        ranks = u[:, b].argsort(0).argsort(0).T.double()
        correlation = torch.corrcoef(ranks).reshape(len(ranks), -1) - torch.eye(len(ranks))
        assert correlation.abs().max() < 5 / draws**0.5


@each_family
def test_noise_distribution_agrees_with_the_prior_draws(name: str) -> None:
    d, equation = family(name)
    noise = equation.noise.expand((3, *d.batch_shape))
    assert noise.shape() == (3, *d.batch_shape, *equation.noise_shape)
    u = noise.rsample((2,))
    assert u.dtype == torch.float64
    assert equation.forward(u).shape == (2, 3, *d.batch_shape, *d.event_shape)
    assert noise.log_prob(u).shape == (2, 3, *d.batch_shape)
    assert noise.log_prob(u).isfinite().all()


def test_compound_noise_has_the_density_of_its_parts() -> None:
    mixture = family("Poisson mixture")[1]
    u = mixture.noise.sample()
    gumbel = dist.Gumbel(0.0, 1.0).log_prob(u[..., :3]).sum(-1)
    expected = gumbel + dist.Logistic(0.0, 1.0).log_prob(u[..., 3])
    torch.testing.assert_close(mixture.noise.log_prob(u), expected)
    inflated = family("ZeroInflatedPoisson")[1]
    u = inflated.noise.sample()
    expected = dist.Logistic(0.0, 1.0).log_prob(u).sum(-1)
    torch.testing.assert_close(inflated.noise.log_prob(u), expected)


def random_parameters(name: str, n: int) -> Any:
    extreme = torch.randint(0, 50, (n,))
    logits = (torch.rand(n).double() * 160 - 80).where(extreme > 1, INF * (2 * extreme - 1))
    rate = torch.exp(torch.empty(n).double().uniform_(-13.8, 9.2))
    size = torch.randint(0, 1000, (n,)).double()
    families: dict[str, Callable[[], Any]] = {
        "Bernoulli": lambda: dist.Bernoulli(logits=logits, validate_args=False),
        "Categorical": lambda: dist.Categorical(logits=torch.rand(n, 4).double() * 160 - 80),
        "OrderedLogistic": lambda: dist.OrderedLogistic(
            torch.randn(n).double(), torch.randn(n, 4, dtype=torch.float64).sort(-1).values
        ),
        "Geometric": lambda: dist.Geometric(logits=torch.rand(n).double() * 60 - 30),
        "Poisson": lambda: dist.Poisson(rate.where(extreme > 0, 0.0)),
        "Binomial": lambda: dist.Binomial(size, logits=logits, validate_args=False),
        "NegativeBinomial": lambda: dist.NegativeBinomial(
            torch.exp(torch.empty(n).double().uniform_(-4.6, 6.9)), logits=rate.log().clamp(-5, 5)
        ),
    }
    return families[name]()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "chunks"),
    [
        ("Bernoulli", 50),
        ("Categorical", 50),
        ("OrderedLogistic", 50),
        ("Geometric", 50),
        ("Poisson", 50),
        ("Binomial", 10),
        ("NegativeBinomial", 10),
    ],
)
def test_no_draw_in_millions_is_wrong(name: str, chunks: int) -> None:
    for _ in range(chunks):
        d = random_parameters(name, 200_000)
        equation = structural_equation(d)
        assert wrong_round_trips(d, equation, 1) == 0
