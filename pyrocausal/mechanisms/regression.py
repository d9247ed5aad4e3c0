"""Regressions: the parents' features, a network, a head."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn

from pyrocausal.mechanisms.base import Distribution, Mechanism, check_counts
from pyrocausal.mechanisms.encoder import ParentEncoder, Parents
from pyrocausal.mechanisms.heads import Head, as_head

__all__ = ["MLP", "Linear"]


@final
class Linear(Mechanism):
    """A generalized linear model: ``eta = W pa + b`` in standardized units, then the head.

    Args:
        parents: What each parent is; an integer stands for as many continuous scalars.
        head: The distribution of the variable, or its name: ``"normal"``,
            ``"heteroscedastic"``, ``"bernoulli"``, ``"poisson"``, ``"negative_binomial"``.

    Example:
        >>> from pyrocausal.mechanisms import Parent
        >>> recovery = Linear(parents=[Parent.binary(), Parent.continuous()])
        >>> recovery(torch.ones(100), torch.zeros(100)).batch_shape
        torch.Size([100])
    """

    def __init__(self, parents: Parents = 0, head: Head | str = "normal") -> None:
        super().__init__()
        self.encoder = ParentEncoder(parents)
        self.parents = self.encoder.parents
        self.head = as_head(head)
        self.network = _affine(self.encoder.width, self.head.outputs)

    def forward(self, *parents: Tensor) -> Distribution:
        """Return the distribution at the parents, each ``(*batch,)`` or ``(*batch, *event)``."""
        return self.head(self.network(self.encoder(*parents)))


@final
class MLP(Mechanism):
    """A multilayer perceptron from the parents' features to the head.

    A root has nothing to feed to hidden layers: it learns the head's inputs directly.

    Args:
        parents: What each parent is; an integer stands for as many continuous scalars.
        hidden: Widths of the hidden layers.
        activation: Makes the layer between them.
        head: The distribution of the variable, or its name, as for ``Linear``.

    Example:
        >>> response = MLP(parents=2, hidden=(16,), head="heteroscedastic")
        >>> response(torch.zeros(3, 100), torch.zeros(100)).batch_shape
        torch.Size([3, 100])
    """

    def __init__(
        self,
        parents: Parents = 0,
        hidden: Sequence[int] = (32, 32),
        *,
        activation: Callable[[], nn.Module] = nn.SiLU,
        head: Head | str = "normal",
    ) -> None:
        super().__init__()
        check_counts(hidden, "hidden")
        self.encoder = ParentEncoder(parents)
        self.parents, self.hidden, self.activation = self.encoder.parents, hidden, activation
        self.head = as_head(head)
        widths = (self.encoder.width, *(hidden if self.encoder.width else ()))
        layers = [m for w in pairwise(widths) for m in (nn.Linear(*w), activation())]
        self.network = nn.Sequential(*layers, _affine(widths[-1], self.head.outputs))

    def forward(self, *parents: Tensor) -> Distribution:
        """Return the distribution at the parents, each ``(*batch,)`` or ``(*batch, *event)``."""
        return self.head(self.network(self.encoder(*parents)))


@final
class _Constant(nn.Module):
    """What ``nn.Linear`` would be without inputs."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, features: Tensor) -> Tensor:
        return self.bias


def _affine(inputs: int, outputs: int) -> nn.Module:
    return nn.Linear(inputs, outputs) if inputs else _Constant(outputs)
