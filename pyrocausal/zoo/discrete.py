"""Classes and counts, whose counterfactuals rest on a coupling."""

from collections.abc import Callable
from math import exp

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from pyrocausal.zoo.registry import Truth, register

__all__ = ["categories", "counts"]

_SPEND = (0.0, 1.0, 2.0, 4.0, 8.0)
_NORTH = (0.2, 0.2, 0.2, 0.2, 0.2)
_SOUTH = (0.1, 0.1, 0.2, 0.3, 0.3)
_SWITCHED = (0.5, 0.0, 1 / 12, 5 / 24, 5 / 24)


def _is_class(k: int) -> Callable[[Tensor], Tensor]:
    """Return the statistic that tells whether the variable is class ``k``."""
    return lambda choice: choice == k


@register(
    edges="south -> choice -> spend",
    truths=[
        Truth(
            1,
            "P(choice=4 | south=1)",
            "choice",
            0.3,
            given={"south": 1.0},
            statistic=_is_class(4),
        ),
        Truth(1, "E[spend | choice=3]", "spend", _SPEND[3], given={"choice": 3}),
        Truth(2, "E[spend | do(choice=3)]", "spend", _SPEND[3], do={"choice": 3}),
        Truth(
            2,
            "E[spend | do(south=1)]",
            "spend",
            sum(p * s for p, s in zip(_SOUTH, _SPEND, strict=True)),
            do={"south": 1.0},
        ),
        *(
            Truth(
                3,
                f"P(choice_{{south=1}}={k} | south=0, choice=0)",
                "choice",
                _SWITCHED[k],
                do={"south": 1.0},
                evidence={"south": 0.0, "choice": 0},
                statistic=_is_class(k),
                exact=_SWITCHED[k] == 0,
            )
            for k in range(5)
        ),
        Truth(
            3,
            "choice_{south=1} | south=0, choice=4",
            "choice",
            4.0,
            do={"south": 1.0},
            evidence={"south": 0.0, "choice": 4},
            exact=True,
        ),
        Truth(
            3,
            "E[spend_{south=1} | south=0, choice=0, spend=0.5]",
            "spend",
            0.5 + sum(p * s for p, s in zip(_SWITCHED, _SPEND, strict=True)),
            do={"south": 1.0},
            evidence={"south": 0.0, "choice": 0, "spend": 0.5},
        ),
    ],
)
def categories() -> None:
    r"""A choice among five classes, under the Gumbel-max coupling: ``south -> choice -> spend``.

    In the north all classes have ``p_k = 0.2``, in the south ``q = (.1, .1, .2, .3, .3)``, and
    spending is ``s = (0, 1, 2, 4, 8)`` and noise. Doing: ``E[spend | do(south)] = sum_k q_k s_k``.
    Imagining: the coupling is a race of independent exponential clocks, whence for ``j != i``

    .. math:: P(C^* = j \mid C = i)
        = q_j \int_{p_j / q_j}^{p_i / q_i} \frac{dr}{(\sum_k \max(p_k, q_k r))^2}

    and 0 where the lower limit is above. From class 0: ``(1/2, 0, 1/12, 5/24, 5/24)``. Class 4,
    whose odds rise most, is never left.

    References:
        Oberst and Sontag, Counterfactual off-policy evaluation with Gumbel-max structural causal
        models, ICML 2019 (the coupling; the integral is derived here).

    Example:
        >>> from pyrocausal import zoo
        >>> print(zoo.MODELS["categories"].truths[8])
        P(choice_{south=1}=4 | south=0, choice=0) = 0.2083
    """
    south = pyro.sample("south", dist.Bernoulli(0.5))
    table = torch.tensor([_NORTH, _SOUTH], device=south.device)
    choice = pyro.sample("choice", dist.Categorical(table[south.long()]))
    spend = torch.tensor(_SPEND, device=south.device)[choice.long()]
    pyro.sample("spend", dist.Normal(spend, 1.0))


@register(
    edges="night -> claims -> cost",
    truths=[
        Truth(1, "E[claims]", "claims", 0.7 * 1 + 0.3 * 2),
        Truth(
            1,
            "P(claims=0 | night=1)",
            "claims",
            exp(-2),
            given={"night": 1.0},
            statistic=lambda n: n == 0,
        ),
        Truth(2, "E[cost | do(night=1)]", "cost", 10 * 2, do={"night": 1.0}),
        Truth(2, "E[cost | do(claims=3)]", "cost", 10 * 3, do={"claims": 3.0}),
        Truth(
            3,
            "E[claims_{night=1} | night=0, claims=0]",
            "claims",
            1 - exp(-1),
            do={"night": 1.0},
            evidence={"night": 0.0, "claims": 0.0},
        ),
        Truth(
            3,
            "E[cost_{night=1} | night=0, claims=0, cost=-4]",
            "cost",
            -4 + 10 * (1 - exp(-1)),
            do={"night": 1.0},
            evidence={"night": 0.0, "claims": 0.0, "cost": -4.0},
        ),
        Truth(
            3,
            "P(claims_{night=1} >= 2 | night=0, claims=2)",
            "claims",
            1.0,
            do={"night": 1.0},
            evidence={"night": 0.0, "claims": 2.0},
            statistic=lambda n: n >= 2,
            exact=True,
        ),
    ],
)
def counts() -> None:
    """Poisson counts under the quantile coupling: driving at night doubles the claims.

    Seeing: ``E[claims] = 1 + P(night)``. Doing: ``E[cost | do(night)] = 10 (1 + night)``.
    Imagining: who had no claim by day has ``F <= exp(-1)``, so by night none with probability
    ``exp(-2) / exp(-1)`` and else one (``F_1 = 3 exp(-2)`` exceeds ``exp(-1)``), whence
    ``E[claims_{night}] = 1 - 1/e``; and a higher rate never means fewer claims.

    Example:
        >>> from pyrocausal import zoo
        >>> print(zoo.MODELS["counts"].truths[4])
        E[claims_{night=1} | night=0, claims=0] = 0.6321
    """
    night = pyro.sample("night", dist.Bernoulli(0.3))
    claims = pyro.sample("claims", dist.Poisson(1.0 + night))
    pyro.sample("cost", dist.Normal(10.0 * claims, 5.0))
