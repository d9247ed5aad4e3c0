"""Counter-based noise streams: a unit's noise is a function of its address, not of a generator."""

from dataclasses import dataclass
from hashlib import blake2b
from math import pi
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["GOLDEN", "Stream", "draw_seed", "mix", "shift_right"]

GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as int64
_ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


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
        values = [self._uniforms(draw, start, stop) for draw in self._draws()]
        return self._shaped(values, shape)

    def normals(self, shape: tuple[int, ...] = (), dtype: torch.dtype | None = None) -> Tensor:
        """Return standard normals, shape ``(draws, units, *shape)``.

        In float32 two of them share one 64-bit number (Box-Muller, tails to 6.6 standard
        deviations), which costs a third of the quantile transform that serves float64.
        """
        dtype = dtype or torch.get_default_dtype()
        if dtype == torch.float64:
            quantiles: Tensor = torch.special.ndtri(self.uniforms(shape))
            return quantiles
        elements = torch.Size(shape).numel()
        start, stop = self.first * elements, (self.first + self.units) * elements
        values = [self._box_muller(draw, start, stop) for draw in self._draws()]
        return self._shaped(values, shape).to(dtype)

    def key(self, draw: int) -> int:
        """Return the 64-bit hash of ``(seed, name, draw)`` that starts the sequence."""
        digest = blake2b(repr((self.seed, self.name, draw)).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little", signed=True)

    def _draws(self) -> range:
        return range(1 if self.draws is None else self.draws)

    def _uniforms(self, draw: int, start: int, stop: int) -> Tensor:
        # 52 bits and a half: with 53 the highest would round to 1, and its noise be infinite.
        bits = _splitmix(self.key(draw), start, stop, self.device, keep=52)
        return bits.to(torch.float64).add_(0.5).mul_(2.0**-52)

    def _box_muller(self, draw: int, start: int, stop: int) -> Tensor:
        # Blocks of 128 radii and 128 angles, each 32 bits, so that both are read in long runs.
        first, last = start // 256, -(-stop // 256)
        bits = _splitmix(self.key(draw), first * 128, last * 128, self.device)
        signed = bits.view(torch.int32).to(torch.float32).view(-1, 2, 128)
        radius = signed[:, 0].abs().add_(0.5).mul_(2.0**-31).log_().mul_(-2.0).sqrt_()
        angle = signed[:, 1] * (pi * 2.0**-31)
        normals = torch.cat((angle.cos().mul_(radius), angle.sin_().mul_(radius)), 1)
        return normals.view(-1)[start - first * 256 : stop - first * 256]

    def _shaped(self, values: list[Tensor], shape: tuple[int, ...]) -> Tensor:
        if self.draws is None:
            return values[0].reshape(self.units, *shape)
        return torch.stack(values).reshape(self.draws, self.units, *shape)


def draw_seed() -> int:
    """Draw a seed from torch's global generator."""
    return int(torch.randint(2**62, ()))


def _splitmix(
    key: int, start: int, stop: int, device: torch.device | str, keep: int = 64
) -> Tensor:
    """Return the highest ``keep`` bits of SplitMix64 outputs ``start`` to ``stop``, as int64."""
    if torch.device(device).type == "cpu":
        return torch.from_numpy(_splitmix_numpy(key, start, stop, keep).view(np.int64))
    z = mix(torch.arange(start, stop, device=device).mul_(GOLDEN).add_(key))
    return z if keep == 64 else shift_right(z, 64 - keep)


def mix(z: Tensor) -> Tensor:
    """Hash int64 words one by one: SplitMix64's finaliser."""
    for shift, factor in _ROUNDS:
        z = (z ^ shift_right(z, shift)).mul_(_signed(factor))
    return z ^ shift_right(z, 31)


def shift_right(z: Tensor, bits: int) -> Tensor:
    """Shift int64 words as if they were unsigned."""
    # Torch has no unsigned shift, so the copied sign bits are masked away.
    return (z >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def _signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word


def _splitmix_numpy(key: int, start: int, stop: int, keep: int) -> Any:
    # On a CPU numpy takes a third of torch's time: it has unsigned shifts and faster products.
    z = np.arange(start, stop, dtype=np.uint64)
    z *= np.uint64(GOLDEN % 2**64)
    z += np.uint64(key % 2**64)
    shifted = np.empty_like(z)
    for shift, factor in _ROUNDS:
        z ^= np.right_shift(z, np.uint64(shift), out=shifted)
        z *= np.uint64(factor)
    z ^= np.right_shift(z, np.uint64(31), out=shifted)
    return z if keep == 64 else np.right_shift(z, np.uint64(64 - keep), out=z)
