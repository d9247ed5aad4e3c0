"""The junctions every course begins with: chain, fork, and two colliders."""

import pyro
import pyro.distributions as dist
import torch

from pyrocausal.zoo.registry import Truth, register

__all__ = ["alarm", "chain", "collider", "fork"]


@register(
    edges="X -> Y -> Z",
    truths=[
        Truth(1, "E[Z]", "Z", 1 - 1.5 * (0.5 + 2 * 1)),
        Truth(2, "E[Z | do(X=0)]", "Z", 1 - 1.5 * 0.5, do={"X": 0.0}),
        Truth(2, "E[Z | do(Y=1)]", "Z", 1 - 1.5 * 1, do={"Y": 1.0}),
        Truth(2, "E[X | do(Y=3)]", "X", 1.0, do={"Y": 3.0}),
        Truth(
            3,
            "Z_{X=1.5} | X=0.5, Y=2, Z=-1",
            "Z",
            -1 - 1.5 * 2 * (1.5 - 0.5),
            do={"X": 1.5},
            evidence={"X": 0.5, "Y": 2.0, "Z": -1.0},
            exact=True,
        ),
        Truth(
            3,
            "E[Z_{X=1} | X=0]",
            "Z",
            1 - 1.5 * (0.5 + 2 * 1),
            do={"X": 1.0},
            evidence={"X": 0.0},
        ),
    ],
)
def chain() -> None:
    """A linear Gaussian chain ``X -> Y -> Z``: Y carries all that X does to Z.

    Seeing: ``E[Z] = 1 - 1.5 (0.5 + 2 E[X])``. Doing: ``E[Z | do(x)] = 1 - 1.5 (0.5 + 2 x)`` and
    ``E[X | do(y)] = E[X]``. Imagining: ``Z_{x*} = Z - 3 (x* - X)`` for every unit.

    Example:
        >>> from pyrocausal import zoo
        >>> print(zoo.MODELS["chain"].truths[1])
        E[Z | do(X=0)] = 0.25
    """
    x = pyro.sample("X", dist.Normal(1.0, 1.0))
    y = pyro.sample("Y", dist.Normal(0.5 + 2.0 * x, 1.0))
    pyro.sample("Z", dist.Normal(1.0 - 1.5 * y, 0.5))


@register(
    edges="Z -> X, Y",
    truths=[
        Truth(1, "E[Y | X=1]", "Y", 1 + 2 * 0.8, given={"X": 1.0}),
        Truth(2, "E[Y | do(X=1)]", "Y", 1 + 2 * 0.5, do={"X": 1.0}),
        Truth(2, "P(X=1 | do(Z=1))", "X", 0.8, do={"Z": 1.0}, statistic="probability"),
        Truth(
            3,
            "Y_{X=0} | Z=1, X=1, Y=3.5",
            "Y",
            3.5,
            do={"X": 0.0},
            evidence={"Z": 1.0, "X": 1.0, "Y": 3.5},
            exact=True,
        ),
        Truth(
            3,
            "Y_{Z=0} | Z=1, X=1, Y=3.5",
            "Y",
            3.5 - 2,
            do={"Z": 0.0},
            evidence={"Z": 1.0, "X": 1.0, "Y": 3.5},
            exact=True,
        ),
        Truth(
            3,
            "P(X_{Z=0}=1 | Z=1, X=1)",
            "X",
            0.2 / 0.8,
            do={"Z": 0.0},
            evidence={"Z": 1.0, "X": 1.0},
            statistic="probability",
        ),
    ],
)
def fork() -> None:
    r"""A fork ``X <- Z -> Y``: summer (Z) sells ice cream (X) and fills the beaches (Y).

    Seeing: ``E[Y | X=1] = 1 + 2 P(Z=1 | X=1) = 2.6``. Doing: ``E[Y | do(x)] = E[Y] = 2``.
    Imagining: ``Y_{x*} = Y`` and ``Y_{z*} = Y + 2 (z* - Z)`` for every unit; what sold in summer
    would have sold in winter with probability ``P(X=1 | Z=0) / P(X=1 | Z=1)``.

    Example:
        >>> from pyrocausal import zoo
        >>> print(*zoo.MODELS["fork"].truths[:2], sep="\n")
        E[Y | X=1] = 2.6
        E[Y | do(X=1)] = 2
    """
    z = pyro.sample("Z", dist.Bernoulli(0.5))
    pyro.sample("X", dist.Bernoulli(0.2 + 0.6 * z))
    pyro.sample("Y", dist.Normal(1.0 + 2.0 * z, 1.0))


