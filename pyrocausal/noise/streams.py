"""Counter-based noise streams: a unit's noise is a function of its address, not of a generator."""

from dataclasses import dataclass
from hashlib import blake2b
from math import pi

import torch
from torch import Tensor

__all__ = ["Stream", "draw_seed"]

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as int64
_MIX_A = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_B = -7723592293110705685  # 0x94D049BB133111EB


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
        elements = torch.Size(shape).numel()
        start, stop = self.first * elements, (self.first + self.units) * elements
        bits = [self._bits(draw, start, stop) for draw in range(self.draws or 1)]
        # The 53 highest bits; the half keeps both ends open.
        values = [_shift_right(b, 11).to(torch.float64).add_(0.5).mul_(2.0**-53) for b in bits]
        return self._shaped(values, shape)

    def normals(self, shape: tuple[int, ...] = (), dtype: torch.dtype | None = None) -> Tensor:
        """Return standard normals, shape ``(draws, units, *shape)``.

        In float32 two neighbours share one 64-bit number (Box-Muller, tails to 6.7 standard
        deviations), which costs a third of the quantile transform that serves float64.
        """
        dtype = dtype or torch.get_default_dtype()
        if dtype == torch.float64:
            return torch.special.ndtri(self.uniforms(shape))
        elements = torch.Size(shape).numel()
        start, stop = self.first * elements, (self.first + self.units) * elements
        values = [self._box_muller(draw, start, stop) for draw in range(self.draws or 1)]
        return self._shaped(values, shape).to(dtype)

    def _box_muller(self, draw: int, start: int, stop: int) -> Tensor:
        bits = self._bits(draw, start // 2, (stop + 1) // 2)
        # The low half becomes a signed angle, the high half a radius.
        angle = bits.to(torch.int32).to(torch.float32).mul_(pi * 2.0**-31)
        radius = _shift_right(bits, 32).to(torch.float32).add_(0.5).mul_(2.0**-32)
        radius = radius.clamp_(max=1 - 2.0**-24).log_().mul_(-2.0).sqrt_()
        pairs = torch.stack((angle.cos().mul_(radius), angle.sin_().mul_(radius)), -1)
        odd = start % 2
        return pairs.flatten()[odd : odd + stop - start]

    def key(self, draw: int) -> int:
        """Return the 64-bit hash of ``(seed, name, draw)`` that starts the sequence."""
        digest = blake2b(repr((self.seed, self.name, draw)).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little", signed=True)

    def _bits(self, draw: int, start: int, stop: int) -> Tensor:
        counter = torch.arange(start, stop, device=self.device)
        return _mix_(counter.mul_(_GOLDEN).add_(self.key(draw)))

    def _shaped(self, values: list[Tensor], shape: tuple[int, ...]) -> Tensor:
        if self.draws is None:
            return values[0].reshape(self.units, *shape)
        return torch.stack(values).reshape(self.draws, self.units, *shape)


def draw_seed() -> int:
    """Draw a seed from torch's global generator."""
    return int(torch.randint(2**62, ()))


def _mix_(z: Tensor) -> Tensor:
    z.bitwise_xor_(_shift_right(z, 30)).mul_(_MIX_A)
    z.bitwise_xor_(_shift_right(z, 27)).mul_(_MIX_B)
    return z.bitwise_xor_(_shift_right(z, 31))


def _shift_right(z: Tensor, bits: int) -> Tensor:
    # A logical shift: torch has no unsigned one, so the copied sign bits are masked away.
    return (z >> bits).bitwise_and_((1 << (64 - bits)) - 1)
