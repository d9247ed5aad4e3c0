"""Digits drawn as strokes: a thickness, an intensity that follows it, and a style of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import AffineTransform, SigmoidTransform

from pyrocausal.datasets.canvas import (
    by_chunks,
    check_images,
    read_columns,
    read_size,
    sampled,
    segment_distance,
)

if TYPE_CHECKING:
    import pandas as pd

    from pyrocausal.model import SCM

__all__ = [
    "MORPHO",
    "STYLE",
    "measure_morpho_digits",
    "morpho_digits",
    "morpho_digits_scm",
    "render_morpho_digits",
]

MORPHO: Final = ("thickness", "intensity")
"""The two variables with a cause or an effect among them."""
STYLE: Final = ("digit", "slant", "width", "height", "x", "y")
"""What else an image shows: independent of the two, and of each other."""
SIDE: Final = 28

# Corners of each digit's line in [-1, 1], x to the right, y down.
LINES: Final = (
    tuple((0.6 * math.cos(k * math.pi / 6), 0.95 * math.sin(k * math.pi / 6)) for k in range(13)),
    ((-0.25, -0.6), (0.1, -1), (0.1, 1)),
    (
        *((-0.55, -0.55), (-0.3, -0.95), (0.3, -0.95), (0.55, -0.55)),
        *((0.45, -0.1), (-0.6, 1), (0.65, 1)),
    ),
    (
        *((-0.5, -0.95), (0.5, -0.95), (0, -0.15), (0.5, 0.15)),
        *((0.5, 0.7), (0.1, 1), (-0.5, 0.85)),
    ),
    ((0.35, 1), (0.35, -1), (-0.6, 0.35), (0.65, 0.35)),
    (
        *((0.5, -1), (-0.4, -1), (-0.45, -0.1), (0.2, -0.2)),
        *((0.55, 0.25), (0.4, 0.8), (0, 1), (-0.5, 0.85)),
    ),
    (
        *((0.4, -0.95), (-0.2, -0.5), (-0.5, 0.2), (-0.4, 0.8), (0, 1)),
        *((0.45, 0.75), (0.45, 0.3), (0.1, 0.05), (-0.45, 0.3)),
    ),
    ((-0.55, -1), (0.55, -1), (-0.1, 1)),
    (
        *((0, -0.1), (-0.4, -0.4), (-0.35, -0.85), (0, -1), (0.35, -0.85), (0.4, -0.4), (0, -0.1)),
        *((-0.5, 0.3), (-0.45, 0.8), (0, 1), (0.45, 0.8), (0.5, 0.3), (0, -0.1)),
    ),
    (
        *((0.45, -0.35), (0.1, -0.05), (-0.35, -0.15), (-0.5, -0.6), (-0.2, -0.95)),
        *((0.25, -0.95), (0.45, -0.6), (0.45, -0.35), (0.3, 1)),
    ),
)
THICKNESSES: Final = (0.3, 9.0, 0.05)
"""First, last and step of the thicknesses that are tried when one is measured."""


def morpho_digits(n: int, seed: int = 0) -> tuple[Tensor, pd.DataFrame]:
    """Return images of stroke digits, with the variables behind each.

    The equations are those of `morpho_digits_scm`; `render_morpho_digits` draws. It takes no file,
    and has the thickness and intensity of `morphomnist`.

    Args:
        n: Number of images.
        seed: One seed is one data set.

    Returns:
        Images in [-1, 1], shape ``(n, 1, 28, 28)``, and a table of ``n`` rows with the columns
        ``thickness`` (pixels), ``intensity`` (grey level up to 255), ``digit`` and the style:
        ``slant``, ``width`` and ``height`` (half of the digit's, pixels), ``x`` and ``y`` (its
        middle).

    Raises:
        ValueError: No positive number of images.

    Example:
        >>> images, table = morpho_digits(5)
        >>> images.shape, list(table.columns)[:3]
        (torch.Size([5, 1, 28, 28]), ['thickness', 'intensity', 'digit'])
    """
    table = sampled(morpho_digits_scm(), n, seed, "morpho_digits()")
    return render_morpho_digits(table), table


def morpho_digits_scm() -> SCM:
    """Return the true model of the digits' variables, stroke digits and Morpho-MNIST alike.

    ::

        thickness = 0.5 + Gamma(shape 10, rate 5)
        intensity = 64 + 191 * sigmoid(2 * (thickness - 2.5) + 0.5 * Normal(0, 1))

    with an independent style: the digit, ``slant ~ N(0, 0.2)``, ``width`` and ``height ~ 8 U(0.85,
    1.15)``, ``x`` and ``y ~ U(12.5, 15.5)``.

    Returns:
        The model. Its counterfactual, drawn by `render_morpho_digits`, is the true counterfactual
        image.

    Example:
        >>> scm = morpho_digits_scm()
        >>> answer = scm.counterfactual(
        ...     {"thickness": 2.5, "intensity": 159.5}, do={"thickness": 3.0}
        ... )
        >>> round(answer["intensity"].item(), 1)
        203.6
    """

    def morpho_digits() -> None:
        gamma = dist.Gamma(torch.tensor(10.0), torch.tensor(5.0))
        thickness = pyro.sample(
            "thickness", dist.TransformedDistribution(gamma, [AffineTransform(0.5, 1.0)])
        )
        brightness = dist.Normal(2.0 * (thickness - 2.5), 0.5)
        grey = [SigmoidTransform(), AffineTransform(64.0, 191.0)]
        pyro.sample("intensity", dist.TransformedDistribution(brightness, grey))
        pyro.sample("digit", dist.Categorical(torch.full((len(LINES),), 1 / len(LINES))))
        pyro.sample("slant", dist.Normal(0.0, 0.2))
        for name in ("width", "height"):
            pyro.sample(name, dist.Uniform(8 * 0.85, 8 * 1.15))
        for name in ("x", "y"):
            pyro.sample(name, dist.Uniform(12.5, 15.5))

    from pyrocausal.model import SCM

    return SCM(morpho_digits)


def render_morpho_digits(frame: pd.DataFrame | Mapping[str, Any]) -> Tensor:
    """Draw stroke digits at given values of their variables.

    A pixel at distance ``d`` from the line has the grey level ``intensity * clip(0.5 + thickness /
    2 - d, 0, 1)``, black being 0.

    Args:
        frame: A data frame or mapping with ``thickness``, ``intensity``, ``digit``, ``slant``,
            ``width``, ``height``, ``x`` and ``y``, one number a unit.

    Returns:
        Images in [-1, 1], shape ``(n, 1, 28, 28)``.

    Raises:
        ValueError: A column is missing or holds no finite numbers; a digit that isn't one; a
            negative thickness; an intensity beyond 0 to 255.

    Example:
        >>> _, table = morpho_digits(3)
        >>> thick = render_morpho_digits(table.assign(thickness=5.0))
        >>> thick.shape, bool(thick.mean() > render_morpho_digits(table).mean())
        (torch.Size([3, 1, 28, 28]), True)
    """
    thickness, intensity = read_columns(frame, MORPHO, "render_morpho_digits()")
    if not bool((thickness >= 0).all() and (intensity >= 0).all() and (intensity <= 255).all()):
        raise ValueError(
            f"render_morpho_digits() got thicknesses from {thickness.min().item():.4g} and "
            f"intensities from {intensity.min().item():.4g} to {intensity.max().item():.4g}; "
            "expected a thickness of 0 or more and an intensity from 0 to 255."
        )

    def draw(thickness: Tensor, intensity: Tensor, distance: Tensor) -> Tensor:
        grey = intensity[:, None] / 127.5 * stroke(thickness[:, None], distance)
        image: Tensor = (grey - 1).unflatten(-1, (1, SIDE, SIDE))
        return image.to(torch.get_default_dtype())

    return by_chunks(draw, thickness, intensity, distances(frame, "render_morpho_digits()"))


def measure_morpho_digits(
    images: Tensor, style: pd.DataFrame | Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """Read thickness and intensity back from images of stroke digits.

    With the style, each unit's own line is drawn at every thickness in steps of 0.05 pixels, at
    the intensity that fits best, and the best of all is taken. What even that leaves unexplained
    tells how much of the unit's identity an image has lost. Without, it is `measure_morphomnist`,
    which knows no line.

    Mean absolute error on true images, with the style: thickness 0.03 pixels, intensity 1 grey
    level.

    Args:
        images: In [-1, 1], shape ``(n, 1, 28, 28)``.
        style: The table of the units, from which ``digit``, ``slant``, ``width``, ``height``,
            ``x`` and ``y`` are read.

    Returns:
        A table of ``n`` rows with ``thickness`` and ``intensity`` and, with the style, ``residual``:
        root of the unexplained share of the image's square sum, 0 for a true one.

    Raises:
        TypeError: No tensor of floats.
        ValueError: Another shape or number of units, or values far outside [-1, 1].

    Example:
        >>> images, table = morpho_digits(4)
        >>> measured = measure_morpho_digits(images, table)
        >>> bool((measured["thickness"] - table["thickness"]).abs().max() < 0.1)
        True
    """
    import pandas as pd

    from pyrocausal.datasets.morphometry import measure_morphomnist

    if style is None:
        return measure_morphomnist(images)
    grey = (check_images(images, 1, "measure_morpho_digits()", SIDE).flatten(1) + 1) * 127.5
    distance = distances(style, "measure_morpho_digits()")
    if len(distance) != len(grey):
        raise ValueError(
            f"measure_morpho_digits() got {len(grey)} images and the style of {len(distance)}; "
            "expected one row for each image."
        )
    columns = by_chunks(fitted_stroke, grey, distance, chunk=32).unbind(-1)
    names = (*MORPHO, "residual")
    return pd.DataFrame({n: c.numpy() for n, c in zip(names, columns, strict=True)})


def fitted_stroke(grey: Tensor, distance: Tensor) -> Tensor:
    """Return thickness, intensity and relative residual of the best stroke on a known line.

    Args:
        grey: Grey levels, shape ``(units, pixels)``.
        distance: Of the pixels from each unit's line, of the same shape.

    Returns:
        Shape ``(units, 3)``.
    """
    first, last, step = THICKNESSES
    tried = torch.arange(first, last, step, dtype=grey.dtype)
    strokes = stroke(tried[:, None], distance[:, None])
    square = strokes.square().sum(-1).clamp_min(1e-9)
    product = (strokes @ grey[..., None]).squeeze(-1)
    explained = product.square() / square
    best = explained.argmax(-1, keepdim=True)
    # The top of the parabola through the best and its neighbours lies between the steps.
    middle = best.clamp(1, len(tried) - 2)
    left, top, right = (explained.gather(-1, middle + k) for k in (-1, 0, 1))
    curvature = (left - 2 * top + right).clamp_max(-1e-9)
    off = ((left - right) / (2 * curvature)).clamp(-1.0, 1.0)
    thickness = (tried[middle] + step * off).squeeze(-1)
    shape = stroke(thickness[:, None], distance)
    intensity = (shape * grey).sum(-1) / shape.square().sum(-1).clamp_min(1e-9)
    rest = grey - intensity[:, None] * shape
    total = torch.linalg.vector_norm(grey, dim=-1).clamp_min(1e-9)
    return torch.stack([thickness, intensity, torch.linalg.vector_norm(rest, dim=-1) / total], -1)


def stroke(thickness: Tensor, distance: Tensor) -> Tensor:
    """Return how much of a pixel at some distance from its line a stroke covers."""
    return (0.5 + thickness / 2 - distance).clamp(0.0, 1.0)


def distances(frame: pd.DataFrame | Mapping[str, Any], what: str) -> Tensor:
    """Return the distance of each pixel from each unit's line, shape ``(n, pixels)``."""
    digit, slant, width, height, x, y = read_columns(frame, STYLE, what)
    if not bool(((digit == digit.long()) & (digit >= 0) & (digit < len(LINES))).all()):
        raise ValueError(f"{what} got a digit that is none; expected whole numbers from 0 to 9.")
    points = pixel_centres(read_size(SIDE, what))

    def distance(
        digit: Tensor, slant: Tensor, width: Tensor, height: Tensor, x: Tensor, y: Tensor
    ) -> Tensor:
        across, down = lines()[digit.long()].unbind(-1)
        across = across - slant[:, None] * down
        corners = torch.stack(
            [x[:, None] + width[:, None] * across, y[:, None] + height[:, None] * down], -1
        )
        return segment_distance(points, corners[:, :-1], corners[:, 1:]).amin(1)

    return by_chunks(distance, digit, slant, width, height, x, y)


def pixel_centres(size: int) -> Tensor:
    """Return the pixels' centres, row by row, shape ``(size * size, 2)``."""
    steps = torch.arange(size, dtype=torch.float64) + 0.5
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], -1)


@cache
def lines() -> Tensor:
    """Return the corners of all digits, each line's last repeated up to the longest, on top."""
    longest = max(map(len, LINES))
    rows = [[*line, *[line[-1]] * (longest - len(line))] for line in LINES]
    return torch.tensor(rows, dtype=torch.float64)
