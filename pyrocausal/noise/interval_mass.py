"""The log probability of an interval, with gradients by what a distribution was made of."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from pyrocausal.noise.equation import StructuralEquation
from pyrocausal.noise.mixture import MixtureEquation
from pyrocausal.noise.ordered import OrderedEquation
from pyrocausal.noise.truncation import truncated
from pyrocausal.noise.wrappers import ExpandedEquation, IndependentEquation, MaskedEquation
from pyrocausal.noise.zero_inflated import ZeroInflatedEquation

__all__ = ["log_mass"]

_END: Final = 1 - 1e-12
"""Quantile of what lies within, up to which the values of a count are summed over."""


def log_mass(equation: StructuralEquation, low: Tensor, high: Tensor) -> Tensor | None:
    """Return ``log P(low <= x <= high)``, float64, or ``None`` where no CDF is known.

    That of a scalar is the difference of two values of its CDF, as ``truncated`` has it; that of a
    count the sum over its values, whose gradients are those of its probabilities.

    Args:
        equation: The structural equation of the variable, at given parents.
        low: Lower limits, float64, shape ``(*batch, *event)``, possibly ``-inf``; they belong to
            the interval.
        high: Upper limits, likewise.

    Example:
        >>> from pyrocausal.noise import structural_equation
        >>> rate = torch.tensor(2.0, requires_grad=True)
        >>> low, high = torch.tensor(3.0).double(), torch.tensor(torch.inf).double()
        >>> mass = log_mass(structural_equation(dist.Exponential(rate)), low, high)
        >>> mass.backward()
        >>> mass.item(), rate.grad.item()
        (-6.0, -3.0)
    """
    if isinstance(equation, ExpandedEquation | MaskedEquation):
        return log_mass(equation.base, low, high)
    if isinstance(equation, IndependentEquation):
        every, ndims = log_mass(equation.base, low, high), equation.ndims
        return every if every is None or not ndims else every.flatten(-ndims).sum(-1)
    fn: Any = equation.distribution
    if isinstance(equation, MixtureEquation):
        dim = -1 - len(fn.event_shape)
        parts = log_mass(equation.component, low.unsqueeze(dim), high.unsqueeze(dim))
        shares = fn.mixture_distribution.logits.log_softmax(-1)
        return None if parts is None else (shares + parts).logsumexp(-1)
    if isinstance(equation, ZeroInflatedEquation):
        part = log_mass(equation.base, low, high)
        if part is None:
            return None
        gate, rest = logsigmoid(fn.gate_logits), logsigmoid(-fn.gate_logits) + part
        return torch.where((low <= 0) & (high >= 0), torch.logaddexp(gate.double(), rest), rest)
    if isinstance(equation, OrderedEquation):
        return _summed(equation, low, high)
    law = truncated(equation, low, high)
    return None if law is None else law.log_mass


def _summed(equation: OrderedEquation, low: Tensor, high: Tensor) -> Tensor:
    fn: Any = equation.distribution
    most = torch.as_tensor(getattr(fn.support, "upper_bound", torch.inf), device=low.device)
    with torch.no_grad():
        first, last = low.ceil().clamp(min=0.0), torch.minimum(high.floor(), most.double())
        if bool(last.isinf().any()):
            law = truncated(equation, low, high)
            assert law is not None
            end = law.value(torch.full_like(law.log_mass, _END)).double()
            last = torch.minimum(last, end)
        first, last = torch.broadcast_tensors(first, last)
        some = first <= last
        first = torch.where(some, first, 0.0)
        last = torch.where(some, last, 0.0)
        steps = torch.arange(int((last - first).max()) + 1, device=first.device)
        values = first + steps.reshape(-1, *[1] * first.dim())
        counts = values <= last
        values = torch.minimum(values, last).to(equation.dtype)
    density = torch.where(counts, fn.log_prob(values).double(), -torch.inf)
    return torch.where(some, density.logsumexp(0), -torch.inf)
