"""From the values of the parents to one vector of standardized features."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from numbers import Integral
from typing import Any, Literal, Self, final

import torch
from torch import Tensor, nn

from pyrocausal.mechanisms.base import Numbers, check_codes, check_count, register_units

__all__ = ["Parent", "ParentEncoder", "Parents"]


@final
@dataclass(frozen=True)
class Parent:
    """What a mechanism has to know about one of its parents.

    Use the constructors: ``Parent.continuous``, ``Parent.count``, ``Parent.binary``,
    ``Parent.categorical``.

    Attributes:
        kind: How values become features.
        shape: Event shape; ``()`` for a scalar.
        loc: Subtracted from each feature.
        scale: Divides each feature.

    Example:
        >>> Parent.continuous(shape=2, loc=[1.0, 5.0], scale=2.0)
        Parent(kind='continuous', shape=(2,), loc=(1.0, 5.0), scale=(2.0, 2.0))
    """

    kind: Literal["continuous", "count", "binary", "categorical"]
    shape: tuple[int, ...]
    loc: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def continuous(
        cls, shape: int | Sequence[int] = (), loc: Numbers = 0.0, scale: Numbers = 1.0
    ) -> Self:
        """Real numbers, ``(x - loc) / scale``, an event flattened.

        Args:
            shape: Event shape; an integer ``p`` stands for ``(p,)``.
            loc: Typical value, broadcastable to ``shape``.
            scale: Typical deviation, broadcastable to ``shape``.
        """
        event = (shape,) if isinstance(shape, int) else tuple(shape)
        return cls("continuous", event, _spread(loc, event), _spread(scale, event))

    @classmethod
    def count(cls, loc: float = 0.0, scale: float = 1.0) -> Self:
        """A count, ``(log(1 + x) - loc) / scale``; ``loc`` and ``scale`` are those of the log."""
        return cls("count", (), (loc,), (scale,))

    @classmethod
    def binary(cls) -> Self:
        """A number that is 0 or 1, taken as it is."""
        return cls("binary", (), (0.0,), (1.0,))

    @classmethod
    def categorical(cls, categories: int) -> Self:
        """A code from 0 to ``categories - 1``, one-hot."""
        check_count(categories, "categories")
        return cls("categorical", (), (0.0,) * categories, (1.0,) * categories)

    @property
    def width(self) -> int:
        """How many features this parent becomes."""
        return len(self.loc)


Parents = int | Parent | Sequence[Parent | int]


@final
class ParentEncoder(nn.Module):
    """One feature vector from the values of all parents: flattened, one-hot, standardized.

    Args:
        parents: What each parent is, in the order of the call. An integer stands for as many
            continuous scalars.

    Attributes:
        parents: The parents, integers spelled out.
        width: Length of the feature vector.

    Example:
        >>> encoder = ParentEncoder([Parent.continuous(loc=1.0, scale=2.0), Parent.categorical(3)])
        >>> encoder(torch.tensor([1.0, 5.0]), torch.tensor(2))
        tensor([[0., 0., 0., 1.],
                [2., 0., 0., 1.]])
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, parents: Parents = 0) -> None:
        super().__init__()
        self.parents = _spell_out(parents)
        self.width = sum(parent.width for parent in self.parents)
        register_units(
            self,
            [number for parent in self.parents for number in parent.loc],
            [number for parent in self.parents for number in parent.scale],
        )

    def forward(self, *values: Tensor) -> Tensor:
        """Return the features.

        Args:
            values: One tensor for each parent, shape ``(*batch, *event)``; batches broadcast.

        Returns:
            Features of shape ``(*batch, width)``, of the dtype of this module.

        Raises:
            ValueError: The number of parents or an event shape is wrong; or, while validation
                of distributions is on, a category is out of range.
        """
        if len(values) != len(self.parents):
            raise ValueError(
                f"Got {len(values)} parents, expected {len(self.parents)}: "
                f"{', '.join(parent.kind for parent in self.parents) or 'none'}. "
                "Pass one tensor for each, in this order."
            )
        if not values:
            return self.loc  # empty, of this module's dtype and device
        blocks = [self._features(i, x) for i, x in enumerate(values)]
        batch = torch.broadcast_shapes(*(block.shape[:-1] for block in blocks))
        features = torch.cat([block.expand(*batch, -1) for block in blocks], -1)
        return (features - self.loc) / self.scale

    def _features(self, position: int, x: Tensor) -> Tensor:
        parent = self.parents[position]
        dim = x.dim() - len(parent.shape)
        if dim < 0 or x.shape[dim:] != parent.shape:
            raise ValueError(
                f"Parent {position}: got a value of shape {tuple(x.shape)}, expected "
                f"(*batch, *event) with the event {parent.shape}. Declare it with "
                "Parent.continuous(shape=...)."
            )
        if parent.kind == "categorical":
            check_codes(x, parent.width, position)
            x = x.unsqueeze(-1) == torch.arange(parent.width, device=x.device)
        elif parent.kind == "count":
            x = x.to(self.loc.dtype).log1p()
        return x.to(self.loc.dtype).reshape(*x.shape[:dim], parent.width)


def _spell_out(parents: Parents) -> tuple[Parent, ...]:
    several = isinstance(parents, Iterable) and not isinstance(parents, str)
    groups: Iterable[Any] = parents if several else [parents]  # type: ignore[assignment]
    return tuple(parent for group in groups for parent in _read(group))


def _read(group: Any) -> tuple[Parent, ...]:
    if isinstance(group, Parent):
        return (group,)
    if isinstance(group, bool) or not isinstance(group, Integral):
        raise TypeError(
            f"Got parents={group!r}, expected a number of continuous scalars, or what each parent "
            "is: [Parent.continuous(), Parent.binary(), Parent.categorical(3)]."
        )
    check_count(group, "parents", least=0)
    return (Parent.continuous(),) * int(group)


def _spread(value: Numbers, shape: tuple[int, ...]) -> tuple[float, ...]:
    tensor = torch.as_tensor(value, dtype=torch.float64)
    return tuple(tensor.expand(shape).reshape(prod(shape)).tolist())
