"""Linear Gaussian models, where every answer is a matter of path coefficients."""

import pyro
import pyro.distributions as dist
import torch

from pyrocausal.zoo.registry import Truth, register

__all__ = ["diamond", "homework", "mediator", "triangle"]


@register(
    edges="Z -> X -> Y; Z -> Y",
    truths=[
        Truth(1, "E[Y]", "Y", 1.0),
        Truth(2, "E[Y | do(X=1)]", "Y", 1 + 2 * 1, do={"X": 1.0}),
        Truth(2, "E[Y | do(Z=1)]", "Y", 1 + 2 * 0.8 - 3, do={"Z": 1.0}),
        Truth(
            3,
            "Y_{X=1.3} | Z=1, X=0.3, Y=-1",
            "Y",
            -1 + 2 * (1.3 - 0.3),
            do={"X": 1.3},
            evidence={"Z": 1.0, "X": 0.3, "Y": -1.0},
            exact=True,
        ),
        Truth(
            3,
            "Y_{Z=0} | Z=1, X=0.3, Y=-1",
            "Y",
            -1 + (2 * 0.8 - 3) * (0 - 1),
            do={"Z": 0.0},
            evidence={"Z": 1.0, "X": 0.3, "Y": -1.0},
            exact=True,
        ),
        Truth(
            3,
            "Y_{X=2} | X=1, Y=0",
            "Y",
            0 + 2 * (2 - 1),
            do={"X": 2.0},
            evidence={"X": 1.0, "Y": 0.0},
            exact=True,
        ),
        Truth(
            3,
            "E[Y_{Z=0} | X=1, Y=0]",
            "Y",
            1.4 * (0.8 * 1 - 3 * (0 - 1 - 2 * 1) / 0.25) / (1 + 0.8**2 + 3**2 / 0.25),
            do={"Z": 0.0},
            evidence={"X": 1.0, "Y": 0.0},
        ),
    ],
)
def triangle() -> None:
    """A confounded effect whose confounder is seen: ``Z -> X -> Y``, ``Z -> Y``.

    Doing: ``E[Y | do(x)] = 1 + 2 x``, ``E[Y | do(z)] = 1 + (2 * 0.8 - 3) z``. Imagining:
    ``Y_{x*} = Y + 2 (x* - X)`` and ``Y_{z*} = Y - 1.4 (z* - Z)`` for every unit, the former even
    if Z was not seen; then ``E[Y_{z=0} | x, y] = y + 1.4 E[Z | x, y]``, and the posterior of Z has
    precision ``1 + 0.8^2 + 9 / 0.25`` and mean ``(0.8 x - 3 (y - 1 - 2x) / 0.25) / precision``.

    Example:
        >>> from pyrocausal import zoo
        >>> print(zoo.MODELS["triangle"].truths[1])
        E[Y | do(X=1)] = 3
    """
    z = pyro.sample("Z", dist.Normal(0.0, 1.0))
    x = pyro.sample("X", dist.Normal(0.8 * z, 1.0))
    pyro.sample("Y", dist.Normal(1.0 + 2.0 * x - 3.0 * z, 0.5))


@register(
    edges="A -> B, C -> D",
    truths=[
        Truth(1, "E[D^2]", "D", (1.5 - 2) ** 2 + 0.5**2 + 1 + 1, statistic=torch.square),
        Truth(2, "E[D | do(A=2)]", "D", (1.5 * 1 - 1 * 2) * 2, do={"A": 2.0}),
        Truth(2, "E[D | do(B=1)]", "D", 1.0, do={"B": 1.0}),
        Truth(2, "E[D | do(B=1, C=1)]", "D", 1.0 + 2.0, do={"B": 1.0, "C": 1.0}),
        Truth(
            3,
            "D_{A=0} | A=1, B=2, C=-1, D=0.5",
            "D",
            0.5 + (1.5 * 1 - 1 * 2) * (0 - 1),
            do={"A": 0.0},
            evidence={"A": 1.0, "B": 2.0, "C": -1.0, "D": 0.5},
            exact=True,
        ),
        Truth(
            3,
            "D_{A=0, C=1} | A=1, B=2, C=-1, D=0.5",
            "D",
            0.5 + 1.5 * (0 - 1) + 2 * (1 - -1),
            do={"A": 0.0, "C": 1.0},
            evidence={"A": 1.0, "B": 2.0, "C": -1.0, "D": 0.5},
            exact=True,
        ),
        Truth(3, "E[D_{B=0} | D=1]", "D", 1 + 0.5 / 2.5, do={"B": 0.0}, evidence={"D": 1.0}),
    ],
)
def diamond() -> None:
    """Two opposite paths ``A -> B -> D`` and ``A -> C -> D``, of strength 1.5 and -2.

    Seeing: ``E[D^2] = Var(D) = 0.5^2 + 0.5^2 + 1 + 1``. Doing: ``E[D | do(a)] = (1.5 - 2) a``,
    ``E[D | do(b)] = b``. Imagining: ``D_{a*} = D - 0.5 (a* - A)`` for every unit. Of D alone:
    ``E[D_{b=0} | d] = d - E[B | d] = d - Cov(B, D) / Var(D) d``, with ``Cov(B, D) = -0.5``.

    Example:
        >>> from pyrocausal import zoo
        >>> print(zoo.MODELS["diamond"].truths[1])
        E[D | do(A=2)] = -1
    """
    a = pyro.sample("A", dist.Normal(0.0, 1.0))
    b = pyro.sample("B", dist.Normal(1.5 * a, 0.5))
    c = pyro.sample("C", dist.Normal(-1.0 * a, 0.5))
    pyro.sample("D", dist.Normal(b + 2.0 * c, 1.0))


