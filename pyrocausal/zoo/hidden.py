"""Hidden confounders that can be got around: bow, instrument, front door."""

import pyro
import pyro.distributions as dist
import torch

from pyrocausal.zoo.registry import Truth, register

__all__ = ["bow", "front_door", "instrument"]


@register(
    edges="U -> X -> Y; U -> Y",
    latent=["U"],
    truths=[
        Truth(1, "E[Y^2]", "Y", (1.5 + 2) ** 2 + 1.5**2 + 1, statistic=torch.square),
        Truth(2, "E[Y | do(X=1)]", "Y", 1.5 * 1, do={"X": 1.0}),
        Truth(
            3,
            "Y_{X=3} | X=1, Y=2",
            "Y",
            2 + 1.5 * (3 - 1),
            do={"X": 3.0},
            evidence={"X": 1.0, "Y": 2.0},
            exact=True,
        ),
        Truth(
            3,
            "E[U | X=1, Y=2]",
            "U",
            (1 + 2 * (2 - 1.5 * 1)) / (1 + 1 + 2**2),
            do={"X": 0.0},
            evidence={"X": 1.0, "Y": 2.0},
        ),
    ],
)
def bow() -> None:
    """The bow ``X -> Y`` with a hidden ``X <- U -> Y``: from data alone not identified.

    Seeing: the regression of Y on X has slope ``1.5 + 2 * 1 / 2 = 2.5``. Doing:
    ``E[Y | do(x)] = 1.5 x``. Imagining: ``Y_{x*} = Y + 1.5 (x* - X)`` for every unit, whatever U
    was; and ``E[U | x, y] = (x + 2 (y - 1.5 x)) / 6``.

    Example:
        >>> from pyrocausal import zoo
        >>> print(zoo.MODELS["bow"].truths[1])
        E[Y | do(X=1)] = 1.5
    """
    u = pyro.sample("U", dist.Normal(0.0, 1.0))
    x = pyro.sample("X", dist.Normal(u, 1.0))
    pyro.sample("Y", dist.Normal(1.5 * x + 2.0 * u, 1.0))


@register(
    edges="Z -> X -> Y; U -> X, Y",
    latent=["U"],
    truths=[
        Truth(1, "E[X | Z=1]", "X", 2.0, given={"Z": 1.0}),
        Truth(1, "E[Y | Z=1]", "Y", 1.5 * 2, given={"Z": 1.0}),
        Truth(1, "E[Y | Z=0]", "Y", 0.0, given={"Z": 0.0}),
        Truth(2, "E[Y | do(X=1)]", "Y", 1.5 * 1, do={"X": 1.0}),
        Truth(2, "E[Y | do(Z=1)]", "Y", 1.5 * 2, do={"Z": 1.0}),
        Truth(
            3,
            "Y_{X=1} | Z=1, X=2, Y=1",
            "Y",
            1 + 1.5 * (1 - 2),
            do={"X": 1.0},
            evidence={"Z": 1.0, "X": 2.0, "Y": 1.0},
            exact=True,
        ),
        Truth(
            3,
            "Y_{Z=0} | Z=1, X=2, Y=1",
            "Y",
            1 + 1.5 * 2 * (0 - 1),
            do={"Z": 0.0},
            evidence={"Z": 1.0, "X": 2.0, "Y": 1.0},
            exact=True,
        ),
    ],
)
def instrument() -> None:
    """An instrument ``Z -> X -> Y`` with a hidden ``X <- U -> Y``, linear.

    Seeing: the Wald ratio ``(E[Y | Z=1] - E[Y | Z=0]) / (E[X | Z=1] - E[X | Z=0]) = 3 / 2`` is the
    effect. Doing: ``E[Y | do(x)] = 1.5 x``. Imagining: ``Y_{x*} = Y + 1.5 (x* - X)`` and
    ``Y_{z*} = Y + 1.5 * 2 (z* - Z)`` for every unit.

    Example:
        >>> from pyrocausal import zoo
        >>> print(zoo.MODELS["instrument"].truths[3])
        E[Y | do(X=1)] = 1.5
    """
    z = pyro.sample("Z", dist.Bernoulli(0.5))
    u = pyro.sample("U", dist.Normal(0.0, 1.0))
    x = pyro.sample("X", dist.Normal(2.0 * z + u, 1.0))
    pyro.sample("Y", dist.Normal(1.5 * x - 2.0 * u, 1.0))


@register(
    edges="U -> X -> M -> Y; U -> Y",
    latent=["U"],
    truths=[
        Truth(
            1,
            "P(Y=1 | X=1)",
            "Y",
            0.1 + 0.3 * 0.9 + 0.4 * 0.8,
            given={"X": 1.0},
            statistic="probability",
        ),
        Truth(
            2,
            "P(Y=1 | do(X=1))",
            "Y",
            0.1 + 0.3 * 0.9 + 0.4 * 0.5,
            do={"X": 1.0},
            statistic="probability",
        ),
        Truth(
            2,
            "P(Y=1 | do(X=0))",
            "Y",
            0.1 + 0.3 * 0.1 + 0.4 * 0.5,
            do={"X": 0.0},
            statistic="probability",
        ),
        Truth(
            3,
            "P(Y_{X=0}=1 | X=1, M=1, Y=1)",
            "Y",
            1 / 9 + 8 / 9 * (1 / 9 * 0.1 / 0.4 + 8 / 9 * 0.5 / 0.8),
            do={"X": 0.0},
            evidence={"X": 1.0, "M": 1.0, "Y": 1.0},
            statistic="probability",
        ),
    ],
)
def front_door() -> None:
    r"""The front door: smoking (X) harms (Y) only by tar (M), and a gene (U) confounds both.

    Seeing: ``P(Y=1 | X=1) = 0.1 + 0.3 * 0.9 + 0.4 P(U=1 | X=1) = 0.69``. Doing:
    ``P(Y=1 | do(x)) = 0.1 + 0.3 P(M=1 | x) + 0.4 P(U=1)``, 0.57 and 0.33. Imagining, for a smoker
    with tar and cancer: ``P(U=1 | evidence) = 8/9``; had he not smoked, the tar would have stayed
    with probability ``0.1 / 0.9``, else the cancer with ``0.1 / 0.4`` or, if ``U=1``,
    ``0.5 / 0.8``.

    References:
        Pearl, Causality, 2009, section 3.3.2.

    Example:
        >>> from pyrocausal import zoo
        >>> print(*zoo.MODELS["front_door"].truths[:2], sep="\n")
        P(Y=1 | X=1) = 0.69
        P(Y=1 | do(X=1)) = 0.57
    """
    u = pyro.sample("U", dist.Bernoulli(0.5))
    x = pyro.sample("X", dist.Bernoulli(0.2 + 0.6 * u))
    m = pyro.sample("M", dist.Bernoulli(0.1 + 0.8 * x))
    pyro.sample("Y", dist.Bernoulli(0.1 + 0.3 * m + 0.4 * u))