@register(
    edges="X, Y -> Z",
    truths=[
        Truth(1, "E[Z^2]", "Z", 1 + 4 + 1, statistic=torch.square),
        Truth(2, "E[Z | do(X=1)]", "Z", 1.0, do={"X": 1.0}),
        Truth(2, "E[X | do(Z=3)]", "X", 0.0, do={"Z": 3.0}),
        Truth(3, "E[X_{Z=0} | Z=3]", "X", 1 / 6 * 3, do={"Z": 0.0}, evidence={"Z": 3.0}),
        Truth(3, "E[Z_{X=1} | Z=3]", "Z", 3 + (1 - 1 / 6 * 3), do={"X": 1.0}, evidence={"Z": 3.0}),
        Truth(
            3,
            "E[X_{Z=0} | Y=1, Z=3]",
            "X",
            (3 - 2 * 1) / 2,
            do={"Z": 0.0},
            evidence={"Y": 1.0, "Z": 3.0},
        ),
        Truth(
            3,
            "Z_{Y=0} | X=1, Y=2, Z=4",
            "Z",
            4 - 2 * 2,
            do={"Y": 0.0},
            evidence={"X": 1.0, "Y": 2.0, "Z": 4.0},
            exact=True,
        ),
    ],
)
def collider() -> None:
    r"""A linear Gaussian collider ``X -> Z <- Y``: causes become dependent once Z is seen.

    Seeing: ``Var(Z) = 1 + 4 + 1``. Doing: ``E[Z | do(x)] = x``, ``E[X | do(z)] = 0``.
    Imagining: ``E[X_{z*} | Z=z] = E[X | Z=z] = z / 6``: to undo an effect is not to forget what it
    told; ``E[X_{z*} | y, z] = (z - 2y) / 2``; ``E[Z_{x*} | z] = z + x* - z / 6``.

    Example:
        >>> from pyrocausal import zoo
        >>> print(*zoo.MODELS["collider"].truths[2:4], sep="\n")
        E[X | do(Z=3)] = 0
        E[X_{Z=0} | Z=3] = 0.5
    """
    x = pyro.sample("X", dist.Normal(0.0, 1.0))
    y = pyro.sample("Y", dist.Normal(0.0, 1.0))
    pyro.sample("Z", dist.Normal(x + 2.0 * y, 1.0))


@register(
    edges="burglary, earthquake -> alarm",
    truths=[
        Truth(1, "P(alarm=1)", "alarm", 0.05 + 0.06 + 0.06, statistic="probability"),
        Truth(
            1,
            "P(burglary=1 | alarm=1)",
            "burglary",
            0.1 * 0.71 / 0.17,
            given={"alarm": 1.0},
            statistic="probability",
        ),
        Truth(
            1,
            "P(burglary=1 | alarm=1, earthquake=1)",
            "burglary",
            0.1 * 0.95 / (0.1 * 0.95 + 0.9 * 0.35),
            given={"alarm": 1.0, "earthquake": 1.0},
            statistic="probability",
        ),
        Truth(
            2,
            "P(burglary=1 | do(alarm=1))",
            "burglary",
            0.1,
            do={"alarm": 1.0},
            statistic="probability",
        ),
        Truth(
            3,
            "P(alarm_{burglary=0}=1 | burglary=1, earthquake=0, alarm=1)",
            "alarm",
            0.05 / 0.65,
            do={"burglary": 0.0},
            evidence={"burglary": 1.0, "earthquake": 0.0, "alarm": 1.0},
            statistic="probability",
        ),
        Truth(
            3,
            "P(alarm_{burglary=0}=1 | alarm=1)",
            "alarm",
            (0.05 + 0.3 * 0.2) / 0.17,
            do={"burglary": 0.0},
            evidence={"alarm": 1.0},
            statistic="probability",
        ),
    ],
)
def alarm() -> None:
    """A binary collider ``burglary -> alarm <- earthquake``: one cause explains away the other.

    With ``p(b, e) = 0.05 + 0.6 b + 0.3 e``. Seeing: ``P(b | alarm) = P(b) E_e[p(1, e)] /
    P(alarm) = 0.42``, but ``P(b | alarm, e=1) = 0.23``. Doing: ``P(b | do(alarm)) = P(b)``.
    Imagining (monotone in p): ``P(alarm_{b=0} | alarm, b=1, e=0) = p(0, 0) / p(1, 0)`` and, of
    all alarms, ``P(alarm_{b=0} | alarm) = E_e[p(0, e)] / P(alarm)``.

    References:
        Pearl, Probabilistic Reasoning in Intelligent Systems, 1988, chapter 2.

    Example:
        >>> from pyrocausal import zoo
        >>> print(zoo.MODELS["alarm"].truths[2])
        P(burglary=1 | alarm=1, earthquake=1) = 0.2317
    """
    burglary = pyro.sample("burglary", dist.Bernoulli(0.1))
    earthquake = pyro.sample("earthquake", dist.Bernoulli(0.2))
    pyro.sample("alarm", dist.Bernoulli(0.05 + 0.6 * burglary + 0.3 * earthquake))
