"""Heads: from the outputs of a network to the distribution of a variable's targets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, final

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import logsigmoid

__all__ = ["Categories", "Counts", "Gaussian", "Head", "Logistics", "Mixture", "Spline"]

STEEPEST = 9.0  # log scales are kept within these bounds
DENSE = 32  # longer vectors get independent entries: their Cholesky factor would be the network
COMPONENTS = 5
BINS = 8


class Head(ABC):
    """From network outputs to a distribution of targets, vectors of a fixed length.

    A subclass must implement: ``size`` and ``__call__``, which takes outputs of shape
    ``(*batch, size)`` and returns a distribution with this batch and the event ``(dim,)``.

    Attributes:
        size: How many outputs of the network it takes.
    """

    @property
    @abstractmethod
    def size(self) -> int:
        """How many outputs of the network it takes."""

    @abstractmethod
    def __call__(self, outputs: Tensor) -> Any:
        """Return the distribution of the targets."""


@final
@dataclass(frozen=True)
class Gaussian(Head):
    """``Normal(m, L L^T)``, with ``L`` diagonal or, up to 32 entries, a Cholesky factor.

    Example:
        >>> Gaussian(2)(torch.zeros(5)).covariance_matrix
        tensor([[1., 0.],
                [0., 1.]])
    """

    dim: int
    full: bool = True

    @property
    def size(self) -> int:
        return 2 * self.dim + self._below

    @property
    def _below(self) -> int:
        return self.dim * (self.dim - 1) // 2 if self.full and self.dim <= DENSE else 0

    def __call__(self, outputs: Tensor) -> Any:
        loc, tril = self.affine(outputs)
        if not self._below:
            return dist.Normal(loc, tril).to_event(1)
        return dist.MultivariateNormal(loc, scale_tril=tril)

    def affine(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``m`` and ``L``, the latter as its diagonal where that is all."""
        loc, log_scale, below = outputs.split([self.dim, self.dim, self._below], -1)
        scale = log_scale.clamp(-STEEPEST, STEEPEST).exp()
        if not self._below:
            return loc, scale
        unit = torch.eye(self.dim, dtype=scale.dtype, device=scale.device)
        unit = unit.expand(*scale.shape[:-1], -1, -1).clone()
        row, column = torch.tril_indices(self.dim, self.dim, -1, device=scale.device)
        unit[..., row, column] = below
        return loc, scale[..., None] * unit


@final
@dataclass(frozen=True)
class Mixture(Head):
    """A mixture of Gaussians, which start side by side."""

    dim: int
    components: int = COMPONENTS

    @property
    def size(self) -> int:
        return self.components * (1 + Gaussian(self.dim).size)

    def __call__(self, outputs: Tensor) -> Any:
        logits, parts = outputs.split([self.components, self.size - self.components], -1)
        parts = parts.unflatten(-1, (self.components, -1))
        apart = torch.linspace(-1.5, 1.5, self.components, device=outputs.device)
        shift = torch.zeros(self.components, parts.shape[-1], device=outputs.device)
        shift[:, : self.dim] = apart[:, None]
        base = Gaussian(self.dim)(parts + shift)
        return dist.MixtureSameFamily(dist.Categorical(logits=logits), base)


@final
@dataclass(frozen=True)
class Spline(Head):
    """``target = m + L s(u)``: normal noise, a monotone spline for each entry, then an affine map.

    Raises:
        ImportError: The library ``zuko`` is not installed.

    References:
        Durkan, Bekasov, Murray, Papamakarios (2019), Neural spline flows.
    """

    dim: int

    @property
    def size(self) -> int:
        return Gaussian(self.dim).size + self.dim * (3 * BINS - 1)

    def __call__(self, outputs: Tensor) -> Any:
        from pyrocausal.mechanisms.flow import import_zuko

        affine, bent = outputs.split([Gaussian(self.dim).size, self.dim * (3 * BINS - 1)], -1)
        shapes = bent.unflatten(-1, (self.dim, -1)).split([BINS, BINS, BINS - 1], -1)
        spline = import_zuko().transforms.MonotonicRQSTransform(*shapes, slope=1e-2)
        loc, factor = Gaussian(self.dim).affine(outputs=affine)
        noise = dist.Normal(torch.zeros_like(loc), torch.ones_like(loc)).to_event(1)
        return dist.TransformedDistribution(noise, [spline, _Affine(loc, factor)])


