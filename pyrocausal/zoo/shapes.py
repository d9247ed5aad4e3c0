"""Variables with a shape: a vector, an image, a time series of several sensors."""

from collections.abc import Callable
from math import erf, exp, pi, sqrt

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from pyrocausal.zoo.registry import Truth, register

__all__ = ["image", "time_series", "vector"]


def _component(i: int) -> Callable[[Tensor], Tensor]:
    """Return the statistic that picks one component of a vector."""
    return lambda v: v[..., i]


@register(
    edges="X -> V -> Y",
    truths=[
        Truth(1, "E[V_0 V_1]", "V", 0.5 + 1 * -1, statistic=lambda v: v[..., 0] * v[..., 1]),
        Truth(2, "E[V_2 | do(X=1)]", "V", 2.0, do={"X": 1.0}, statistic=_component(2)),
        Truth(2, "E[Y | do(X=1)]", "Y", 1 - 0.5 * 1 - 2, do={"X": 1.0}),
        Truth(2, "E[Y | do(V=(1, 0, 2))]", "Y", 1.0 - 2.0, do={"V": [1.0, 0.0, 2.0]}),
        *(
            Truth(
                3,
                f"V_{i}_{{X=1.5}} | X=0.5, V=(1, 0, 2), Y=0",
                "V",
                value,
                do={"X": 1.5},
                evidence={"X": 0.5, "V": [1.0, 0.0, 2.0], "Y": 0.0},
                statistic=_component(i),
                exact=True,
            )
            for i, value in enumerate((1 + 1.0, 0 - 1.0, 2 + 2.0))
        ),
        Truth(
            3,
            "Y_{X=1.5} | X=0.5, V=(1, 0, 2), Y=0",
            "Y",
            -1.5,
            do={"X": 1.5},
            evidence={"X": 0.5, "V": [1.0, 0.0, 2.0], "Y": 0.0},
            exact=True,
        ),
        Truth(3, "E[X | V=(0, 0, 0)]", "X", 0.0, {"Y": 0.0}, evidence={"V": [0.0, 0.0, 0.0]}),
    ],
)
def vector() -> None:
    """A vector-valued mediator ``X -> V -> Y``, V correlated normal with mean ``X (1, -1, 2)``.

    Seeing: ``E[V_0 V_1] = 0.5 - E[X^2]``. Doing: ``E[Y | do(x)] = (1, 0.5, -1) . x (1, -1, 2) =
    -1.5 x``. Imagining, for every unit: ``V* = V + (x* - X) (1, -1, 2)``,
    ``Y* = Y - 1.5 (x* - X)``.

    Example:
        >>> from pyrocausal import zoo
        >>> print(zoo.MODELS["vector"].truths[2])
        E[Y | do(X=1)] = -1.5
    """
    x = pyro.sample("X", dist.Normal(0.0, 1.0))
    direction = torch.tensor([1.0, -1.0, 2.0], device=x.device)
    covariance = torch.tensor([[1.0, 0.5, 0.0], [0.5, 2.0, 0.3], [0.0, 0.3, 1.0]], device=x.device)
    v = pyro.sample("V", dist.MultivariateNormal(x[..., None] * direction, covariance))
    pyro.sample("Y", dist.Normal(v[..., 0] + 0.5 * v[..., 1] - v[..., 2], 0.5))


def _blob(position: Tensor) -> Tensor:
    """Return 8 x 8 images of a round blob, centred on column ``position`` of the middle rows."""
    pixels = torch.arange(8.0, device=position.device)
    rows, columns = pixels[:, None] - 3.5, pixels - position[..., None, None]
    return torch.exp(-(rows**2 + columns**2) / 2)


def _pixel(row: int, column: int, position: float) -> float:
    """Return one pixel of the blob."""
    return exp(-((row - 3.5) ** 2 + (column - position) ** 2) / 2)


def _total(position: float) -> float:
    """Return the sum of the blob's pixels."""
    return sum(_pixel(row, column, position) for row in range(8) for column in range(8))


def _mean_total(low: float, high: float) -> float:
    """Return the mean of that sum where the position is uniform between two numbers."""
    middle = sum(exp(-((row - 3.5) ** 2) / 2) for row in range(8))
    integrals = (erf((high - c) / sqrt(2)) - erf((low - c) / sqrt(2)) for c in range(8))
    return middle * sqrt(pi / 2) * sum(integrals) / (high - low)


