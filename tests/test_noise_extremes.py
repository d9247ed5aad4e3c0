"""Discrete noise at extreme parameters: the round trip is exact, or refused with a reason."""

from collections.abc import Callable
from typing import Any, Final

import pyro.distributions as dist
import pytest
import torch
from scipy import special, stats
from torch import Tensor

from pyrocausal.errors import NotAbducible
from pyrocausal.noise import beta, structural_equation
from pyrocausal.noise.ordered import CountedEquation

LOGITS = (-80.0, -50.0, -35.0, -30.0, -20.0, -5.0, 0.0, 5.0, 16.0, 20.0, 30.0, 50.0, 80.0)


def wrong_round_trips(law: Any, draws: int, coupling: str | None = None) -> int:
    """Count the draws of a law that their inferred noise does not give back."""
    equation = structural_equation(law, coupling)

    def uniforms(shape: torch.Size) -> Tensor:
        v = torch.rand((draws, *law.batch_shape, *shape), dtype=torch.float64)
        return v.clamp(1e-16, 1 - 1e-16)

    x = equation.forward(equation.from_uniform(uniforms(equation.noise_shape)))
    assert equation.posterior_shape is not None
    again = equation.forward(equation.posterior(x, uniforms(equation.posterior_shape)))
    return int((again != x).sum())


COUNTS: Final[dict[str, Callable[[Tensor], Any]]] = {
    "Geometric": lambda logits: dist.Geometric(logits=logits),
    "NegativeBinomial, r=0.3": lambda logits: dist.NegativeBinomial(
        torch.full_like(logits, 0.3), logits=logits
    ),
    "NegativeBinomial, r=3": lambda logits: dist.NegativeBinomial(
        torch.full_like(logits, 3.0), logits=logits
    ),
    "NegativeBinomial, r=50": lambda logits: dist.NegativeBinomial(
        torch.full_like(logits, 50.0), logits=logits
    ),
    "Binomial": lambda logits: dist.Binomial(torch.full_like(logits, 300.0), logits=logits),
    "zero-inflated Poisson": lambda logits: dist.ZeroInflatedPoisson(
        torch.full_like(logits, 3.0), gate_logits=logits
    ),
    "Bernoulli": lambda logits: dist.Bernoulli(logits=logits),
    "Categorical": lambda logits: dist.Categorical(
        logits=torch.stack((logits, -logits, 0 * logits), -1)
    ),
}


@pytest.mark.parametrize("name", COUNTS)
def test_in_float32_every_draw_is_given_back_at_all_logits(name: str) -> None:
    law = COUNTS[name](torch.tensor(LOGITS))
    assert wrong_round_trips(law, 1000) == 0


@pytest.mark.parametrize("name", COUNTS)
def test_in_float64_every_draw_is_given_back_or_refused_with_a_reason(name: str) -> None:
    refused = []
    for logit in LOGITS:
        try:
            assert wrong_round_trips(COUNTS[name](torch.tensor([logit]).double()), 300) == 0
        except NotAbducible:
            refused.append(logit)
    # Refused are means beyond 1e12 alone, whose neighbours float64 noise can't tell apart.
    assert all(
        (name == "Geometric" and logit < -28) or ("Negative" in name and logit > 24)
        for logit in refused
    )


@pytest.mark.parametrize(("r", "logit"), [(50.0, 16.0), (50.0, 18.0), (50.0, 20.0), (3.0, 20.0)])
def test_large_negative_binomial_counts_are_given_back(r: float, logit: float) -> None:
    law = dist.NegativeBinomial(torch.tensor(r).double(), logits=torch.tensor(logit).double())
    assert wrong_round_trips(law, 5000) == 0


def test_probabilities_of_zero_and_one_are_given_back() -> None:
    p = torch.tensor([0.0, 1.0]).double()
    for law in (
        dist.Bernoulli(p),
        dist.Binomial(7, p),
        dist.ZeroInflatedPoisson(torch.tensor(3.0).double().expand(2), gate=p),
        dist.NegativeBinomial(torch.tensor(3.0).double(), probs=p[:1]),
        dist.Geometric(p[1:]),
        dist.Poisson(p),
    ):
        assert wrong_round_trips(law, 200) == 0


