"""How the values of a variable become numbers for a network, and come back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any, final

import torch
from pyro.distributions import TorchDistribution
from pyro.distributions.util import sum_rightmost
from torch import Tensor, nn
from torch.distributions import biject_to, constraints

from pyrocausal.engine.tracing import Variable
from pyrocausal.guides.heads import Categories, Counts, Gaussian, Head, Mixture, Spline

__all__ = ["CategorySpace", "ContinuousSpace", "CountSpace", "Space", "SpaceDistribution"]

FAR = 10.0  # features are cut off so many deviations from the middle
FINITE = 1e6  # and targets here: a value on the border of a support has an infinite one
CONTINUOUS: dict[str, Callable[[int], Head]] = {
    "diagonal": partial(Gaussian, full=False),
    "gaussian": Gaussian,
    "mixture": Mixture,
    "flow": Spline,
}


class Space(nn.Module, ABC):
    """The values of one variable: as features, and as the targets of a head.

    A subclass must implement: ``features``, ``target``, ``value``, ``head``. Values have the shape
    ``(*batch, *inner, *event)``, of all inner plates and the event of a unit.

    Args:
        variable: What is known of the variable.
        width: How many features it has.
        described: Tells this space from another one.
        drawn: Whether it has a head; a variable without one can be evidence only.

    Attributes:
        image: Channels, height and width of what a convolution can look at, else ``None``.
    """

    def __init__(
        self, variable: Variable, width: int, described: str, *, drawn: bool = True
    ) -> None:
        super().__init__()
        self.name, self.shape, self.dtype = variable.name, variable.unit_shape, variable.dtype
        self.inner = len(variable.inner)
        self.width, self.drawn = width, drawn
        self.described = f"{described} {self.shape} {str(self.dtype).removeprefix('torch.')}"
        self.image: tuple[int, int, int] | None = None

    def settle(self, values: Tensor) -> None:
        """Take the units of measurement from simulated values, shape ``(rows, *shape)``."""

    @abstractmethod
    def features(self, values: Tensor) -> Tensor:
        """Return features of shape ``(*batch, width)``."""

    @abstractmethod
    def target(self, values: Tensor) -> Tensor:
        """Return what a head gives a density, shape ``(*batch, dim)``."""

    @abstractmethod
    def value(self, target: Tensor) -> Tensor:
        """Return the values that have a target, of the variable's shape and dtype."""

    @abstractmethod
    def head(self, kind: str) -> Head:
        """Return the head that fits, of the kind that was asked for where there is a choice."""

    def log_jacobian(self, values: Tensor) -> Tensor:
        """Return ``log |d value / d target|``, shape ``(*batch,)``."""
        return self._flat(values).new_zeros(()).expand(self._batch(values))

    def _batch(self, values: Tensor) -> torch.Size:
        return values.shape[: values.dim() - len(self.shape)]

    def _flat(self, values: Tensor) -> Tensor:
        return values.reshape(*self._batch(values), prod(self.shape))


@final
class ContinuousSpace(Space):
    """``value = T(loc + scale * target)``, with ``T`` from all real numbers to the support.

    ``loc`` and ``scale`` are median and half the width of the middle 68 % of the simulations, which
    heavy tails don't move.

    Args:
        variable: What is known of the variable.
        lower: Lower bounds, broadcastable to a value; ``None`` where there are none.
        upper: Upper bounds.
        constraint: A support of vectors or matrices, such as the simplex, instead of bounds.
        drawn: Whether it has a head.
    """

    lower: Tensor | None
    upper: Tensor | None
    loc: Tensor
    scale: Tensor

    def __init__(
        self,
        variable: Variable,
        lower: Tensor | None = None,
        upper: Tensor | None = None,
        constraint: Any = None,
        *,
        drawn: bool = True,
    ) -> None:
        transform = biject_to(_support(lower, upper, constraint))
        self.free = torch.Size(transform.inverse_shape(variable.unit_shape))
        if constraint is None:
            described = f"numbers above {_words(lower)} and below {_words(upper)}"
        else:
            described = str(constraint)
        super().__init__(variable, prod(self.free), described, drawn=drawn)
        self.constraint = constraint
        self.image = _image(variable, self.free)
        self.register_buffer("lower", lower)
        self.register_buffer("upper", upper)
        self.register_buffer("loc", torch.zeros(self.width))
        self.register_buffer("scale", torch.ones(self.width))

    @property
    def transform(self) -> Any:
        """The map ``T``."""
        return biject_to(_support(self.lower, self.upper, self.constraint))

    def settle(self, values: Tensor) -> None:
        free = self._freed(values).to(self.loc.dtype)
        low, middle, high = free.sort(0).values[[round(q * (len(free) - 1)) for q in _MIDDLE]]
        half = (high - low) / 2
        deviation = torch.where(half > 0, half, free.std(0))
        self.loc.copy_(middle)
        self.scale.copy_(torch.where(deviation > 0, deviation, 1.0))

    def features(self, values: Tensor) -> Tensor:
        return self.target(values).clamp(-FAR, FAR)

    def target(self, values: Tensor) -> Tensor:
        free = (self._freed(values) - self.loc) / self.scale
        return free.to(self.loc.dtype).clamp(-FINITE, FINITE)

    def value(self, target: Tensor) -> Tensor:
        free = (self.loc + self.scale * target).to(self.dtype)
        return self.transform(free.reshape(*free.shape[:-1], *self.free))  # type: ignore[no-any-return]

    def log_jacobian(self, values: Tensor) -> Tensor:
        free = self.transform.inv(values)
        slopes = self.transform.log_abs_det_jacobian(free, values)
        batch = self._batch(values)
        inside: Tensor = sum_rightmost(slopes, slopes.dim() - len(batch))
        return inside.to(self.loc.dtype) + self.scale.log().sum()

    def head(self, kind: str) -> Head:
        return CONTINUOUS[kind](self.width)

    def _freed(self, values: Tensor) -> Tensor:
        free = self.transform.inv(values)
        return free.reshape(*self._batch(values), self.width)  # type: ignore[no-any-return]


