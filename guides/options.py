"""What a guide is told of its shape and training: refused where it makes no sense."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any, Final

from pyrocausal.guides.encoders import ENCODERS
from pyrocausal.guides.spaces import CONTINUOUS

__all__ = ["check_shape", "check_training"]

_CHOICES: Final = {"head": tuple(CONTINUOUS), "encoder": tuple(ENCODERS)}


def check_shape(head: Any, encoder: Any, hidden: Any, layers: Any) -> None:
    """Check the shape of a guide.

    Raises:
        ValueError: A head or an encoder that there is not, sizes below 1.
        ImportError: The head needs the library zuko, and it is not installed.
    """
    for name, given in (("head", head), ("encoder", encoder)):
        if given not in _CHOICES[name]:
            raise ValueError(f"Got {name}={given!r}; expected one of {', '.join(_CHOICES[name])}.")
    _check_whole(hidden=hidden, layers=layers)
    if head == "flow":
        from pyrocausal.mechanisms.flow import import_zuko

        import_zuko()


def check_training(steps: Any, batch_size: Any, lr: Any, compile: Any) -> None:
    """Check how a guide is to be trained.

    Raises:
        ValueError: A number that is out of range, or none; another word for how to compile.
    """
    _check_whole(steps=steps, batch_size=batch_size)
    real = isinstance(lr, Real) and not isinstance(lr, bool)
    if not (real and 0 < float(lr) < math.inf):
        raise ValueError(f"Got lr={lr!r}; expected a positive number, such as 0.003.")
    if compile not in (True, False, "auto"):
        raise ValueError(f'Got compile={compile!r}; expected True, False or "auto".')


def _check_whole(**numbers: Any) -> None:
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, Integral) or number < 1:
            raise ValueError(f"Got {name}={number!r}; expected a positive whole number.")