def test_a_refusal_names_the_count_and_what_to_do() -> None:
    law = dist.Geometric(logits=torch.tensor(-40.0).double())
    equation = structural_equation(law, site="waiting")
    x, v = torch.tensor(2.0e17).double(), torch.tensor(0.5).double()
    assert equation.possible(x)
    with pytest.raises(NotAbducible, match="can't tell the count 2e\\+17 of Geometric"):
        equation.posterior(x, v)


@pytest.mark.parametrize("name", ["Geometric", "NegativeBinomial, r=3"])
def test_the_cells_of_neighbouring_floats_meet(name: str) -> None:
    logit = torch.tensor(-18.0 if name == "Geometric" else 18.0)
    equation = structural_equation(COUNTS[name](logit))
    assert isinstance(equation, CountedEquation)
    near = 2.0 ** torch.arange(20, 31)
    x = torch.stack([near - 2 ** (torch.arange(20, 31) - 23).clamp(min=0), near, near * 1.25])
    following = x.nextafter(torch.full_like(x, torch.inf)).ceil()
    following = torch.where(x < 2.0**23, x + 1, following)
    assert torch.equal(equation.cell(x)[1], equation.cell(following)[0])


def test_noise_of_counts_that_float32_rounds_has_its_own_law() -> None:
    n = 20_000
    law = dist.Geometric(logits=torch.tensor(-30.0)).expand((n,))
    equation = structural_equation(law)
    x = equation.forward(equation.from_uniform(torch.rand(n).double()))
    u = equation.posterior(x, torch.rand(n).double())
    assert stats.kstest(u.sigmoid(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize(("a", "b"), [(50.0, 1e9), (3.0, 1e8), (0.3, 1e6), (1e3, 1e7)])
def test_the_incomplete_beta_function_keeps_its_digits_at_unequal_parameters(
    a: float, b: float
) -> None:
    first, second = torch.tensor([a, b], dtype=torch.float64)
    w = (first / second).log() + torch.linspace(-2, 2, 9).double() / max(a, 1) ** 0.5
    below, above = beta.log_cdf(first, second, w)
    x = w.sigmoid().numpy()
    for tail, expected in ((below, special.betainc(a, b, x)), (above, special.betaincc(a, b, x))):
        torch.testing.assert_close(tail.exp(), torch.as_tensor(expected), rtol=1e-9, atol=0)
    # The same the other way round.
    torch.testing.assert_close(beta.log_cdf(second, first, -w), (above, below), rtol=1e-9, atol=0)


def test_the_incomplete_beta_function_has_the_gamma_limit() -> None:
    a, b = torch.tensor(50.0).double(), torch.tensor(2.0**100).double()
    y = torch.linspace(20, 90, 15).double()
    log_cdf, log_sf = beta.log_cdf(a, b, (y / b).log())
    expected = torch.as_tensor(special.gammainc(50.0, y.numpy()))
    torch.testing.assert_close(log_cdf.exp(), expected, rtol=1e-11, atol=0)
    upper = torch.as_tensor(special.gammaincc(50.0, y.numpy()))
    torch.testing.assert_close(log_sf.exp(), upper, rtol=1e-11, atol=0)


def test_zero_inflated_families_have_every_coupling_of_a_count() -> None:
    law = dist.ZeroInflatedPoisson(torch.tensor(3.0), gate=torch.tensor(0.3))
    for coupling in ("gumbel-max", "quantile", "independent"):
        equation = structural_equation(law, coupling)
        assert equation.route == coupling
        assert wrong_round_trips(law, 500, coupling) == 0
    # One noise, in which the count rises, its jumps where the law's distribution function is.
    equation = structural_equation(law, "quantile")
    k = torch.arange(8.0).double()
    cdf = 0.3 + 0.7 * torch.as_tensor(stats.poisson(3.0).cdf(k))
    u = torch.logit(cdf.double())
    assert torch.equal(equation.forward(u - 1e-6).double(), k)
    assert torch.equal(equation.forward(u + 1e-6).double(), k + 1)


def test_a_zero_inflated_continuous_family_has_no_quantile_coupling() -> None:
    law = dist.ZeroInflatedDistribution(dist.Normal(0.0, 1.0), gate=torch.tensor(0.3))
    for coupling in ("quantile", "independent"):
        with pytest.raises(NotAbducible, match="Normal"):
            structural_equation(law, coupling, site="x")
