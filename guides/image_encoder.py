"""A guide of images: a convolutional encoder that tells the causes of a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, Self, final

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

__all__ = ["Causes", "ImageEncoder", "ImageGuide"]

GROUPS: Final = 8
LEAST_VARIANCE: Final = 1e-4


@final
class ImageEncoder(nn.Module):
    """An encoder ``q(z | x) = N(mu(x), diag v(x))``: strided convolutions, then one linear map.

    Args:
        image_shape: Channels, height and width.
        size: Number of variables that it tells of.
        channels: Channels of each convolution, multiples of 8; each halves the sides.

    Raises:
        ValueError: An image that can't be halved so often.

    Example:
        >>> mean, variance = ImageEncoder((3, 16, 16), size=2)(torch.zeros(5, 3, 16, 16))
        >>> mean.shape, variance.shape
        (torch.Size([5, 2]), torch.Size([5, 2]))
    """

    def __init__(
        self, image_shape: Sequence[int], size: int, channels: Sequence[int] = (16, 32, 64)
    ) -> None:
        super().__init__()
        first, height, width = image_shape
        layers: list[nn.Module] = []
        for inputs, outputs in zip((first, *channels), channels, strict=False):
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride=2, padding=1),
                nn.GroupNorm(GROUPS, outputs),
                nn.SiLU(),
            ]
            height, width = (height + 1) // 2, (width + 1) // 2
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.output = nn.Linear(channels[-1] * height * width, 2 * size)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of each variable, each ``(rows, size)``."""
        mean, raw = self.output(self.features(images)).chunk(2, -1)
        return mean, softplus(raw - 3) + LEAST_VARIANCE


class Causes(Protocol):
    """The structural equations above the image, in standardised units."""

    names: tuple[str, ...]
    loc: Tensor
    scale: Tensor

    def read(self, code: Tensor, given: Mapping[int, Tensor]) -> Tensor:
        """Return the causes that the encoder's numbers stand for; those given keep their value."""
        ...


@final
class ImageGuide(nn.Module):
    """Infers the causes of an image that were not seen, and with them their noise.

    What was seen beside the image replaces what the encoder says. One draw is the
    encoder's mean; of several each has noise from its normal distribution. The draws are not
    weighed, for the density of an image is not to be had: they are as good as the encoder is.

    Args:
        encoder: Tells mean and variance of each cause from images.
        causes: The mechanisms of the causes.
        image: The name of the image.

    Attributes:
        weighed: Whether draws are weighed by the program's densities.

    Example:
        >>> from pyrocausal.models.causal_latents import CausalLatents
        >>> causes = CausalLatents(pc.CausalGraph([("angle", "length")]))
        >>> guide = ImageGuide(ImageEncoder((1, 8, 8), 2), causes)
        >>> generator = torch.Generator().manual_seed(0)
        >>> drawn, log_q = guide.draw({"image": torch.zeros(5, 1, 8, 8)}, ["angle"], 3, generator)
        >>> drawn["angle"].shape
        torch.Size([3, 5])
    """

    weighed: Final = False

    def __init__(self, encoder: ImageEncoder, causes: Any, image: str = "image") -> None:
        super().__init__()
        self.encoder, self.image = encoder, image
        self._causes: list[Causes] = [causes]  # in a list: its parameters belong to the program

    def covers(self, observed: frozenset[str], missing: frozenset[str]) -> bool:
        """Say whether it infers these causes from this evidence: the image has to be there."""
        return self.image in observed and missing <= frozenset(self._causes[0].names)

    def draw(
        self,
        values: Mapping[str, Tensor],
        missing: Sequence[str],
        num_draws: int,
        generator: torch.Generator,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Draw the missing causes.

        Args:
            values: The image, ``(unit, C, H, W)``, and causes that were seen, ``(unit,)``.
            missing: The causes to infer.
            num_draws: How many draws of each unit; one is the mean.
            generator: The source of chance.

        Returns:
            Cause to values, ``(draw, unit)``, and their log density.
        """
        causes = self._causes[0]
        mean, variance = self.encoder(values[self.image])
        code = mean[None]
        if num_draws > 1:
            shape = (num_draws, *mean.shape)
            eps = torch.randn(shape, generator=generator, device=mean.device)
            code = mean + variance.sqrt() * eps
        given = {
            number: ((values[name] - causes.loc[number]) / causes.scale[number]).expand(
                code.shape[:2]
            )
            for number, name in enumerate(causes.names)
            if name in values
        }
        z = causes.read(code.flatten(0, 1), {i: value.flatten() for i, value in given.items()})
        natural = (causes.loc + causes.scale * z).unflatten(0, code.shape[:2])
        places = [causes.names.index(name) for name in missing]
        density = torch.distributions.Normal(mean, variance.sqrt()).log_prob(code)
        log_q = (density - causes.scale.log())[..., places].sum(-1)
        return {name: natural[..., i] for name, i in zip(missing, places, strict=True)}, log_q

    def check(self, owner: Any) -> None:
        """Nothing to check: encoder and mechanisms are parts of one model."""

    def config(self) -> None:
        """Return nothing: what the guide is made of is saved with the program."""

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Return nothing, as ``config``."""
        return {}

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Return the guide as it is: it lives where the program does."""
        return self
