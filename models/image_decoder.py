"""An image as a variable: a decoder of its causes and of a latent code, with normal pixel noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, final

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, silu

from pyrocausal.guides.image_encoder import ImageEncoder
from pyrocausal.mechanisms import Mechanism, Parent, ParentEncoder
from pyrocausal.mechanisms.base import Distribution
from pyrocausal.mechanisms.recipes import recorded

__all__ = ["CodeGuide", "ImageDecoder", "encoder_of"]

LEAST_NOISE: Final = 0.02
"""The pixels' least noise: images of whole grey levels have a step of 0.008, and dark ones none."""


@recorded
@final
class ImageDecoder(Mechanism):
    r"""``x = mu(z, pa) + \sigma u``, ``u ~ Normal(0, I)``: the code and the causes draw an image.

    The deviation is one learned number; so the noise of a pixel is known exactly once ``z`` is,
    and goes over to a counterfactual image as it is.

    Args:
        parents: What each cause is.
        latent: Length of the code.
        image_shape: Channels, height and width.
        channels: Channels of the feature maps, coarsest first, each twice as fine as the one
            before and the image twice as fine as the last.
        hidden: Width of the layer between the causes and the coarsest map.

    Example:
        >>> from pyrocausal.mechanisms import Parent
        >>> decoder = ImageDecoder([Parent.continuous()], 4, (1, 8, 8), channels=(8,))
        >>> decoder(torch.zeros(5, 4), torch.zeros(5)).sample().shape
        torch.Size([5, 1, 8, 8])
    """

    def __init__(
        self,
        parents: Sequence[Any],
        latent: int,
        image_shape: Sequence[int],
        channels: Sequence[int] = (32, 32),
        hidden: int = 128,
    ) -> None:
        super().__init__()
        self.image_shape, self.latent = tuple(image_shape), latent
        self.channels, self.hidden = tuple(channels), hidden
        height, width = (-(-side // 2 ** len(channels)) for side in self.image_shape[1:])
        self.coarse = (channels[0], height, width)
        self.encoder = ParentEncoder(parents)
        self.dense = nn.Sequential(
            nn.Linear(latent + self.encoder.width, hidden),
            nn.SiLU(),
            nn.Linear(hidden, channels[0] * height * width),
        )
        self.finer = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 3, padding=1) for inputs, outputs in pairwise(channels)
        )
        # The last doubling is one of channels into pixels: at the full size nothing is computed.
        self.last = nn.Sequential(
            nn.Conv2d(channels[-1], 4 * self.image_shape[0], 3, padding=1), nn.PixelShuffle(2)
        )
        self.log_noise = nn.Parameter(torch.tensor(-1.0))

    @property
    def parents(self) -> tuple[Parent, ...]:
        """What each cause is."""
        return tuple(self.encoder.parents)

    @property
    def noise(self) -> Tensor:
        """Standard deviation of the pixels' noise."""
        return self.log_noise.exp() + LEAST_NOISE

    def mean(self, z: Tensor, *causes: Tensor) -> Tensor:
        """Return the image without noise, shape ``(*batch, C, H, W)``.

        Args:
            z: The code, shape ``(*batch, latent)``.
            causes: Their values, each ``(*batch,)``.
        """
        features = self.encoder(*causes)
        batch = torch.broadcast_shapes(z.shape[:-1], features.shape[:-1])
        inputs = torch.cat([z.expand(*batch, -1), features.expand(*batch, -1)], -1)
        maps = self.dense(inputs.reshape(-1, inputs.shape[-1])).unflatten(-1, self.coarse)
        for convolution in self.finer:
            maps = convolution(interpolate(silu(maps), scale_factor=2.0))
        _, height, width = self.image_shape
        image: Tensor = self.last(silu(maps))[..., :height, :width]
        return image.reshape(*batch, *self.image_shape)

    def forward(self, *parents: Tensor) -> Distribution:
        """Return the distribution of the image at its code and its causes."""
        return dist.Normal(self.mean(*parents), self.noise).to_event(3)


@final
class CodeGuide(nn.Module):
    """``q(z | x, pa)``: what an encoder says of the code of an image whose causes are known.

    As a program it is the guide of ``fit``; as a proposal it infers ``z`` for counterfactuals. Its
    draws are taken as they are. With ``weighed = True`` a thousand draws of each unit are weighed
    by the program's exact densities, which tells by k-hat how far the guide is from the posterior,
    at the cost of as many decoded images.

    Args:
        encoder: Reads the image and a plane for each feature of the causes.
        features: From the values of the causes to features.
        causes: The names of the causes.
        image: The image's name.
        code: The code's name.

    Attributes:
        weighed: Whether draws are weighed by the program's densities.
    """

    def __init__(
        self,
        encoder: ImageEncoder,
        features: ParentEncoder,
        causes: Sequence[str],
        image: str,
        code: str,
    ) -> None:
        super().__init__()
        self.encoder, self.features = encoder, features
        self.causes, self.image, self.code = tuple(causes), image, code
        self.weighed = False

    def posterior(self, values: Mapping[str, Tensor]) -> Distribution:
        """Return ``q(z | x, pa)``, batch shape ``(units,)``."""
        image = values[self.image]
        features = self.features(*(values[name] for name in self.causes))
        planes = features[..., None, None].expand(*features.shape, *image.shape[-2:])
        mean, variance = self.encoder(torch.cat([image, planes.to(image)], -3))
        return dist.Normal(mean, variance.sqrt()).to_event(1)

    def forward(self, batch: Mapping[str, Tensor]) -> None:
        """Draw the codes of a batch, as the guide of ``fit``."""
        pyro.sample(self.code, self.posterior(batch))

    def covers(self, observed: frozenset[str], missing: frozenset[str]) -> bool:
        """Say whether it infers these variables: the code, given the image and all its causes."""
        return missing == {self.code} and {self.image, *self.causes} <= observed

    def draw(
        self,
        values: Mapping[str, Tensor],
        missing: Sequence[str],
        num_draws: int,
        generator: torch.Generator,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Draw the codes.

        Args:
            values: The images, ``(unit, C, H, W)``, and their causes, ``(unit,)``.
            missing: The code.
            num_draws: How many draws of each unit.
            generator: The source of chance.

        Returns:
            The code's name to values, ``(draw, unit, latent)``, and their log density.
        """
        posterior = self.posterior(values)
        mean, deviation = posterior.base_dist.loc, posterior.base_dist.scale
        shape = (num_draws, *mean.shape)
        z = mean + deviation * torch.randn(
            shape, generator=generator, device=mean.device, dtype=mean.dtype
        )
        return {self.code: z}, posterior.log_prob(z)

    def log_prob(
        self,
        values: Mapping[str, Tensor],
        missing_values: Mapping[str, Tensor],
        missing: Sequence[str],
    ) -> Tensor:
        """Return the log density of codes, ``(draw, unit)``."""
        density: Tensor = self.posterior(values).log_prob(missing_values[self.code])
        return density

    def check(self, owner: Any) -> None:
        """Nothing to check: encoder and decoder are parts of one model."""

    def config(self) -> None:
        """Return nothing: what the guide is made of is saved with the program."""

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Return nothing, as ``config``."""
        return {}


def encoder_of(
    decoder: ImageDecoder, latent: int, channels: Sequence[int] = (16, 32, 64)
) -> ImageEncoder:
    """Return an encoder of what a decoder draws: the image and a plane for each feature."""
    first, height, width = decoder.image_shape
    return ImageEncoder((first + decoder.encoder.width, height, width), latent, channels)
