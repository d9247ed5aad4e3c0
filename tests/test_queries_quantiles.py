"""Quantiles of discrete and continuous outcomes: their error against the spread over seeds."""

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrocausal as pc
from pyrocausal.queries.quantiles import quantile, quantile_error

RUNS, DRAWS = 400, 500


def error_of_mean(numbers: Tensor) -> Tensor:
    error: Tensor = numbers.std() / len(numbers) ** 0.5
    return error


def compare(draw: Callable[[torch.Generator], list[Tensor]], q: float) -> tuple[float, float]:
    """Return the spread of a quantile, or of a difference, over many sets, and the error told."""
    generator = torch.Generator().manual_seed(0)
    found, told = [], []
    for _ in range(RUNS):
        sets = draw(generator)
        parts = [quantile(one, q) for one in sets]
        found.append(parts[0] - parts[1] if len(parts) > 1 else parts[0])
        told.append(quantile_error(sets, q, error_of_mean))
    return float(torch.stack(found).std()), float(torch.stack(told).square().mean().sqrt())


# The sd of 400 values is 3.5 % off; the error of a quantile is estimated itself.
@pytest.mark.parametrize("q", [0.1, 0.5])
def test_error_of_a_continuous_quantile(q: float) -> None:
    spread, told = compare(lambda g: [torch.randn(DRAWS, generator=g)], q)
    assert told == pytest.approx(spread, rel=0.15)


def test_error_of_a_discrete_quantile_is_that_of_its_jumps() -> None:
    # P(y = 0) = .5: the median is 0 or 1 by chance.
    spread, told = compare(lambda g: [(torch.rand(DRAWS, generator=g) < 0.5).double()], 0.5)
    assert spread > 0.4
    # Near a jump a set that lies on one side tells less than one that lies on it.
    assert told == pytest.approx(spread, rel=0.3)


def test_a_discrete_quantile_far_from_a_jump_is_certain() -> None:
    spread, told = compare(lambda g: [(torch.rand(DRAWS, generator=g) < 0.3).double()], 0.5)
    assert (spread, told) == (0.0, 0.0)


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_error_of_a_difference_knows_how_alike_the_worlds_are(shared: float) -> None:
    def draw(generator: torch.Generator) -> list[Tensor]:
        common, one, other = torch.randn(3, DRAWS, generator=generator)
        mixed = [shared * common + (1 - shared**2) ** 0.5 * own for own in (one, other)]
        return [2 + mixed[0], mixed[1]]

    spread, told = compare(draw, 0.5)
    assert told == pytest.approx(spread, rel=0.15)


def test_quantiles_are_those_of_torch() -> None:
    values = torch.randn(101, 2, generator=torch.Generator().manual_seed(1))
    q = torch.tensor([0.0, 0.31, 0.5, 1.0])
    assert torch.allclose(quantile(values, q), values.quantile(q, dim=0))


@pc.scm
def counts() -> None:
    x = pyro.sample("x", dist.Bernoulli(0.5))
    pyro.sample("y", dist.Poisson(1.0 + 3.0 * x))


def test_a_quantile_effect_of_counts_has_an_error() -> None:
    # P(y <= 1 | x=0) = .7358: the quantile at .7358 is 1 or 2 by chance.
    answer = pc.quantile_effect(counts, "x", "y", q=0.7358, num_samples=500, seed=0)
    assert answer.se is not None
    assert float(answer.se) > 0.2
    sure = pc.quantile_effect(counts, "x", "y", q=0.5, num_samples=2000, seed=0)
    assert (sure.value, sure.se) == (3.0, 0.0)
