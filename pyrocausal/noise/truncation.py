"""Truncated laws: the probability of an interval, and values drawn within it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import log, pi

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import logsigmoid

from pyrocausal.noise import location_scale, positive
from pyrocausal.noise.equation import StructuralEquation
from pyrocausal.noise.gumbel_max import GumbelMaxEquation
from pyrocausal.noise.logistic_scale import LogisticScale
from pyrocausal.noise.mixture import MixtureEquation
from pyrocausal.noise.ordered import (
    BernoulliEquation,
    OneHotQuantileEquation,
    OrderedEquation,
    draw_between,
)
from pyrocausal.noise.tails import from_log_pair, log1mexp, to_log_pair
from pyrocausal.noise.transformed import TransformedEquation
from pyrocausal.noise.von_mises import VonMisesEquation
from pyrocausal.noise.wrappers import (
    ExpandedEquation,
    IndependentEquation,
    MaskedEquation,
    OnBase,
)
from pyrocausal.noise.zero_inflated import ZeroInflatedEquation

__all__ = ["Truncated", "log_between", "truncated", "unordered"]

_HALF_LOG_2PI = 0.5 * log(2 * pi)


class Truncated(ABC):
    """The law of ``x`` given that ``low <= x <= high``.

    Attributes:
        log_mass: ``log P(low <= x <= high)`` for each element of the batch; float64.
        shape: Shape of the uniforms that one element's draw consumes.
    """

    log_mass: Tensor
    shape: torch.Size = torch.Size()

    @abstractmethod
    def value(self, v: Tensor) -> Tensor:
        """Turn uniforms, shape ``(*batch, *shape)``, into values within the limits."""


def truncated(equation: StructuralEquation, low: Tensor, high: Tensor) -> Truncated | None:
    """Return the law of a variable within limits, ``None`` where its CDF is not known.

    A scalar's noise is truncated on the logistic scale, where one float64 keeps both tails: its
    value then follows from the equation. The entries of an independent vector are truncated one by
    one, a mixture component by component.

    Args:
        equation: The structural equation of the variable, at given parents.
        low: Lower limits, float64, shape ``(*batch, *event)``, possibly ``-inf``; they belong to
            the interval.
        high: Upper limits, likewise.

    Example:
        >>> from pyrocausal.noise import structural_equation
        >>> equation = structural_equation(dist.Exponential(torch.tensor(1.0)))
        >>> law = truncated(equation, torch.tensor(3.0).double(), torch.tensor(torch.inf).double())
        >>> law.log_mass, law.value(torch.tensor(0.5).double())
        (tensor(-3., dtype=torch.float64), tensor(3.6931))
    """
    if isinstance(equation, ExpandedEquation | MaskedEquation):
        return truncated(equation.base, low, high)
    if isinstance(equation, IndependentEquation):
        base = truncated(equation.base, low, high)
        return None if base is None else _Entries(base, equation.ndims, equation.moved)
    if isinstance(equation, MixtureEquation):
        event = len(equation.distribution.event_shape)
        part = truncated(equation.component, low.unsqueeze(-1 - event), high.unsqueeze(-1 - event))
        return None if part is None else _Choice(equation, part)
    if isinstance(equation, ZeroInflatedEquation):
        part = truncated(equation.base, low, high)
        return None if part is None else _Gated(equation, part, low, high)
    if isinstance(equation, OrderedEquation):
        return _Counted(equation, low, high)
    scale = _scale(equation)
    return None if scale is None else _Scalar(equation, *scale, low, high)


def unordered(equation: StructuralEquation) -> bool:
    """Say whether a variable's values have no order, so that no interval makes sense."""
    while isinstance(equation, OnBase):
        equation = equation.base
    return isinstance(equation, GumbelMaxEquation | BernoulliEquation | OneHotQuantileEquation)


def log_between(lower: Tensor, upper: Tensor) -> Tensor:
    """Return ``log P(lower < u <= upper)`` of standard logistic ``u``, minus infinity if empty.

    Example:
        >>> log_between(torch.tensor(700.0).double(), torch.tensor(701.0).double())
        tensor(-700.4587, dtype=torch.float64)
    """
    full = upper > lower
    lower, upper = torch.where(full, lower, -torch.inf), torch.where(full, upper, torch.inf)
    inside = logsigmoid(upper) + logsigmoid(-lower) + log1mexp(lower - upper)
    return torch.where(full, inside, -torch.inf)


class _OneNumber(Truncated):
    """A scalar whose noise lies between two edges on the logistic scale."""

    def __init__(self, lower: Tensor, upper: Tensor) -> None:
        self.log_mass = log_between(lower, upper)
        empty = upper <= lower
        self.lower = torch.where(empty, -torch.inf, lower)
        self.upper = torch.where(empty, torch.inf, upper)

    def logit(self, v: Tensor) -> Tensor:
        return draw_between(self.lower, self.upper, v)


