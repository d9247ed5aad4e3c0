"""Ordered discrete families by their quantile function, on the logistic scale."""

from abc import abstractmethod
from math import inf
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
import torch.distributions as torch_dist
from torch import Tensor
from torch.nn.functional import logsigmoid, one_hot

from pyrocausal.errors import NotAbducible
from pyrocausal.noise.discrete import (
    binary_logit,
    class_log_probs,
    float_dtype,
    in_support,
    needed,
    pick,
    refuse_impossible,
)
from pyrocausal.noise.equation import StructuralEquation, register
from pyrocausal.noise.tails import from_log_pair, log1mexp
from pyrocausal.requirements import require

__all__ = [
    "CountedEquation",
    "GeometricEquation",
    "OrderedEquation",
    "TableEquation",
    "draw_between",
]

_MARGIN = 1e-9


class OrderedEquation(StructuralEquation):
    """``x`` is the smallest value whose edge ``l_x = log F(x) - log S(x)`` reaches ``u``.

    The cell of ``x`` is ``(l_{x-1}, l_x]`` and ``u ~ Logistic(0, 1)``, so one float64 keeps both
    tails. ``x`` rises in ``u``, and in every parameter in which its law rises stochastically.
    Values are numbered by their rank 0, 1, 2, ...; for a count the rank is the value.

    A subclass must implement: ``theta``, ``edge`` and ``rank``.
    It may override: ``value``, ``rank_of``, ``cell`` and ``possible``.

    Args:
        distribution: The distribution.
        dtype: The dtype of its parameters.
    """

    route = "quantile"
    posterior_shape = torch.Size()

    def __init__(self, distribution: Any, dtype: torch.dtype) -> None:
        super().__init__(distribution)
        self.dtype = dtype

    @property
    @abstractmethod
    def theta(self) -> Tensor:
        """The parameters that fix the law, float64, shape ``(*batch, parameters)``."""

    @abstractmethod
    def edge(self, rank: Tensor) -> Tensor:
        """Return ``l_k`` of each rank ``k``, float64; ``-inf`` at rank -1."""

    @abstractmethod
    def rank(self, u: Tensor) -> Tensor:
        """Return the smallest rank ``k`` with ``l_k >= u``, float64."""

    @property
    def noise(self) -> Any:
        zero = self.theta.new_zeros(())
        return dist.Logistic(zero, zero + 1).expand(self.distribution.batch_shape)

    def from_uniform(self, v: Tensor) -> Tensor:
        return from_log_pair(torch.log(v), torch.log1p(-v))

    def forward(self, u: Tensor) -> Tensor:
        return self.value(self.rank(u))

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        lower, upper = self.cell(x)
        refuse_impossible(upper > lower, self.distribution)
        return draw_between(lower, upper, needed(v))

    def cell(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the edges between which the noise of ``x`` lies."""
        rank = self.rank_of(x)
        return self.edge(rank - 1), self.edge(rank)

    def value(self, rank: Tensor) -> Tensor:
        """Return the value of a rank, of the distribution's dtype."""
        return rank.to(self.dtype)

    def rank_of(self, x: Tensor) -> Tensor:
        """Return the rank of a value, float64."""
        return x.double()

    def possible(self, x: Tensor) -> Tensor:
        lower, upper = self.cell(x)
        return in_support(self.distribution, x) & (upper > lower)


def draw_between(lower: Tensor, upper: Tensor, v: Tensor) -> Tensor:
    """Draw standard logistic noise given that it lies in ``(lower, upper)``.

    Draws keep a margin from finite edges, so that the rounding of an edge that is computed
    anew cannot put them on its other side.

    Args:
        lower: Lower edges, float64, possibly ``-inf``.
        upper: Upper edges, float64, possibly ``inf``; ``lower < upper``.
        v: Uniforms in (0, 1); all three broadcast.

    Example:
        >>> zero, infinity = torch.zeros(()).double(), torch.tensor(torch.inf).double()
        >>> draw_between(zero, infinity, zero + 0.5).exp()
        tensor(3.0000, dtype=torch.float64)
    """
    near, far = torch.log1p(-v), torch.log(v)
    log_cdf = torch.logaddexp(logsigmoid(lower) + near, logsigmoid(upper) + far)
    log_sf = torch.logaddexp(logsigmoid(-lower) + near, logsigmoid(-upper) + far)
    u, width = from_log_pair(log_cdf, log_sf), upper - lower
    return u.clamp(lower + _margin(lower, width), upper - _margin(upper, width))


def _margin(edge: Tensor, width: Tensor) -> Tensor:
    margin = torch.minimum(_MARGIN * (1 + edge.abs()), width / 4)
    return torch.where(edge.isinf(), 0.0, margin)


class CountedEquation(OrderedEquation):
    """A count: its rank is its value, rounded where the dtype leaves out whole numbers.

    The cell of a value holds all ranks that round to it. A cell must be wider than the rounding of
    its edges, or a draw of its noise might belong to a neighbour.

    A subclass must implement: ``possible``.

    Attributes:
        resolution: The width of the narrowest cell that is safe, relative to ``1 + |edge|``.
    """

    resolution: ClassVar[float]

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        refuse_impossible(self.possible(x), self.distribution)
        lower, upper = self.cell(x)
        nearer = torch.minimum(lower.abs(), upper.abs())
        self._refuse_unresolved(x, upper - lower >= self.resolution * (1 + nearer))
        return draw_between(lower, upper, needed(v))

    def cell(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.detach().to(self.dtype)
        below, above = (torch.nextafter(x, torch.full_like(x, end)) for end in (-inf, inf))
        low, high = (below.double() + x) / 2, (x.double() + above) / 2
        first = torch.where(low.to(self.dtype) == x, low.ceil(), low.floor() + 1)
        last = torch.where(high.to(self.dtype) == x, high.floor(), high.ceil() - 1)
        return self.edge(first - 1), self.edge(last)

    @abstractmethod
    def possible(self, x: Tensor) -> Tensor:
        """Say, for each element of the batch, whether ``x`` has positive probability."""

    def _refuse_unresolved(self, x: Tensor, resolved: Tensor) -> None:
        def error() -> NotAbducible:
            count, name = (
                x.expand(resolved.shape)[~resolved][0].item(),
                type(self.distribution).__name__,
            )
            return NotAbducible(
                name,
                f"noise in float64 can't tell the count {count:g} of {name} from the counts beside "
                "it, which are too close together or too improbable. Check the parameters; use "
                "float32, whose values are that coarse, or a continuous family.",
            )

        require(resolved, error)


class TableEquation(OrderedEquation):
    """An ordered family with few values, all of whose edges are held.

    Args:
        distribution: The distribution.
        dtype: The dtype of its parameters.
        edges: The edges of all ranks but the last, float64, shape ``(*batch, values - 1)``.
    """

    def __init__(self, distribution: Any, dtype: torch.dtype, edges: Tensor) -> None:
        super().__init__(distribution, dtype)
        self.edges = edges

    @property
    def theta(self) -> Tensor:
        return torch.cat((logsigmoid(self.edges), logsigmoid(-self.edges)), -1)

    def edge(self, rank: Tensor) -> Tensor:
        infinity = self.edges.new_full((*self.edges.shape[:-1], 1), torch.inf)
        padded = torch.cat((-infinity, self.edges, infinity), -1)
        return pick(padded, (rank.long() + 1).clamp(0, padded.shape[-1] - 1))

    def rank(self, u: Tensor) -> Tensor:
        return (self.edges < u.unsqueeze(-1)).sum(-1, dtype=torch.float64)


class BernoulliEquation(TableEquation):
    """``x = 1[u > -logit p]``: with two classes, Gumbel-max and quantile are one equation."""

    def __init__(self, distribution: Any) -> None:
        edges = -binary_logit(distribution).unsqueeze(-1)
        super().__init__(distribution, float_dtype(distribution), edges)


class GumbelMaxBernoulliEquation(BernoulliEquation):
    """The same; ``u`` is the difference of the two classes' Gumbel noises."""

    route = "gumbel-max"


class CategoricalQuantileEquation(TableEquation):
    """Classes taken as ordered by their number."""

    def __init__(self, distribution: Any, categorical: Any) -> None:
        log_probs = class_log_probs(categorical)
        log_cdf = log_probs.logcumsumexp(-1)[..., :-1]
        log_sf = log_probs.flip(-1).logcumsumexp(-1).flip(-1)[..., 1:]
        super().__init__(distribution, float_dtype(categorical), from_log_pair(log_cdf, log_sf))
        self.log_probs = log_probs

    def value(self, rank: Tensor) -> Tensor:
        return rank.long()

    def possible(self, x: Tensor) -> Tensor:
        index = self.rank_of(x).long().clamp(0, self.log_probs.shape[-1] - 1)
        positive = pick(self.log_probs, index) > -torch.inf
        return in_support(self.distribution, x) & positive


class OneHotQuantileEquation(CategoricalQuantileEquation):
    """The same, with a one-hot vector as the value, shape ``(*batch, classes)``."""

    def value(self, rank: Tensor) -> Tensor:
        return one_hot(rank.long(), self.log_probs.shape[-1]).to(self.dtype)

    def rank_of(self, x: Tensor) -> Tensor:
        return x.argmax(-1).double()


class OrderedLogisticEquation(TableEquation):
    """``l_k = c_k - predictor``: the cutpoints are the edges."""

    def __init__(self, distribution: Any) -> None:
        cutpoints, predictor = distribution.cutpoints.detach(), distribution.predictor.detach()
        edges = cutpoints.double() - predictor.double().unsqueeze(-1)
        super().__init__(distribution, cutpoints.dtype, edges)

    def value(self, rank: Tensor) -> Tensor:
        return rank.long()


class GeometricEquation(CountedEquation):
    """``log S(k) = (k + 1) log(1 - p)``."""

    resolution = 2.0**-49

    def __init__(self, distribution: Any) -> None:
        super().__init__(distribution, float_dtype(distribution))
        self.logit = binary_logit(distribution)

    @property
    def theta(self) -> Tensor:
        return torch.stack((logsigmoid(self.logit), logsigmoid(-self.logit)), -1)

    def edge(self, rank: Tensor) -> Tensor:
        log_sf = (rank + 1).clamp(min=1) * logsigmoid(-self.logit)
        return torch.where(rank < 0, -torch.inf, from_log_pair(log1mexp(log_sf), log_sf))

    def rank(self, u: Tensor) -> Tensor:
        start = torch.ceil(logsigmoid(-u) / logsigmoid(-self.logit)) - 2
        # The closed form may be off by rounding: the edges around it decide.
        passed = torch.stack([self.edge(start + j) < u for j in range(3)])
        return start + passed.sum(0)

    def possible(self, x: Tensor) -> Tensor:
        return in_support(self.distribution, x) & ((self.logit < torch.inf) | (x == 0))


@register(torch_dist.Bernoulli)
@register(torch_dist.Bernoulli, coupling="gumbel-max")
def _bernoulli(d: Any) -> GumbelMaxBernoulliEquation:
    return GumbelMaxBernoulliEquation(d)


@register(torch_dist.Bernoulli, coupling="quantile")
def _bernoulli_quantile(d: Any) -> BernoulliEquation:
    return BernoulliEquation(d)


@register(torch_dist.Categorical, coupling="quantile")
def _categorical_quantile(d: Any) -> CategoricalQuantileEquation:
    return CategoricalQuantileEquation(d, d)


@register(torch_dist.OneHotCategorical, coupling="quantile")
def _one_hot_quantile(d: Any) -> OneHotQuantileEquation:
    return OneHotQuantileEquation(d, d._categorical)


@register(dist.OrderedLogistic)
@register(dist.OrderedLogistic, coupling="quantile")
def _ordered_logistic(d: Any) -> OrderedLogisticEquation:
    return OrderedLogisticEquation(d)


@register(torch_dist.Geometric)
@register(torch_dist.Geometric, coupling="quantile")
def _geometric(d: Any) -> GeometricEquation:
    return GeometricEquation(d)
