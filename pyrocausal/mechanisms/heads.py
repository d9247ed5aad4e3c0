"""Heads: from the outputs of a network to the distribution of a scalar variable."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from math import e, log
from typing import final

import pyro.distributions as dist
import torch
from pyro.distributions.transforms import OrderedTransform
from torch import Tensor, nn

from pyrocausal.mechanisms.base import Distribution, check_count, register_units

__all__ = [
    "Bernoulli",
    "Categorical",
    "Head",
    "Mixture",
    "NegativeBinomial",
    "Normal",
    "Ordinal",
    "Poisson",
    "as_head",
]


class Head(nn.Module, ABC):
    """A module that turns the outputs of a network into a distribution of a scalar variable.

    A subclass must implement: ``forward``, which takes ``eta`` of shape ``(*batch, outputs)``
    and returns a distribution of batch shape ``(*batch,)``; it sets ``outputs``.
    Assumed without a check: every ``eta`` gives a valid distribution, and outputs around 0
    give one that is typical, since that is where networks start.

    Attributes:
        outputs: How many numbers the head needs for one element of the batch.
        loc: Typical value of the variable, where the head standardizes.
        scale: Typical deviation of the variable, where the head standardizes.

    Example:
        >>> head = Normal(loc=10.0, scale=2.0)
        >>> head(torch.zeros(5, head.outputs))
        Normal(loc: torch.Size([5]), scale: torch.Size([5]))
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, outputs: int, loc: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        self.outputs = outputs
        register_units(self, loc, scale)

    @abstractmethod
    def forward(self, eta: Tensor) -> Distribution:
        """Return the distribution at the network outputs ``eta``, shape ``(*batch, outputs)``."""


@final
class Normal(Head):
    """``x = loc + scale * (eta_1 + s u)``, with one ``s`` for all or an ``s(eta_2)`` for each.

    Args:
        heteroscedastic: Whether the deviation depends on the parents.
        loc: Typical value of the variable.
        scale: Typical deviation of the variable.

    Example:
        >>> Normal(heteroscedastic=True).outputs
        2
    """

    def __init__(
        self, heteroscedastic: bool = False, *, loc: float = 0.0, scale: float = 1.0
    ) -> None:
        super().__init__(1 + heteroscedastic, loc, scale)
        self.heteroscedastic = heteroscedastic
        if not heteroscedastic:
            self.deviation = nn.Parameter(torch.zeros(()))

    def forward(self, eta: Tensor) -> Distribution:
        """Return the distribution at ``eta``, shape ``(*batch, 1 or 2)``."""
        deviation = eta[..., 1] if self.outputs == 2 else self.deviation.expand(eta.shape[:-1])
        return dist.Normal(self.loc + self.scale * eta[..., 0], self.scale * _positive(deviation))


@final
class Bernoulli(Head):
    """``x`` is 0 or 1 with log odds ``eta``.

    Example:
        >>> Bernoulli()(torch.zeros(3, 1)).probs
        tensor([0.5000, 0.5000, 0.5000])
    """

    def __init__(self) -> None:
        super().__init__(1)

    def forward(self, eta: Tensor) -> Distribution:
        """Return the distribution at ``eta``, shape ``(*batch, 1)``."""
        return dist.Bernoulli(logits=eta[..., 0])


@final
class Categorical(Head):
    """``x`` is a code from 0 to ``categories - 1``, with probabilities ``softmax(eta)``.

    Args:
        categories: How many there are.

    Example:
        >>> Categorical(4)(torch.zeros(4)).probs
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """

    def __init__(self, categories: int) -> None:
        check_count(categories, "categories", least=2)
        super().__init__(categories)
        self.categories = categories

    def forward(self, eta: Tensor) -> Distribution:
        """Return the distribution at ``eta``, shape ``(*batch, categories)``."""
        return dist.Categorical(logits=eta)


