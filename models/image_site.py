"""The image as an ordinary variable: its noise is what diffusion ends in, DDIM its equation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, final

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from pyrocausal.errors import UnreliableWarning
from pyrocausal.mechanisms.base import Distribution, Mechanism
from pyrocausal.models.causal_latents import CausalLatents
from pyrocausal.models.diffusion import Diffusion
from pyrocausal.noise import Stream, StructuralEquation
from pyrocausal.noise.tails import normal_quantile

__all__ = ["DDIMEquation", "DiffusionImage", "Painter", "Sampling", "check_range"]

EVENT: Final = 3
SLACK: Final = 0.1
"""Of the range of the labels, how far outside of it a condition may lie without a warning."""


@dataclass
class Sampling:
    """How images are made from noise, and noise from images.

    Attributes:
        steps: Steps of the sampler.
        iterations: Of each inverted step's fixed point, beyond the first evaluation.
        guidance: How strongly the causes act on the image; 1 is the model itself.
    """

    steps: int = 50
    iterations: int = 1
    guidance: float = 1.0


@final
class Painter(Mechanism):
    """The mechanism of an image: ``x = g(x_T, z)``, ``x_T ~ N(0, I)``, by a diffusion model.

    Args:
        diffusion: The diffusion model.
        latents: The causes, for their units and ranges.
        image_shape: Channels, height and width.
        sampling: How images are made.

    Example:
        >>> from pyrocausal.graph import CausalGraph
        >>> latents = CausalLatents(CausalGraph([("angle", "length")]))
        >>> still = Diffusion(lambda x, t, z: torch.zeros_like(x), condition=2)
        >>> painter = Painter(still, latents, (1, 4, 4), Sampling(steps=2))
        >>> painter(torch.zeros(5), torch.zeros(5)).sample().shape
        torch.Size([5, 1, 4, 4])
    """

    def __init__(
        self,
        diffusion: Diffusion,
        latents: CausalLatents,
        image_shape: Sequence[int],
        sampling: Sampling,
    ) -> None:
        super().__init__()
        self.diffusion, self.image_shape, self.sampling = diffusion, tuple(image_shape), sampling
        self._latents = [latents]  # in a list: it is registered with the program

    def forward(self, *parents: Tensor) -> Distribution:
        """Return the distribution of the image at its causes, in natural units, ``(*batch,)``."""
        values = torch.stack(torch.broadcast_tensors(*parents), -1)
        return DiffusionImage(self, values)

    def condition(self, values: Tensor) -> Tensor:
        """Return causes as the network reads them, ``(rows, causes)``."""
        return self._latents[0].standardised(values)

    def warn_outside(self, values: Tensor) -> None:
        """Warn where causes lie outside what the labels of the training images spanned."""
        latents = self._latents[0]
        slack = SLACK * (latents.high - latents.low)
        outside = (values < latents.low - slack) | (values > latents.high + slack)
        if not bool(outside.any()):
            return
        parts = [
            f"{name} is {float(column[mask][0]):.4g}, trained on "
            f"[{float(low):.4g}, {float(high):.4g}]"
            for name, column, mask, low, high in zip(
                latents.names,
                values.unbind(-1),
                outside.unbind(-1),
                latents.low,
                latents.high,
                strict=True,
            )
            if bool(mask.any())
        ]
        warnings.warn(
            f"Images of {int(outside.any(-1).sum())} rows have causes that no training image had: "
            f"{'; '.join(parts)}. What they show is a guess; intervene within the range.",
            UnreliableWarning,
            stacklevel=2,
        )


@final
class DiffusionImage(TorchDistribution):
    """The distribution of an image given its causes, with its own structural equation.

    ``log_prob`` is a lower bound, `Diffusion.bound`: the density itself is not to be had.

    Args:
        painter: The mechanism.
        values: The causes in natural units, shape ``(*batch, causes)``.

    Example:
        >>> from pyrocausal.graph import CausalGraph
        >>> latents = CausalLatents(CausalGraph([("angle", "length")]))
        >>> still = Diffusion(lambda x, t, z: torch.zeros_like(x), condition=2)
        >>> painter = Painter(still, latents, (1, 4, 4), Sampling(steps=2))
        >>> image = painter(torch.zeros(3), torch.zeros(3))
        >>> equation, x = image.structural_equation(), torch.zeros(3, 1, 4, 4)
        >>> torch.equal(equation.forward(equation.posterior(x)), x)
        True
    """

    arg_constraints: Final = {}
    support = constraints.independent(constraints.real, EVENT)
    has_rsample = False

    def __init__(self, painter: Painter, values: Tensor) -> None:
        self.painter, self.values = painter, values
        shape = torch.Size(painter.image_shape)
        super().__init__(values.shape[:-1], shape, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """Return the distribution with a batch of this shape."""
        values = self.values.expand(*batch_shape, self.values.shape[-1])
        return type(self)(self.painter, values)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw images, of shape ``(*sample_shape, *batch, C, H, W)``."""
        shape = (*sample_shape, *self.batch_shape, *self.event_shape)
        noise = torch.randn(shape, dtype=self.values.dtype, device=self.values.device)
        return self.structural_equation().decoded(noise)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return a lower bound of the log density, ``(*batch,)``."""
        x, z, batch = self.rows(value)
        return self.painter.diffusion.bound(x, z).reshape(batch)

    def structural_equation(self) -> DDIMEquation:
        """Return the equation of the image."""
        return DDIMEquation(self)

    def rows(self, images: Tensor) -> tuple[Tensor, Tensor, torch.Size]:
        """Return images and conditions row by row, and the shape of their batch."""
        batch = torch.broadcast_shapes(images.shape[:-EVENT], self.batch_shape)
        x = images.expand(*batch, *self.event_shape).reshape(-1, *self.event_shape)
        values = self.values.expand(*batch, self.values.shape[-1])
        return x, self.painter.condition(values.reshape(len(x), -1)), batch


@final
class DDIMEquation(StructuralEquation):
    """``x = decode(x_T, z)``, and ``x_T`` by inverting the sampler, exact to its error.

    Worlds are rows: all worlds of all units are decoded in one pass.
    """

    route = "exact to inversion error"
    distribution: DiffusionImage

    def __init__(self, distribution: DiffusionImage) -> None:
        super().__init__(distribution)
        self.noise_shape = distribution.event_shape
        self.painter = distribution.painter

    @property
    def noise(self) -> Any:
        zero = self.distribution.values.new_zeros(())
        shape = self.distribution.batch_shape + self.noise_shape
        return torch.distributions.Normal(zero, zero + 1).expand(shape)

    @property
    def everywhere(self) -> bool:
        return True

    def from_uniform(self, v: Tensor) -> Tensor:
        return normal_quantile(v).to(self.distribution.values.dtype)

    def draw(self, stream: Stream, inner: tuple[int, ...] = ()) -> Tensor:
        return stream.normals((*inner, *self.noise_shape), self.distribution.values.dtype)

    def forward(self, u: Tensor) -> Tensor:
        self.painter.warn_outside(self.distribution.values)
        return self.decoded(u)

    def decoded(self, u: Tensor) -> Tensor:
        """Return the images of noise, whatever the causes are."""
        x, z, batch = self.distribution.rows(u)
        how = self.painter.sampling
        images = self.painter.diffusion.decode(x, z, how.steps, how.guidance)
        return images.clamp(-1.0, 1.0).reshape(*batch, *self.noise_shape)

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        check_range(x, "evidence['image']")
        images, z, batch = self.distribution.rows(x)
        how = self.painter.sampling
        noise = self.painter.diffusion.invert(images, z, how.steps, how.iterations)
        return noise.reshape(*batch, *self.noise_shape)

    def possible(self, x: Tensor) -> Tensor:
        return torch.ones(x.shape[:-EVENT], dtype=torch.bool, device=x.device)


def check_range(images: Tensor, what: str) -> None:
    """Check that images lie in [-1, 1].

    Raises:
        ValueError: They do not.
    """
    low, high = float(images.min()), float(images.max())
    if low < -1.001 or high > 1.001:
        raise ValueError(
            f"{what} has values from {low:.4g} to {high:.4g}; expected [-1, 1]. Bytes become that "
            "by images / 127.5 - 1, numbers in [0, 1] by 2 * images - 1."
        )
