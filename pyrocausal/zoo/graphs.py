"""Graphs that trap the unwary: M-bias and the napkin."""

import pyro
import pyro.distributions as dist

from pyrocausal.zoo.registry import Truth, register

__all__ = ["m_bias", "napkin"]


@register(
    edges="U1 -> Z, X; U2 -> Z, Y; X -> Y",
    latent=["U1", "U2"],
    truths=[
        Truth(1, "E[Y | X=1]", "Y", 1 + 2 * 0.5, given={"X": 1.0}),
        Truth(1, "E[Y | X=1, Z=1]", "Y", 1 + 2 * 0.82 / (0.82 + 0.42), given={"X": 1.0, "Z": 1.0}),
        Truth(1, "E[Y | X=0, Z=1]", "Y", 2 * 0.58 / (0.58 + 0.18), given={"X": 0.0, "Z": 1.0}),
        Truth(2, "E[Y | do(X=1)]", "Y", 1 + 2 * 0.5, do={"X": 1.0}),
        Truth(2, "E[Y | do(X=0)]", "Y", 2 * 0.5, do={"X": 0.0}),
        Truth(
            3,
            "Y_{X=1} | Z=1, X=0, Y=1.5",
            "Y",
            1.5 + 1,
            do={"X": 1.0},
            evidence={"Z": 1.0, "X": 0.0, "Y": 1.5},
            exact=True,
        ),
    ],
)
def m_bias() -> None:
    """M-bias: ``X <- U1 -> Z <- U2 -> Y``, ``X -> Y``; to adjust for Z is to add bias.

    Seeing: ``E[Y | X=1] - E[Y | X=0] = 1`` is the effect; but
    ``P(Z=1 | x, u2) = 0.1 + 0.4 (0.2 + 0.6 x) + 0.4 u2``, so ``E[Y | x, Z=1] = x + 2 P(U2=1 | x,
    Z=1)`` with ``0.82 / 1.24`` and ``0.58 / 0.76``: a contrast of 0.80. Doing: ``E[Y | do(x)] =
    x + 1``. Imagining: ``Y_{x*} = Y + x* - X`` for every unit.

    Example:
        >>> from pyrocausal import zoo
        >>> treated, untreated = zoo.MODELS["m_bias"].truths[1:3]
        >>> round(treated.value - untreated.value, 2)
        0.8
    """
    u1 = pyro.sample("U1", dist.Bernoulli(0.5))
    u2 = pyro.sample("U2", dist.Bernoulli(0.5))
    pyro.sample("Z", dist.Bernoulli(0.1 + 0.4 * u1 + 0.4 * u2))
    x = pyro.sample("X", dist.Bernoulli(0.2 + 0.6 * u1))
    pyro.sample("Y", dist.Normal(x + 2.0 * u2, 1.0))


@register(
    edges="U1 -> W, X; U2 -> W, Y; W -> R -> X -> Y",
    latent=["U1", "U2"],
    truths=[
        Truth(
            1,
            "P(Y=1 | X=1)",
            "Y",
            0.5 + 0.4 * 0.56,
            given={"X": 1.0},
            statistic="probability",
        ),
        Truth(
            2,
            "P(Y=1 | do(X=1))",
            "Y",
            0.5 + 0.4 * 0.5,
            do={"X": 1.0},
            statistic="probability",
        ),
        Truth(
            2,
            "P(Y=1 | do(X=0))",
            "Y",
            0.1 + 0.4 * 0.5,
            do={"X": 0.0},
            statistic="probability",
        ),
        Truth(
            3,
            "P(Y_{X=0}=1 | W=1, R=1, X=1, Y=1)",
            "Y",
            (0.255 * 0.1 / 0.5 + 0.999 * 0.5 / 0.9) / (0.255 + 0.999),
            do={"X": 0.0},
            evidence={"W": 1.0, "R": 1.0, "X": 1.0, "Y": 1.0},
            statistic="probability",
        ),
    ],
)
def napkin() -> None:
    r"""The napkin ``W -> R -> X -> Y`` with hidden ``W <- U1 -> X`` and ``W <- U2 -> Y``.

    Identified by no adjustment, only by a ratio: for any r,
    ``P(y | do(x)) = sum_w P(x, y | r, w) P(w) / sum_w P(x | r, w) P(w)``. Seeing:
    ``P(X=1 | u2) = 0.44 + 0.12 u2``, so ``P(Y=1 | X=1) = 0.5 + 0.4 * 0.56 = 0.724``. Doing:
    ``P(Y=1 | do(x)) = 0.1 + 0.4 x + 0.2``. Imagining, for all ones: the posterior weights of
    ``U2 = 0, 1`` are ``0.255 : 0.999``, and Y stays with ``0.1 / 0.5`` and ``0.5 / 0.9``.

    References:
        Pearl and Mackenzie, The Book of Why, 2018, chapter 7.

    Example:
        >>> from pyrocausal import zoo
        >>> print(*zoo.MODELS["napkin"].truths[:2], sep="\n")
        P(Y=1 | X=1) = 0.724
        P(Y=1 | do(X=1)) = 0.7
    """
    u1 = pyro.sample("U1", dist.Bernoulli(0.5))
    u2 = pyro.sample("U2", dist.Bernoulli(0.5))
    w = pyro.sample("W", dist.Bernoulli(0.1 + 0.4 * u1 + 0.4 * u2))
    r = pyro.sample("R", dist.Bernoulli(0.2 + 0.6 * w))
    x = pyro.sample("X", dist.Bernoulli(0.1 + 0.3 * u1 + 0.5 * r))
    pyro.sample("Y", dist.Bernoulli(0.1 + 0.4 * x + 0.4 * u2))