class _Counted(_OneNumber):
    """An ordered discrete variable: the cells of its values join to one."""

    def __init__(self, equation: OrderedEquation, low: Tensor, high: Tensor) -> None:
        self.equation = equation
        first, last = low.ceil(), high.floor()
        bottom, top = (torch.where(end.isfinite(), end, 0.0) for end in (first, last))
        lower = torch.where(first == -torch.inf, -torch.inf, equation.cell(bottom)[0])
        upper = torch.where(last == torch.inf, torch.inf, equation.cell(top)[1])
        super().__init__(lower, torch.where(last < first, lower, upper))

    def value(self, v: Tensor) -> Tensor:
        return self.equation.forward(self.logit(v))


class _Scalar(_OneNumber):
    """A continuous variable that rises, or falls, in its noise."""

    def __init__(
        self,
        equation: StructuralEquation,
        to_logit: _Map,
        from_logit: _Map,
        low: Tensor,
        high: Tensor,
    ) -> None:
        self.equation, self.from_logit = equation, from_logit
        self.low, self.high = low, high
        zero = torch.zeros((), dtype=torch.float64, device=low.device)
        self.noise_dtype = equation.from_uniform(zero + 0.5).dtype
        below, self.median, above = (self._forward(zero + end) for end in (-1.0, 0.0, 1.0))
        self.rises = above >= below
        edges = [self._edge(end, to_logit) for end in (low, high)]
        super().__init__(
            torch.where(self.rises, edges[0], edges[1]),
            torch.where(self.rises, edges[1], edges[0]),
        )

    def value(self, v: Tensor) -> Tensor:
        x = self._forward(self.logit(v))
        return torch.clamp(x, self.low, self.high).to(x.dtype)

    def _forward(self, logit: Tensor) -> Tensor:
        return self.equation.forward(self.from_logit(logit).to(self.noise_dtype))

    def _edge(self, x: Tensor, to_logit: _Map) -> Tensor:
        """Return the logit of the CDF at ``x``, infinite beyond the support."""
        # The arithmetic is that of float64, save in transforms that take no other dtype.
        coarse = isinstance(self.equation, TransformedEquation)
        x = x.to(self.median.dtype) if coarse else x
        x, median = torch.broadcast_tensors(x, self.median.to(x.dtype))
        lowest, highest = _ends(self.equation)
        beyond = x.isinf() | (x <= lowest) | (x >= highest)
        beyond = beyond | ~self.equation.possible(torch.where(beyond, median, x))
        edge = to_logit(self.equation.posterior(torch.where(beyond, median, x)).double())
        far = torch.where((x < median) == self.rises, -torch.inf, torch.inf)
        return torch.where(beyond | edge.isnan(), far, edge)


class _Entries(Truncated):
    """A vector of independent entries."""

    def __init__(self, base: Truncated, ndims: int, moved: torch.Size) -> None:
        self.base, self.shape = base, moved + base.shape
        mass = base.log_mass
        self.log_mass = mass.flatten(mass.dim() - ndims).sum(-1) if ndims else mass

    def value(self, v: Tensor) -> Tensor:
        return self.base.value(v)


class _Choice(Truncated):
    """A mixture: a component by its share of the interval, then a value of it."""

    def __init__(self, equation: MixtureEquation, part: Truncated) -> None:
        self.part, self.shape = part, torch.Size([1 + part.shape.numel()])
        self.event = len(equation.distribution.event_shape)
        self.log_joint = equation.choice.log_probs + part.log_mass
        self.log_mass = self.log_joint.logsumexp(-1)

    def value(self, v: Tensor) -> Tensor:
        shares = self.log_joint.nan_to_num(neginf=-1e300).softmax(-1).cumsum(-1)
        chosen = (shares < v[..., :1] * shares[..., -1:]).sum(-1)
        rest = v[..., 1:].reshape(*v.shape[:-1], 1, *self.part.shape)
        values = self.part.value(rest)
        place = chosen.reshape(*chosen.shape, *[1] * (1 + self.event))
        dim = values.dim() - 1 - self.event
        place = place.expand(*values.shape[:dim], 1, *values.shape[dim + 1 :])
        return values.gather(dim, place).squeeze(dim)


class _Gated(Truncated):
    """A zero-inflated variable: zero by the gate, where it lies within, or a value of the base."""

    def __init__(
        self, equation: ZeroInflatedEquation, part: Truncated, low: Tensor, high: Tensor
    ) -> None:
        self.part, self.shape = part, torch.Size([1 + part.shape.numel()])
        holds = (low <= 0) & (high >= 0)
        gate = torch.where(holds, logsigmoid(equation.gate_logit), -torch.inf)
        base = logsigmoid(-equation.gate_logit) + part.log_mass
        self.log_mass = torch.logaddexp(gate, base)
        self.share = torch.where(self.log_mass > -torch.inf, (gate - self.log_mass).exp(), 0.0)

    def value(self, v: Tensor) -> Tensor:
        base = self.part.value(v[..., 1:].reshape(*v.shape[:-1], *self.part.shape))
        return torch.where(v[..., 0] < self.share, 0.0, base).to(base.dtype)


_Map = Callable[[Tensor], Tensor]


