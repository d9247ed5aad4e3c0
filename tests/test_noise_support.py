"""Continuous values of density zero are impossible; laws without an inverse are refused."""

from typing import Any

import pyro.distributions as dist
import pytest
import torch
from continuous_families import EVERY, F64, equation_of, standard_normal
from pyro.distributions import transforms as flows
from torch import Tensor
from torch.distributions import transforms

from pyrocausal.errors import NotAbducible
from pyrocausal.noise import structural_equation


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
