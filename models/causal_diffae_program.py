"""CausalDiffAE as a Pyro program: a site for each cause, in natural units, and the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, final

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Transform, constraints

from pyrocausal.guides.image_encoder import ImageEncoder
from pyrocausal.models.causal_latents import CausalLatents
from pyrocausal.models.diffusion import Diffusion
from pyrocausal.models.image_site import Painter, Sampling

__all__ = ["IMAGE", "CausalImageProgram", "PiecewiseLinear"]

IMAGE: Final = "image"
KNOTS: Final = 33


@final
class CausalImageProgram(nn.Module):
    """The program: roots from their own density, children by their mechanisms, the image painted.

    Args:
        latents: The causes.
        encoder: Tells the causes' noise from an image; it serves the guide.
        diffusion: The diffusion model.
        image_shape: Channels, height and width.
        sampling: How images are made.
    """

    knots: Tensor

    def __init__(
        self,
        latents: CausalLatents,
        encoder: ImageEncoder,
        diffusion: Diffusion,
        image_shape: Sequence[int],
        sampling: Sampling,
    ) -> None:
        super().__init__()
        self.latents, self.encoder = latents, encoder
        self.painter = Painter(diffusion, latents, image_shape, sampling)
        # Quantiles of the roots at normal scores; at first they are standard normal.
        scores = _scores().to(torch.get_default_dtype())
        self.register_buffer("knots", scores.repeat(len(latents.names), 1))

    def measure_roots(self, labels: Tensor) -> None:
        """Take the density of each root from its labels, NaN where missing."""
        for i, column in enumerate(labels.unbind(1)):
            known = column[~column.isnan()].double()
            levels = torch.special.ndtr(_scores())
            # Ties would make the map flat, and it could not be inverted.
            least = 1e-3 * known.std() * torch.arange(KNOTS)
            knots = (known.quantile(levels) - least).cummax(0).values + least
            self.knots[i] = knots.to(self.knots)

    def forward(self) -> None:
        """Run the program on the rows at hand."""
        latents = self.latents
        natural: list[Tensor] = []
        z, u = None, None
        for i, name in enumerate(latents.names):
            if z is None or u is None or latents.is_root(i):
                law, mean = self._root(i), None
            else:
                mean = latents.mean(i, z, u)
                scale = latents.scale[i]
                law = dist.Normal(latents.loc[i] + scale * mean, scale * latents.residual[i])
            value = pyro.sample(name, law)
            natural.append(value)
            z, u = self._with(i, value, mean, z, u)
        pyro.sample(IMAGE, self.painter(*natural))

    def _root(self, i: int) -> Any:
        zero = self.knots.new_zeros(())
        transform = PiecewiseLinear(_scores().to(self.knots), self.knots[i])
        return dist.TransformedDistribution(dist.Normal(zero, zero + 1), [transform])

    def _with(
        self, i: int, value: Tensor, mean: Tensor | None, z: Tensor | None, u: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Put a variable among those that are known, standardised, and its noise among theirs."""
        latents = self.latents
        standard = (value - latents.loc[i]) / latents.scale[i]
        here = torch.arange(len(latents.names), device=value.device) == i
        z = value.new_zeros(*value.shape, len(here)) if z is None else z
        u = torch.zeros_like(z) if u is None else u
        noise = standard if mean is None else standard - mean
        return (
            torch.where(here, standard[..., None], z),
            torch.where(here, noise[..., None], u),
        )


@final
class PiecewiseLinear(Transform):
    """A rising map through given points, straight between and beyond them.

    Args:
        x: Where the points lie, rising, shape ``(knots,)``.
        y: What they are mapped to, rising.

    Example:
        >>> double = PiecewiseLinear(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 2.0]))
        >>> double(torch.tensor([0.5, 3.0]))
        tensor([1., 6.])
    """

    domain = constraints.real
    codomain = constraints.real
    bijective = True
    sign = 1

    def __init__(self, x: Tensor, y: Tensor) -> None:
        super().__init__()
        self.x, self.y = x, y

    def _call(self, x: Tensor) -> Tensor:
        k, slope = self._segment(x, self.x)
        return self.y[k] + slope * (x - self.x[k])

    def _inverse(self, y: Tensor) -> Tensor:
        k, slope = self._segment(y, self.y)
        return self.x[k] + (y - self.y[k]) / slope

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the logarithm of the slope at ``x``."""
        return self._segment(x, self.x)[1].log()

    def _segment(self, value: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
        k = (torch.searchsorted(edges, value.contiguous()) - 1).clamp(0, len(edges) - 2)
        return k, (self.y[k + 1] - self.y[k]) / (self.x[k + 1] - self.x[k])


def _scores() -> Tensor:
    """Return the normal scores of the knots: at levels from 0.5 to 99.5 %."""
    levels: Tensor = torch.special.ndtri(torch.linspace(0.005, 0.995, KNOTS, dtype=torch.float64))
    return levels
