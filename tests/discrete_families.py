"""Discrete and mixed families by name, uniforms for their noise, and the round trip."""

from collections.abc import Callable
from typing import Any, Final

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from pyrocausal.noise import StructuralEquation, structural_equation
from pyrocausal.noise.ordered import OrderedEquation

__all__ = [
    "FAMILIES",
    "INF",
    "ORDERED",
    "class_probs",
    "double",
    "draws_for",
    "each_dtype",
    "each_family",
    "family",
    "logits_of_both_signs",
    "poisson_mixture",
    "posterior_uniforms",
    "probabilities",
    "uniforms",
    "uniforms_with_tails",
    "wrong_round_trips",
    "zero_inflated_poisson",
]

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
    return dist.MixtureSameFamily(
        choice, dist.Poisson(tensor(0.0, 2.0, 20.0, dtype=t).expand(2, 3))
    )


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
    "ZeroInflatedPoisson, quantile": (zero_inflated_poisson, "quantile"),
    "ZeroInflatedNegativeBinomial, quantile": (zero_inflated_negative_binomial, "quantile"),
    "ZeroInflatedNegativeBinomial, independent": (zero_inflated_negative_binomial, "independent"),
    "zero-inflated Geometric, quantile": (zero_inflated_geometric, "quantile"),
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


def double(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def draws_for(d: Any, total: int) -> int:
    return total // torch.Size(d.batch_shape).numel()


def posterior_uniforms(equation: StructuralEquation, *shape: int, tails: bool = False) -> Tensor:
    assert equation.posterior_shape is not None
    draw = uniforms_with_tails if tails else uniforms
    return draw(*shape, *equation.posterior_shape)


def wrong_round_trips(d: Any, equation: StructuralEquation, draws: int) -> int:
    """Count the elements with ``forward(posterior(x)) != x``, for ``x`` far into the tails."""
    shape = (draws, *d.batch_shape)
    x = equation.forward(equation.from_uniform(uniforms_with_tails(*shape, *equation.noise_shape)))
    assert equation.possible(x).all()
    u = equation.posterior(x, posterior_uniforms(equation, *shape, tails=True))
    assert u.dtype == torch.float64
    assert u.shape == (*shape, *equation.noise_shape)
    return int((equation.forward(u) != x).sum())
