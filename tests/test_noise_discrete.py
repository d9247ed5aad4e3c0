"""Discrete and mixed families: every law of a structural equation on every named family."""

from collections.abc import Callable
from typing import Any, Final

import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from pyrocausal.errors import NotAbducible
from pyrocausal.noise import Stream, StructuralEquation, structural_equation
from pyrocausal.noise.ordered import OrderedEquation

Make = Callable[[torch.dtype], Any]
INF: Final = float("inf")


def tensor(*values: Any, dtype: torch.dtype) -> Tensor:
    return torch.tensor(values, dtype=dtype)


def logits_of_both_signs(t: torch.dtype) -> Tensor:
    return tensor(-80.0, -20.0, -1.0, 0.0, 0.3, 17.0, 80.0, dtype=t)


def probabilities(t: torch.dtype) -> Tensor:
    return tensor(0.0, 1e-6, 0.3, 0.5, 0.999, 1.0, dtype=t)


def class_logits(t: torch.dtype) -> Tensor:
    return tensor([0.0, 0.5, -1.0, 1.0], [80.0, -80.0, 79.0, 0.0], [-9, -9, -9, 9], dtype=t)


def class_probs(t: torch.dtype) -> Tensor:
    return tensor([0.0, 0.2, 0.8], [0.0, 1.0, 0.0], [0.5, 1e-6, 0.499999], dtype=t)


def ordered_logistic(t: torch.dtype) -> Any:
    cutpoints = tensor(-2.0, -0.5, 0.0, 1.5, dtype=t)
    return dist.OrderedLogistic(tensor(-30.0, -1.0, 0.0, 2.0, 30.0, dtype=t), cutpoints)


def poisson_mixture(t: torch.dtype) -> Any:
    choice = dist.Categorical(logits=tensor([0.0, 1.0, 0.0], [9.0, 0.0, -9.0], dtype=t))
    return dist.MixtureSameFamily(choice, dist.Poisson(tensor(0.0, 2.0, 20.0, dtype=t).expand(2, 3)))


def binomial_mixture(t: torch.dtype) -> Any:
    # Most values are impossible under some component.
    components = dist.Binomial(tensor(2.0, 5.0, dtype=t), tensor(1.0, 0.5, dtype=t))
    return dist.MixtureSameFamily(dist.Categorical(tensor(0.4, 0.6, dtype=t)), components)


def bernoulli_vector_mixture(t: torch.dtype) -> Any:
    p = tensor([[0.0, 0.9], [0.5, 0.5], [1.0, 0.2]], dtype=t)
    components = dist.Bernoulli(p[0]).to_event(1)
    return dist.MixtureSameFamily(dist.Categorical(torch.ones(3, dtype=t)), components)


def zero_inflated_poisson(t: torch.dtype) -> Any:
    gate = tensor(0.0, 0.3, 0.3, 1.0, 0.5, dtype=t)
    return dist.ZeroInflatedPoisson(tensor(2.0, 0.1, 30.0, 3.0, 1.0, dtype=t), gate=gate)


def zero_inflated_negative_binomial(t: torch.dtype) -> Any:
    r, logits = tensor(0.5, 5.0, dtype=t), tensor(1.0, -0.5, dtype=t)
    return dist.ZeroInflatedNegativeBinomial(r, logits=logits, gate_logits=-logits)


def zero_inflated_geometric(t: torch.dtype) -> Any:
    base = dist.Geometric(tensor(0.3, 0.9, dtype=t))
    return dist.ZeroInflatedDistribution(base, gate=tensor(0.2, 0.7, dtype=t))


