"""Tests of the diffusion sampler against Gaussian data, whose exact velocity is known."""

from math import log, pi

import pytest
import torch
from torch import Tensor

from pyrocausal.models.diffusion import LAST, SCHEDULES, Diffusion
from pyrocausal.models.unet import UNet

SD = 0.5
SHAPE = (1, 8, 8)


class Exact:
    """The velocity of data ``N(m z, SD^2)``, elementwise: no network, no error.

    ``x_t = a x + s eps`` has the variance ``w = a^2 SD^2 + s^2``; the posterior mean of ``eps`` is
    ``s r / w`` and that of ``x`` is ``m z + a SD^2 r / w`` with the residual ``r = x_t - a m z``.
    """

    def __init__(self, what: str = "v", schedule: str = "cosine", shift: float = 0.0) -> None:
        self.what, self.angle, self.shift, self.calls = what, SCHEDULES[schedule], shift, 0

    def __call__(self, x: Tensor, t: Tensor, z: Tensor) -> Tensor:
        self.calls += 1
        angle = self.angle(t).reshape(-1, 1, 1, 1)
        a, s = angle.cos(), angle.sin()
        mean = self.shift * z[:, :1, None, None]
        residual = (x - a * mean) / (a**2 * SD**2 + s**2)
        eps, x0 = s * residual, mean + a * SD**2 * residual
        return eps if self.what == "eps" else a * eps - s * x0


def diffusion(what: str = "v", schedule: str = "cosine", shift: float = 0.0) -> Diffusion:
    return Diffusion(
        Exact(what, schedule, shift),
        1,
        parameterization=what,  # type: ignore[arg-type]
        schedule=schedule,  # type: ignore[arg-type]
    )


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return SD * torch.randn(16, *SHAPE, generator=generator)


@pytest.fixture
def z() -> Tensor:
    return torch.linspace(-1.0, 1.0, 16)[:, None]


@pytest.mark.parametrize(("iterations", "error"), [(0, 0.12), (1, 6e-3), (2, 3e-4)])
def test_images_come_back_from_their_noise(
    images: Tensor, z: Tensor, iterations: int, error: float
) -> None:
    model = diffusion(shift=0.3)
    noise = model.invert(images, z, steps=20, iterations=iterations)
    assert (model.decode(noise, z, steps=20) - images).abs().max() < error


@pytest.mark.parametrize("what", ["v", "eps"])
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_many_iterations_invert_exactly(
    images: Tensor, z: Tensor, what: str, schedule: str
) -> None:
    model = diffusion(what, schedule)
    noise = model.invert(images.double(), z.double(), steps=20, iterations=40)
    again = model.decode(noise, z.double(), steps=20)
    assert (again - images).abs().max() < 1e-9


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_decoding_follows_the_flow_of_gaussian_data(z: Tensor, schedule: str) -> None:
    # The flow keeps the standardised residual: (x - m z) / SD = (x_T - a m z) / sqrt(w).
    model = diffusion(schedule=schedule, shift=0.3)
    noise = torch.randn(16, *SHAPE, dtype=torch.float64)
    edges = model.angle(torch.tensor([0.0, LAST], dtype=torch.float64))
    a, s = edges.cos(), edges.sin()
    w = a**2 * SD**2 + s**2
    mean = 0.3 * z.double()[..., None, None]
    expected = a[0] * mean + (noise - a[1] * mean) * (w[0] / w[1]).sqrt()
    errors = [
        float((model.decode(noise, z.double(), steps=steps) - expected).abs().max())
        for steps in (100, 200)
    ]
    assert errors[1] < 0.03
    assert errors[1] < 0.6 * errors[0]  # of first order


def test_noise_of_gaussian_data_is_standard_normal(images: Tensor, z: Tensor) -> None:
    noise = diffusion().invert(images, z, steps=100)
    # The sd of 1024 numbers has a standard error of 1 / sqrt(2 * 1024), beside a step's bias.
    assert noise.std() == pytest.approx(float(images.std()) / SD, abs=0.02)


def test_guidance_goes_beyond_the_condition(z: Tensor) -> None:
    model = diffusion(shift=0.3)
    x, t = torch.randn(16, *SHAPE), torch.tensor(0.5)
    plain, null = model.velocity(x, t, z), model.velocity(x, t, 0 * z)
    torch.testing.assert_close(model.velocity(x, t, z, 3.0), null + 3 * (plain - null))


def test_the_bound_is_the_log_density_of_gaussian_data(images: Tensor, z: Tensor) -> None:
    model, size = diffusion(), images[0].numel()
    exact = -0.5 * size * (log(2 * pi) + 2 * log(SD) + float(images.square().mean()) / SD**2)
    found = model.bound(images, z)
    # Per pixel: eight times, one noise; its standard error is about 0.1.
    assert abs(float(found.mean()) - exact) / size < 0.3
    assert torch.equal(model.bound(images[:3], z[:3]), found[:3])


def test_a_better_network_has_a_higher_bound(images: Tensor, z: Tensor) -> None:
    worse = diffusion(shift=2.0)
    assert bool((worse.bound(images, z) < diffusion().bound(images, z))[z[:, 0].abs() > 0.5].all())


def test_training_on_gaussian_data_approaches_the_exact_velocity(images: Tensor) -> None:
    torch.manual_seed(0)
    gain = torch.nn.Parameter(torch.zeros(()))
    learned = Diffusion(lambda x, t, z: gain * Exact()(x, t, z), 1)
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam([gain], 0.05)
    z = torch.zeros(16, 1)
    for _ in range(60):
        optimizer.zero_grad()
        learned.losses(images, z, generator).mean().backward()
        optimizer.step()
    assert float(gain.detach()) == pytest.approx(1.0, abs=0.1)


def test_the_null_condition_stands_in_where_one_is_dropped(images: Tensor) -> None:
    seen: list[Tensor] = []

    def network(x: Tensor, t: Tensor, z: Tensor) -> Tensor:
        seen.append(z)
        return 0 * x

    model = Diffusion(network, 1)
    model.losses(images, torch.ones(16, 1), torch.Generator().manual_seed(0), dropout=0.5)
    assert 0 < float((seen[0] == 0).float().mean()) < 1


@pytest.fixture
def net() -> UNet:
    torch.manual_seed(0)
    return UNet((3, 16, 16), condition=2, widths=(8, 32))


def test_a_fresh_network_gives_zero_and_learns_from_all_its_parts(net: UNet) -> None:
    x, t, z = torch.randn(4, 3, 16, 16), torch.rand(4), torch.randn(4, 2)
    assert not net(x, t, z).any()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    net(x, t, z).square().sum().backward()
    assert all(bool(p.grad.any()) for p in net.parameters() if p.grad is not None)
    assert all(p.grad is not None for p in net.parameters())


def test_rows_of_the_network_do_not_see_each_other(net: UNet) -> None:
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        x, t, z = torch.randn(5, 3, 16, 16), torch.rand(5), torch.randn(5, 2)
        torch.testing.assert_close(net(x, t, z)[:2], net(x[:2], t[:2], z[:2]))


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="divisible by 4"):
        UNet((1, 10, 10), condition=1, widths=(8, 32))
    with pytest.raises(ValueError, match="steps=0"):
        diffusion().decode(torch.zeros(1, *SHAPE), torch.zeros(1, 1), steps=0)
    with pytest.raises(ValueError, match="schedule='square'"):
        Diffusion(Exact(), 1, schedule="square")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected 'v' or 'eps'"):
        Diffusion(Exact(), 1, parameterization="x")  # type: ignore[arg-type]
