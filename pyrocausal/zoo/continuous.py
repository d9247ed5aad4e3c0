"""Continuous mechanisms other than linear Gaussian ones."""

from math import exp, sin, tanh

import pyro
import pyro.distributions as dist
import torch

from pyrocausal.zoo.registry import Truth, register

__all__ = ["additive_noise", "non_gaussian"]


@register(
    edges="X -> Y -> Z",
    truths=[
        Truth(1, "E[Y]", "Y", 0.0),
        Truth(2, "E[Y | do(X=1)]", "Y", tanh(2), do={"X": 1.0}),
        Truth(2, "E[Z | do(Y=1)]", "Z", sin(2), do={"Y": 1.0}),
        Truth(2, "E[Z | do(X=1)]", "Z", sin(2 * tanh(2)) * exp(-(0.6**2) / 2), do={"X": 1.0}),
        Truth(
            3,
            "Y_{X=-1} | X=1, Y=0.5, Z=1",
            "Y",
            0.5 - 2 * tanh(2),
            do={"X": -1.0},
            evidence={"X": 1.0, "Y": 0.5, "Z": 1.0},
            exact=True,
        ),
        Truth(
            3,
            "Z_{X=-1} | X=1, Y=0.5, Z=1",
            "Z",
            1 + sin(2 * (0.5 - 2 * tanh(2))) - sin(2 * 0.5),
            do={"X": -1.0},
            evidence={"X": 1.0, "Y": 0.5, "Z": 1.0},
            exact=True,
        ),
    ],
)
def additive_noise() -> None:
    """A nonlinear chain with additive noise: ``Y = tanh(2 X) + U_Y``, ``Z = sin(2 Y) + U_Z``.

    Doing: ``E[Y | do(x)] = tanh(2 x)`` and, since ``E[sin N(m, s^2)] = sin(m) exp(-s^2 / 2)``,
    ``E[Z | do(x)] = sin(2 tanh(2 x)) exp(-(2 * 0.3)^2 / 2)``. Imagining, for every unit:
    ``Y* = Y + tanh(2 x*) - tanh(2 X)``, ``Z* = Z + sin(2 Y*) - sin(2 Y)``.

    Example:
        >>> from pyrocausal import zoo
        >>> print(zoo.MODELS["additive_noise"].truths[3])
        E[Z | do(X=1)] = 0.7825
    """
    x = pyro.sample("X", dist.Uniform(-2.0, 2.0))
    y = pyro.sample("Y", dist.Normal(torch.tanh(2.0 * x), 0.3))
    pyro.sample("Z", dist.Normal(torch.sin(2.0 * y), 0.2))


_LOAD = {"load": 0.0, "peak": 1.0, "wait": 2.0, "cost": 3.0}


@register(
    edges="load -> peak, wait; wait -> cost",
    truths=[
        Truth(1, "E[peak]", "peak", 0.5 * 0.5772156649015329),
        Truth(1, "E[wait]", "wait", 1 / (1 - (0.3 / 2) ** 2)),
        Truth(1, "E[cost]", "cost", 2 / (1 - (0.3 / 2) ** 2)),
        Truth(2, "E[cost | do(wait=3)]", "cost", 2 * 3, do={"wait": 3.0}),
        Truth(2, "E[cost | do(load=1)]", "cost", 2 * exp(0.5), do={"load": 1.0}),
        Truth(3, "peak_{load=1} | all", "peak", 1 + 1, {"load": 1.0}, evidence=_LOAD, exact=True),
        Truth(
            3,
            "wait_{load=1} | all",
            "wait",
            2 * exp(0.5),
            {"load": 1.0},
            evidence=_LOAD,
            exact=True,
        ),
        Truth(
            3,
            "cost_{load=1} | all",
            "cost",
            3 * exp(0.5),
            {"load": 1.0},
            evidence=_LOAD,
            exact=True,
        ),
    ],
)
def non_gaussian() -> None:
    """A queue with Laplace load, Gumbel peak, exponential wait and gamma cost.

    ``peak = load + 0.5 G``, ``wait = exp(load / 2) E``, ``cost = wait Gamma(2)``. Seeing, with
    Euler's constant: ``E[peak] = 0.5 * 0.577``, ``E[cost] = 2 E[wait]``, and by the Laplace moment
    generating function ``E[wait] = 1 / (1 - 0.15^2)``. Doing: ``E[cost | do(wait=w)] = 2 w``,
    ``E[cost | do(load=l)] = 2 exp(l / 2)``. Imagining, for every unit: peak moves with load, wait
    and cost by the factor ``exp((load* - load) / 2)``. "all" is load 0, peak 1, wait 2, cost 3.

    Example:
        >>> from pyrocausal import zoo
        >>> print(zoo.MODELS["non_gaussian"].truths[7])
        cost_{load=1} | all = 4.946
    """
    load = pyro.sample("load", dist.Laplace(0.0, 0.3))
    pyro.sample("peak", dist.Gumbel(load, 0.5))
    wait = pyro.sample("wait", dist.Exponential(torch.exp(-load / 2)))
    pyro.sample("cost", dist.Gamma(2.0, 1 / wait))
