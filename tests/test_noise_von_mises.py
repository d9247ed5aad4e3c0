"""The von Mises law: its distribution function by quadrature, and the turn of the circle."""

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from continuous_families import F64, VonMises, draw, ks
from scipy import stats

from pyrocausal.noise import structural_equation
from pyrocausal.noise.tails import to_log_pair
from pyrocausal.noise.von_mises import HalfVonMises


@pytest.mark.parametrize("kappa", [1e-4, 0.3, 7.0, 150.0, 1e4])
def test_the_von_mises_cdf_is_that_of_quadrature(kappa: float) -> None:
    law, concentration = HalfVonMises(), torch.tensor(kappa, dtype=F64)
    u = torch.linspace(-27.6, -0.1, 25, dtype=F64)
    y = law.quantile(u, concentration)
    expected = torch.tensor([VonMises(kappa).log_cdf(d) for d in y.exp().tolist()], dtype=F64)
    torch.testing.assert_close(to_log_pair(u)[0], expected, rtol=0, atol=1e-11)
    torch.testing.assert_close(law.logit(y, concentration), u, rtol=0, atol=1e-11)


def test_von_mises_angles_wrap_around_the_circle() -> None:
    d = dist.VonMises(torch.tensor(3.0, dtype=F64), torch.tensor(0.7, dtype=F64))
    equation = structural_equation(d)
    x = equation.forward(draw(equation, 4000))
    assert x.min() >= -np.pi
    assert x.max() < np.pi
    angle = torch.remainder(x - 3.0 + np.pi, 2 * np.pi) - np.pi
    assert ks(angle, lambda t: stats.vonmises.cdf(t, 0.7)) > 1e-3
    turned = equation.posterior(x + 2 * np.pi)
    torch.testing.assert_close(turned, equation.posterior(x), rtol=0, atol=1e-11)