FAMILIES: Final[dict[str, tuple[Make, str | None]]] = {
    "Bernoulli by logits": (lambda t: dist.Bernoulli(logits=logits_of_both_signs(t)), None),
    "Bernoulli by probs": (lambda t: dist.Bernoulli(probabilities(t)), "gumbel-max"),
    "Bernoulli, quantile": (lambda t: dist.Bernoulli(probabilities(t)), "quantile"),
    "Categorical by logits": (lambda t: dist.Categorical(logits=class_logits(t)), None),
    "Categorical by probs": (lambda t: dist.Categorical(class_probs(t)), "gumbel-max"),
    "Categorical, quantile": (lambda t: dist.Categorical(class_probs(t)), "quantile"),
    "Categorical by logits, quantile": (
        lambda t: dist.Categorical(logits=class_logits(t)),
        "quantile",
    ),
    "OneHotCategorical": (lambda t: dist.OneHotCategorical(class_probs(t)), None),
    "OneHotCategorical, quantile": (lambda t: dist.OneHotCategorical(class_probs(t)), "quantile"),
    "OrderedLogistic": (ordered_logistic, None),
    "OrderedLogistic, Gumbel-max": (ordered_logistic, "gumbel-max"),
    "Geometric by logits": (
        lambda t: dist.Geometric(logits=tensor(-10.0, -1.0, 0.0, 4.0, 30.0, dtype=t)),
        None,
    ),
    "Geometric by probs": (lambda t: dist.Geometric(tensor(1e-3, 0.5, 1.0, dtype=t)), "quantile"),
    "Poisson": (
        lambda t: dist.Poisson(tensor(0.0, 1e-6, 0.1, 1.0, 5.0, 60.0, 1e4, dtype=t)),
        None,
    ),
    "Binomial by probs": (
        lambda t: dist.Binomial(tensor(0, 1, 8, 8, 8, 300, dtype=t), probabilities(t).flip(-1)),
        None,
    ),
    "Binomial by logits": (
        lambda t: dist.Binomial(
            tensor(5, 40, 40, 999, dtype=t), logits=tensor(-80.0, 80.0, 1.0, -3.0, dtype=t)
        ),
        "quantile",
    ),
    "NegativeBinomial": (
        lambda t: dist.NegativeBinomial(
            tensor(0.0, 0.01, 0.7, 1.0, 30.0, dtype=t),
            logits=tensor(1.0, 5.0, -5.0, 0.0, 1.0, dtype=t),
        ),
        None,
    ),
    "Poisson mixture": (poisson_mixture, None),
    "Binomial mixture": (binomial_mixture, "gumbel-max"),
    "Bernoulli vector mixture": (bernoulli_vector_mixture, None),
    "ZeroInflatedPoisson": (zero_inflated_poisson, None),
    "ZeroInflatedNegativeBinomial": (zero_inflated_negative_binomial, None),
    "ZeroInflatedDistribution": (zero_inflated_geometric, None),
    "Bernoulli, independent": (lambda t: dist.Bernoulli(probabilities(t)), "independent"),
    "Categorical, independent": (lambda t: dist.Categorical(class_probs(t)), "independent"),
    "OneHot, independent": (lambda t: dist.OneHotCategorical(class_probs(t)), "independent"),
    "OrderedLogistic, independent": (ordered_logistic, "independent"),
    "Geometric, independent": (lambda t: dist.Geometric(tensor(0.2, 0.5, dtype=t)), "independent"),
    "Poisson, independent": (lambda t: dist.Poisson(tensor(0.5, 4.0, dtype=t)), "independent"),
}
ORDERED: Final = [
    name
    for name, (make, coupling) in FAMILIES.items()
    if isinstance(structural_equation(make(torch.float32), coupling), OrderedEquation)
]

each_family = pytest.mark.parametrize("name", FAMILIES)
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def family(name: str, dtype: torch.dtype = torch.float32) -> tuple[Any, StructuralEquation]:
    make, coupling = FAMILIES[name]
    return make(dtype), structural_equation(make(dtype), coupling)


def uniforms(*shape: int) -> Tensor:
    return torch.rand(shape, dtype=torch.float64).clamp(min=2.0**-54)


def uniforms_with_tails(*shape: int) -> Tensor:
    """Uniforms of which 30 % lie in the tails, down to 1e-12."""
    v, tail, place = uniforms(*shape), torch.exp(-27.6 * uniforms(*shape)), torch.rand(shape)
    return torch.where(place < 0.15, tail, torch.where(place > 0.85, 1 - tail, v))


