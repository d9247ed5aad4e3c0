"""The noise of an equation that is made of other equations: their noises side by side."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from pyrocausal.noise.equation import StructuralEquation

__all__ = [
    "JointNoise",
    "draw_posterior",
    "draw_prior",
    "fitting_values",
    "pack",
    "posterior_size",
    "unpack",
]


class JointNoise(TorchDistribution):
    """The distribution of noise that is drawn by ``from_uniform``, float64.

    Args:
        equation: The equation whose noise it is.
        log_density: The log density of noise of shape ``(*batch, *noise_shape)``.
        device: Where the noise lives.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        equation: StructuralEquation,
        log_density: Callable[[Tensor], Tensor],
        device: torch.device,
        batch_shape: Any = None,
    ) -> None:
        self.equation, self.log_density, self.device = equation, log_density, device
        batch = equation.distribution.batch_shape if batch_shape is None else batch_shape
        super().__init__(torch.Size(batch), equation.noise_shape, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "JointNoise":
        """Return the same noise for a larger batch."""
        return JointNoise(self.equation, self.log_density, self.device, batch_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draw noise with torch's global generator."""
        shape = self._extended_shape(torch.Size(sample_shape))
        v = torch.rand(shape, dtype=torch.float64, device=self.device)
        return self.equation.from_uniform(v.clamp(min=2.0**-54))

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density, shape ``(*sample, *batch)``."""
        return self.log_density(value)


def draw_prior(equation: StructuralEquation, v: Tensor) -> Tensor:
    """Draw packed noise from flat uniforms, both of shape ``(*batch, numbers)``."""
    return pack(equation, equation.from_uniform(v.reshape((*v.shape[:-1], *equation.noise_shape))))


def pack(equation: StructuralEquation, u: Tensor) -> Tensor:
    """Flatten the noise of ``equation`` to float64 of shape ``(*batch, numbers)``."""
    batch = u.shape[: u.dim() - len(equation.noise_shape)]
    return u.reshape((*batch, equation.noise_shape.numel())).double()


def unpack(equation: StructuralEquation, flat: Tensor) -> Tensor:
    """Undo ``pack``, dtype included: float32 noise comes back bit by bit."""
    dtype = equation.from_uniform(_half(equation, flat.device)).dtype
    return flat.reshape((*flat.shape[:-1], *equation.noise_shape)).to(dtype)


def posterior_size(equation: StructuralEquation) -> int:
    """Return how many uniforms one posterior draw consumes."""
    return 0 if equation.posterior_shape is None else equation.posterior_shape.numel()


def draw_posterior(equation: StructuralEquation, x: Tensor, v: Tensor) -> Tensor:
    """Draw noise given ``x`` from flat uniforms ``v``, shape ``(*batch, posterior_size)``."""
    if equation.posterior_shape is None:
        return equation.posterior(x)
    return equation.posterior(x, v.reshape((*v.shape[:-1], *equation.posterior_shape)))


def fitting_values(equation: StructuralEquation, fits: Tensor, x: Tensor) -> Tensor:
    """Replace the values that ``equation`` can't give by values of its own.

    So a part of a compound equation that did not give ``x`` neither refuses it nor turns it
    to NaN, whose gradient would spread.

    Args:
        equation: The equation of the part.
        fits: Where ``x`` is possible, of the batch's shape.
        x: Values, shape ``(*batch, *event)``.
    """
    own = equation.forward(equation.from_uniform(_half(equation, x.device)))
    event = (1,) * len(equation.distribution.event_shape)
    return torch.where(fits.reshape((*fits.shape, *event)), x.to(own.dtype), own)


def _half(equation: StructuralEquation, device: torch.device) -> Tensor:
    return torch.full(equation.noise_shape, 0.5, dtype=torch.float64, device=device)
