"""A pendulum, a lamp and the shadow: images drawn from four variables by closed-form equations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from pyrocausal.datasets.canvas import (
    box_distance,
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

__all__ = ["PENDULUM", "measure_pendulum", "pendulum", "pendulum_scm", "render_pendulum"]

PENDULUM: Final = ("angle", "light", "length", "position")
"""The variables, causes first."""

ANGLES: Final = (-40 * math.pi / 200, 44 * math.pi / 200)
LIGHTS: Final = (60 * math.pi / 200, 148 * math.pi / 200)
SHORTEST: Final = 3.0
"""The shadow's least length."""

# The scene, in its own units: x from 0 to 20, y from -1 (bottom) to 21.
WIDTH, BOTTOM, TOP = 20.0, -1.0, 21.0
PIVOT: Final = (10.0, 10.5)
ROD, BALL, LAMP = 8.0, 1.5, 3.0
THIN: Final = 0.55
"""Half the thickness of the rod and of the shadow."""
GROUND: Final = -0.5
COLOURS: Final = {
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "ball": (178, 34, 34),
    "light": (255, 165, 0),
}


def pendulum(n: int, size: int = 32, seed: int = 0) -> tuple[Tensor, pd.DataFrame]:
    """Return images of a pendulum, a lamp and the shadow, with the four variables behind each.

    The equations are those of `pendulum_scm`; `render_pendulum` draws.

    Args:
        n: Number of images.
        size: Side of an image, pixels.
        seed: One seed is one data set.

    Returns:
        Images in [-1, 1], shape ``(n, 3, size, size)``, and a table of ``n`` rows with the columns
        ``angle`` and ``light`` (radians), ``length`` and ``position`` (of the shadow; the scene is
        20 wide).

    Raises:
        ValueError: No positive number of images, or a size below 16.

    Example:
        >>> images, table = pendulum(5)
        >>> images.shape, list(table.columns)
        (torch.Size([5, 3, 32, 32]), ['angle', 'light', 'length', 'position'])

    References:
        Yang et al. (2021), "CausalVAE": the scene, drawn here anew and so not byte by byte.
    """
    read_size(size, "pendulum()")
    table = sampled(pendulum_scm(), n, seed, "pendulum()")
    return render_pendulum(table, size), table


def pendulum_scm(noise: float = 0.0) -> SCM:
    """Return the true model of the pendulum's four variables.

    With ``angle ~ U(-40, 44) pi/200`` and ``light ~ U(60, 148) pi/200``::

        length   = max(3, 9.5 |cos(angle - light)| / sin(light) + noise * Normal(0, 1))
        position = 10 - 11 cot(light) + 4.75 cos(angle - light) / sin(light)

    Args:
        noise: Standard deviation of what is added to the length; with none the shadow is a
            function of its causes.

    Returns:
        The model. Its counterfactual, drawn by `render_pendulum`, is the true counterfactual image.

    Raises:
        ValueError: A negative number.

    Example:
        >>> scm = pendulum_scm()
        >>> scm.graph
        CausalGraph(angle -> length, position; light -> length, position)
        >>> answer = scm.counterfactual({"angle": 0.1, "light": 1.0}, do={"angle": 0.5})
        >>> round(answer["length"].item(), 3)
        9.908
    """
    if not noise >= 0 or math.isinf(noise):
        raise ValueError(f"pendulum_scm() got noise={noise}; expected a number of 0 or more.")

    def pendulum() -> None:
        angle = pyro.sample("angle", dist.Uniform(*ANGLES))
        light = pyro.sample("light", dist.Uniform(*LIGHTS))
        sine, cosine = light.sin(), (angle - light).cos()
        length = 9.5 * cosine.abs() / sine
        if noise > 0:
            length = pyro.sample("unclipped", dist.Normal(length, noise))
        pyro.deterministic("length", length.clamp_min(SHORTEST))
        pyro.deterministic("position", 10 - 11 * light.cos() / sine + 4.75 * cosine / sine)

    from pyrocausal.model import SCM

    return SCM(pendulum)


def render_pendulum(frame: pd.DataFrame | Mapping[str, Any], size: int = 32) -> Tensor:
    """Draw the pendulum at given values of its four variables.

    Length and position of the shadow are taken as given, whatever casts it: so the outcome of any
    intervention can be drawn. What leaves the scene is cut off.

    Args:
        frame: A data frame or mapping with ``angle``, ``light``, ``length`` and ``position``, one
            number a unit.
        size: Side of an image, pixels.

    Returns:
        Images in [-1, 1], red, green and blue, shape ``(n, 3, size, size)``.

    Raises:
        ValueError: A column is missing or holds no finite numbers; a size below 16.

    Example:
        >>> night = {"angle": [0.0], "light": [1.5], "length": [4.0], "position": [10.0]}
        >>> render_pendulum(night).shape
        torch.Size([1, 3, 32, 32])
    """
    size = read_size(size, "render_pendulum()")
    columns = read_columns(frame, PENDULUM, "render_pendulum()")
    points, pixel = pixel_centres(size), (TOP - BOTTOM) / size

    def draw(angle: Tensor, light: Tensor, length: Tensor, position: Tensor) -> Tensor:
        centre = torch.tensor(PIVOT, dtype=points.dtype)
        ball = centre + ROD * torch.stack([angle.sin(), -angle.cos()], -1)
        lamp = torch.stack([10 + 10 / light.tan(), torch.full_like(light, 20.5)], -1)
        shadow = torch.stack([position, torch.full_like(position, GROUND)], -1)
        half = torch.stack([length / 2, torch.full_like(length, THIN)], -1)
        rod = segment_distance(points, centre.expand_as(ball), ball) - THIN
        image: Tensor = colour("white")[:, None]
        for distance, name in (
            (rod, "black"),
            (disc_distance(points, ball, BALL), "ball"),
            (disc_distance(points, lamp, LAMP), "light"),
            (box_distance(points, shadow, half), "black"),
        ):
            alpha = (0.5 - distance / pixel).clamp(0.0, 1.0)[:, None]
            image = image + alpha * (colour(name)[:, None] - image)
        return image.reshape(-1, 3, size, size).to(torch.get_default_dtype())

    return by_chunks(draw, *columns)


