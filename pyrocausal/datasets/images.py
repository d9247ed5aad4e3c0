"""Morpho-MNIST: images whose causes, thickness and brightness of the stroke, are known."""

from __future__ import annotations

import gzip
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, final

import torch

from pyrocausal.datasets.files import Source, read_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MorphoMNIST", "morphomnist", "morphomnist_attributes"]

MORPHOMNIST: Final = Source(
    "morphomnist",
    "The files are in the folder assets/data/morphomnist of the GitHub project "
    "biomedia-mira/deepscm (train-morpho.csv compressed here).",
)

UNSIGNED_BYTE: Final = 0x08
"""The code of the one type of numbers that MNIST files hold."""

ROWS: Final = {"train": slice(0, 8000), "test": slice(8000, 10000)}


@final
@dataclass(frozen=True)
class MorphoMNIST:
    """Images and the attributes they were drawn with, in the same order.

    Args:
        images: Grey levels 0 to 255, unsigned bytes, shape ``(n, 28, 28)``.
        attributes: A table of ``n`` rows with the columns ``thickness`` (of the stroke, pixels),
            ``intensity`` (of the stroke, grey level) and ``digit`` (0 to 9).

    Example:
        >>> tuple(pc.datasets.morphomnist("test").images.shape[1:])
        (28, 28)
    """

    images: torch.Tensor
    attributes: pd.DataFrame

    @property
    def scaled(self) -> torch.Tensor:
        """The images in [-1, 1], black to white, shape ``(n, 1, 28, 28)``, as models take them."""
        return self.images.to(torch.get_default_dtype()).unsqueeze(1) / 127.5 - 1


def morphomnist(
    split: Literal["train", "test"] = "train", folder: str | Path | None = None
) -> MorphoMNIST:
    """Return MNIST digits redrawn with a sampled thickness and intensity of the stroke.

    The true model, with a digit that depends on neither::

        thickness = 0.5 + Gamma(shape 10, rate 5)
        intensity = 64 + 191 * sigmoid(2 * (thickness - 2.5) + 0.5 * Normal(0, 1))
        image     = draw(digit, thickness, intensity)

    The intensity measured on an image is the median of its pixels at or above half its maximum; it
    is within 0.51 of the sampled one on average. Both splits come from the 10000 images of the
    MNIST test set.

    Reference figures, all images: thickness 2.506 with standard deviation 0.633, intensity 158.53
    with 48.51, correlation 0.908.

    Args:
        split: ``"train"``, the first 8000 images, or ``"test"``, the last 2000.
        folder: The folder that holds ``morphomnist/``; by default ``PYROCAUSAL_DATA``.

    Returns:
        Images and attributes.

    Raises:
        FileNotFoundError: If a file isn't there.
        ValueError: If there is no such split.

    Example:
        >>> test = morphomnist("test")
        >>> test.images.shape
        torch.Size([2000, 28, 28])
        >>> print(f"{test.attributes['thickness'].mean():.1f} pixels")
        2.5 pixels

    References:
        Castro et al. (2019), "Morpho-MNIST"; Pawlowski, Castro and Glocker (2020), "Deep
        structural causal models for tractable counterfactual inference". MIT.
    """
    if split not in ROWS:
        raise ValueError(f"There is no split {split!r}; the splits are {list(ROWS)}.")
    images = read_idx(MORPHOMNIST.file("t10k-images-idx3-ubyte.gz", folder))
    attributes = read_attributes("t10k", "t10k-morpho.csv", folder)
    rows = ROWS[split]
    return MorphoMNIST(images[rows], attributes.iloc[rows].reset_index(drop=True))


def morphomnist_attributes(folder: str | Path | None = None) -> pd.DataFrame:
    """Return the attributes, without the images, of the 60000 digits of the MNIST training set.

    Reference figures: thickness 2.503 with standard deviation 0.632, intensity 158.02 with 48.38,
    correlation 0.908.

    Args:
        folder: The folder that holds ``morphomnist/``; by default ``PYROCAUSAL_DATA``.

    Returns:
        A table of 60000 rows with the columns ``thickness``, ``intensity`` and ``digit``.

    Raises:
        FileNotFoundError: If a file isn't there.

    Example:
        >>> print(f"{morphomnist_attributes()['intensity'].mean():.2f}")
        158.02

    References:
        As in `morphomnist`.
    """
    return read_attributes("train", "train-morpho.csv.gz", folder)


def read_attributes(prefix: str, table: str, folder: str | Path | None) -> pd.DataFrame:
    """Return thickness, intensity and digit of one of the two sets of MNIST."""
    path = MORPHOMNIST.file(table, folder)
    attributes = read_table(path, ["thickness", "intensity"], index_col="index")
    digits = read_idx(MORPHOMNIST.file(f"{prefix}-labels-idx1-ubyte.gz", folder))
    return attributes.assign(digit=digits.numpy())


def read_idx(path: Path) -> torch.Tensor:
    """Return the array of an idx file: two zeros, type, number of sizes, sizes, then the bytes."""
    with gzip.open(path) as stream:
        content = bytearray(stream.read())
    zeros, kind, dims = struct.unpack_from(">HBB", content)
    if zeros or kind != UNSIGNED_BYTE:
        raise ValueError(
            f"{path} is no idx file of unsigned bytes: it begins with {content[:4]!r}."
        )
    shape = struct.unpack_from(f">{dims}I", content, offset=4)
    data = torch.frombuffer(content, dtype=torch.uint8, offset=4 + 4 * dims)
    if len(data) != math.prod(shape):
        raise ValueError(f"{path} holds {len(data)} bytes where its head announces shape {shape}.")
    return data.reshape(shape)
