"""Trials of a binary treatment: who benefits, who is harmed, who complies."""

import pyro
import pyro.distributions as dist
import torch

from pyrocausal.zoo.registry import Truth, register

__all__ = ["noncompliance", "vaccine"]


@register(
    edges="allergic, vaccine -> healthy",
    truths=[
        Truth(
            1,
            "P(healthy=1 | vaccine=1)",
            "healthy",
            0.9 * 0.9 + 0.1 * 0.5,
            given={"vaccine": 1.0},
            statistic="probability",
        ),
        Truth(
            2,
            "P(healthy=1 | do(vaccine=1))",
            "healthy",
            0.9 * 0.9 + 0.1 * 0.5,
            do={"vaccine": 1.0},
            statistic="probability",
        ),
        Truth(
            2,
            "P(healthy=1 | do(vaccine=0))",
            "healthy",
            0.9 * 0.6 + 0.1 * 0.7,
            do={"vaccine": 0.0},
            statistic="probability",
        ),
        Truth(
            2,
            "P(healthy=1 | do(vaccine=1), allergic=1)",
            "healthy",
            0.5,
            do={"vaccine": 1.0},
            given={"allergic": 1.0},
            statistic="probability",
        ),
        Truth(
            3,
            "PN = P(healthy_{vaccine=0}=0 | vaccine=1, healthy=1)",
            "healthy",
            0.9 * 0.3 / 0.86,
            do={"vaccine": 0.0},
            evidence={"vaccine": 1.0, "healthy": 1.0},
            statistic=lambda y: y == 0,
        ),
        Truth(
            3,
            "PS = P(healthy_{vaccine=1}=1 | vaccine=0, healthy=0)",
            "healthy",
            0.9 * 0.3 / 0.39,
            do={"vaccine": 1.0},
            evidence={"vaccine": 0.0, "healthy": 0.0},
            statistic="probability",
        ),
        Truth(
            3,
            "PNS = P(healthy_{vaccine=1}=1, healthy_{vaccine=0}=0)",
            "healthy",
            0.9 * (0.9 - 0.6),
            do=({"vaccine": 0.0}, {"vaccine": 1.0}),
            statistic=lambda y: y[1] * (1 - y[0]),
        ),
        Truth(
            3,
            "harm = P(healthy_{vaccine=1}=0, healthy_{vaccine=0}=1)",
            "healthy",
            0.1 * (0.7 - 0.5),
            do=({"vaccine": 0.0}, {"vaccine": 1.0}),
            statistic=lambda y: y[0] * (1 - y[1]),
        ),
    ],
)
def vaccine() -> None:
    """A trial of a vaccine that helps most and harms a few: benefit and harm of one action.

    P(healthy) is 0.6 without and 0.9 with the vaccine, 0.7 and 0.5 for the allergic tenth. In a
    trial seeing is doing. It leaves benefit and harm open; the default coupling (Gumbel-max, for
    two values the same as the quantile coupling) is monotone in p, hence, with
    ``p_x(z) = P(Y=1 | x, z)``:
    ``PNS = benefit = E[(p_1 - p_0)+] = 0.27``, ``harm = E[(p_0 - p_1)+] = 0.02``,
    ``PN = PNS / P(Y=1 | do(1)) = 0.27 / 0.86``, ``PS = PNS / P(Y=0 | do(0)) = 0.27 / 0.39``.

    References:
        Tian and Pearl, Probabilities of causation: bounds and identification, UAI 2000.

    Example:
        >>> from pyrocausal import zoo
        >>> [round(truth.value, 3) for truth in zoo.MODELS["vaccine"].truths[4:7]]
        [0.314, 0.692, 0.27]
    """
    allergic = pyro.sample("allergic", dist.Bernoulli(0.1))
    vaccine = pyro.sample("vaccine", dist.Bernoulli(0.5))
    harmed = 0.7 - 0.2 * vaccine
    helped = 0.6 + 0.3 * vaccine
    pyro.sample("healthy", dist.Bernoulli(torch.where(allergic == 1, harmed, helped)))


@register(
    edges="Z -> X -> Y; U -> X, Y",
    latent=["U"],
    truths=[
        Truth(1, "P(X=1 | Z=1)", "X", (0.5 + 0.9) / 2, given={"Z": 1.0}, statistic="probability"),
        Truth(1, "P(X=1 | Z=0)", "X", (0.1 + 0.3) / 2, given={"Z": 0.0}, statistic="probability"),
        Truth(1, "E[Y | Z=1]", "Y", 0.5 + (0.5 * 1 + 0.9 * 3) / 2, given={"Z": 1.0}),
        Truth(1, "E[Y | Z=0]", "Y", 0.5 + (0.1 * 1 + 0.3 * 3) / 2, given={"Z": 0.0}),
        Truth(2, "E[Y | do(X=1)]", "Y", 0.5 + (1 + 3) / 2, do={"X": 1.0}),
        Truth(2, "E[Y | do(X=0)]", "Y", 0.5, do={"X": 0.0}),
        Truth(
            3,
            "P(complier) = E[X_{Z=1} - X_{Z=0}]",
            "X",
            ((0.5 - 0.1) + (0.9 - 0.3)) / 2,
            do=({"Z": 0.0}, {"Z": 1.0}),
            statistic=lambda x: x[1] - x[0],
        ),
        Truth(
            3,
            "P(defier) = P(X_{Z=1}=0, X_{Z=0}=1)",
            "X",
            0.0,
            do=({"Z": 0.0}, {"Z": 1.0}),
            statistic=lambda x: x[0] * (1 - x[1]),
            exact=True,
        ),
    ],
)
def noncompliance() -> None:
    """A trial with noncompliance: offered (Z), taken (X), health (Y), hidden motivation (U).

    ``P(X=1 | z, u)`` is 0.1, 0.3 without the offer and 0.5, 0.9 with it (u = 0, 1); taking helps
    by ``1 + 2 U``. Under the monotone coupling nobody defies, compliers are 0.4 and 0.6 of their
    stratum, and the Wald ratio is their effect,
    ``LATE = (0.4 * 1 + 0.6 * 3) / (0.4 + 0.6) = 2.2``, while ``ATE = 2``.

    References:
        Angrist, Imbens and Rubin, Identification of causal effects using instrumental variables,
        JASA 1996.

    Example:
        >>> from pyrocausal import zoo
        >>> x1, x0, y1, y0 = (truth.value for truth in zoo.MODELS["noncompliance"].truths[:4])
        >>> round((y1 - y0) / (x1 - x0), 6)
        2.2
    """
    z = pyro.sample("Z", dist.Bernoulli(0.5))
    u = pyro.sample("U", dist.Bernoulli(0.5))
    x = pyro.sample("X", dist.Bernoulli(0.1 + 0.4 * z + 0.2 * u + 0.2 * z * u))
    pyro.sample("Y", dist.Normal(u + x * (1.0 + 2.0 * u), 1.0))