def measure_pendulum(images: Tensor) -> pd.DataFrame:
    """Read the four variables back from images of the pendulum.

    The four colours of the scene are affinely independent, so each pixel tells how much of it each
    colour covers. The angle is the direction of the ball's centroid; the light comes from the
    lamp's centroid through a table of drawn lamps; the length is the shadow's mass, the position
    its centroid.

    Mean absolute error on true images of 32 pixels: angle and light below 0.1 degrees, length 0.15,
    position 0.05. A shadow that leaves the scene is measured as far as it shows.

    Args:
        images: In [-1, 1], shape ``(n, 3, size, size)``.

    Returns:
        A table of ``n`` rows with ``angle``, ``light``, ``length`` and ``position``; NaN where the
        part is not in the image.

    Raises:
        TypeError: No tensor of floats.
        ValueError: Another shape, or values far outside [-1, 1].

    Example:
        >>> scene = {"angle": [0.3], "light": [1.2], "length": [7.0], "position": [9.0]}
        >>> measure_pendulum(render_pendulum(scene)).round(1).to_dict("records")
        [{'angle': 0.3, 'light': 1.2, 'length': 7.0, 'position': 9.0}]
    """
    import pandas as pd

    images = check_images(images, 3, "measure_pendulum()")
    size = images.shape[-1]
    points = pixel_centres(size)
    _, black, ball, light = coverage(images)
    ball_x, ball_y = centroid(ball, points)
    shadow = black * (points[:, 1] < GROUND + 2 * THIN)
    position, _ = centroid(shadow, points)
    lamps, lights = lamp_table(size)
    columns = (
        torch.atan2(ball_x - PIVOT[0], PIVOT[1] - ball_y),
        interpolated(centroid(light, points)[0], lamps, lights),
        shadow.sum(-1) / shadow_mass(size),
        position,
    )
    return pd.DataFrame({n: c.numpy() for n, c in zip(PENDULUM, columns, strict=True)})


def pixel_centres(size: int) -> Tensor:
    """Return the pixels' centres in the scene's units, row by row, shape ``(size * size, 2)``."""
    steps = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    y, x = torch.meshgrid(TOP - (TOP - BOTTOM) * steps, WIDTH * steps, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], -1)


def disc_distance(points: Tensor, centre: Tensor, radius: float) -> Tensor:
    """Return the signed distance of points from discs, shape ``(units, pixels)``."""
    distance: Tensor = torch.linalg.vector_norm(points - centre.unsqueeze(-2), dim=-1)
    return distance - radius


def colour(name: str) -> Tensor:
    """Return a colour of the scene in [-1, 1], shape ``(3,)``."""
    return torch.tensor(COLOURS[name], dtype=torch.float64) / 127.5 - 1


def coverage(images: Tensor) -> tuple[Tensor, ...]:
    """Return the share of each pixel that each colour covers, ``(n, pixels)`` for each colour."""
    rows = torch.stack([colour(name) for name in COLOURS])
    solve = torch.linalg.inv(torch.cat([rows, torch.ones(len(COLOURS), 1).double()], -1))
    pixels = images.flatten(2).movedim(1, -1)
    shares = torch.cat([pixels, torch.ones_like(pixels[..., :1])], -1) @ solve
    return tuple(shares.clamp_min(0.0).movedim(-1, 0))


def centroid(mass: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return the centre of mass, x and y of each unit; NaN where less than half a pixel is there."""
    total = mass.sum(-1, keepdim=True)
    x, y = (mass @ points / total.where(total >= 0.5, torch.nan)).unbind(-1)
    return x, y


@cache
def lamp_table(size: int) -> tuple[Tensor, Tensor]:
    """Return 400 angles of the light and where the lamp's centroid is seen, in rising order of it."""
    light = torch.linspace(48 * math.pi / 200, 152 * math.pi / 200, 400).double().flip(0)
    still = torch.full_like(light, 10.0)
    scenes = {"angle": still * 0, "light": light, "length": still, "position": still}
    images = check_images(render_pendulum(scenes, size), 3, "lamp_table()")
    return centroid(coverage(images)[3], pixel_centres(size))[0].contiguous(), light


@cache
def shadow_mass(size: int) -> float:
    """Return how many pixels a shadow of length 1 covers, on average over where it lies."""
    position = 10 + torch.linspace(-1, 1, 41, dtype=torch.float64)
    still = torch.ones_like(position)
    scenes = {"angle": 0 * still, "light": 1.5 * still, "length": 8 * still, "position": position}
    black = coverage(check_images(render_pendulum(scenes, size), 3, "shadow_mass()"))[1]
    return float((black * (pixel_centres(size)[:, 1] < GROUND + 2 * THIN)).sum(-1).mean()) / 8


def interpolated(x: Tensor, grid: Tensor, values: Tensor) -> Tensor:
    """Return the value at ``x`` of a function given on a rising grid; its ends' beyond them."""
    right = torch.searchsorted(grid, x.nan_to_num().contiguous()).clamp(1, len(grid) - 1)
    share = (x - grid[right - 1]) / (grid[right] - grid[right - 1])
    return torch.lerp(values[right - 1], values[right], share.clamp(0.0, 1.0))