@final
class CategorySpace(Space):
    """Codes from ``low``, or one-hot vectors; features are one-hot, -1 and 1 for two categories.

    Args:
        variable: What is known of the variable.
        low: The lowest code.
        categories: How many there are.
        one_hot: Whether values are one-hot vectors.
    """

    def __init__(
        self, variable: Variable, low: int, categories: int, *, one_hot: bool = False
    ) -> None:
        shape = variable.unit_shape[:-1] if one_hot else variable.unit_shape
        self.low, self.categories, self.one_hot = low, categories, one_hot
        self.coded, self.elements = shape, prod(shape)
        width = self.elements * (1 if categories == 2 else categories)
        kind = "one-hot" if one_hot else f"from {low}"
        super().__init__(variable, width, f"{categories} categories {kind}")
        self.image = None if one_hot or categories > 2 else _image(variable, shape)

    def features(self, values: Tensor) -> Tensor:
        codes = self.target(values)
        dtype = torch.get_default_dtype()
        if self.categories == 2:
            return 2 * codes.to(dtype) - 1
        hot = codes[..., None] == torch.arange(self.categories, device=codes.device)
        return hot.to(dtype).flatten(-2)

    def target(self, values: Tensor) -> Tensor:
        if self.one_hot:
            return values.argmax(-1).reshape(*self._batch(values), self.elements)
        return (self._flat(values) - self.low).long()

    def value(self, target: Tensor) -> Tensor:
        codes = target.reshape(*target.shape[:-1], *self.coded)
        if self.one_hot:
            return nn.functional.one_hot(codes, self.categories).to(self.dtype)
        return (codes + self.low).to(self.dtype)

    def head(self, kind: str) -> Head:
        return Categories(self.elements, self.categories)


@final
class CountSpace(Space):
    """Whole numbers from ``low``; features are logarithms, ``(log(1 + x - low) - loc) / scale``.

    Args:
        variable: What is known of the variable.
        low: The lowest number.
        high: The highest one, ``None`` for no end.
        drawn: Whether it has a head.
    """

    loc: Tensor
    scale: Tensor

    def __init__(
        self, variable: Variable, low: int, high: int | None, *, drawn: bool = True
    ) -> None:
        described = f"counts from {low}" + ("" if high is None else f" to {high}")
        super().__init__(variable, prod(variable.unit_shape), described, drawn=drawn)
        self.low, self.high = low, high
        self.register_buffer("loc", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))

    def settle(self, values: Tensor) -> None:
        logs = self.target(values).log1p()
        deviation = logs.std()
        self.loc.copy_(logs.mean())
        self.scale.copy_(torch.where(deviation > 0, deviation, 1.0))

    def features(self, values: Tensor) -> Tensor:
        logs = (self.target(values).log1p() - self.loc) / self.scale
        return logs.to(self.loc.dtype).clamp(-FAR, FAR)

    def target(self, values: Tensor) -> Tensor:
        return self._flat(values).to(torch.float64) - self.low

    def value(self, target: Tensor) -> Tensor:
        return (target + self.low).to(self.dtype).reshape(*target.shape[:-1], *self.shape)

    def head(self, kind: str) -> Head:
        highest = None if self.high is None else self.high - self.low
        return Counts(self.width, highest, self.loc, self.scale)


@final
class SpaceDistribution(TorchDistribution):
    """The distribution of a variable's values, from that of its targets.

    Args:
        base: A distribution of targets, with the event shape ``(dim,)``.
        space: The space of the variable.
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 - the name and kind are torch's

    def __init__(self, base: Any, space: Space) -> None:
        self.base, self.space = base, space
        super().__init__(base.batch_shape, torch.Size(space.shape), validate_args=False)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether gradients flow through a draw."""
        return bool(self.base.has_rsample)

    @property
    def support(self) -> Any:
        """Any value of the right shape: the space knows which there are."""
        return constraints.independent(constraints.real, len(self.space.shape))

    def expand(self, batch_shape: Any, _instance: Any = None) -> SpaceDistribution:
        """Return it with a larger batch."""
        return SpaceDistribution(self.base.expand(batch_shape), self.space)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 - as in torch
        """Draw values."""
        with torch.no_grad():
            return self.space.value(self.base.sample(sample_shape))

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 - as in torch
        """Draw values that gradients flow through."""
        return self.space.value(self.base.rsample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density in the variable's own space."""
        density = self.base.log_prob(self.space.target(value))
        return density - self.space.log_jacobian(value)  # type: ignore[no-any-return]


def _support(lower: Tensor | None, upper: Tensor | None, constraint: Any) -> Any:
    if constraint is not None:
        return constraint
    if lower is not None and upper is not None:
        return constraints.interval(lower, upper)
    if lower is not None:
        return constraints.greater_than(lower)
    return constraints.real if upper is None else constraints.less_than(upper)


def _words(bound: Tensor | None) -> str:
    return "none" if bound is None else str(bound.tolist())


_MIDDLE = (0.1587, 0.5, 0.8413)  # of a normal distribution: one deviation on each side
_SMALLEST = 8  # pixels a side


def _image(variable: Variable, shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    event = variable.event_shape
    if variable.inner or tuple(shape) != event or len(event) not in (2, 3):
        return None
    channels, height, width = event if len(event) == 3 else (1, *event)
    return (channels, height, width) if min(height, width) >= _SMALLEST else None
