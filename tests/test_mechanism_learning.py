"""Maximum likelihood of mechanisms is that of least squares and of the score equations."""

from typing import Any

import pyro.distributions as dist
import pytest
import torch
from small_mechanisms import maximize_likelihood

from pyrocausal.mechanisms import MLP, Linear, Parent, heads


def test_maximum_likelihood_of_linear_is_least_squares() -> None:
    n, truth, sigma = 2000, torch.tensor([1.0, 2.0, -3.0]), 0.5
    a, b = 10 + 4 * torch.randn(n), torch.rand(n).round()
    design = torch.stack([torch.ones(n), a, b], 1).double()
    x = design.float() @ truth + sigma * torch.randn(n)
    mechanism = Linear(
        [Parent.continuous(loc=10.0, scale=4.0), Parent.binary()],
        heads.Normal(loc=float(x.mean()), scale=float(x.std())),
    ).double()
    maximize_likelihood(mechanism, x.double(), a, b)

    corners = mechanism(torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, 1.0]))
    mean = corners.loc.detach()
    ours = torch.stack([mean[0], mean[1] - mean[0], mean[2] - mean[0]])
    least_squares = torch.linalg.lstsq(design, x.double()[:, None]).solution[:, 0]
    residual = x.double() - design @ least_squares
    torch.testing.assert_close(ours, least_squares, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        corners.scale[0], residual.square().mean().sqrt(), rtol=1e-4, atol=0
    )
    standard_errors = sigma * torch.linalg.inv(design.T @ design).diagonal().sqrt()
    assert bool(((ours - truth).abs() < 4 * standard_errors).all())


@pytest.mark.parametrize("head", ["bernoulli", "poisson"])
def test_maximum_likelihood_solves_the_score_equations(head: str) -> None:
    # At the maximum of a canonical model the residuals are orthogonal to the design.
    pa = torch.randn(500).double()
    design = torch.stack([torch.ones(500).double(), pa])
    eta = 0.5 - pa
    truth: Any = dist.Poisson(eta.exp()) if head == "poisson" else dist.Bernoulli(logits=eta)
    x = truth.sample()
    mechanism = Linear(1, head=head).double()
    maximize_likelihood(mechanism, x, pa)
    score = design @ (x - mechanism(pa).mean.detach()) / 500
    torch.testing.assert_close(score, torch.zeros(2).double(), rtol=0, atol=1e-5)


def test_a_root_learns_mean_and_deviation() -> None:
    x = 20 + 3 * torch.randn(1000).double()
    for mechanism in (Linear(), MLP()):
        maximize_likelihood(mechanism.double(), x)
        d = mechanism()
        assert d.loc.item() == pytest.approx(x.mean().item(), rel=1e-4)
        assert d.scale.item() == pytest.approx(x.std(correction=0).item(), rel=1e-4)
