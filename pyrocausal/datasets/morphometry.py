"""Thickness and intensity of a stroke, measured on an image of which nothing else is known."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from pyrocausal.datasets.canvas import by_chunks, check_images

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["measure_morphomnist"]

FINER: Final = 4
"""How many pixels a pixel is split into, along each side, before a stroke is measured."""
WIDEST: Final = 32
"""The farthest from the border that is told apart, in fine pixels."""
CALIBRATION: Final = (0.27, 0.95)
"""Thickness that the images of Morpho-MNIST were drawn with, on the measured: intercept, slope."""


def measure_morphomnist(images: Tensor) -> pd.DataFrame:
    """Read thickness and intensity back from images of strokes, such as those of `morphomnist`.

    The intensity is the median of the pixels at or above half the maximum. The thickness is twice
    the mean distance of the stroke's medial axis from its border, where the image, four times as
    fine, crosses half that intensity; a straight line then takes it to the thickness that
    Morpho-MNIST's images are stated to have.

    Mean absolute error on true images: thickness 0.1 pixels, since an image is an erosion or
    dilation of a handwritten digit, and intensity 0.5 grey levels.

    Args:
        images: In [-1, 1], shape ``(n, 1, size, size)``.

    Returns:
        A table of ``n`` rows with ``thickness`` (pixels) and ``intensity`` (grey level); thickness
        0 and intensity 0 where all is black.

    Raises:
        TypeError: No tensor of floats.
        ValueError: Another shape, or values far outside [-1, 1].

    Example:
        >>> bar = torch.full((1, 1, 28, 28), -1.0)
        >>> bar[..., 5:23, 12:15] = 0.0
        >>> measure_morphomnist(bar).round(1).to_dict("records")
        [{'thickness': 2.9, 'intensity': 127.5}]

    References:
        Castro et al. (2019), "Morpho-MNIST".
    """
    import pandas as pd

    grey = (check_images(images, 1, "measure_morphomnist()") + 1).clamp_min(0.0) * 127.5
    thickness, intensity = by_chunks(measured_stroke, grey, chunk=64).unbind(-1)
    return pd.DataFrame({"thickness": thickness.numpy(), "intensity": intensity.numpy()})


def measured_stroke(grey: Tensor) -> Tensor:
    """Return thickness and intensity of each image, shape ``(units, 2)``."""
    pixels = grey.flatten(1)
    bright = pixels.where(pixels >= pixels.amax(1, keepdim=True) / 2, torch.nan)
    intensity = bright.nanquantile(0.5, dim=1)
    fine = interpolate(grey, scale_factor=FINER, mode="bicubic").squeeze(1)
    inside = (fine >= intensity[:, None, None] / 2) & (intensity > 0)[:, None, None]
    distance = distance_to_border(inside)
    axis = medial_axis(distance, inside)
    mean = (distance * axis).sum((-2, -1)) / axis.sum((-2, -1)).clamp_min(1)
    intercept, slope = CALIBRATION
    thickness = (intercept + slope * 2 * mean / FINER) * (intensity > 0)
    return torch.stack([thickness, intensity], -1)


def distance_to_border(inside: Tensor) -> Tensor:
    """Return the distance of each pixel inside from the border, 0 outside, in pixels.

    First along each column, to the next pixel outside; then along each row the least of the
    hypotenuses, as distances up to ``WIDEST`` away.

    Args:
        inside: Shape ``(units, height, width)``.
    """
    row = torch.arange(float(inside.shape[-2]), device=inside.device)[:, None].expand(inside.shape)
    above = row.where(~inside, -torch.inf).cummax(-2).values
    below = row.where(~inside, torch.inf).flip(-2).cummin(-2).values.flip(-2)
    column = torch.minimum(row - above, below - row).clamp_max(WIDEST).square()
    padded = pad(column, (WIDEST, WIDEST), value=float(WIDEST**2))
    width = inside.shape[-1]
    square = column
    for step in range(-WIDEST, WIDEST + 1):
        shifted = padded[..., WIDEST + step : WIDEST + step + width]
        square = torch.minimum(square, shifted + step * step)
    # Distances are to the middle of a pixel outside, half a pixel beyond the border.
    return (square.sqrt() - 0.5).clamp_min(0.0)


def medial_axis(distance: Tensor, inside: Tensor) -> Tensor:
    """Return where the distance from the border does not rise, at half speed, to any side."""
    height, width = distance.shape[-2:]
    padded, axis = pad(distance, (1, 1, 1, 1)), inside
    for down, right in product((0, 1, 2), repeat=2):
        away = ((down - 1) ** 2 + (right - 1) ** 2) ** 0.5
        if away:
            neighbour = padded[..., down : down + height, right : right + width]
            axis = axis & (neighbour - distance < 0.5 * away)
    return axis
