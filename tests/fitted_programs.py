"""Programs with parameters to fit, data for them, and the closed forms of their fits."""

import math
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

import pyrocausal as pc

__all__ = [
    "conjugate",
    "hierarchy",
    "latent_chain",
    "least_squares",
    "line",
    "line_data",
    "mu_guide",
    "param",
    "parameters",
    "positive",
    "state",
]

POSITIVE = dist.constraints.positive


def param(name: str, value: float = 0.0) -> Tensor:
    return pyro.param(name, torch.tensor(value))


def positive(name: str, value: float = 1.0) -> Tensor:
    return pyro.param(name, torch.tensor(value), constraint=POSITIVE)


def parameters(scm: pc.SCM) -> dict[str, float]:
    """The constrained scalar parameters."""
    with scm._core.scope.open():
        return {k: v.item() for k, v in pyro.get_param_store().items() if v.numel() == 1}


def state(scm: pc.SCM) -> dict[str, Tensor]:
    """A copy of all parameters, unconstrained."""
    return {k: v.detach().clone() for k, v in scm._core.scope.named().items()}


def line() -> None:
    """A line: x -> y."""
    x = pyro.sample("x", dist.Normal(param("mean"), positive("spread")))
    loc = param("intercept") + param("slope") * x
    pyro.sample("y", dist.Normal(loc, positive("scale")))


def line_data(n: int = 500, seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    x = 0.5 + torch.randn(n)
    return {"x": x, "y": 1 + 2 * x + 0.5 * torch.randn(n)}


def least_squares(x: Tensor, y: Tensor) -> tuple[float, float, float]:
    """Intercept, slope, and the maximum likelihood scale."""
    design = np.stack([np.ones(len(x)), x.numpy()], 1).astype(float)
    solution, residual, *_ = np.linalg.lstsq(design, y.numpy().astype(float), rcond=None)
    return float(solution[0]), float(solution[1]), math.sqrt(residual[0] / len(x))


def hierarchy() -> None:
    """One mu for all units: mu -> x."""
    mu = pyro.sample("mu", dist.Normal(0.0, 2.0))
    with pc.units():
        pyro.sample("x", dist.Normal(mu, 1.0))


def mu_guide(batch: Any) -> None:
    pyro.sample("mu", dist.Normal(param("m"), positive("s", 0.2)))


def conjugate(x: Tensor) -> tuple[float, float]:
    precision = 1 / 4 + len(x)
    return x.sum().item() / precision, precision**-0.5


def latent_chain() -> None:
    z = pyro.sample("z", dist.Normal(param("loc"), 1.0))
    pyro.sample("x", dist.Normal(z, 1.0))
