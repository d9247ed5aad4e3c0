"""Discrete values of probability zero are told from improbable ones, and refused."""

from collections.abc import Callable
from math import log
from typing import Any, Final

import pyro.distributions as dist
import pytest
import torch
from discrete_families import (
    INF,
    class_probs,
    family,
    logits_of_both_signs,
    posterior_uniforms,
    probabilities,
    uniforms,
)
from torch import Tensor

from pyrocausal.noise import structural_equation

BINARY: Final[dict[str, Callable[[], Any]]] = {
    "probs": lambda: dist.Bernoulli(probabilities(torch.float32)),
    "logits": lambda: dist.Bernoulli(logits=logits_of_both_signs(torch.float32)),
}


@pytest.mark.parametrize("given", BINARY)
def test_a_look_at_the_other_parameter_changes_nothing(given: str) -> None:
    # Torch computes it with a clamp, and keeps it.
    untouched, seen = BINARY[given](), BINARY[given]()
    _ = (seen.probs, seen.logits)
    u = structural_equation(seen).from_uniform(uniforms(1000, 1))
    assert torch.equal(*(structural_equation(d).forward(u) for d in (untouched, seen)))


def test_a_look_at_the_probs_keeps_the_improbable_possible() -> None:
    seen = dist.Bernoulli(logits=torch.tensor([-200.0, 200.0]))
    assert seen.probs.tolist() == [0.0, 1.0]
    equation = structural_equation(seen)
    x = torch.tensor([1.0, 0.0])
    assert equation.possible(x).all()
    u = equation.posterior(x, torch.tensor([0.5, 0.5]).double())
    assert u.tolist() == pytest.approx([200.0 + log(2), -200.0 - log(2)])


def test_a_look_at_the_logits_keeps_classes_impossible() -> None:
    seen = dist.Categorical(class_probs(torch.float32))
    assert (seen.logits > -INF).all()
    possible = structural_equation(seen).possible(torch.tensor(0))
    assert possible.tolist() == [False, False, True]


IMPOSSIBLE: Final[dict[str, tuple[Any, Tensor]]] = {
    "a success at p = 0": (dist.Bernoulli(torch.tensor(0.0)), torch.tensor(1.0)),
    "a failure at p = 1": (dist.Bernoulli(torch.tensor(1.0)), torch.tensor(0.0)),
    "half a success": (dist.Bernoulli(torch.tensor(0.5)), torch.tensor(0.5)),
    "a class of probability 0": (dist.Categorical(torch.tensor([1.0, 0.0])), torch.tensor(1)),
    "a class that isn't there": (dist.Categorical(torch.ones(2)), torch.tensor(2)),
    "a vector with two ones": (dist.OneHotCategorical(torch.ones(2)), torch.ones(2)),
    "a level that isn't there": (
        dist.OrderedLogistic(torch.tensor(0.0), torch.tensor([0.0, 1.0])),
        torch.tensor(3),
    ),
    "a failure at sure success": (dist.Geometric(torch.tensor(1.0)), torch.tensor(1.0)),
    "an event at rate 0": (dist.Poisson(torch.tensor(0.0)), torch.tensor(1.0)),
    "a negative count": (dist.Poisson(torch.tensor(1.0)), torch.tensor(-1.0)),
    "a missing count": (dist.Poisson(torch.tensor(1.0)), torch.tensor(torch.nan)),
    "more than all": (dist.Binomial(3, torch.tensor(0.5)), torch.tensor(4.0)),
    "fewer than all at p = 1": (dist.Binomial(3, torch.tensor(1.0)), torch.tensor(2.0)),
    "some at r = 0": (dist.NegativeBinomial(0.0, torch.tensor(0.5)), torch.tensor(1.0)),
    "what no component gives": (
        dist.MixtureSameFamily(
            dist.Categorical(torch.tensor([1.0, 0.0])), dist.Poisson(torch.tensor([0.0, 1.0]))
        ),
        torch.tensor(1.0),
    ),
    "a count behind a closed gate": (
        dist.ZeroInflatedPoisson(torch.tensor(1.0), gate=torch.tensor(1.0)),
        torch.tensor(1.0),
    ),
    "zero where neither gate nor base gives it": (
        dist.ZeroInflatedDistribution(dist.Binomial(2, torch.tensor(1.0)), gate=torch.tensor(0.0)),
        torch.tensor(0.0),
    ),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_evidence_is_found_and_refused(name: str) -> None:
    d, x = IMPOSSIBLE[name]
    couplings = (None, "independent") if isinstance(d, dist.Poisson) else (None,)
    for coupling in couplings:
        equation = structural_equation(d, coupling)
        assert not equation.possible(x)
        with pytest.raises(ValueError, match="no noise of"):
            equation.posterior(x, posterior_uniforms(equation))


def test_a_value_that_float64_cannot_tell_from_its_neighbours_is_refused() -> None:
    equation = structural_equation(
        dist.Categorical(logits=torch.tensor([80.0, -80.0, 80.0])), "quantile"
    )
    assert equation.possible(torch.tensor(1))
    with pytest.raises(ValueError, match="too small for float64"):
        equation.posterior(torch.tensor(1), torch.tensor(0.5).double())


@pytest.mark.parametrize("name", ["Poisson", "Categorical by logits", "Poisson, independent"])
def test_a_discrete_posterior_needs_uniforms(name: str) -> None:
    d, equation = family(name)
    x = d.sample()
    with pytest.raises(TypeError, match="uniforms v"):
        equation.posterior(x)
