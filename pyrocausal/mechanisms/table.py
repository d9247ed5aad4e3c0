"""A conditional probability table for a discrete variable with discrete parents."""

from collections.abc import Sequence
from typing import Any, Self, final

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyrocausal.mechanisms.base import (
    Distribution,
    Mechanism,
    check_codes,
    check_count,
    check_counts,
)

__all__ = ["Table"]


@final
class Table(Mechanism):
    """``P(x = j | pa) = probs[pa_1, ..., pa_m, j]``.

    Parents are codes from 0, of any dtype. Codes out of range or not whole are an error while
    validation of distributions is on (Pyro's default); with validation off they follow torch's
    rules of indexing, without a check: truncated, negative codes counted from the end.

    Args:
        probs: The table, shape ``(*cardinalities, categories)``; the last dimension sums to 1.
            With ``binary=True`` the entries are ``P(x = 1 | pa)``, shape ``(*cardinalities,)``.
        binary: Whether the variable is a Bernoulli.
        learn: Whether the entries are parameters, on the scale of logits, that start at
            ``probs``; otherwise they are a buffer.

    Raises:
        TypeError: The entries are no numbers, or no array.
        ValueError: The entries are no probabilities; or they are 0 or 1 and shall be learned.

    Example:
        >>> wet = Table(torch.tensor([[0.0, 0.8], [0.9, 0.99]]), binary=True)
        >>> rain, sprinkler = torch.tensor([0.0, 1.0]), torch.tensor([1.0, 1.0])
        >>> wet(rain, sprinkler).probs
        tensor([0.8000, 0.9900])
    """

    table: Tensor

    def __init__(
        self, probs: Tensor | Sequence[Any], *, binary: bool = False, learn: bool = False
    ) -> None:
        super().__init__()
        probs = _read_probs(probs, binary)
        _check_probs(probs, binary, learn)
        self.cardinalities = tuple(probs.shape if binary else probs.shape[:-1])
        self.binary, self.learn = binary, learn
        if learn:
            self.table = nn.Parameter(torch.logit(probs) if binary else probs.log())
        else:
            self.register_buffer("table", probs.detach().clone())

    @classmethod
    def uniform(cls, cardinalities: Sequence[int], categories: int | None = None) -> Self:
        """A table to be learned, which starts at equal probabilities.

        Args:
            cardinalities: How many values each parent has.
            categories: How many values the variable has; ``None`` for a Bernoulli.

        Example:
            >>> Table.uniform([2, 3], categories=4)(torch.tensor(1), torch.tensor(2)).probs
            tensor([0.2500, 0.2500, 0.2500, 0.2500], grad_fn=<...>)
        """
        check_counts(cardinalities, "cardinalities")
        check_count(2 if categories is None else categories, "categories")
        if categories is None:
            return cls(torch.full(tuple(cardinalities), 0.5), binary=True, learn=True)
        return cls(torch.full((*cardinalities, categories), 1 / categories), learn=True)

    @property
    def probs(self) -> Tensor:
        """The entries; learned ones stay a rounding error away from 0 and 1."""
        table = self.table.detach()
        if not self.learn:
            return table
        probs = table.sigmoid() if self.binary else table.softmax(-1)
        eps = torch.finfo(probs.dtype).eps
        return probs.clamp(eps, 1 - eps)

    def forward(self, *parents: Tensor) -> Distribution:
        """Return the distribution at the parents, codes of shape ``(*batch,)``.

        Raises:
            ValueError: The number of parents is wrong; or, while validation of distributions
                is on, a code is out of range.
        """
        if len(parents) != len(self.cardinalities):
            raise ValueError(
                f"Got {len(parents)} parents, expected {len(self.cardinalities)}, with "
                f"{self.cardinalities} values. Pass one tensor of codes for each, in this order."
            )
        for position, (x, categories) in enumerate(zip(parents, self.cardinalities, strict=True)):
            check_codes(x, categories, position)
        entries = self.table[tuple(x.long() for x in parents)]
        family = dist.Bernoulli if self.binary else dist.Categorical
        # Fixed entries stay probabilities: logits would turn an impossible value into 1e-7.
        return family(logits=entries) if self.learn else family(probs=entries)


def _read_probs(probs: Any, binary: bool) -> Tensor:
    try:
        read = torch.as_tensor(probs)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"Got a table of type {type(probs).__name__}, expected probabilities: a tensor, or "
            "nested lists of numbers that are all of one length."
        ) from None
    if read.numel() == 0 or (read.dim() == 0 and not binary):
        raise ValueError(
            f"Got a table of shape {tuple(read.shape)}, expected a dimension for each parent"
            f"{'' if binary else ' and a last one for the categories'}, none of them empty."
        )
    return read if read.is_floating_point() else read.to(torch.get_default_dtype())


def _check_probs(probs: Tensor, binary: bool, learn: bool) -> None:
    total = torch.ones(()) if binary else probs.sum(-1)
    if not bool(((probs >= 0) & (probs <= 1)).all() and ((total - 1).abs() < 1e-5).all()):
        sums = "" if binary else ", the last dimension summing to 1"
        raise ValueError(
            f"Got a table of shape {tuple(probs.shape)} with entries from {probs.min():.4g} to "
            f"{probs.max():.4g}, expected probabilities{sums}. Normalize it first."
        )
    if learn and not bool(((probs > 0) & (probs < 1)).all()):
        raise ValueError(
            "Got entries of 0 or 1 in a table to be learned, where they could never change. "
            "Start from positive probabilities, or keep the table fixed with learn=False."
        )