@final
class _Affine(torch.distributions.Transform):
    """``x = m + L y``, with ``L`` lower triangular, or its diagonal."""

    domain = constraints.real_vector
    codomain = constraints.real_vector
    bijective = True

    def __init__(self, loc: Tensor, factor: Tensor) -> None:
        super().__init__()
        self.loc, self.factor = loc, factor
        self.dense = factor.dim() > loc.dim()

    def _call(self, x: Tensor) -> Tensor:
        turned = (self.factor @ x[..., None])[..., 0] if self.dense else self.factor * x
        return self.loc + turned

    def _inverse(self, y: Tensor) -> Tensor:
        centred = y - self.loc
        if not self.dense:
            return centred / self.factor
        column = centred[..., None]
        solved: Tensor = torch.linalg.solve_triangular(self.factor, column, upper=False)
        return solved[..., 0]

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Return ``log |L|``, a number for each vector."""
        diagonal = self.factor.diagonal(dim1=-2, dim2=-1) if self.dense else self.factor
        return diagonal.log().sum(-1).expand(x.shape[:-1])


@final
@dataclass(frozen=True)
class Categories(Head):
    """Independent categorical codes, from 0."""

    elements: int
    categories: int

    @property
    def size(self) -> int:
        return self.elements * self.categories

    def __call__(self, outputs: Tensor) -> Any:
        logits = outputs.unflatten(-1, (self.elements, self.categories))
        return dist.Categorical(logits=logits).to_event(1)


@final
@dataclass(frozen=True, eq=False)
class Counts(Head):
    """Independent counts from 0: logistic mixtures of ``(log(1 + x) - loc) / scale``, in cells.

    Attributes:
        elements: How many counts.
        highest: The highest possible one, ``None`` for no end.
        loc: Typical ``log(1 + x)``.
        scale: Its typical deviation.
    """

    elements: int
    highest: int | None
    loc: Tensor
    scale: Tensor

    @property
    def size(self) -> int:
        return self.elements * 3 * COMPONENTS

    def __call__(self, outputs: Tensor) -> Any:
        parts = outputs.unflatten(-1, (self.elements, 3, COMPONENTS)).to(torch.float64)
        logits, loc, log_scale = parts.unbind(-2)
        apart = torch.linspace(-1.5, 1.5, COMPONENTS, device=outputs.device)
        each: Any = Logistics(logits, loc + apart, log_scale, self.highest, self.loc, self.scale)
        return each.to_event(1)


@final
class Logistics(dist.TorchDistribution):
    """``x = round(exp(loc0 + scale0 y) - 1)``, kept from 0 to ``highest``, ``y`` a logistic mixture.

    The probability of a count is that of its cell, from ``x - 1/2`` to ``x + 1/2``; the last
    cells reach to the ends.

    Args:
        logits: Log weights of the components, shape ``(*batch, components)``.
        loc: Their middles.
        log_scale: Logarithms of their scales.
        highest: The highest count, ``None`` for no end.
        loc0: Typical ``log(1 + x)``.
        scale0: Its typical deviation.
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 - the name and kind are torch's
    support = constraints.nonnegative_integer

    def __init__(
        self,
        logits: Tensor,
        loc: Tensor,
        log_scale: Tensor,
        highest: int | None,
        loc0: Tensor,
        scale0: Tensor,
    ) -> None:
        self.logits, self.loc, self.log_scale = logits, loc, log_scale
        self.highest = _MOST if highest is None else float(highest)
        self.loc0, self.scale0 = loc0.double(), scale0.double()
        super().__init__(loc.shape[:-1], validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Logistics:
        """Return it with a larger batch."""
        shape = (*batch_shape, self.loc.shape[-1])
        logits, loc, log_scale = (p.expand(shape) for p in (self.logits, self.loc, self.log_scale))
        return Logistics(logits, loc, log_scale, int(self.highest), self.loc0, self.scale0)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 - as in torch
        """Draw counts, as float64."""
        with torch.no_grad():
            which = dist.Categorical(logits=self.logits).sample(sample_shape)[..., None]
            shape = (*which.shape[:-1], self.loc.shape[-1])
            loc, scale = (part.expand(shape).gather(-1, which)[..., 0] for part in self._parts())
            uniform = torch.rand_like(loc).clamp(1e-12, 1 - 1e-12)
            log = self.loc0 + self.scale0 * (loc + scale * uniform.logit())
            return log.expm1().round().clamp(0.0, self.highest)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log probability of counts."""
        loc, scale = self._parts()
        count = value.to(loc.dtype)[..., None]
        low = torch.where(count <= 0, -_END, (self._edge(count - 0.5) - loc) / scale)
        high = torch.where(count >= self.highest, _END, (self._edge(count + 0.5) - loc) / scale)
        inside = logsigmoid(high) + logsigmoid(-low) + (-torch.expm1(low - high)).log()
        weighted = self.logits.log_softmax(-1) + inside
        return weighted.logsumexp(-1)

    def _parts(self) -> tuple[Tensor, Tensor]:
        return self.loc, self.log_scale.clamp(-STEEPEST, STEEPEST).exp()

    def _edge(self, count: Tensor) -> Tensor:
        return (count.log1p() - self.loc0) / self.scale0


_END = 1e4  # a logistic variable is never so far out
_MOST = 2.0**31
