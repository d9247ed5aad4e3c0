"""Families whose noise is the logit of the CDF: ``u = log F(x) - log S(x) ~ Logistic(0, 1)``."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from pyrocausal.noise.equation import StructuralEquation
from pyrocausal.noise.tails import from_log_pair, to_log_pair

__all__ = ["LogisticScale", "ScalarLaw"]

_SLACK = 1e-9  # brackets are exact in theory: this keeps a root on their edge inside


class ScalarLaw(ABC):
    """A continuous law on the line, with the maps between its values and its logits.

    ``logit(y) = log F(y) - log S(y)`` and ``quantile`` are inverse to each other, and
    differentiable once in all arguments by the implicit function theorem:
    ``dl/dy = f / (F S)``, ``dy/dtheta = -(dl/dtheta) / (dl/dy)``. All in float64.

    A subclass must implement: ``tails``, ``score`` and ``bracket``.
    It may override: ``sensitivity`` and ``steps``.
    Assumed without a check: ``log F`` and ``log S`` are concave in ``y``, or nearly so.

    Attributes:
        steps: How many Halley steps the quantile takes.

    References:
        Figurnov, Mohamed, Mnih (2018), Implicit reparameterization gradients.
    """

    steps: ClassVar[int] = 5

    @abstractmethod
    def tails(self, y: Tensor, *theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``log F``, ``log S`` and the log density at ``y``, all of one shape."""

    @abstractmethod
    def score(self, y: Tensor, *theta: Tensor) -> Tensor:
        """Return the derivative of the log density in ``y``."""

    @abstractmethod
    def bracket(
        self, log_cdf: Tensor, log_sf: Tensor, *theta: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return a first guess of the quantile, and bounds below and above it."""

    def logit(self, y: Tensor, *theta: Tensor) -> Tensor:
        """Return ``log F(y) - log S(y)``; the arguments broadcast."""
        return _logit(self, *torch.broadcast_tensors(y, *theta))

    def quantile(self, u: Tensor, *theta: Tensor) -> Tensor:
        """Return the ``y`` with ``logit(y) = u``; the arguments broadcast."""
        return _quantile(self, *torch.broadcast_tensors(u, *theta))

    def sensitivity(self, y: Tensor, *theta: Tensor) -> tuple[Tensor, ...]:
        """Return the derivatives of ``logit`` in the parameters, at fixed ``y``."""
        pull: Callable[[Tensor], tuple[Tensor, ...]] = torch.func.vjp(
            lambda *t: from_log_pair(*self.tails(y, *t)[:2]), *theta
        )[1]
        return pull(torch.ones_like(y))

    def slope(self, y: Tensor, *theta: Tensor) -> Tensor:
        """Return the derivative of ``logit`` in ``y``."""
        log_cdf, log_sf, log_density = self.tails(y, *theta)
        return torch.exp(log_density - log_cdf - log_sf)

    def solve(self, u: Tensor, *theta: Tensor) -> Tensor:
        """Find the quantile by safeguarded Halley steps on the logarithm of the smaller tail."""
        log_cdf, log_sf = to_log_pair(u)
        y, low, high = self.bracket(log_cdf, log_sf, *theta)
        low, high = low - _SLACK * (1 + low.abs()), high + _SLACK * (1 + high.abs())
        y = y.clamp(low, high)
        lower = u < 0
        target, sign = torch.where(lower, log_cdf, log_sf), torch.where(lower, 1.0, -1.0)
        for _ in range(self.steps):
            log_cdf, log_sf, log_density = self.tails(y, *theta)
            tail = torch.where(lower, log_cdf, log_sf)
            slope, gap = sign * torch.exp(log_density - tail), tail - target
            above = sign * gap > 0
            low, high = torch.where(above, low, y), torch.where(above, y, high)
            step = gap / slope
            bend = 0.5 * step * (self.score(y, *theta) - slope)
            proposal = y - step / (1 - bend.clamp(-0.5, 0.5))
            inside = (proposal >= low) & (proposal <= high)  # False for NaN too
            y = torch.where(inside, proposal, 0.5 * (low + high))
        return y


class _Logit(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(law: ScalarLaw, y: Tensor, *theta: Tensor) -> Tensor:
        return from_log_pair(*law.tails(y, *theta)[:2])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.law = inputs[0]
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        y, *theta = ctx.saved_tensors
        needs_y, *needs_theta = ctx.needs_input_grad[1:]
        for_y = gradient * ctx.law.slope(y, *theta) if needs_y else None
        if not any(needs_theta):
            return None, for_y, *[None] * len(theta)
        return None, for_y, *[gradient * d for d in ctx.law.sensitivity(y, *theta)]


class _Quantile(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(law: ScalarLaw, u: Tensor, *theta: Tensor) -> Tensor:
        return law.solve(u, *theta)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.law = inputs[0]
        ctx.save_for_backward(output, *inputs[2:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        y, *theta = ctx.saved_tensors
        for_u = gradient / ctx.law.slope(y, *theta)
        if not any(ctx.needs_input_grad[2:]):
            return None, for_u, *[None] * len(theta)
        return None, for_u, *[-for_u * d for d in ctx.law.sensitivity(y, *theta)]


_logit: Callable[..., Tensor] = _Logit.apply
_quantile: Callable[..., Tensor] = _Quantile.apply


class LogisticScale(StructuralEquation):
    """``x = F^-1(sigmoid(u))``, ``u ~ Logistic(0, 1)`` in float64: one number keeps both tails.

    A subclass must implement: ``forward`` and ``posterior``, usually through a ``ScalarLaw``.

    Attributes:
        dtype: The distribution's dtype, in which ``forward`` returns.
        parameters: The distribution's parameters in float64.
    """

    def __init__(self, distribution: Any, *parameters: Tensor) -> None:
        super().__init__(distribution)
        self.dtype = parameters[0].dtype
        self.parameters = [p.double() for p in parameters]

    @property
    def noise(self) -> Any:
        zero = self.parameters[0].new_zeros(())
        return dist.Logistic(zero, zero + 1).expand(self.distribution.batch_shape)

    def from_uniform(self, v: Tensor) -> Tensor:
        return torch.logit(v)
