"""Random numbers by counter: the same bits from numpy on a CPU and from torch elsewhere."""

from collections.abc import Callable, Iterator, Sequence
from math import sqrt
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

__all__ = ["GOLDEN", "mix", "normals", "of_keys", "shift_right", "uniforms"]

GOLDEN: Final = -7046029254386353131  # 0x9E3779B97F4A7C15 as int64
_ROUNDS: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_WORDS: Final = 2**15  # hashed at a time, so that the work space stays in the cache
_STEPS: Final = np.arange(_WORDS, dtype=np.uint64) * np.uint64(GOLDEN % 2**64)
_FEW: Final = 512  # numbers that a key needs, up to which several are hashed together
_UNIT: Final = 2.0**-31 * (1 - 2.0**-24)  # takes -2^31 and 2^31 to the last numbers inside (-1, 1)


def uniforms(key: int, start: int, stop: int, device: torch.device | str) -> Tensor:
    """Return float64 uniforms in (0, 1): outputs ``start`` to ``stop`` of SplitMix64 from ``key``."""
    # 52 bits and a half: with 53 the highest would round to 1, and its noise be infinite.
    if not _by_numpy(device):
        bits = shift_right(_hashed(key, start, stop, device), 12)
        return bits.to(torch.float64).add_(0.5).mul_(2.0**-52)
    out = np.empty(stop - start)
    for at, words in _hashed_numpy(key, start, stop):
        words >>= np.uint64(12)
        part = out[at : at + len(words)]
        np.add(words.view(np.int64), 0.5, out=part)
        part *= 2.0**-52
    return torch.from_numpy(out)


def normals(key: int, start: int, stop: int, device: torch.device | str) -> Tensor:
    """Return float32 standard normals number ``start`` to ``stop``, two from one output.

    ``sqrt(2) erfinv(v)`` with ``v`` uniform on a grid of ``2^-31`` in (-1, 1), which float32 keeps
    to ``2^-24`` near the ends: probabilities are right to 6e-8, and the tails end at 5.4.
    """
    first, last = start // 2, -(-stop // 2)
    asked = slice(start - 2 * first, stop - 2 * first)
    if _by_numpy(device):
        signed = torch.from_numpy(_signed_numpy(key, first, last)[asked])
    else:
        signed = _hashed(key, first, last, device).view(torch.int32).to(torch.float32)[asked]
    return signed.mul_(_UNIT).erfinv_().mul_(sqrt(2.0))


def of_keys(
    make: Callable[..., Tensor],
    keys: Sequence[int],
    start: int,
    stop: int,
    device: torch.device | str,
) -> Tensor:
    """Return what ``uniforms`` or ``normals`` make of each key, shape ``(keys, stop - start)``.

    Where keys need few numbers each, they are hashed together: numpy's calls would cost more.
    """
    if stop - start > _FEW or len(keys) == 1 or not _by_numpy(device):
        return torch.stack([make(key, start, stop, device) for key in keys])
    if make is uniforms:
        words = _words_of(keys, start, stop) >> np.uint64(12)
        return torch.from_numpy((words.view(np.int64) + 0.5) * 2.0**-52)
    first = start // 2
    halves = _words_of(keys, first, -(-stop // 2)).view(np.int32).astype(np.float32)
    signed = torch.from_numpy(halves[:, start - 2 * first : stop - 2 * first])
    return signed.mul_(_UNIT).erfinv_().mul_(sqrt(2.0))


def mix(z: Tensor) -> Tensor:
    """Hash int64 words one by one: SplitMix64's finaliser."""
    for shift, factor in _ROUNDS:
        z = (z ^ shift_right(z, shift)).mul_(_signed(factor))
    return z ^ shift_right(z, 31)


def shift_right(z: Tensor, bits: int) -> Tensor:
    """Shift int64 words as if they were unsigned."""
    # Torch has no unsigned shift, so the copied sign bits are masked away.
    return (z >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def _by_numpy(device: torch.device | str) -> bool:
    # On a CPU numpy takes a quarter of torch's overhead and has unsigned shifts.
    return torch.device(device).type == "cpu"


def _signed_numpy(key: int, start: int, stop: int) -> Any:
    """Return the halves of outputs as signed 32-bit numbers, in float32."""
    out = np.empty(2 * (stop - start), np.float32)
    for at, words in _hashed_numpy(key, start, stop):
        out[2 * at : 2 * (at + len(words))] = words.view(np.int32)
    return out


def _hashed(key: int, start: int, stop: int, device: torch.device | str) -> Tensor:
    return mix(torch.arange(start, stop, device=device).mul_(GOLDEN).add_(key))


def _hashed_numpy(key: int, start: int, stop: int) -> Iterator[tuple[int, Any]]:
    """Yield the hashed words block by block, each with its place."""
    shifted = np.empty(min(_WORDS, stop - start), np.uint64)
    for at in range(0, stop - start, _WORDS):
        count = min(_WORDS, stop - start - at)
        base = np.uint64((key + (start + at) * GOLDEN) % 2**64)
        z, work = np.add(_STEPS[:count], base), shifted[:count]
        for shift, factor in _ROUNDS:
            z ^= np.right_shift(z, np.uint64(shift), out=work)
            z *= np.uint64(factor)
        z ^= np.right_shift(z, np.uint64(31), out=work)
        yield at, z


def _words_of(keys: Sequence[int], start: int, stop: int) -> Any:
    """Return the hashed words of several keys, ``(keys, stop - start)``."""
    starts = np.array([(key + start * GOLDEN) % 2**64 for key in keys], np.uint64)
    z = starts[:, None] + _STEPS[: stop - start]
    work = np.empty_like(z)
    for shift, factor in _ROUNDS:
        z ^= np.right_shift(z, np.uint64(shift), out=work)
        z *= np.uint64(factor)
    z ^= np.right_shift(z, np.uint64(31), out=work)
    return z


def _signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word