def draws_for(d: Any, total: int) -> int:
    return total // max(1, d.batch_shape.numel())


def posterior_uniforms(equation: StructuralEquation, *shape: int, tails: bool = False) -> Tensor:
    assert equation.posterior_shape is not None
    draw = uniforms_with_tails if tails else uniforms
    return draw(*shape, *equation.posterior_shape)


def wrong_round_trips(d: Any, equation: StructuralEquation, draws: int) -> int:
    """Count the elements with ``forward(posterior(x)) != x``; ``x`` is drawn far into the tails."""
    shape = (draws, *d.batch_shape)
    x = equation.forward(equation.from_uniform(uniforms_with_tails(*shape, *equation.noise_shape)))
    assert equation.possible(x).all()
    u = equation.posterior(x, posterior_uniforms(equation, *shape, tails=True))
    assert u.dtype == torch.float64
    assert u.shape == (*shape, *equation.noise_shape)
    return int((equation.forward(u) != x).sum())


@each_family
@each_dtype
def test_forward_returns_the_value_that_the_noise_was_inferred_from(
    name: str, dtype: torch.dtype
) -> None:
    d, equation = family(name, dtype)
    assert wrong_round_trips(d, equation, draws_for(d, 50_000)) == 0


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


def pooled_chi_square(observed: Tensor, expected: Tensor) -> float:
    """Return the p-value of counts, with the bins that expect fewer than 5 pooled into one."""
    rare = expected < 5
    pooled = [torch.cat((c[~rare], c[rare].sum(0, keepdim=True))) for c in (observed, expected)]
    if pooled[1][-1] < 1:  # too rare to test, save that they hardly occur
        assert pooled[0][-1] <= 12
        pooled = [c[:-1] for c in pooled]
    if len(pooled[0]) < 2:
        return 1.0
    total = pooled[0].sum() / pooled[1].sum()
    return float(stats.chisquare(pooled[0], pooled[1] * total).pvalue)


def values_of(d: Any) -> Tensor:
    """The values that matter, along a first dimension."""
    if isinstance(d, (dist.Bernoulli, dist.Categorical, dist.OneHotCategorical)):
        return d.enumerate_support()  # type: ignore[no-any-return]
    if d.event_shape:
        return torch.cartesian_prod(*[torch.arange(2.0)] * d.event_shape.numel())
    top = d.total_count.max() + 1 if isinstance(d, dist.Binomial) else 400
    return torch.arange(float(top)).reshape(-1, *(1,) * len(d.batch_shape))


def probabilities_of(d: Any, values: Tensor) -> Tensor:
    d = d.expand(d.batch_shape)
    d._validate_args = False
    log_prob = d.log_prob(values.double() if values.is_floating_point() else values)
    return torch.nan_to_num(log_prob.exp()).double()


@each_family
def test_prior_noise_gives_the_distribution_s_law(name: str) -> None:
    # Some 90 tests at fixed seeds: a p-value below 1e-5 is no accident.
    make, coupling = FAMILIES[name]
    d = make(torch.float64)
    equation, draws = structural_equation(d, coupling), draws_for(d, 60_000)
    x = equation.forward(equation.from_uniform(uniforms(draws, *d.batch_shape, *equation.noise_shape)))
    values = values_of(d)
    expected = draws * probabilities_of(d, values)
    event = tuple(range(-len(d.event_shape), 0))
    for b in torch.cartesian_prod(*map(torch.arange, d.batch_shape)).reshape(-1, len(d.batch_shape)):
        at = (slice(None), *b.tolist())
        if expected[at].sum() < 0.999 * draws:
            continue  # the values go on beyond those that are listed
        ours, listed = x[at].double(), values.expand(-1, *d.batch_shape, *d.event_shape)[at].double()
        same = ours == listed.unsqueeze(1)
        counts = (same.all(event) if event else same).sum(1).double()
        assert pooled_chi_square(counts, expected[at]) > 1e-5
