"""Counter-based noise streams: a unit's noise is a function of its address, not of a generator."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from math import prod

import torch
from torch import Tensor

from pyrocausal.noise import counters

__all__ = ["Stream", "draw_seed"]


@dataclass(frozen=True)
class Stream:
    """Random numbers that depend on ``(seed, name, draw, unit, element)`` alone.

    Element ``e`` of unit ``i`` is the SplitMix64 output number ``i * elements + e`` of the
    sequence whose start is a hash of ``(seed, name, draw)``: it depends on no other unit,
    chunk, world, site or device.

    Attributes:
        seed: The seed of the query.
        name: Usually the name of a site.
        units: How many units, numbered from 0.
        draws: How many draws; ``None`` for one draw without a draw dimension.
        device: Where the numbers live; they are the same on every device.
        first: The number of the first unit, for a query that is answered in chunks.

    Example:
        >>> few, many = (Stream(0, "x", units=n).uniforms() for n in (3, 5))
        >>> torch.equal(few, many[:3])
        True

    References:
        Steele, Lea, Flood (2014), Fast splittable pseudorandom number generators.
    """

    seed: int
    name: str
    units: int
    draws: int | None = None
    device: torch.device | str = "cpu"
    first: int = 0

    def uniforms(self, shape: tuple[int, ...] = ()) -> Tensor:
        """Return float64 uniforms in (0, 1), shape ``(draws, units, *shape)``."""
        return self._numbers(counters.uniforms, shape)

    def normals(self, shape: tuple[int, ...] = (), dtype: torch.dtype | None = None) -> Tensor:
        """Return standard normals, shape ``(draws, units, *shape)``.

        In float32 two of them share one 64-bit number, and the tails end at 5.4 standard
        deviations, as those of ``torch.randn`` end at 5.8; in float64 they reach 8.2.
        """
        dtype = dtype or torch.get_default_dtype()
        if dtype == torch.float64:
            quantiles: Tensor = torch.special.ndtri(self.uniforms(shape))
            return quantiles
        return self._numbers(counters.normals, shape).to(dtype)

    def key(self, draw: int) -> int:
        """Return the 64-bit hash of ``(seed, name, draw)`` that starts the sequence."""
        digest = blake2b(repr((self.seed, self.name, draw)).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little", signed=True)

    def _numbers(self, make: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        elements = prod(shape)
        start, stop = self.first * elements, (self.first + self.units) * elements
        if self.draws is None:
            value = make(self.key(0), start, stop, self.device)
            return value.view(self.units, *shape) if shape else value
        keys = [self.key(draw) for draw in range(self.draws)]
        values = counters.of_keys(make, keys, start, stop, self.device)
        return values.reshape(self.draws, self.units, *shape)


def draw_seed() -> int:
    """Draw a seed from torch's global generator.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> first = draw_seed()
        >>> _ = torch.manual_seed(0)
        >>> draw_seed() == first
        True
    """
    return int(torch.randint(2**62, ()))
