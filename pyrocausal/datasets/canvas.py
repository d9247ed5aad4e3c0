"""Drawing shapes on a grid of pixels, for images whose causes are known exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "box_distance",
    "by_chunks",
    "check_images",
    "read_columns",
    "read_size",
    "sampled",
    "segment_distance",
]


def read_columns(values: Any, names: Sequence[str], what: str) -> list[Tensor]:
    """Return columns of a table as float64 tensors of one length.

    Args:
        values: A data frame, or a mapping from name to numbers, one for each unit.
        names: The columns that are wanted.
        what: Who asks, for the message.

    Raises:
        ValueError: A column is missing, holds a value that is no finite number, or is of another
            length.

    Example:
        >>> read_columns({"a": [1, 2], "b": torch.zeros(2)}, ["a"], "draw()")
        [tensor([1., 2.], dtype=torch.float64)]
    """
    missing = [name for name in names if name not in values]
    if missing:
        raise ValueError(
            f"{what} got no column {missing}; expected {list(names)}, one number for each unit."
        )
    columns = [torch.as_tensor(_array(values[name]), dtype=torch.float64) for name in names]
    for name, column in zip(names, columns, strict=True):
        if column.dim() != 1 or len(column) != len(columns[0]):
            raise ValueError(
                f"{what} got {name!r} of shape {tuple(column.shape)}; expected one number for each "
                f"unit, as in {names[0]!r} of shape {tuple(columns[0].shape)}."
            )
        if not bool(column.isfinite().all()):
            raise ValueError(
                f"{what} got a value of {name!r} that is no finite number. Drop the row, or fill "
                "the value in."
            )
    return columns


def _array(column: Any) -> Any:
    return column.detach().cpu() if isinstance(column, Tensor) else list(column)


def read_size(size: Any, what: str, least: int = 16) -> int:
    """Return the side of an image, checked.

    Raises:
        ValueError: No whole number, or too small to show the parts.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < least:
        raise ValueError(
            f"{what} got size={size!r}; expected a whole number of pixels, at least {least}."
        )
    return size


def check_images(images: Any, channels: int, what: str, size: int | None = None) -> Tensor:
    """Return images as float64, shape ``(n, channels, size, size)``, in [-1, 1].

    Raises:
        TypeError: No tensor of floating-point numbers.
        ValueError: Another shape, or values far outside [-1, 1].
    """
    if not isinstance(images, Tensor) or not images.is_floating_point():
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(
            f"{what} got images of type {kind}; expected a tensor of floats in [-1, 1]."
        )
    side = size or images.shape[-1]
    if images.dim() != 4 or images.shape[1:] != (channels, side, side):
        expected = "size, size" if size is None else f"{size}, {size}"
        raise ValueError(
            f"{what} got images of shape {tuple(images.shape)}; expected (n, {channels}, "
            f"{expected}). Flatten further leading dimensions."
        )
    # A model may overshoot a little; grey levels 0 to 255, or 0 to 1, are a mistake.
    if images.numel() and not bool(images.abs().amax() <= 4):
        raise ValueError(
            f"{what} got values from {images.min().item():.3g} to {images.max().item():.3g}; "
            "expected images in [-1, 1], black to white: grey / 127.5 - 1."
        )
    return images.detach().cpu().double()


def by_chunks(function: Callable[..., Tensor], *columns: Tensor, chunk: int = 256) -> Tensor:
    """Apply a function of the units to some units at a time, so that its memory stays small."""
    pieces = zip(*(column.split(chunk) for column in columns), strict=True)
    return torch.cat([function(*piece) for piece in pieces])


def segment_distance(points: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Return the distance of points from line segments.

    Args:
        points: Shape ``(pixels, 2)``.
        start: One end of each unit's segment, shape ``(*units, 2)``.
        end: The other, of the same shape; where it is ``start``, the segment is a point.

    Returns:
        Shape ``(*units, pixels)``.

    Example:
        >>> points = torch.tensor([[0.5, 2.0], [4.0, 4.0]])
        >>> segment_distance(points, torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))
        tensor([[2., 5.]])
    """
    way = (end - start).unsqueeze(-2)
    from_start = points - start.unsqueeze(-2)
    square = (way * way).sum(-1).clamp_min(torch.finfo(way.dtype).tiny)
    along = ((from_start * way).sum(-1) / square).clamp(0.0, 1.0)
    distance: Tensor = torch.linalg.vector_norm(from_start - along.unsqueeze(-1) * way, dim=-1)
    return distance


def box_distance(points: Tensor, centre: Tensor, half: Tensor) -> Tensor:
    """Return the signed distance of points from boxes, negative inside.

    Args:
        points: Shape ``(pixels, 2)``.
        centre: Shape ``(units, 2)``.
        half: Half the sides, shape ``(units, 2)``.

    Returns:
        Shape ``(units, pixels)``.
    """
    beyond = (points - centre.unsqueeze(-2)).abs() - half.unsqueeze(-2)
    outside: Tensor = torch.linalg.vector_norm(beyond.clamp_min(0.0), dim=-1)
    inside: Tensor = beyond.amax(-1).clamp_max(0.0)
    return outside + inside


def sampled(scm: Any, n: Any, seed: Any, what: str) -> Any:
    """Return ``n`` units of a true model as a data frame, a function of the seed alone.

    Raises:
        ValueError: ``n`` is no positive whole number.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"{what} got n={n!r}; expected a positive whole number of units.")
    return scm.sample(n, seed=seed).to_frame().reset_index(drop=True)
