"""Continuous families by name, each beside the law that scipy knows for it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from pyro.distributions import transforms as flows
from scipy import integrate, optimize, special, stats
from torch import Tensor
from torch.distributions import transforms

from pyrocausal.noise import Stream, StructuralEquation, structural_equation

__all__ = [
    "DTYPES",
    "EVERY",
    "F32",
    "F64",
    "FAMILIES",
    "INVERTIBLE",
    "RANDOM",
    "WITH_LAW",
    "VonMises",
    "build",
    "columns",
    "draw",
    "equation_of",
    "ks",
    "only",
    "posterior",
    "standard_normal",
]

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


def only(condition: Callable[[Family], bool]) -> pytest.MarkDecorator:
    names = [name for name, family in FAMILIES.items() if condition(family)]
    return pytest.mark.parametrize("name", names)


RANDOM = ("RelaxedOneHotCategorical", "FoldedDistribution", "Folded Uniform", "Independent Folded")
INVERTIBLE = pytest.mark.parametrize("name", [name for name in FAMILIES if name not in RANDOM])
WITH_LAW = only(lambda family: family.law is not None)


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