def _scale(equation: StructuralEquation) -> tuple[_Map, _Map] | None:
    """Return the maps from a scalar's noise to the logistic scale and back."""
    if equation.noise_shape:
        return None
    while isinstance(equation, TransformedEquation | positive.LogNormalEquation):
        equation = equation.base
    if isinstance(equation, VonMisesEquation):  # it wraps around
        return None
    if isinstance(equation, LogisticScale):
        return _same, _same
    for family, maps in _SCALES.items():
        if isinstance(equation, family):
            return maps
    return None


def _ends(equation: StructuralEquation) -> tuple[Tensor | float, Tensor | float]:
    support = equation.distribution.support
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    low, high = getattr(support, "lower_bound", -torch.inf), getattr(support, "upper_bound", None)
    return low, torch.inf if high is None else high


def _same(u: Tensor) -> Tensor:
    return u


def _from_smaller(size: Tensor, log_tail: Tensor) -> Tensor:
    """Return the logit of a symmetric law's CDF from the log of the smaller tail."""
    logit = log1mexp(log_tail) - log_tail
    return torch.where(size < 0, -logit, logit)


def _smaller(logit: Tensor) -> tuple[Tensor, Tensor]:
    """Return the log of the smaller tail, and the sign of the half it ends."""
    return logsigmoid(-logit.abs()), torch.where(logit < 0, -1.0, 1.0).to(logit)


def _normal_to(u: Tensor) -> Tensor:
    logit: Tensor = torch.special.log_ndtr(u) - torch.special.log_ndtr(-u)
    return logit


def _normal_from(logit: Tensor) -> Tensor:
    log_tail, sign = _smaller(logit)
    return sign * _normal_size(log_tail)


def _normal_size(log_tail: Tensor) -> Tensor:
    """Return the ``z >= 0`` with ``log P(Z > z) = log_tail``, however small the tail."""
    near = log_tail > -700.0
    middle = torch.special.ndtri(torch.where(near, log_tail, -1.0).exp())
    square = -2 * torch.where(near, -1000.0, log_tail)
    far = -(square - square.log() - 2 * _HALF_LOG_2PI).sqrt()
    z = torch.where(near, middle, far)
    for _ in range(3):  # Newton's method on a concave function
        reached = torch.special.log_ndtr(z)
        z = z - (reached - log_tail) * torch.exp(reached + 0.5 * z * z + _HALF_LOG_2PI)
    return -z


def _half_normal_to(u: Tensor) -> Tensor:
    log_sf = (log(2) + torch.special.log_ndtr(-u)).clamp(max=0.0)
    return from_log_pair(log1mexp(log_sf), log_sf)


def _half_normal_from(logit: Tensor) -> Tensor:
    return _normal_size(to_log_pair(logit)[1] - log(2)).clamp(min=0.0)


def _laplace_to(u: Tensor) -> Tensor:
    return _from_smaller(u, -u.abs() - log(2))


def _laplace_from(logit: Tensor) -> Tensor:
    log_tail, sign = _smaller(logit)
    return -sign * (log_tail + log(2))


def _cauchy_to(u: Tensor) -> Tensor:
    return _from_smaller(u, (torch.atan2(torch.ones_like(u), u.abs()) / pi).log())


def _cauchy_from(logit: Tensor) -> Tensor:
    log_tail, sign = _smaller(logit)
    return sign / torch.tan(pi * log_tail.exp())


def _half_cauchy_to(u: Tensor) -> Tensor:
    above = torch.atan2(torch.ones_like(u), u)
    return (torch.atan(u) / above).log()


def _half_cauchy_from(logit: Tensor) -> Tensor:
    log_cdf, log_sf = to_log_pair(logit)
    lower, upper = (0.5 * pi * tail.exp() for tail in (log_cdf, log_sf))
    return torch.where(logit < 0, torch.tan(lower), 1 / torch.tan(upper))


def _gumbel_to(u: Tensor) -> Tensor:
    log_cdf = -torch.exp(-u)
    return from_log_pair(log_cdf, log1mexp(log_cdf))


def _gumbel_from(logit: Tensor) -> Tensor:
    return -(-to_log_pair(logit)[0]).log()


def _exponential_to(u: Tensor) -> Tensor:
    return from_log_pair(log1mexp(-u), -u)


def _exponential_from(logit: Tensor) -> Tensor:
    return -to_log_pair(logit)[1]


_SCALES: dict[type[StructuralEquation], tuple[_Map, _Map]] = {
    location_scale.NormalEquation: (_normal_to, _normal_from),
    location_scale.LaplaceEquation: (_laplace_to, _laplace_from),
    location_scale.CauchyEquation: (_cauchy_to, _cauchy_from),
    location_scale.LogisticEquation: (_same, _same),
    location_scale.GumbelEquation: (_gumbel_to, _gumbel_from),
    location_scale.UniformEquation: (torch.logit, torch.sigmoid),
    positive.HalfNormalEquation: (_half_normal_to, _half_normal_from),
    positive.HalfCauchyEquation: (_half_cauchy_to, _half_cauchy_from),
    positive.ExponentialEquation: (_exponential_to, _exponential_from),
}
