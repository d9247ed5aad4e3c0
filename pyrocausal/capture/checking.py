"""Comparing the results of two ways to compute the same."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pyrocausal.errors import NotCapturable
from pyrocausal.low_precision import current_precision

__all__ = ["check_equal", "compiled_tolerance"]

ROUNDING = 32  # units in the last place of the largest result, where terms of that size cancel


def check_equal(
    expected: Sequence[Tensor], found: Sequence[Tensor], tolerance: float, words: str
) -> None:
    """Compare tensors entry by entry, relative to the largest entry of each.

    Args:
        expected: How it should be.
        found: How it is.
        tolerance: How far entries may differ, relative to the largest.
        words: What to say if they do.

    Raises:
        NotCapturable: They differ.
    """
    largest = max(map(_size, expected), default=0.0)
    for one, two in zip(expected, found, strict=True):
        if one.shape != two.shape or one.dtype != two.dtype:
            raise NotCapturable(f"{words}: {_kind(two)} instead of {_kind(one)}.")
        slack = max(tolerance * _size(one), ROUNDING * _last_place(one) * largest)
        if not bool(torch.isclose(one, two, rtol=0.0, atol=slack, equal_nan=True).all()):
            gap = (one.to(torch.float64) - two.to(torch.float64)).abs().max()
            raise NotCapturable(
                f"{words}: it differs by {gap:.2g} where entries are up to {_size(one):.2g}."
            )


def compiled_tolerance() -> float:
    """Return how far compiled code may be from the graph that it was made of."""
    # A compiler may leave out a rounding to bfloat16 in between: four units in its last place.
    return 2.0**-5 if current_precision() == "bfloat16" else 1e-3


def _size(tensor: Tensor) -> float:
    if not tensor.is_floating_point() or not tensor.numel():
        return 0.0
    return float(tensor.detach().abs().nan_to_num(posinf=0.0).max())


def _last_place(tensor: Tensor) -> float:
    return torch.finfo(tensor.dtype).eps if tensor.is_floating_point() else 0.0


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} of {tensor.dtype}"
