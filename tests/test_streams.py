"""Noise streams: the same numbers whatever the chunk, the block size, the library or the device."""

from collections.abc import Callable

import pytest
import torch
from scipy.stats import kstest

from pyrocausal.noise import Stream, counters

KEY = 0x1234_5678_9ABC


@pytest.mark.parametrize("make", [counters.uniforms, counters.normals])
@pytest.mark.parametrize(("start", "stop"), [(0, 5), (255, 258), (70_001, 200_003)])
def test_any_range_is_a_part_of_the_sequence(
    make: Callable[..., torch.Tensor], start: int, stop: int
) -> None:
    whole = make(KEY, 0, 200_003, "cpu")
    assert torch.equal(make(KEY, start, stop, "cpu"), whole[start:stop])


def test_torch_gives_the_numbers_that_numpy_gives() -> None:
    bits = counters.shift_right(counters._hashed(KEY, 3, 100_000, "cpu"), 12)
    uniforms = (bits.double() + 0.5) * 2.0**-52
    assert torch.equal(uniforms, counters.uniforms(KEY, 3, 100_000, "cpu"))
    halves = counters._hashed(KEY, 0, 50_000, "cpu").view(torch.int32).float()
    assert torch.equal(halves, torch.from_numpy(counters._signed_numpy(KEY, 0, 50_000)))


@pytest.mark.parametrize("signed", [-(2.0**31), -1.0, 0.0, 2.0**31])
def test_float32_normals_end_where_they_say(signed: float) -> None:
    end = (torch.tensor([signed]) * counters._UNIT).erfinv() * 2**0.5
    assert end.abs() < 5.43
    assert signed.is_integer()


def test_splitmix_gives_the_published_numbers() -> None:
    # First outputs from the seed 1234567 (Rosetta Code, "Pseudo-random numbers/Splitmix64").
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    golden = counters.GOLDEN
    words = counters._hashed((1234567 + golden + 2**63) % 2**64 - 2**63, 0, 3, "cpu")
    assert [word % 2**64 for word in words.tolist()] == published


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normals_are_normal_and_uncorrelated(dtype: torch.dtype) -> None:
    n = 200_000
    x = Stream(1, "x", n).normals(dtype=dtype)
    assert x.dtype == dtype
    assert kstest(x.double().numpy(), "norm").pvalue > 1e-3
    other = Stream(1, "y", n).normals(dtype=dtype)
    for lagged in (x[1:] * x[:-1], x[128:] * x[:-128], x * other, (x**2 - 1)[128:] * x[:-128]):
        assert abs(lagged.double().mean()) < 4.5 * lagged.double().std() / n**0.5