@final
class Ordinal(Head):
    """Ordered categories: ``P(x <= j) = sigmoid(c_j - eta)``, the cutpoints ``c`` learned.

    Args:
        categories: How many there are; equally probable at ``eta = 0`` before learning.

    Example:
        >>> Ordinal(4)(torch.zeros(1)).probs
        tensor([0.2500, 0.2500, 0.2500, 0.2500], grad_fn=<...>)

    References:
        McCullagh (1980), Regression models for ordinal data.
    """

    def __init__(self, categories: int) -> None:
        check_count(categories, "categories", least=2)
        super().__init__(1)
        self.categories = categories
        cutpoints = torch.logit(torch.arange(1, categories) / categories)
        self.unordered = nn.Parameter(OrderedTransform().inv(cutpoints))

    def forward(self, eta: Tensor) -> Distribution:
        """Return the distribution at ``eta``, shape ``(*batch, 1)``."""
        return dist.OrderedLogistic(eta[..., 0], OrderedTransform()(self.unordered))


@final
class Poisson(Head):
    """A count of mean ``scale * exp(eta)``.

    Args:
        scale: Typical count.

    Example:
        >>> Poisson(scale=20.0)(torch.zeros(1)).mean
        tensor(20.)
    """

    def __init__(self, *, scale: float = 1.0) -> None:
        super().__init__(1, scale=scale)

    def forward(self, eta: Tensor) -> Distribution:
        """Return the distribution at ``eta``, shape ``(*batch, 1)``."""
        return dist.Poisson(self.scale * eta[..., 0].exp())


@final
class NegativeBinomial(Head):
    """A count of mean ``m = scale * exp(eta)`` and variance ``m + m^2 / r``, ``r`` learned.

    Args:
        scale: Typical count.

    Example:
        >>> head = NegativeBinomial(scale=20.0)
        >>> head(torch.zeros(1)).variance
        tensor(420., grad_fn=<...>)
    """

    def __init__(self, *, scale: float = 1.0) -> None:
        super().__init__(1, scale=scale)
        self.log_concentration = nn.Parameter(torch.zeros(()))

    def forward(self, eta: Tensor) -> Distribution:
        """Return the distribution at ``eta``, shape ``(*batch, 1)``."""
        log_r = self.log_concentration.expand(eta.shape[:-1])
        log_mean = self.scale.log() + eta[..., 0]
        return dist.NegativeBinomial(log_r.exp(), logits=log_mean - log_r)


@final
class Mixture(Head):
    """A mixture of normals, whose weights, means and deviations all depend on the parents.

    Args:
        components: How many normals.
        loc: Typical value of the variable.
        scale: Typical deviation of the variable.

    Example:
        >>> Mixture(3)(torch.zeros(5, 9)).batch_shape
        torch.Size([5])

    References:
        Bishop (1994), Mixture density networks.
    """

    start: Tensor

    def __init__(self, components: int, *, loc: float = 0.0, scale: float = 1.0) -> None:
        check_count(components, "components")
        super().__init__(3 * components, loc, scale)
        self.components = components
        # Components that start alike would get the same gradient for ever.
        quantiles = (torch.arange(components) + 0.5) / components
        self.register_buffer("start", torch.special.ndtri(quantiles))

    def forward(self, eta: Tensor) -> Distribution:
        """Return the distribution at ``eta``, shape ``(*batch, 3 * components)``."""
        logits, means, deviations = eta.chunk(3, -1)
        means = self.loc + self.scale * (self.start + means)
        components = dist.Normal(means, self.scale * _positive(deviations))
        return dist.MixtureSameFamily(dist.Categorical(logits=logits), components)


_BY_NAME: dict[str, Callable[[], Head]] = {
    "normal": Normal,
    "heteroscedastic": partial(Normal, heteroscedastic=True),
    "bernoulli": Bernoulli,
    "poisson": Poisson,
    "negative_binomial": NegativeBinomial,
}


def as_head(head: Head | str) -> Head:
    """Return ``head`` itself, or a new one by its name.

    Raises:
        ValueError: There is no head of this name that needs no argument.
    """
    if isinstance(head, Head):
        return head
    if not isinstance(head, str) or head not in _BY_NAME:
        raise ValueError(
            f"Got head={head!r}, expected a Head or one of {sorted(_BY_NAME)}. Heads that need "
            "a number are written out: heads.Categorical(3), heads.Ordinal(5), heads.Mixture(2)."
        )
    return _BY_NAME[head]()


def _positive(eta: Tensor) -> Tensor:
    # 1 at eta = 0. Softplus, since an exponential overflows where a network extrapolates; the
    # floor keeps the density of a variable without noise finite.
    return nn.functional.softplus(eta + log(e - 1)) + 1e-6