@register(
    edges="X -> H -> Y; X -> Y",
    truths=[
        Truth(1, "E[Y^2]", "Y", (0.7 + 0.5 * 0.4) ** 2 + 0.4**2 + 1, statistic=torch.square),
        Truth(2, "E[Y | do(X=1)]", "Y", 0.7 + 0.5 * 0.4, do={"X": 1.0}),
        Truth(2, "E[Y | do(H=2)]", "Y", 0.4 * 2, do={"H": 2.0}),
        Truth(
            3,
            "Y_{H=2} | X=0.5, H=1, Y=1.5",
            "Y",
            0.7 * 0.5 + 0.4 * 2 + 0.75,
            do={"H": 2.0},
            evidence={"X": 0.5, "H": 1.0, "Y": 1.5},
            exact=True,
        ),
        Truth(
            3,
            "Y_{X=0} | X=0.5, H=1, Y=1.5",
            "Y",
            1.5 - (0.7 + 0.5 * 0.4) * 0.5,
            do={"X": 0.0},
            evidence={"X": 0.5, "H": 1.0, "Y": 1.5},
            exact=True,
        ),
    ],
)
def homework() -> None:
    """Joe's homework: encouragement (X), homework (H), exam score (Y), all standardized.

    Joe has ``X = 0.5, H = 1, Y = 1.5``, hence ``U_H = 0.75`` and ``U_Y = 0.75``. Had he doubled
    his homework: ``Y_{H=2} = 0.7 * 0.5 + 0.4 * 2 + 0.75 = 1.90``. On rung 2,
    ``E[Y | do(h)] = 0.4 h`` and ``E[Y | do(x)] = (0.7 + 0.5 * 0.4) x``. On rung 1,
    ``Y = 0.9 X + 0.4 U_H + U_Y``, hence ``E[Y^2] = 0.9^2 + 0.4^2 + 1``.

    References:
        Pearl, Glymour and Jewell, Causal Inference in Statistics: A Primer, 2016, section 4.2.

    Example:
        >>> from pyrocausal import zoo
        >>> print(zoo.MODELS["homework"].truths[3])
        Y_{H=2} | X=0.5, H=1, Y=1.5 = 1.9
    """
    x = pyro.sample("X", dist.Normal(0.0, 1.0))
    h = pyro.sample("H", dist.Normal(0.5 * x, 1.0))
    pyro.sample("Y", dist.Normal(0.7 * x + 0.4 * h, 1.0))


@register(
    edges="X -> M -> Y; X -> Y",
    truths=[
        Truth(1, "E[Y | X=1]", "Y", 1 + (1.5 + 0.8) * 2.5, given={"X": 1.0}),
        Truth(2, "E[Y | do(X=0)]", "Y", 1.5 * 0.5, do={"X": 0.0}),
        Truth(2, "E[Y | do(X=1, M=1)]", "Y", 1 + 1.5 + 0.8, do={"X": 1.0, "M": 1.0}),
        Truth(3, "E[Y_{1, M_0}]", "Y", 1 + 2.3 * 0.5, do={"X": 0.0, ("X", "Y"): 1.0}),
        Truth(3, "E[Y_{0, M_1}]", "Y", 1.5 * 2.5, do={"X": 1.0, ("X", "Y"): 0.0}),
        Truth(
            3,
            "NDE = E[Y_{1, M_0} - Y_0]",
            "Y",
            1 + 0.8 * 0.5,
            do=({"X": 0.0}, {"X": 0.0, ("X", "Y"): 1.0}),
            statistic=lambda y: y[1] - y[0],
        ),
        Truth(
            3,
            "NIE = E[Y_{0, M_1} - Y_0]",
            "Y",
            1.5 * 2,
            do=({"X": 0.0}, {"X": 1.0, ("X", "Y"): 0.0}),
            statistic=lambda y: y[1] - y[0],
        ),
        Truth(
            3,
            "Y_{X=1} | X=0, M=1, Y=2",
            "Y",
            1 + (1.5 + 0.8) * (1 + 2) + (2 - 1.5 * 1),
            do={"X": 1.0},
            evidence={"X": 0.0, "M": 1.0, "Y": 2.0},
            exact=True,
        ),
    ],
)
def mediator() -> None:
    r"""A mediated effect with interaction: ``X -> M -> Y``, ``X -> Y`` and a product ``X M``.

    With ``M = 0.5 + 2 X + U_M`` and ``Y = X + 1.5 M + 0.8 X M + U_Y``: total effect
    ``E[Y_1 - Y_0] = 6``; controlled ``CDE(m) = 1 + 0.8 m``; natural direct
    ``NDE = 1 + 0.8 E[M_0] = 1.4``; natural indirect ``NIE = 1.5 * 2 = 3``; what remains,
    ``0.8 * 2 = 1.6``, is the interaction. ``Y_{1, M_0}`` is Y with its edge from X set to 1 in the
    world of ``X = 0``.

    References:
        Pearl, Direct and indirect effects, UAI 2001.

    Example:
        >>> from pyrocausal import zoo
        >>> print(*zoo.MODELS["mediator"].truths[5:7], sep="\n")
        NDE = E[Y_{1, M_0} - Y_0] = 1.4
        NIE = E[Y_{0, M_1} - Y_0] = 3
    """
    x = pyro.sample("X", dist.Bernoulli(0.5))
    m = pyro.sample("M", dist.Normal(0.5 + 2.0 * x, 1.0))
    pyro.sample("Y", dist.Normal(x + 1.5 * m + 0.8 * x * m, 1.0))
