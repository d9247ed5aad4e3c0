"""One vector from the features of all variables, of which some are known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import final

import torch
from torch import Tensor, nn

from pyrocausal.guides.spaces import Space

__all__ = ["Embedding", "ImageEncoder"]

IMAGE = 32  # features that an image becomes


@final
class ImageEncoder(nn.Module):
    """A small convolutional network, from an image to a vector.

    Args:
        shape: Channels, height and width.
        width: Length of the vector.

    Example:
        >>> ImageEncoder((1, 8, 8), 32)(torch.zeros(5, 64)).shape
        torch.Size([5, 32])
    """

    def __init__(self, shape: tuple[int, int, int], width: int = IMAGE) -> None:
        super().__init__()
        self.shape = shape
        channels, height, across = shape
        coarse = 32 * -(-height // 4) * -(-across // 4)
        self.network = nn.Sequential(
            nn.Conv2d(channels, 16, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(coarse, width),
        )

    def forward(self, flat: Tensor) -> Tensor:
        """Return the vectors of flattened images, shape ``(*batch, width)``."""
        batch = flat.shape[:-1]
        encoded: Tensor = self.network(flat.reshape(-1, *self.shape))
        return encoded.reshape(*batch, -1)


@final
class Embedding(nn.Module):
    """The features of all variables side by side, zero where a variable is not known.

    Args:
        spaces: The variables' spaces.

    Attributes:
        widths: How many features each variable has here.
        slices: Where the features of each variable stand in what goes in.
    """

    def __init__(self, spaces: Sequence[Space]) -> None:
        super().__init__()
        ends = [0, *accumulate(space.width for space in spaces)]
        self.slices = [slice(a, b) for a, b in pairwise(ends)]
        self.widths = [space.width if space.image is None else IMAGE for space in spaces]
        self.images = nn.ModuleDict(
            {str(i): ImageEncoder(s.image) for i, s in enumerate(spaces) if s.image is not None}
        )
        self.site: Tensor
        sites = [number for number, width in enumerate(self.widths) for _ in range(width)]
        self.register_buffer("site", torch.tensor(sites), persistent=False)

    def forward(self, features: Tensor, known: Tensor) -> Tensor:
        """Return the embedding, shape ``(*batch, sum(widths))``.

        Args:
            features: Features of all variables, ``(*batch, sum of their widths)``; finite.
            known: 1 where a variable is known, else 0, shape ``(*batch, variables)``.
        """
        if self.images:
            parts = [features[..., where] for where in self.slices]
            for number, encoder in self.images.items():
                parts[int(number)] = encoder(parts[int(number)])
            features = torch.cat(parts, -1)
        return features * known[..., self.site]