@register(
    edges="position -> image -> brightness",
    truths=[
        Truth(1, "E[brightness]", "brightness", _mean_total(1.0, 6.0)),
        Truth(
            2,
            "E[image[3, 5] | do(position=5)]",
            "image",
            _pixel(3, 5, 5.0),
            do={"position": 5.0},
            statistic=lambda x: x[..., 3, 5],
        ),
        Truth(2, "E[brightness | do(position=7)]", "brightness", _total(7.0), {"position": 7.0}),
        Truth(2, "E[brightness | do(image=0.5)]", "brightness", 64 * 0.5, do={"image": 0.5}),
        Truth(
            3,
            "image_{position=5}[3, 5] | position=2, image=0.1",
            "image",
            0.1 + _pixel(3, 5, 5.0) - _pixel(3, 5, 2.0),
            do={"position": 5.0},
            evidence={"position": 2.0, "image": 0.1},
            statistic=lambda x: x[..., 3, 5],
            exact=True,
        ),
        Truth(
            3,
            "brightness_{position=7} | position=2, image=0.1, brightness=6",
            "brightness",
            6 + _total(7.0) - _total(2.0),
            do={"position": 7.0},
            evidence={"position": 2.0, "image": 0.1, "brightness": 6.0},
            exact=True,
        ),
    ],
)
def image() -> None:
    """A blob whose position moves in an 8 x 8 image: ``position -> image -> brightness``.

    ``image[r, c] = exp(-((r - 3.5)^2 + (c - position)^2) / 2) + 0.1 U[r, c]``, brightness is its
    sum and noise. Seeing: ``E[brightness]`` is the mean of ``sum blob(p)`` over positions, a sum
    of normal probabilities. Doing: ``E[image | do(p)] = blob(p)``,
    ``E[brightness | do(p)] = sum blob(p)`` (less near the border). Imagining, for every unit:
    ``image* = image + blob(p*) - blob(p)`` and
    ``brightness* = brightness + sum blob(p*) - sum blob(p)``.

    Example:
        >>> from pyrocausal import zoo
        >>> print(zoo.MODELS["image"].truths[2])
        E[brightness | do(position=7)] = 4.395
    """
    position = pyro.sample("position", dist.Uniform(1.0, 6.0))
    pixels = pyro.sample("image", dist.Normal(_blob(position), 0.1).to_event(2))
    pyro.sample("brightness", dist.Normal(pixels.sum((-2, -1)), 0.5))


_STEPS = 10
_LEVELS = [f"level_{t}" for t in range(_STEPS)]


@register(
    edges=f"{' -> '.join(_LEVELS)} -> average; drive -> {', '.join(_LEVELS[1:])}",
    truths=[
        Truth(1, "E[level_9]", "level_9", 0.0),
        Truth(2, "E[level_9 | do(level_4=1)]", "level_9", 0.8**5, do={"level_4": 1.0}),
        Truth(
            2,
            "E[average | do(drive=1)]",
            "average",
            (1 - 0.8**9) / (1 - 0.8),
            do={"drive": 1.0},
        ),
        Truth(
            3,
            "level_9_{drive=1.5} | drive=0.5, level_t=0.1",
            "level_9",
            0.1 + (1.5 - 0.5) * (1 - 0.8**9) / (1 - 0.8),
            do={"drive": 1.5},
            evidence={"drive": 0.5} | dict.fromkeys(_LEVELS, 0.1),
            exact=True,
        ),
        Truth(
            3,
            "average_{level_4=1} | drive=0.5, level_t=0.1, average=0",
            "average",
            0.8**5 * (1 - 0.1),
            do={"level_4": 1.0},
            evidence={"drive": 0.5, "average": 0.0} | dict.fromkeys(_LEVELS, 0.1),
            exact=True,
        ),
    ],
)
def time_series() -> None:
    """Ten time steps of three sensors under a common drive, and the average of the last step.

    ``level_t = 0.8 level_{t-1} + drive + noise``, in a plate of three sensors inside each unit.
    Doing: ``E[level_9 | do(level_4 = l)] = 0.8^5 l``, ``E[level_9 | do(drive = d)] =
    d (1 - 0.8^9) / (1 - 0.8)``. Imagining: the same slopes for every unit and sensor.

    Example:
        >>> from pyrocausal import zoo
        >>> print(zoo.MODELS["time_series"].truths[1])
        E[level_9 | do(level_4=1)] = 0.3277
    """
    drive = pyro.sample("drive", dist.Normal(0.0, 1.0))
    with pyro.plate("sensors", 3, dim=-2):
        level = pyro.sample(_LEVELS[0], dist.Normal(0.0, 1.0))
        for name in _LEVELS[1:]:
            level = pyro.sample(name, dist.Normal(0.8 * level + drive, 0.5))
    pyro.sample("average", dist.Normal(level.mean(-2), 0.1))
