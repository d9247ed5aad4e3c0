"""All parameters in one vector, on which an optimizer is a dozen operations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pyrocausal.errors import NotCapturable

__all__ = ["BETAS", "EPS", "Flat", "adam", "adam_coefficients"]

BETAS = (0.9, 0.999)
EPS = 1e-8


class Flat:
    """Puts the memory of parameters into one vector, until they are let go.

    The parameters stay the objects that they are: each is a view of the vector meanwhile, so
    that whoever reads or writes it sees the vector.

    Args:
        parameters: Of one dtype and device.

    Attributes:
        vector: All entries.
        moments: The two moments of Adam, as long as the vector.

    Raises:
        NotCapturable: Several dtypes or devices, or parameters that share memory.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
        >>> flat = Flat([weight])
        >>> _ = flat.vector.mul_(3.0)
        >>> flat.let_go()
        >>> weight.data
        tensor([3., 6.])
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        kinds = {(p.dtype, p.device) for p in parameters}
        places = {p.untyped_storage().data_ptr() for p in parameters if p.numel()}
        if len(kinds) > 1 or not all(p.is_floating_point() for p in parameters):
            raise NotCapturable("The parameters are of several dtypes or devices, or complex.")
        if len(places) < sum(p.numel() > 0 for p in parameters):
            raise NotCapturable(
                "Some parameters share their memory. Make each a tensor of its own."
            )
        self.parameters = parameters
        self.vector = torch.cat([p.detach().reshape(-1) for p in parameters])
        self.moments = (torch.zeros_like(self.vector), torch.zeros_like(self.vector))
        self._own = [p.data for p in parameters]
        for p, part in zip(parameters, self.parts(self.vector), strict=True):
            p.data = part

    def parts(self, vector: Tensor) -> list[Tensor]:
        """Cut a vector into the shapes of the parameters."""
        pieces = vector.split([p.numel() for p in self.parameters])
        return [piece.view(p.shape) for piece, p in zip(pieces, self.parameters, strict=True)]

    def let_go(self) -> None:
        """Give the parameters their own memory back, with the values that they have now."""
        for p, own in zip(self.parameters, self._own, strict=True):
            own.copy_(p.data)
            p.data = own

    def read_moments(self, optimizer: torch.optim.Optimizer) -> int:
        """Take over the moments of an Adam; return how many steps it has made."""
        done = 0
        for number, moment in enumerate(self.moments):
            for p, part in zip(self.parameters, self.parts(moment), strict=True):
                state = optimizer.state.get(p)
                if state:
                    part.copy_(state["exp_avg_sq" if number else "exp_avg"])
                    done = int(state["step"])
        return done

    def write_moments(self, optimizer: torch.optim.Optimizer, done: int) -> None:
        """Hand the moments to an Adam that goes on."""
        first, second = (self.parts(moment) for moment in self.moments)
        for p, one, two in zip(self.parameters, first, second, strict=True):
            optimizer.state[p] = {
                "step": torch.tensor(float(done)),
                "exp_avg": one.clone(),
                "exp_avg_sq": two.clone(),
            }


def adam_coefficients(rate: float, step: int) -> tuple[float, float]:
    """Return the two numbers of a step of Adam that depend on its position, counted from 1.

    The rate over the first bias correction, and the root of the second: computed here, in double
    precision, since ``1 - 0.999^t`` has but four digits in single.
    """
    one, two = (1 - beta**step for beta in BETAS)
    return rate / one, math.sqrt(two)


def adam(
    theta: Tensor, first: Tensor, second: Tensor, gradient: Tensor, coefficients: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return parameters and moments after a step of Adam, as torch's own makes it.

    Args:
        theta: Parameters, shape ``(n,)``.
        first: Mean of the gradient, shape ``(n,)``.
        second: Mean of its square, shape ``(n,)``.
        gradient: Shape ``(n,)``.
        coefficients: What ``adam_coefficients`` returns, shape ``(2,)``.
    """
    size, root = coefficients.to(theta.dtype).unbind()
    first = first.lerp(gradient, 1 - BETAS[0])
    second = (second * BETAS[1]).addcmul(gradient, gradient, value=1 - BETAS[1])
    return theta - size * (first / (second.sqrt() / root + EPS)), first, second
