"""A small U-Net: the network that a diffusion model denoises images with."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Final, final

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

__all__ = ["UNet"]

GROUPS: Final = 8
"""Groups of channels that are normed together."""
HEADS: Final = 4
SKETCH: Final = 8
"""Channels that the condition draws."""
SINUSOIDS: Final = 64
TIMES: Final = 1000.0
"""What a time in [0, 1] is multiplied with before its sinusoids."""


@final
class UNet(nn.Module):
    """``net(x_t, t, z)``: residual blocks at halving resolutions, attention at the lowest.

    Pixels are folded into channels first, beside the place of each and a sketch that a dense layer
    draws from the condition alone. Time and condition enter every block as scale and shift. The
    last layer starts at zero.

    Args:
        image_shape: Channels, height and width; both divisible by ``fold`` and by 2 for each
            further width.
        condition: Length of the condition ``z``.
        widths: Channels at each resolution; multiples of 8, the last of 32.
        blocks: Residual blocks at each resolution, on the way down and on the way up.
        embedding: Length of the vector that time and condition become.
        fold: Side of the square of pixels that is folded into channels.

    Raises:
        ValueError: An image that can't be halved as often as that.

    Example:
        >>> net = UNet((1, 8, 8), condition=2, widths=(8, 32))
        >>> net(torch.zeros(5, 1, 8, 8), torch.rand(5), torch.zeros(5, 2)).shape
        torch.Size([5, 1, 8, 8])

    References:
        Ronneberger, Fischer, Brox (2015), U-Net; Ho, Jain, Abbeel (2020), Denoising diffusion
        probabilistic models.
    """

    places: Tensor

    def __init__(
        self,
        image_shape: Sequence[int],
        condition: int,
        *,
        widths: Sequence[int] = (32, 64),
        blocks: int = 1,
        embedding: int = 128,
        fold: int = 2,
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        least = fold * 2 ** (len(widths) - 1)
        if height % least or width % least:
            raise ValueError(
                f"UNet got images of {height} x {width} pixels, widths={tuple(widths)} and "
                f"fold={fold}; expected sides divisible by {least}. Pad or crop the images, or "
                "give fewer widths."
            )
        self.fold = nn.PixelUnshuffle(fold)
        self.unfold = nn.PixelShuffle(fold)
        folded = channels * fold**2
        self.time = _perceptron(SINUSOIDS, embedding)
        self.condition = _perceptron(condition, embedding)
        sides = height // fold, width // fold
        self.register_buffer("places", _places(*sides), persistent=False)
        self.sketch = nn.Sequential(
            nn.SiLU(),
            nn.Linear(embedding, SKETCH * sides[0] * sides[1]),
            nn.Unflatten(1, (SKETCH, *sides)),
        )
        self.first = nn.Conv2d(folded + 2 + SKETCH, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, last = [], widths[0]
        for level, size in enumerate(widths):
            if level:
                self.down.append(nn.Conv2d(last, last, 3, stride=2, padding=1))
            for _ in range(blocks):
                self.down.append(Block(last, size, embedding))
                last = size
                skips.append(last)
        self.middle = nn.ModuleList(
            [Block(last, last, embedding), Attention(last), Block(last, last, embedding)]
        )
        for level, size in reversed(list(enumerate(widths))):
            for _ in range(blocks):
                self.up.append(Block(last + skips.pop(), size, embedding))
                last = size
            if level:
                self.up.append(nn.Upsample(scale_factor=2.0, mode="nearest"))
        self.norm = nn.GroupNorm(GROUPS, last)
        self.last = _zero(nn.Conv2d(last, folded, 3, padding=1))

    def forward(self, x: Tensor, t: Tensor, z: Tensor) -> Tensor:
        """Return the network's output, of the shape of ``x``.

        Args:
            x: Noisy images, shape ``(rows, C, H, W)``.
            t: Times in [0, 1], shape ``(rows,)``.
            z: Conditions, shape ``(rows, condition)``.
        """
        c = self.condition(z)
        e = silu(self.time(_sinusoids(t)) + c)
        places = self.places.expand(len(x), -1, -1, -1)
        h = self.first(torch.cat([self.fold(x), places, self.sketch(c)], 1))
        skips = []
        for layer in self.down:
            if isinstance(layer, Block):
                h = layer(h, e)
                skips.append(h)
            else:
                h = layer(h)
        for layer in self.middle:
            h = layer(h, e) if isinstance(layer, Block) else layer(h)
        for layer in self.up:
            h = layer(torch.cat([h, skips.pop()], 1), e) if isinstance(layer, Block) else layer(h)
        return self.unfold(self.last(silu(self.norm(h))))  # type: ignore[no-any-return]


@final
class Block(nn.Module):
    """A residual block, ``x + conv(silu(norm(conv(silu(norm(x)))) * (1 + scale) + shift))``.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        embedding: Length of the vector that gives scale and shift.
    """

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.norm, self.second_norm = (nn.GroupNorm(GROUPS, n) for n in (inputs, outputs))
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = _zero(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.affine = nn.Linear(embedding, 2 * outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        """Return features, ``(rows, outputs, height, width)``."""
        scale, shift = self.affine(e)[..., None, None].chunk(2, 1)
        h = self.second_norm(self.conv(silu(self.norm(x)))) * (1 + scale) + shift
        return self.skip(x) + self.second(silu(h))  # type: ignore[no-any-return]


@final
class Attention(nn.Module):
    """Self-attention among all places, residual.

    Args:
        channels: Channels of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.query = nn.Conv2d(channels, 3 * channels, 1)
        self.mix = _zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the shape of ``x``."""
        parts = self.query(self.norm(x)).flatten(2).unflatten(1, (3, HEADS, -1))
        query, key, value = parts.mT.unbind(1)
        seen = scaled_dot_product_attention(query, key, value)
        return x + self.mix(seen.mT.reshape(x.shape))  # type: ignore[no-any-return]


def _perceptron(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.SiLU(), nn.Linear(outputs, outputs))


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _sinusoids(t: Tensor) -> Tensor:
    steps = torch.arange(SINUSOIDS // 2, device=t.device, dtype=t.dtype)
    angle = TIMES * t[:, None] * torch.exp(-log(10_000.0) * steps / (SINUSOIDS // 2))
    return torch.cat([angle.sin(), angle.cos()], -1)


def _places(height: int, width: int) -> Tensor:
    sides = torch.linspace(-1.0, 1.0, height), torch.linspace(-1.0, 1.0, width)
    return torch.stack(torch.meshgrid(*sides, indexing="ij"))[None]
