"""Flows: inverses, densities, Jacobians, what they learn, and zuko, which they need."""

import sys

import pyro.distributions as dist
import pytest
import torch
from torch.func import jacrev

from pyrocausal.mechanisms import MLP, Flow, heads


def sharpened(flow: Flow, gain: float = 3.0) -> Flow:
    """Return the flow far from its nearly affine start."""
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.mul_(gain)
    return flow


@pytest.mark.parametrize("size", [None, 1, 3])
@pytest.mark.parametrize("splines", [1, 2])
def test_a_flow_inverts_out_to_the_tails(size: int | None, splines: int) -> None:
    flow = sharpened(Flow(1, size, splines=splines, loc=10.0, scale=4.0), 2.0)
    event = () if size is None else (size,)
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-7)):
        d = flow.to(dtype)(torch.randn(2000, dtype=dtype))
        transform = d.transforms[0]
        x = transform(3 * torch.randn(2000, *event, dtype=dtype))
        torch.testing.assert_close(
            transform(transform.inv(x)), x, rtol=tolerance, atol=4 * tolerance
        )
        u = torch.linspace(-7, 7, 2000, dtype=dtype)
        u = u if size is None else u[:, None].expand(2000, size)
        torch.testing.assert_close(
            transform.inv(transform(u)), u, rtol=10 * tolerance, atol=10 * tolerance
        )


def test_the_density_of_a_flow_integrates_to_one_and_to_its_cdf() -> None:
    flow = sharpened(Flow(1, loc=10.0, scale=4.0)).double()
    d = flow(torch.linspace(-2, 2, 5).double())
    low, high = (d.transforms[0](torch.full((5,), u).double()) for u in (-7.0, 7.0))
    x = low + (high - low) * torch.linspace(0, 1, 40001).double()[:, None]
    density = d.log_prob(x).exp()
    mass = torch.cumulative_trapezoid(density, x, dim=0)
    torch.testing.assert_close(mass[-1], torch.ones(5).double(), rtol=0, atol=1e-4)
    torch.testing.assert_close(mass, d.cdf(x[1:]), rtol=0, atol=1e-4)


def test_the_density_of_a_flow_of_vectors_integrates_to_one() -> None:
    d = Flow(1, size=2, splines=2)(torch.tensor(0.7))
    corners = d.transforms[0](torch.tensor([[-5.0, -5.0], [5.0, 5.0], [-5.0, 5.0], [5.0, -5.0]]))
    low, high = corners.amin(0).detach() - 2, corners.amax(0).detach() + 2
    axes = [torch.linspace(float(a), float(b), 301) for a, b in zip(low, high, strict=True)]
    grid = torch.cartesian_prod(*axes)
    with torch.no_grad():
        density = d.log_prob(grid).exp().reshape(301, 301)
    mass = torch.trapezoid(torch.trapezoid(density, axes[1]), axes[0])
    assert mass.item() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("size", [None, 3])
def test_the_log_determinant_of_a_flow_is_that_of_its_jacobian(size: int | None) -> None:
    flow = sharpened(Flow(1, size, splines=2, loc=1.0, scale=3.0)).double()
    transform = flow(torch.tensor(0.4).double()).transforms[0]
    for u in torch.randn(5, *(() if size is None else (size,))).double():
        jacobian = jacrev(transform)(u)
        matrix = jacobian.reshape(size or 1, size or 1)
        torch.testing.assert_close(
            transform.log_abs_det_jacobian(u, transform(u)), torch.linalg.slogdet(matrix)[1]
        )


def test_a_flow_of_a_vector_with_one_spline_is_triangular() -> None:
    transform = Flow(0, size=3)().transforms[0]
    jacobian = jacrev(transform)(torch.randn(3))
    assert torch.equal(jacobian, jacobian.tril())
    assert bool((jacobian.diagonal() > 0).all())


def test_a_flow_learns_a_skewed_conditional_density() -> None:
    # log x ~ Normal(pa / 2, 0.5): no location-scale family, and its shape moves with pa.
    pa = torch.randn(2000)
    truth = dist.LogNormal(pa / 2, 0.5)
    x = truth.sample()
    flow = Flow(1, hidden=(16,), loc=float(x.mean()), scale=float(x.std()))
    normal = MLP(1, head=heads.Normal(True, loc=float(x.mean()), scale=float(x.std())))
    gaps = []
    for mechanism in (flow, normal):
        optimizer = torch.optim.Adam(mechanism.parameters(), lr=0.02)
        for _ in range(200):
            optimizer.zero_grad()
            torch.autograd.backward(-mechanism(pa).log_prob(x).mean())
            optimizer.step()
        new_pa = torch.randn(2000)
        truth = dist.LogNormal(new_pa / 2, 0.5)
        new = truth.sample()
        with torch.no_grad():
            gaps.append(truth.log_prob(new) - mechanism(new_pa).log_prob(new))
    standard_error = float(gaps[0].std()) / 2000**0.5
    assert float(gaps[0].mean()) < 0.02 + 4 * standard_error
    assert float(gaps[0].mean()) < float(gaps[1].mean()) / 2


def test_importing_zuko_leaves_validation_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "zuko"]:
        monkeypatch.delitem(sys.modules, name)
    assert torch.distributions.Distribution._validate_args
    Flow(1)
    assert torch.distributions.Distribution._validate_args


def test_a_missing_zuko_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zuko", None)
    with pytest.raises(ImportError, match=r"pip install 'pyrocausal\[flows\]'"):
        Flow(1)
