"""Counts whose distribution function is an incomplete gamma or beta function."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributions as torch_dist
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from pyrocausal.errors import NotAbducible, NotCapturable
from pyrocausal.noise import beta, gamma
from pyrocausal.noise.discrete import binary_logit, float_dtype, in_support
from pyrocausal.noise.equation import register
from pyrocausal.noise.ordered import CountedEquation
from pyrocausal.noise.tails import from_log_pair, normal_score, to_log_pair
from pyrocausal.requirements import is_captured

__all__ = ["BinomialEquation", "CountEquation", "NegativeBinomialEquation", "PoissonEquation"]

# Terms of the incomplete beta function that keep 12 digits up to this smaller parameter.
_BETA_TERMS = {1e2: 32, 1e3: 64, 1e4: 128, 1e5: 256, 1e6: 512}


class CountEquation(CountedEquation):
    """A count whose rank is searched among its edges: exact for whatever ``edge`` computes.

    The law is sub-gamma: ``P(X >= mean + sqrt(2 v t) + c t) <= exp(-t)`` with the variance ``v``,
    and alike below. This brackets the rank. A Cornish-Fisher guess is mostly right or one off;
    the rest is bisected.

    A subclass must implement: ``edge_at``; it sets the attributes.

    Attributes:
        parameters: The parameters that fix the law, float64, of the batch's shape.
        mean: The mean.
        variance: The variance ``v``.
        skew: Third over second central moment.
        scales: The constants ``c`` of the lower and the upper tail.
        largest: The largest value, ``inf`` if there is none.

    References:
        Boucheron, Lugosi, Massart (2013), Concentration inequalities, section 2.4.
    """

    resolution = 2.0**-44
    parameters: tuple[Tensor, ...]
    mean: Tensor
    variance: Tensor
    skew: Tensor | float
    scales: tuple[float, Tensor | float]
    largest: Tensor | float = torch.inf

    @abstractmethod
    def edge_at(self, rank: Tensor, *parameters: Tensor) -> Tensor:
        """Return ``l_k`` of ranks from 0, for parameters given element by element."""

    @property
    def theta(self) -> Tensor:
        return torch.stack(torch.broadcast_tensors(*self.parameters), -1)

    def edge(self, rank: Tensor) -> Tensor:
        return self._edge(rank, *self.parameters)

    def _edge(self, rank: Tensor, *parameters: Tensor) -> Tensor:
        return torch.where(rank < 0, -torch.inf, self.edge_at(rank.clamp(min=0), *parameters))

    def rank(self, u: Tensor) -> Tensor:
        inputs = (*self._bracket(u), self._guess(u), u, *self.parameters)
        tensors = torch.broadcast_tensors(*inputs)
        found = _search(self._edge, *(t.flatten() for t in tensors))
        return found.reshape(tensors[0].shape)

    def _bracket(self, u: Tensor) -> tuple[Tensor, Tensor]:
        s, t = softplus(-u), softplus(u)  # minus the logs of F and S
        low = self.mean - torch.sqrt(2 * self.variance * s) - self.scales[0] * s
        high = self.mean + torch.sqrt(2 * self.variance * t) + self.scales[1] * t
        largest = torch.as_tensor(self.largest).to(high)
        return (low.floor() - 1).clamp(min=-1), torch.minimum(high.ceil() + 1, largest)

    def _guess(self, u: Tensor) -> Tensor:
        z = normal_score(*to_log_pair(u))
        centred = z * self.variance.sqrt() + self.skew * (z.square() - 1) / 6
        return torch.round(self.mean + centred - 0.5)


def _search(
    edge: Callable[..., Tensor],
    low: Tensor,
    high: Tensor,
    guess: Tensor,
    u: Tensor,
    *theta: Tensor,
) -> Tensor:
    """Return the smallest ``k`` with ``edge(k, *theta) >= u``.

    It is known that ``edge(low) < u <= edge(high)``. All tensors are vectors of one length.
    """

    def tighten(
        probe: Tensor, low: Tensor, high: Tensor, u: Tensor, *theta: Tensor
    ) -> Sequence[Tensor]:
        probe = torch.minimum(torch.maximum(probe, low + 1), high - 1)
        below = edge(probe, *theta) < u
        return torch.where(below, probe, low), torch.where(below, high, probe)

    if is_captured():
        # All halvings of the widest bracket would be played: many times slower than this loop.
        raise NotCapturable(
            "The program draws a count whose value is searched among its edges, for as many steps "
            "as the values need."
        )
    low, high = tighten(guess, low, high, u, *theta)
    probe, middle = torch.where(low == guess, guess + 1, guess - 1), _middle(low, high)
    # Where float64 has no integer in between, the middle is one of the ends.
    while len(rows := ((low < middle) & (middle < high)).nonzero().squeeze(-1)):
        low[rows], high[rows] = tighten(*(t[rows] for t in (probe, low, high, u, *theta)))
        probe = middle = _middle(low, high)
    return high


def _middle(low: Tensor, high: Tensor) -> Tensor:
    return torch.floor((low + high) / 2)


class PoissonEquation(CountEquation):
    """``S(k) = P(k + 1, rate)``, the regularized lower incomplete gamma function."""

    skew = 1.0
    scales = (0.0, 1 / 3)

    def __init__(self, distribution: Any) -> None:
        super().__init__(distribution, distribution.rate.dtype)
        rate = distribution.rate.detach().double()
        self.parameters, self.mean, self.variance = (rate,), rate, rate

    def edge_at(self, rank: Tensor, *parameters: Tensor) -> Tensor:
        (rate,) = parameters
        log_sf, log_cdf = gamma.log_cdf(rank + 1, torch.where(rate > 0, rate, 1.0))
        return torch.where(rate > 0, from_log_pair(log_cdf, log_sf), torch.inf)

    def possible(self, x: Tensor) -> Tensor:
        (rate,) = self.parameters
        return in_support(self.distribution, x) & ((rate > 0) | (x == 0))


class BinomialEquation(CountEquation):
    """``F(k) = I_{1-p}(n - k, k + 1)``, the regularized incomplete beta function."""

    scales = (1 / 3, 1 / 3)

    def __init__(self, distribution: Any) -> None:
        super().__init__(distribution, float_dtype(distribution))
        n, logit = distribution.total_count.detach().double(), binary_logit(distribution)
        p, q = torch.sigmoid(logit), torch.sigmoid(-logit)
        self.parameters, self.largest = (n, logsigmoid(logit), logsigmoid(-logit)), n
        self.mean, self.variance, self.skew = n * p, n * p * q, q - p
        self.terms = _beta_terms((n + 1) / 2, distribution)

    def edge_at(self, rank: Tensor, *parameters: Tensor) -> Tensor:
        n, log_p, log_q = parameters
        beyond, never = rank >= n, log_q.isinf()
        usual = ~beyond & ~never & ~log_p.isinf()
        a, w = torch.where(usual, n - rank, 1.0), torch.where(usual, log_q - log_p, 0.0)
        edge = from_log_pair(*beta.log_cdf(a, rank + 1, w, self.terms))
        degenerate = torch.where(beyond | ~never, torch.inf, -torch.inf)
        return torch.where(usual, edge, degenerate)

    def possible(self, x: Tensor) -> Tensor:
        n, log_p, log_q = self.parameters
        positive = (~log_p.isinf() | (x == 0)) & (~log_q.isinf() | (x == n))
        return in_support(self.distribution, x) & positive


class NegativeBinomialEquation(CountEquation):
    """``F(k) = I_{1-p}(r, k + 1)``, with ``r`` failures and success probability ``p``."""

    def __init__(self, distribution: Any) -> None:
        super().__init__(distribution, float_dtype(distribution))
        r, logit = distribution.total_count.detach().double(), binary_logit(distribution)
        p, q = torch.sigmoid(logit), torch.sigmoid(-logit)
        self.parameters, self.scales = (r, logsigmoid(logit), logsigmoid(-logit)), (0.0, 1 / q)
        self.mean, self.variance, self.skew = r * p / q, r * p / q**2, (1 + p) / q
        self.terms = _beta_terms(r, distribution)

    def edge_at(self, rank: Tensor, *parameters: Tensor) -> Tensor:
        r, log_p, log_q = parameters
        zero = (r == 0) | log_p.isinf()
        a, w = torch.where(zero, 1.0, r), torch.where(zero, 0.0, log_q - log_p)
        edge = from_log_pair(*beta.log_cdf(a, rank + 1, w, self.terms))
        return torch.where(zero, torch.inf, edge)

    def possible(self, x: Tensor) -> Tensor:
        r, log_p, _ = self.parameters
        positive = (r > 0) & ~log_p.isinf()
        return in_support(self.distribution, x) & (positive | (x == 0))


def _beta_terms(smaller: Tensor, distribution: Any) -> int:
    largest = float(smaller.max()) if smaller.numel() else 0.0
    for limit, terms in _BETA_TERMS.items():
        if largest <= limit:
            return terms
    name = type(distribution).__name__
    raise NotAbducible(
        name,
        f"{name} with a count of {largest:g} is out of reach of the incomplete beta function, "
        f"which is kept exact up to {max(_BETA_TERMS):g}. Use a Poisson or a Normal.",
    )


@register(torch_dist.Poisson)
@register(torch_dist.Poisson, coupling="quantile")
def _poisson(d: Any) -> PoissonEquation:
    return PoissonEquation(d)


@register(torch_dist.Binomial)
@register(torch_dist.Binomial, coupling="quantile")
def _binomial(d: Any) -> BinomialEquation:
    return BinomialEquation(d)


@register(torch_dist.NegativeBinomial)
@register(torch_dist.NegativeBinomial, coupling="quantile")
def _negative_binomial(d: Any) -> NegativeBinomialEquation:
    return NegativeBinomialEquation(d)
