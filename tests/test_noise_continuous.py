"""The continuous families: every law on every entry of one dictionary."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from continuous_families import (
    DTYPES,
    EVERY,
    F32,
    F64,
    FAMILIES,
    RANDOM,
    WITH_LAW,
    build,
    columns,
    draw,
    equation_of,
    ks,
    only,
    posterior,
)
from scipy import stats
from torch import Tensor

from pyrocausal.noise import Stream, StructuralEquation, structural_equation


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
