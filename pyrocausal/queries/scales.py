r"""Comparing two means: difference, ratio, odds ratio; with the error of paired draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, get_args

import torch
from torch import Tensor

__all__ = ["Scale", "compare", "deviation", "read_scale", "standard_error", "unsteady", "write"]

Scale = Literal["difference", "ratio", "odds ratio"]

ROUNDING: Final = 1e-13  # in parts of the largest value, what double precision alone may stray
STEADY: Final = 3  # standard errors that a mean must lie from where a ratio has no value

Compare = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class _Comparison:
    of: Compare
    slopes: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    symbols: str


def _odds(mean: Tensor) -> Tensor:
    return mean / (1 - mean)


_COMPARISONS: Final = {
    "difference": _Comparison(
        lambda one, other: one - other,
        lambda one, other: (torch.ones_like(one), -torch.ones_like(other)),
        "{} - {}",
    ),
    "ratio": _Comparison(
        lambda one, other: one / other,
        lambda one, other: (1 / other, -one / other**2),
        "{} / {}",
    ),
    "odds ratio": _Comparison(
        lambda one, other: _odds(one) / _odds(other),
        lambda one, other: (
            1 / ((1 - one) ** 2 * _odds(other)),
            -_odds(one) / other**2,
        ),
        "odds {} / odds {}",
    ),
}


def read_scale(scale: str) -> Scale:
    """Check the name of a scale.

    Raises:
        ValueError: An unknown name.
    """
    for known in get_args(Scale):
        if scale == known:
            return known  # type: ignore[no-any-return]
    raise ValueError(f"scale got {scale!r}; expected one of {', '.join(get_args(Scale))}.")


def compare(treated: Tensor, control: Tensor, scale: Scale) -> Tensor:
    """Compare means on a scale.

    Args:
        treated: Means in the first world.
        control: Means in the second.
        scale: Difference, ratio or odds ratio.

    Raises:
        ValueError: The second mean is 0, or for odds a mean is no probability between 0 and 1.

    Example:
        >>> compare(torch.tensor(0.5), torch.tensor(0.2), "odds ratio")
        tensor(4.)
    """
    if scale == "ratio" and bool((control == 0).any()):
        raise ValueError("ratio: the mean under control is 0. Ask for the difference.")
    if scale == "odds ratio":
        inside = torch.stack([(mean > 0) & (mean < 1) for mean in (treated, control)]).all()
        if not bool(inside):
            raise ValueError(
                "odds ratio: the means must be probabilities strictly between 0 and 1; got "
                f"{treated.tolist()} and {control.tolist()}. Give an event such as outcome="
                '{"Y": 1}, or ask for the difference.'
            )
    return _COMPARISONS[scale].of(treated, control)


def standard_error(treated: Tensor, control: Tensor, scale: Scale) -> Tensor:
    """Return the Monte Carlo error of a comparison of means of the same units.

    By the delta method on pairs, which share their noise.

    Args:
        treated: Each unit's outcome in the first world, shape ``(unit,)``.
        control: The same in the second.
        scale: Difference, ratio or odds ratio.

    Example:
        >>> standard_error(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 0.0]), "difference")
        tensor(1.)
    """
    means = treated.mean(), control.mean()
    up, down = _COMPARISONS[scale].slopes(*means)
    influence = up * (treated - means[0]) + down * (control - means[1])
    size = (up * treated).abs().max() + (down * control).abs().max()
    error: Tensor = deviation(influence, size) / len(influence) ** 0.5
    return error


def deviation(values: Tensor, size: Tensor | None = None) -> Tensor:
    """Return the standard deviation, exactly 0 where it is mere rounding.

    Args:
        values: Shape ``(unit,)``.
        size: How large the numbers are that they were computed from; their own size if left out.
    """
    found: Tensor = values.std()
    size = values.abs().max() if size is None else size
    return found.where(found > ROUNDING * size, 0.0)


def unsteady(means: Tensor, errors: Tensor, scale: Scale) -> str:
    """Say in words that a ratio has hardly a value, since a mean is not told from 0 (or 1).

    Args:
        means: Of treated and control, shape ``(2, ...)``.
        errors: Their standard errors.
        scale: Difference, ratio or odds ratio.

    Example:
        >>> unsteady(torch.tensor([2.0, 0.1]), torch.tensor([0.1, 0.1]), "ratio")
        'ratio: the mean under control, 0.1, lies within 3 standard errors (0.1 each) of 0: ...'
    """
    if scale == "difference":
        return ""
    ends = {"ratio": ((1, 0.0),), "odds ratio": ((1, 0.0), (1, 1.0), (0, 0.0), (0, 1.0))}[scale]
    for side, end in ends:
        near = (means[side] - end).abs() < STEADY * errors[side]
        if bool(near.any()):
            mean, error = (x[side][near].flatten()[0].item() for x in (means, errors))
            return (
                f"{scale}: the mean under {('treatment', 'control')[side]}, {mean:.3g}, lies within "
                f"{STEADY} standard errors ({error:.2g} each) of {end:g}: the {scale} and its "
                "interval say little; ask for the difference"
            )
    if bool((means[0] * means[1] < 0).any()):
        return f"{scale}: the means have different signs; ask for the difference"
    return ""


def write(one: str, other: str, scale: Scale) -> str:
    """Write the comparison of two means in symbols."""
    return _COMPARISONS[scale].symbols.format(one, other)
