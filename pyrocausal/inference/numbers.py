"""Random numbers of some units among many, each a function of its address."""

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from pyrocausal.noise import Stream
from pyrocausal.noise.counters import GOLDEN, mix, shift_right

__all__ = ["UnitStream"]


@dataclass(frozen=True)
class UnitStream(Stream):
    """A stream for units that bear any numbers, so that no unit's depend on who is with it.

    Attributes:
        numbers: The numbers of the units, shape ``(units,)``.

    Example:
        >>> every = UnitStream(0, "x", 5, 3, numbers=torch.arange(5)).uniforms()
        >>> some = UnitStream(0, "x", 2, 3, numbers=torch.tensor([1, 4])).uniforms()
        >>> torch.equal(some, every[:, [1, 4]])
        True
    """

    numbers: Tensor | None = None

    def uniforms(self, shape: tuple[int, ...] = ()) -> Tensor:
        if self.numbers is None:
            return super().uniforms(shape)
        draws, elements = self.draws or 1, prod(shape)
        unit = self.numbers.to(self.device)[None, :, None] * draws
        draw = torch.arange(draws, device=self.device)[:, None, None]
        element = torch.arange(elements, device=self.device)
        count = (unit + draw) * elements + element
        bits = shift_right(mix(count.mul_(GOLDEN).add_(self.key(0))), 12)
        v = bits.to(torch.float64).add_(0.5).mul_(2.0**-52)
        lead = (self.units,) if self.draws is None else (draws, self.units)
        return v.reshape(*lead, *shape)

    def normals(self, shape: tuple[int, ...] = (), dtype: torch.dtype | None = None) -> Tensor:
        if self.numbers is None:
            return super().normals(shape, dtype)
        quantiles: Tensor = torch.special.ndtri(self.uniforms(shape))
        return quantiles.to(dtype or torch.get_default_dtype())
