"""What the discrete equations share: probabilities that are exact at 0 and 1, and refusals."""

from collections.abc import Callable
from math import log
from typing import Any

import torch
from torch import Tensor

from pyrocausal.requirements import require

__all__ = [
    "binary_logit",
    "class_log_probs",
    "float_dtype",
    "in_support",
    "needed",
    "pick",
    "refuse_impossible",
]

_SLACK = 1e-3  # the clamp is known up to the rounding of two logarithms


def binary_logit(distribution: Any, probs: str = "probs", logits: str = "logits") -> Tensor:
    """Return ``log p - log(1 - p)``, float64 and detached, infinite where ``p`` is 0 or 1.

    Args:
        distribution: A distribution with the probability ``p`` or its logit, shape ``(*batch,)``.
        probs: Name of the attribute that holds ``p``.
        logits: Name of the attribute that holds the logit.

    Example:
        >>> binary_logit(dist.Bernoulli(probs=torch.tensor([0.0, 0.5, 1.0])))
        tensor([-inf, 0., inf], dtype=torch.float64)
    """
    return _exact_logits(distribution, probs, logits, torch.logit)


def class_log_probs(distribution: Any) -> Tensor:
    """Return the normalized log probabilities of the classes, float64 and detached.

    Args:
        distribution: A ``Categorical``; its parameters have the shape ``(*batch, classes)``.

    Example:
        >>> class_log_probs(dist.Categorical(probs=torch.tensor([0.0, 1.0])))
        tensor([-inf, 0.], dtype=torch.float64)
    """
    return torch.log_softmax(_exact_logits(distribution, "probs", "logits", torch.log), -1)


def float_dtype(distribution: Any) -> torch.dtype:
    """Return the dtype of the given ``probs`` or ``logits``, which float values share."""
    return next(iter(_given(distribution, "probs", "logits").values())).dtype


def in_support(distribution: Any, x: Tensor) -> Tensor:
    """Say which values lie in the support, of the batch's shape, whatever their probability."""
    inside: Tensor = distribution.support.check(x)
    return inside


def pick(table: Tensor, index: Tensor) -> Tensor:
    """Return ``table[..., index]`` element by element.

    Args:
        table: Shape ``(*batch, entries)``.
        index: Integers in ``[0, entries)``, shape ``(*batch,)``; the batches broadcast.
    """
    shape = torch.broadcast_shapes(table.shape[:-1], index.shape)
    index = index.expand(shape).unsqueeze(-1)
    return table.expand(*shape, table.shape[-1]).gather(-1, index).squeeze(-1)


def needed(v: Tensor | None) -> Tensor:
    """Return ``v``, or say that this posterior consumes uniforms."""
    if v is None:
        raise TypeError(
            "The noise of this variable is random given its value: posterior(x, v) needs "
            "uniforms v of shape (*batch, *posterior_shape), got None."
        )
    return v


def refuse_impossible(possible: Tensor, distribution: Any) -> None:
    """Raise ``ValueError`` unless every element is possible.

    Args:
        possible: Booleans of any shape.
        distribution: The distribution, for the message.
    """

    def error() -> ValueError:
        index, name = (~possible).nonzero()[0].tolist(), type(distribution).__name__
        return ValueError(
            f"Got a value that no noise of {name} gives, at index {index} of the batch: its "
            "probability is 0, or too small for float64. Expected possible values: check the "
            "evidence and the values of the parents."
        )

    require(possible, error)


def _exact_logits(
    distribution: Any, probs: str, logits: str, from_probs: Callable[[Tensor], Tensor]
) -> Tensor:
    given = _given(distribution, probs, logits)
    if logits not in given:
        return from_probs(given[probs].double())
    logit = given[logits].double()
    if probs not in given:
        return logit
    # One was computed from the other, with a clamp: 0 and 1 survive in the probability alone.
    p = given[probs]
    clamped = logit.abs() <= -log(torch.finfo(p.dtype).eps) + _SLACK
    return torch.where(clamped & ((p == 0) | (p == 1)), from_probs(p.double()), logit)


def _given(distribution: Any, *names: str) -> dict[str, Tensor]:
    # Torch's lazy properties leave what they computed in the instance's __dict__ too.
    fields = vars(distribution)
    return {name: fields[name].detach() for name in names if name in fields}
