"""Quantile equations of ordered families: edges, cells, monotony, and the search of counts."""

from collections.abc import Callable
from math import exp
from typing import Any, Final

import pyro.distributions as dist
import pytest
import torch
from discrete_families import INF, ORDERED, double, family, uniforms_with_tails
from scipy import stats
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from pyrocausal.errors import NotAbducible, NotCapturable
from pyrocausal.noise import structural_equation
from pyrocausal.noise.ordered import OrderedEquation

SCIPY_EDGES: Final[dict[str, tuple[Any, Any]]] = {
    "Poisson": (dist.Poisson(double(7.3)), stats.poisson(7.3)),
    "large Poisson": (dist.Poisson(double(5e3)), stats.poisson(5e3)),
    "Binomial": (dist.Binomial(30, double(0.2)), stats.binom(30, 0.2)),
    "large Binomial": (dist.Binomial(20_000, double(0.37)), stats.binom(20_000, 0.37)),
    "NegativeBinomial": (dist.NegativeBinomial(2.5, double(0.7)), stats.nbinom(2.5, 0.3)),
    "Geometric": (dist.Geometric(double(0.3)), stats.geom(0.3, loc=-1)),
}


@pytest.mark.parametrize("name", SCIPY_EDGES)
def test_edges_are_the_logits_of_scipy_s_distribution_function(name: str) -> None:
    d, reference = SCIPY_EDGES[name]
    equation = structural_equation(d, "quantile")
    assert isinstance(equation, OrderedEquation)
    spread = torch.linspace(-6, 6, 25).double() * reference.std()
    k = (reference.mean() + spread).round().clamp(min=0)
    k = k[(reference.cdf(k) > 0) & (reference.sf(k) > 0)]
    expected = torch.as_tensor(reference.logcdf(k) - reference.logsf(k))
    torch.testing.assert_close(equation.edge(k), expected, rtol=1e-8, atol=1e-8)
    assert equation.edge(torch.tensor(-1.0).double()) == -INF


@pytest.mark.parametrize("name", ORDERED)
def test_quantile_equations_rise_in_the_noise(name: str) -> None:
    _, equation = family(name)
    assert isinstance(equation, OrderedEquation)
    u = torch.linspace(-40, 40, 801).double().unsqueeze(-1)
    assert (equation.rank(u).diff(dim=0) >= 0).all()


@pytest.mark.parametrize("name", ORDERED)
def test_a_cell_contains_its_upper_edge_alone(name: str) -> None:
    d, equation = family(name, torch.float64)
    assert isinstance(equation, OrderedEquation)
    near = equation.rank(
        torch.linspace(-25, 25, 400).double().unsqueeze(-1).expand(-1, *d.batch_shape)
    )
    edge = equation.edge(near)
    beyond = edge.nextafter(torch.tensor(INF).double())
    # Only cells that are wider than rounding, between finite edges.
    told = edge.isfinite() & (edge - equation.edge(near - 1) > 1e-12 * (1 + edge.abs()))
    told &= equation.edge(near + 1) - edge > 1e-12 * (1 + edge.abs())
    assert (equation.rank(edge.where(told, 0.0)) == near)[told].all()
    assert (equation.rank(beyond.where(told, 0.0)) == near + 1)[told].all()


RISING: Final[dict[str, Callable[[Tensor], Any]]] = {
    "Bernoulli": lambda t: dist.Bernoulli(logits=9 * t),
    "OrderedLogistic": lambda t: dist.OrderedLogistic(5 * t, torch.tensor([-1.0, 0.0, 2.0])),
    "Geometric": lambda t: dist.Geometric(logits=-5 * t),
    "Poisson": lambda t: dist.Poisson((4 * t).exp()),
    "Binomial in p": lambda t: dist.Binomial(50, logits=4 * t),
    "Binomial in n": lambda t: dist.Binomial((50 * (t + 1)).round(), torch.tensor(0.4)),
    "NegativeBinomial in p": lambda t: dist.NegativeBinomial(3.0, logits=3 * t),
    "NegativeBinomial in r": lambda t: dist.NegativeBinomial((4 * t).exp(), torch.tensor(0.4)),
}


@pytest.mark.parametrize("name", RISING)
def test_quantile_equations_rise_in_the_parameter(name: str) -> None:
    equation = structural_equation(RISING[name](torch.linspace(-1, 1, 201)), "quantile")
    x = equation.forward(equation.from_uniform(uniforms_with_tails(100, 1)))
    assert (x.diff(dim=-1) >= 0).all()


def test_evidence_far_in_the_tails_is_explained() -> None:
    rate = torch.tensor([1e4, 1e4, 1e-6, 3.0]).double()
    x = torch.tensor([0.0, 2e4, 50.0, 300.0]).double()
    equation = structural_equation(dist.Poisson(rate))
    u = equation.posterior(x, torch.full((4,), 0.5).double())
    assert torch.equal(equation.forward(u), x)
    assert u[0].item() == pytest.approx(-1e4, rel=1e-3)  # log F(0) = -rate


def test_counts_beyond_the_integers_of_float64_end_the_search() -> None:
    equation = structural_equation(dist.NegativeBinomial(2.0, logits=torch.tensor(80.0).double()))
    x = equation.forward(torch.tensor(0.0).double())
    # So large a count is a Gamma variable, scaled.
    assert (x / exp(80.0)).item() == pytest.approx(stats.gamma(2).median(), rel=1e-6)


def test_counts_out_of_reach_of_the_beta_function_say_so() -> None:
    with pytest.raises(NotAbducible, match="out of reach"):
        structural_equation(dist.Binomial(10_000_000, torch.tensor(0.5)), site="x")


def test_a_search_is_not_captured() -> None:
    u = structural_equation(dist.Poisson(torch.tensor(1.0))).from_uniform(uniforms_with_tails(9))

    def draw(rate: Tensor, u: Tensor) -> Tensor:
        return structural_equation(dist.Poisson(rate, validate_args=False)).forward(u)

    with pytest.raises(NotCapturable, match="searched among its edges"):
        make_fx(draw, tracing_mode="fake")(torch.ones(9), u)
