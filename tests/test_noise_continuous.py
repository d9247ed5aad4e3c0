"""The continuous families: every law on every entry of one dictionary."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from pyro.distributions import transforms as flows
from scipy import integrate, optimize, special, stats
from torch import Tensor
from torch.distributions import transforms

from pyrocausal.errors import NotAbducible
from pyrocausal.noise import Stream, StructuralEquation, structural_equation
from pyrocausal.noise.tails import to_log_pair
from pyrocausal.noise.von_mises import HalfVonMises

F64, F32 = torch.float64, torch.float32


class Pushed:
    """The law of ``function(X)`` for a scipy law of X and a rising function."""

    def __init__(self, law: Any, function: Any, inverse: Any) -> None:
        self.law, self.function, self.inverse = law, function, inverse

    def cdf(self, x: Any) -> Any:
        """Return the distribution function."""
        return self.law.cdf(self.inverse(x))

    def ppf(self, p: Any) -> Any:
        """Return the quantile at lower tail probabilities."""
        return self.function(self.law.ppf(p))

    def isf(self, p: Any) -> Any:
        """Return the quantile at upper tail probabilities."""
        return self.function(self.law.isf(p))


class VonMises:
    """The von Mises law on (-pi, pi) about zero, by adaptive quadrature."""

    def __init__(self, kappa: float) -> None:
        self.kappa = kappa

    def log_cdf(self, d: float) -> float:
        """Return the log probability of the angles up to ``d`` above the cut."""
        # In units of the density at the end, so that the integral doesn't underflow.
        end = np.cos(d - np.pi)

        def density(s: float) -> float:
            return float(np.exp(self.kappa * (np.cos(s - np.pi) - end)))

        width = 1 / np.sqrt(self.kappa)
        knots = sorted({max(0.0, d - k * width) for k in (1, 3, 6, 10, 20)} - {0.0, d})
        mass = integrate.quad(density, 0, d, points=knots or None, epsabs=0, epsrel=1e-13)[0]
        return float(
            np.log(mass) + self.kappa * (end - 1) - np.log(2 * np.pi * special.ive(0, self.kappa))
        )

    def cdf(self, x: Any) -> Any:
        """Return the distribution function."""
        return stats.vonmises.cdf(x, self.kappa)

    def ppf(self, p: Any) -> Any:
        """Return the quantile at lower tail probabilities."""

        def root(target: float) -> float:
            y = optimize.brentq(lambda y: self.log_cdf(np.exp(y)) - target, -40, np.log(np.pi))
            return float(np.exp(y)) - np.pi

        return np.array([root(t) for t in np.log(p)])

    def isf(self, p: Any) -> Any:
        """Return the quantile at upper tail probabilities."""
        return -self.ppf(p)


class Family(NamedTuple):
    """A constructor, its parameters and the law it should have, where scipy knows it."""

    build: Callable[..., Any]
    parameters: tuple[Any, ...]
    law: Any = None
    rises: bool = True
    tail: float = 1e-12  # the round trip is asked for down to this probability


def kumaraswamy(a: float, b: float) -> Any:
    # 1 - (1 - x^a)^b: the b-th root of a uniform, then the a-th root of its complement.
    return Pushed(
        stats.expon(scale=1 / b),
        lambda e: (-np.expm1(-e)) ** (1 / a),
        lambda x: -np.log1p(-(x**a)),
    )


def on_simplex(temperature: Tensor, logits: Tensor) -> Any:
    return dist.RelaxedOneHotCategorical(temperature, logits=logits)


def exp_affine(loc: Tensor, scale: Tensor) -> Any:
    base = dist.Normal(torch.zeros_like(loc), torch.ones_like(loc))
    chain = [transforms.AffineTransform(loc, scale), transforms.ExpTransform()]
    return dist.TransformedDistribution(base, chain)


def reflected(loc: Tensor, scale: Tensor) -> Any:
    return dist.TransformedDistribution(
        dist.Gumbel(loc, scale), transforms.AffineTransform(torch.zeros_like(loc), -1.0)
    )


def standard_normal(like: Tensor, size: int) -> Any:
    return dist.Normal(like.new_zeros(size), like.new_ones(size)).to_event(1)


def spline_flow(shift: Tensor) -> Any:
    torch.manual_seed(1)
    spline = flows.spline_coupling(3, hidden_dims=[8], count_bins=4).to(shift.dtype)
    permute = flows.Permute(torch.tensor([2, 0, 1]))
    chain = [spline, permute, transforms.AffineTransform(shift, 0.7, event_dim=1)]
    return dist.TransformedDistribution(standard_normal(shift, 3), chain)


def conditional_flow(context: Tensor) -> Any:
    torch.manual_seed(2)
    flow = flows.conditional_affine_autoregressive(2, 1, hidden_dims=[4]).to(context.dtype)
    base = standard_normal(context, 2)
    conditional = dist.ConditionalTransformedDistribution(base, [flow])
    return conditional.condition(context)


MATRIX = ((1.2, 0.0, 0.0), (-0.7, 0.6, 0.0), (0.3, 0.5, 0.9))

FAMILIES = {
    "Normal": Family(dist.Normal, (1.5, 0.7), stats.norm(1.5, 0.7)),
    "Laplace": Family(dist.Laplace, (-0.5, 1.3), stats.laplace(-0.5, 1.3)),
    "Cauchy": Family(dist.Cauchy, (0.5, 2.0), stats.cauchy(0.5, 2.0)),
    "Logistic": Family(dist.Logistic, (0.4, 1.7), stats.logistic(0.4, 1.7)),
    "Gumbel": Family(dist.Gumbel, (0.3, 0.8), stats.gumbel_r(0.3, 0.8)),
    "Uniform": Family(dist.Uniform, (-1.0, 2.5), stats.uniform(-1.0, 3.5)),
    "HalfNormal": Family(dist.HalfNormal, (1.4,), stats.halfnorm(scale=1.4)),
    "HalfCauchy": Family(dist.HalfCauchy, (0.6,), stats.halfcauchy(scale=0.6)),
    "Exponential": Family(dist.Exponential, (2.5,), stats.expon(scale=0.4)),
    "LogNormal": Family(dist.LogNormal, (0.2, 0.9), stats.lognorm(0.9, scale=np.exp(0.2))),
    "Weibull": Family(dist.Weibull, (1.5, 0.8), stats.weibull_min(0.8, scale=1.5)),
    "Pareto": Family(dist.Pareto, (0.7, 3.0), stats.pareto(3.0, scale=0.7)),
    "Gamma, 0.4": Family(dist.Gamma, (0.4, 2.0), stats.gamma(0.4, scale=0.5)),
    "Gamma, 30": Family(dist.Gamma, (30.0, 1.5), stats.gamma(30.0, scale=1 / 1.5)),
    "Chi2": Family(dist.Chi2, (5.0,), stats.chi2(5.0)),
    "InverseGamma": Family(dist.InverseGamma, (2.5, 1.2), stats.invgamma(2.5, scale=1.2)),
    "Beta, 0.6, 2.5": Family(dist.Beta, (0.6, 2.5), stats.beta(0.6, 2.5)),
    "Beta, 40, 25": Family(dist.Beta, (40.0, 25.0), stats.beta(40.0, 25.0)),
    "StudentT": Family(dist.StudentT, (3.5, 0.8, 1.4), stats.t(3.5, 0.8, 1.4)),
    "VonMises, 0.5": Family(dist.VonMises, (0.0, 0.5), VonMises(0.5)),
    "VonMises, 20": Family(dist.VonMises, (0.0, 20.0), VonMises(20.0)),
    "RelaxedBernoulli": Family(
        lambda t, logits: dist.RelaxedBernoulli(t, logits=logits),
        (0.8, 0.4),
        Pushed(stats.logistic(0.5, 1.25), special.expit, special.logit),
    ),
    "RelaxedOneHotCategorical": Family(on_simplex, (0.8, (0.3, -0.4, 1.1))),
    "FoldedDistribution": Family(
        lambda loc, scale: dist.FoldedDistribution(dist.Normal(loc, scale)),
        (0.6, 1.0),
        stats.foldnorm(0.6),
        rises=False,
    ),
    "Folded Uniform": Family(
        lambda low, high: dist.FoldedDistribution(dist.Uniform(low, high)), (-0.5, 1.5)
    ),
    "MultivariateNormal": Family(
        lambda loc, factor: dist.MultivariateNormal(loc, scale_tril=factor.tril()),
        ((0.5, -1.0, 0.2), MATRIX),
    ),
    "LowRankMultivariateNormal": Family(
        dist.LowRankMultivariateNormal,
        ((0.5, -1.0, 0.2), ((0.4,), (-0.9,), (0.3,)), (0.5, 0.3, 0.2)),
    ),
    "ExpTransform": Family(exp_affine, (0.2, 0.9), stats.lognorm(0.9, scale=np.exp(0.2))),
    "Reflected Gumbel": Family(reflected, (0.3, 0.8), stats.gumbel_l(-0.3, 0.8), rises=False),
    "Kumaraswamy": Family(dist.Kumaraswamy, (1.7, 2.4), kumaraswamy(1.7, 2.4), False, 1e-2),
    "Spline": Family(spline_flow, ((0.1, 0.2, -0.3),)),
    "Conditional": Family(conditional_flow, ((0.7,),)),
    "Independent": Family(
        lambda loc, scale: dist.Gamma(loc, scale).to_event(1), ((0.5, 3.0), (1.0, 2.0))
    ),
    "Independent Folded": Family(
        lambda loc, scale: dist.FoldedDistribution(dist.Normal(loc, scale)).to_event(1),
        ((0.6, -1.0), (1.0, 0.5)),
    ),
    "Masked": Family(
        lambda a, b: dist.Beta(a, b).mask(torch.tensor(True)), (2.0, 3.0), stats.beta(2.0, 3.0)
    ),
    "Expanded": Family(
        lambda low, high: dist.ExpandedDistribution(dist.Uniform(low, high)),
        (-1.0, 2.5),
        stats.uniform(-1.0, 3.5),
    ),
}
DTYPES = pytest.mark.parametrize("dtype", [F32, F64], ids=["float32", "float64"])
EVERY = pytest.mark.parametrize("name", FAMILIES)


def only(condition: Callable[[Family], bool]) -> Any:
    names = [name for name, family in FAMILIES.items() if condition(family)]
    return pytest.mark.parametrize("name", names)


RANDOM = ("RelaxedOneHotCategorical", "FoldedDistribution", "Folded Uniform", "Independent Folded")
INVERTIBLE = pytest.mark.parametrize("name", [name for name in FAMILIES if name not in RANDOM])
WITH_LAW = only(lambda family: family.law is not None)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def build(name: str, dtype: torch.dtype) -> Any:
    family = FAMILIES[name]
    return family.build(*(torch.tensor(p, dtype=dtype) for p in family.parameters))


def equation_of(name: str, dtype: torch.dtype) -> StructuralEquation:
    return structural_equation(build(name, dtype))


def draw(equation: StructuralEquation, units: int, seed: int = 3) -> Tensor:
    return equation.draw(Stream(seed, "x", units=units))


def posterior(equation: StructuralEquation, x: Tensor) -> Tensor:
    if equation.posterior_shape is None:
        return equation.posterior(x)
    batch = x.shape[: x.dim() - len(equation.distribution.event_shape)]
    v = torch.rand(*batch, *equation.posterior_shape, dtype=F64)
    return equation.posterior(x, v)


def ks(sample: Tensor, cdf: Callable[[Any], Any]) -> float:
    """Return the p-value of a Kolmogorov-Smirnov test."""
    return float(stats.kstest(sample.detach().double().numpy(), cdf).pvalue)


def columns(values: Tensor, event_dim: int) -> Tensor:
    return values.reshape(*values.shape[: values.dim() - event_dim], -1).movedim(-1, 0)


@EVERY
@DTYPES
def test_forward_returns_what_posterior_was_given(name: str, dtype: torch.dtype) -> None:
    law, equation = FAMILIES[name].law, equation_of(name, dtype)
    x = equation.forward(draw(equation, 200))
    if law is not None:
        p = np.logspace(np.log10(FAMILIES[name].tail), np.log10(0.4), 40)
        ends = np.concatenate((law.ppf(p), law.isf(p)))
        x = torch.cat((x, torch.tensor(ends, dtype=dtype)))
    x = x[equation.possible(x)]  # a tail may round to the end of the support
    back = equation.forward(posterior(equation, x))
    assert back.dtype == dtype
    located = "Folded" in name or bool(x.min() < 0)
    scale = x.double().abs() + (1.0 if located else 0.0)
    error = ((back - x).double().abs() / scale).max()
    assert error < (1e-7 if dtype == F64 else 1e-4)


@EVERY
@DTYPES
def test_the_noise_of_data_has_the_declared_law(name: str, dtype: torch.dtype) -> None:
    equation = equation_of(name, dtype)
    u = posterior(equation, equation.distribution.sample((4000,)))
    for column in columns(u, len(equation.noise_shape)):
        assert ks(column, noise_cdf(equation)) > 1e-3


@EVERY
@DTYPES
def test_prior_draws_have_the_declared_law(name: str, dtype: torch.dtype) -> None:
    equation = equation_of(name, dtype)
    stream = Stream(7, "x", units=4000)
    for u in (draw(equation, 4000), equation.from_uniform(stream.uniforms(equation.noise_shape))):
        assert u.shape == (4000, *equation.noise_shape)
        for column in columns(u, len(equation.noise_shape)):
            assert ks(column, noise_cdf(equation)) > 1e-3


@pytest.mark.parametrize("name", ["Uniform", "Expanded"])
def test_the_last_uniform_stays_inside_the_support_in_float32(name: str) -> None:
    equation = equation_of(name, F32)
    last = equation.from_uniform(torch.tensor(1 - 2.0**-53, dtype=F64))
    assert equation.noise.log_prob(last) == 0


@WITH_LAW
@DTYPES
def test_forward_of_a_draw_has_the_law_of_the_family(name: str, dtype: torch.dtype) -> None:
    equation = equation_of(name, dtype)
    assert ks(equation.forward(draw(equation, 4000)), FAMILIES[name].law.cdf) > 1e-3


@only(lambda family: family.law is None)
def test_forward_of_a_draw_has_the_moments_of_the_family(name: str) -> None:
    equation = equation_of(name, F64)
    x, other = equation.forward(draw(equation, 4000)), equation.distribution.sample((4000,))
    x, other = (columns(s, len(equation.distribution.event_shape)) for s in (x, other))
    for a, b in zip(x, other, strict=True):
        assert stats.ks_2samp(a.detach(), b.detach()).pvalue > 1e-3
    if len(x) > 1:
        # A correlation of 4000 draws has a standard error of at most 1/sqrt(4000) = 0.016.
        assert (torch.corrcoef(x) - torch.corrcoef(other)).abs().max() < 5 * 0.016 * 2**0.5


@INVERTIBLE
@DTYPES
def test_the_log_determinant_is_that_of_the_densities(name: str, dtype: torch.dtype) -> None:
    equation = equation_of(name, dtype)
    u = draw(equation, 20).requires_grad_()
    x = equation.forward(u)
    found = log_determinant(x, u)
    expected = equation.noise.log_prob(u) - equation.distribution.log_prob(x)
    size = 1e-6 if dtype == F64 else 1e-4
    torch.testing.assert_close(found, expected.to(found.dtype), rtol=size, atol=size)


@pytest.mark.parametrize("name", [n for n in FAMILIES if n not in ("Spline", "Conditional")])
@pytest.mark.parametrize("direction", ["forward", "posterior"])
def test_gradients_are_those_of_finite_differences(name: str, direction: str) -> None:
    family = FAMILIES[name]
    parameters = [torch.tensor(p, dtype=F64, requires_grad=True) for p in family.parameters]
    equation = structural_equation(family.build(*parameters))
    size = equation.noise_shape.numel()
    v = torch.linspace(0.15, 0.85, 6 * size, dtype=F64).reshape(6, *equation.noise_shape)
    u = equation.from_uniform(v)
    start = u if direction == "forward" else equation.forward(u)
    inputs = [start.detach().requires_grad_(), *parameters]
    weights = torch.linspace(1, 2, 6, dtype=F64)

    def value(start: Tensor, *parameters: Tensor) -> Tensor:
        torch.manual_seed(0)  # the posterior's uniforms, the same each time
        equation = structural_equation(family.build(*parameters))
        result = equation.forward(start) if direction == "forward" else posterior(equation, start)
        return (weights @ result.reshape(6, -1)).sum()

    for k, found in enumerate(torch.autograd.grad(value(*inputs), inputs)):
        expected = finite_difference(value, inputs, k)
        scale = max(1.0, float(expected.abs().max()))
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6 * scale)


@only(lambda family: family.law is not None and family.rises)
def test_scalar_values_rise_in_the_noise(name: str) -> None:
    equation = equation_of(name, F64)
    u = draw(equation, 500).sort().values
    assert (equation.forward(u).diff() >= 0).all()


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        (dist.Gamma(2.0, 3.0), dist.Gamma(2.5, 3.0)),
        (dist.Gamma(2.0, 3.0), dist.Gamma(2.0, 2.5)),
        (dist.InverseGamma(2.5, 3.0), dist.InverseGamma(2.0, 3.0)),
        (dist.Beta(2.0, 3.0), dist.Beta(2.5, 3.0)),
        (dist.Beta(2.0, 3.0), dist.Beta(2.0, 2.5)),
        (dist.StudentT(4.0, 1.0, 2.0), dist.StudentT(4.0, 1.5, 2.0)),
        (dist.Weibull(1.0, 2.0), dist.Weibull(1.5, 2.0)),
    ],
)
def test_a_dominating_law_gives_larger_counterfactuals(smaller: Any, larger: Any) -> None:
    x = smaller.sample((1000,))
    other = structural_equation(larger).forward(structural_equation(smaller).posterior(x))
    assert (other >= x).all()


@EVERY
def test_the_value_determines_the_noise_of_all_but_these(name: str) -> None:
    assert equation_of(name, F64).inverts == (name not in RANDOM)


@EVERY
@DTYPES
def test_shapes_and_dtypes_are_those_of_the_site(name: str, dtype: torch.dtype) -> None:
    equation = equation_of(name, dtype)
    d, noise = equation.distribution, equation.noise
    assert noise.batch_shape == d.batch_shape
    assert noise.event_shape == equation.noise_shape
    u = noise.rsample((5,))
    assert noise.log_prob(u).shape == (5, *d.batch_shape)
    stream = Stream(0, "x", units=3, draws=2)
    u = equation.draw(stream, tuple(d.batch_shape))
    assert u.shape == (2, 3, *d.batch_shape, *equation.noise_shape)
    x = equation.forward(u)
    assert (x.dtype, x.shape) == (dtype, (2, 3, *d.batch_shape, *d.event_shape))
    assert posterior(equation, x).dtype == u.dtype
    assert posterior(equation, x).shape == u.shape
    assert equation.possible(x).shape == (2, 3, *d.batch_shape)
    assert equation.possible(x).all()


@EVERY
@pytest.mark.parametrize("inner", [(), (2,)], ids=["rows", "inner plate"])
def test_worlds_share_the_noise_of_their_units(name: str, inner: tuple[int, ...]) -> None:
    shape = (2, 3, 5)  # draws, worlds, units
    d = build(name, F64).expand((*inner, 30))
    equation = structural_equation(d)
    u = equation.draw(Stream(0, "x", units=5, draws=2), inner)
    x = equation.forward_rows(u.unsqueeze(1), shape, len(inner))
    assert x.shape == d.batch_shape + d.event_shape
    rows = x.movedim(len(inner), 0).reshape(*shape, *inner, *d.event_shape)
    one = equation_of(name, F64).forward(u)
    torch.testing.assert_close(rows, one.unsqueeze(1).expand_as(rows), rtol=1e-9, atol=1e-9)


@EVERY
def test_values_are_possible_everywhere_only_if_they_are(name: str) -> None:
    equation = equation_of(name, F64)
    x = torch.linspace(-30, 30, 13, dtype=F64).reshape(13, *[1] * len(equation.noise_shape))
    x = x.expand(13, *equation.distribution.event_shape)
    if equation.everywhere:
        assert equation.possible(x).all()


@pytest.mark.parametrize(
    ("distribution", "value"),
    [
        (dist.Gamma(2.0, 1.0), -1.0),
        (dist.Pareto(2.0, 1.0), 1.0),
        (dist.Beta(2.0, 1.0), 1.5),
        (dist.FoldedDistribution(dist.Uniform(-1.0, 2.0)), 2.5),
        (
            dist.TransformedDistribution(dist.Exponential(1.0), transforms.AffineTransform(5, 1)),
            4.0,
        ),
    ],
)
def test_a_value_of_density_zero_is_impossible(distribution: Any, value: float) -> None:
    equation = structural_equation(distribution)
    assert not equation.possible(torch.tensor(value))
    assert not equation.everywhere


def test_an_independent_value_is_possible_where_all_its_parts_are() -> None:
    equation = structural_equation(dist.Exponential(torch.ones(2)).to_event(1))
    found = equation.possible(torch.tensor([[1.0, 2.0], [1.0, -2.0]]))
    assert found.tolist() == [True, False]


def test_any_value_is_possible_where_a_mask_is_false() -> None:
    mask = torch.tensor([True, False])
    equation = structural_equation(dist.Exponential(torch.ones(2)).mask(mask))
    assert equation.possible(torch.tensor([-1.0, -1.0])).tolist() == [False, True]


class Rounded(dist.Normal):
    """A family of the user's own, which changes the law of its ancestor."""

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Round what the ancestor draws."""
        value: Tensor = dist.Normal.sample(self, sample_shape)
        return value.round()


@pytest.mark.parametrize(
    ("distribution", "word"),
    [
        (
            dist.TransformedDistribution(standard_normal(torch.ones(()), 2), [flows.Planar(2)]),
            "Planar",
        ),
        (
            dist.TransformedDistribution(dist.Normal(0.0, 1.0), transforms.AbsTransform()),
            "bijection",
        ),
        (
            dist.TransformedDistribution(
                dist.Normal(0.0, 1.0), transforms.PowerTransform(torch.tensor(2.0))
            ),
            "inverse",
        ),
        (
            dist.RelaxedBernoulliStraightThrough(torch.tensor(0.5), logits=torch.tensor(0.0)),
            "StraightThrough",
        ),
        (
            dist.RelaxedOneHotCategoricalStraightThrough(torch.tensor(0.5), logits=torch.zeros(3)),
            "StraightThrough",
        ),
        (Rounded(0.0, 1.0), "Rounded"),
        (dist.Independent(Rounded(torch.zeros(2), 1.0), 1), "Rounded"),
        (dist.FoldedDistribution(Rounded(0.0, 1.0)), "Rounded"),
    ],
)
def test_what_has_no_inverse_is_refused_by_name(distribution: Any, word: str) -> None:
    with pytest.raises(NotAbducible, match=word):
        structural_equation(distribution)


def test_a_planar_flow_is_refused_after_it_was_sampled() -> None:
    # Its cache would return the last input as an inverse.
    flow = dist.TransformedDistribution(standard_normal(torch.ones(()), 2), [flows.Planar(2)])
    flow.sample()
    with pytest.raises(NotAbducible):
        structural_equation(flow)


def test_the_folded_sign_has_its_posterior_probability() -> None:
    d = dist.FoldedDistribution(dist.Normal(0.6, 1.0))
    x = torch.full((20_000,), 0.8)
    u = posterior(structural_equation(d), x)
    expected = 1 / (1 + np.exp(-2 * 0.6 * 0.8))  # the ratio of the densities at x and -x
    error = 5 * np.sqrt(expected * (1 - expected) / len(u))
    assert float((0.6 + u > 0).double().mean()) == pytest.approx(expected, abs=error)


def test_wrappers_pass_the_coupling_on() -> None:
    d = dist.Categorical(logits=torch.zeros(2, 3)).to_event(1)
    equation = structural_equation(d, "quantile")
    assert equation.route == "quantile"
    assert equation.noise_shape == (2,)


@pytest.mark.parametrize("kappa", [1e-4, 0.3, 7.0, 150.0, 1e4])
def test_the_von_mises_cdf_is_that_of_quadrature(kappa: float) -> None:
    law, concentration = HalfVonMises(), torch.tensor(kappa, dtype=F64)
    u = torch.linspace(-27.6, -0.1, 25, dtype=F64)
    y = law.quantile(u, concentration)
    expected = torch.tensor([VonMises(kappa).log_cdf(d) for d in y.exp().tolist()], dtype=F64)
    torch.testing.assert_close(to_log_pair(u)[0], expected, rtol=0, atol=1e-11)
    torch.testing.assert_close(law.logit(y, concentration), u, rtol=0, atol=1e-11)


def test_von_mises_angles_wrap_around_the_circle() -> None:
    d = dist.VonMises(torch.tensor(3.0, dtype=F64), torch.tensor(0.7, dtype=F64))
    equation = structural_equation(d)
    x = equation.forward(draw(equation, 4000))
    assert x.min() >= -np.pi
    assert x.max() < np.pi
    angle = torch.remainder(x - 3.0 + np.pi, 2 * np.pi) - np.pi
    assert ks(angle, lambda t: stats.vonmises.cdf(t, 0.7)) > 1e-3
    turned = equation.posterior(x + 2 * np.pi)
    torch.testing.assert_close(turned, equation.posterior(x), rtol=0, atol=1e-11)


def noise_cdf(equation: StructuralEquation) -> Callable[[Any], Any]:
    """Return the CDF of one coordinate of the declared noise."""
    noise = equation.noise
    while isinstance(noise, torch.distributions.Independent):
        noise = noise.base_dist

    def cdf(t: Any) -> Any:
        points = torch.as_tensor(t, dtype=F64).reshape(-1, *[1] * len(noise.batch_shape))
        values: Tensor = noise.cdf(points)
        return values.reshape(len(points), -1)[:, 0].numpy()

    return cdf


def log_determinant(x: Tensor, u: Tensor) -> Tensor:
    """Return ``log|det dx/du|`` of each row."""
    if x.dim() == 1:
        slope: Tensor = torch.autograd.grad(x.sum(), u)[0]
        return slope.abs().log()
    rows = [torch.autograd.grad(x[:, k].sum(), u, retain_graph=True)[0] for k in range(x.shape[1])]
    result: Tensor = torch.linalg.slogdet(torch.stack(rows, 1)).logabsdet
    return result


def finite_difference(value: Callable[..., Tensor], inputs: list[Tensor], index: int) -> Tensor:
    """Return the gradient in one input by central differences of fourth order."""
    start = [t.detach() for t in inputs]
    flat = start[index].flatten()
    result = torch.empty_like(flat)
    for k in range(len(flat)):
        h = 1e-3 * max(1e-3, float(flat[k].abs()))

        def moved(steps: int, k: int = k, h: float = h) -> float:
            point = flat.clone()
            point[k] += steps * h
            changed = point.reshape(start[index].shape)
            return float(value(*start[:index], changed, *start[index + 1 :]).detach())

        near, far = moved(1) - moved(-1), moved(2) - moved(-2)
        result[k] = (8 * near - far) / (12 * h)
    return result.reshape(start[index].shape)
