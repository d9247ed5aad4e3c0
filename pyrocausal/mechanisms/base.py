"""What a mechanism is, and the two habits that all of them share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor, nn

__all__ = [
    "Distribution",
    "Mechanism",
    "Numbers",
    "check_codes",
    "check_count",
    "check_counts",
    "register_units",
]

Distribution = Any  # torch's and Pyro's distributions share no typed ancestor
Numbers = float | Sequence[float] | Tensor


class Mechanism(nn.Module, ABC):
    """A module whose ``forward(*parents)`` returns the distribution ``p(x | pa)`` of a variable.

    A program samples from it, ``x = pyro.sample("x", mechanism(*parents))``, and thereby
    assigns ``x = f(pa, u)``: the structural equation is derived from the distribution.

    A subclass must implement: ``forward``. It takes one tensor for each parent, ``(*batch,)``
    for a scalar and ``(*batch, *event)`` otherwise, and returns a Pyro distribution whose
    ``batch_shape`` is the broadcast of the parents' batches; ``()`` for a root, which has none.
    It may give the distribution a method ``structural_equation()`` of its own.
    Assumed without a check: one element of the batch does not influence another (no batch
    normalization over units), and no Python branch depends on a value.

    Example:
        >>> class Drift(Mechanism):
        ...     def forward(self, position):
        ...         return dist.Normal(position + 1, 0.1)
        >>> Drift()(torch.zeros(3, 5)).batch_shape
        torch.Size([3, 5])
    """

    @abstractmethod
    def forward(self, *parents: Tensor) -> Distribution:
        """Return the distribution of the variable at the given values of its parents."""


def register_units(module: nn.Module, loc: Numbers, scale: Numbers) -> None:
    """Give ``module`` the buffers ``loc`` and ``scale`` that define its standardized units.

    Raises:
        ValueError: Some ``scale`` is not positive.
    """
    for name, value in (("loc", loc), ("scale", scale)):
        tensor = torch.as_tensor(value, dtype=torch.get_default_dtype())
        module.register_buffer(name, tensor.detach().clone())
    if not bool((torch.as_tensor(scale) > 0).all()):
        raise ValueError(
            f"{type(module).__name__}: got scale={scale}, expected positive numbers. A column "
            "that doesn't vary has no scale of its own: leave it at 1."
        )


def check_count(number: Any, what: str, least: int = 1) -> None:
    """Check a size that a mechanism is made with.

    Args:
        number: What was given.
        what: What it is called in the message.
        least: The smallest that makes sense.

    Raises:
        TypeError: No whole number.
        ValueError: A number that is too small.
    """
    if isinstance(number, bool) or not isinstance(number, Integral):
        raise TypeError(f"Got {what}={number!r}, expected a whole number, at least {least}.")
    if number < least:
        raise ValueError(f"Got {what}={number}, expected at least {least}.")


def check_counts(numbers: Any, what: str) -> None:
    """Check a sequence of sizes that a mechanism is made with.

    Raises:
        TypeError: No sequence of whole numbers.
        ValueError: A number below 1.
    """
    if isinstance(numbers, str) or not isinstance(numbers, Sequence):
        raise TypeError(f"Got {what}={numbers!r}, expected a sequence, such as ({numbers!r},).")
    for position, number in enumerate(numbers):
        check_count(number, f"{what}[{position}]")


def check_codes(x: Tensor, categories: int, position: int) -> None:
    """Check that ``x`` holds category codes; only while validation of distributions is on.

    The check reads values back from the device, which is why the fast path goes without.

    Raises:
        ValueError: A value is no whole number between 0 and ``categories - 1``.
    """
    if not dist.is_validation_enabled():
        return
    valid = (x == x.long()) & (x >= 0) & (x < categories)
    if not bool(valid.all()):
        raise ValueError(
            f"Parent {position}: got the value {x[~valid][0].item()}, expected whole numbers "
            f"from 0 to {categories - 1}. Recode the parent, or declare more categories."
        )
