"""What ``fit`` is told besides data and guide: read, and refused where it makes no sense."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import torch

from pyrocausal.noise import draw_seed

if TYPE_CHECKING:
    from pyrocausal.fitting.training import Settings

__all__ = ["check_settings", "read_device", "read_seed"]


def check_settings(settings: Settings, validation: Any) -> None:
    """Check how ``fit`` is to optimize.

    Raises:
        ValueError: A number that is out of range, or none.
    """
    for name, value in (
        ("steps", settings.steps),
        ("batch_size", 1 if settings.batch_size is None else settings.batch_size),
        ("patience", settings.patience),
    ):
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise ValueError(f"fit() got {name}={value!r}; expected a positive whole number.")
    if not (_is_number(settings.lr) and 0 < settings.lr < math.inf):
        raise ValueError(
            f"fit() got lr={settings.lr!r}; expected a positive number, such as 0.01."
        )
    if settings.compile not in (True, False, "auto"):
        raise ValueError(
            f'fit() got compile={settings.compile!r}; expected True, False or "auto".'
        )
    if not (_is_number(validation) and 0 <= validation < 1):
        raise ValueError(
            f"fit() got validation={validation!r}; expected the fraction of units to hold out, at "
            "least 0 and below 1."
        )


def read_seed(seed: Any, verb: str) -> int:
    """Return a seed for torch's generators, drawn where none is given.

    Args:
        seed: A whole number, or ``None``.
        verb: The verb that was asked, for messages.

    Raises:
        TypeError: No whole number.
        ValueError: A number of more than 64 bits.
    """
    if seed is None:
        return draw_seed()
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise TypeError(f"{verb} got seed={seed!r}; expected a whole number, or None to draw one.")
    number = int(seed)
    if not -(2**63) <= number < 2**64:
        raise ValueError(f"{verb} got seed={seed}; expected a number of at most 64 bits.")
    return number


def read_device(device: Any, verb: str) -> torch.device:
    """Return a device that is there.

    Args:
        device: A device or its name.
        verb: The verb that was asked, for messages.

    Raises:
        ValueError: No device, or one that is not available.
    """
    if not isinstance(device, str | torch.device):
        raise ValueError(f"{verb} got device={device!r}; expected a name, 'cpu' or 'cuda'.")
    try:
        found = torch.device(device)
    except RuntimeError:
        raise ValueError(
            f"{verb} got device={device!r}, which torch doesn't know; expected such as 'cpu', "
            "'cuda' or 'cuda:1'."
        ) from None
    try:
        torch.zeros((), device=found).item()
    except (RuntimeError, AssertionError, ImportError):
        kind = found.type.upper() if found.index is None else str(found)
        raise ValueError(
            f"{verb} got device={str(found)!r}, but no {kind} device is available."
        ) from None
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
