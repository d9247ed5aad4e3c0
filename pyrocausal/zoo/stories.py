"""Famous stories with two-valued variables: kidney stones and the firing squad."""

import pyro
import pyro.distributions as dist
import torch

from pyrocausal.zoo.registry import Truth, register

__all__ = ["firing_squad", "simpson"]


@register(
    edges="large -> surgery -> recovery; large -> recovery",
    truths=[
        Truth(
            1,
            "P(recovery=1 | surgery=1)",
            "recovery",
            (81 + 192) / 350,
            given={"surgery": 1.0},
            statistic="probability",
        ),
        Truth(
            1,
            "P(recovery=1 | surgery=0)",
            "recovery",
            (234 + 55) / 350,
            given={"surgery": 0.0},
            statistic="probability",
        ),
        Truth(
            1,
            "P(recovery=1 | surgery=1, large=1)",
            "recovery",
            192 / 263,
            given={"surgery": 1.0, "large": 1.0},
            statistic="probability",
        ),
        Truth(
            2,
            "P(recovery=1 | do(surgery=1))",
            "recovery",
            357 / 700 * 81 / 87 + 343 / 700 * 192 / 263,
            do={"surgery": 1.0},
            statistic="probability",
        ),
        Truth(
            2,
            "P(recovery=1 | do(surgery=0))",
            "recovery",
            357 / 700 * 234 / 270 + 343 / 700 * 55 / 80,
            do={"surgery": 0.0},
            statistic="probability",
        ),
        Truth(
            3,
            "recovery_{surgery=1} | large=1, surgery=0, recovery=1",
            "recovery",
            1.0,
            do={"surgery": 1.0},
            evidence={"large": 1.0, "surgery": 0.0, "recovery": 1.0},
            exact=True,
        ),
        Truth(
            3,
            "P(recovery_{surgery=1}=1 | large=1, surgery=0, recovery=0)",
            "recovery",
            (192 / 263 - 55 / 80) / (1 - 55 / 80),
            do={"surgery": 1.0},
            evidence={"large": 1.0, "surgery": 0.0, "recovery": 0.0},
            statistic="probability",
        ),
    ],
)
def simpson() -> None:
    r"""Simpson's paradox: open surgery is better for small and large stones, and looks worse.

    Recovered, of 700 patients: open surgery (A, ``surgery=1``) 81/87 of small stones and 192/263
    of large; nephrolithotomy (B, ``surgery=0``) 234/270 and 55/80. Seeing:
    ``P(recovery | A) = 273/350 = 0.78``, ``P(recovery | B) = 289/350 = 0.83``. Doing:
    ``P(recovery | do(A)) = 357/700 * 81/87 + 343/700 * 192/263 = 0.8325`` and 0.7789 under B.
    Imagining (monotone in p), for a large stone under B: who recovered would have under A; who
    didn't would with probability ``(192/263 - 55/80) / (1 - 55/80)``.

    References:
        Charig et al., Comparison of treatment of renal calculi by open surgery, percutaneous
        nephrolithotomy, and extracorporeal shockwave lithotripsy, BMJ 1986.

    Example:
        >>> from pyrocausal import zoo
        >>> print(*zoo.MODELS["simpson"].truths[3:5], sep="\n")
        P(recovery=1 | do(surgery=1)) = 0.8325
        P(recovery=1 | do(surgery=0)) = 0.7789
    """
    large = pyro.sample("large", dist.Bernoulli(343 / 700))
    surgery = pyro.sample("surgery", dist.Bernoulli(torch.where(large == 1, 263 / 343, 87 / 357)))
    of_small = torch.where(surgery == 1, 81 / 87, 234 / 270)
    of_large = torch.where(surgery == 1, 192 / 263, 55 / 80)
    pyro.sample("recovery", dist.Bernoulli(torch.where(large == 1, of_large, of_small)))


_FIRED = {"order": 1.0, "captain": 1.0, "A": 1.0, "B": 1.0, "death": 1.0}


@register(
    edges="order -> captain -> A, B -> death",
    truths=[
        Truth(1, "P(B=1 | A=0)", "B", 0.0, given={"A": 0.0}, exact=True),
        Truth(2, "P(B=1 | do(A=0))", "B", 0.5, do={"A": 0.0}, statistic="probability"),
        Truth(2, "P(death=1 | do(A=0))", "death", 0.5, do={"A": 0.0}, statistic="probability"),
        Truth(2, "death under do(A=1)", "death", 1.0, do={"A": 1.0}, exact=True),
        Truth(
            3,
            "death_{A=0} | he is dead",
            "death",
            1.0,
            do={"A": 0.0},
            evidence=_FIRED,
            exact=True,
        ),
        Truth(
            3,
            "death_{A=0, B=0} | he is dead",
            "death",
            0.0,
            do={"A": 0.0, "B": 0.0},
            evidence=_FIRED,
            exact=True,
        ),
        Truth(
            3,
            "death_{captain=0} | he is dead",
            "death",
            0.0,
            do={"captain": 0.0},
            evidence=_FIRED,
            exact=True,
        ),
        Truth(
            3,
            "B_{A=1} | no order",
            "B",
            0.0,
            do={"A": 1.0},
            evidence={"order": 0.0},
            exact=True,
        ),
    ],
)
def firing_squad() -> None:
    """The firing squad: ``order -> captain -> A, B -> death``, deterministic below the order.

    Seeing: if A did not fire, B did not. Doing: if A is kept from firing, B still fires in half
    of the cases, and the prisoner dies in these. Imagining: he is dead; had A not fired, he would
    be dead by B's shot; had neither fired, or had the captain not signalled, he would live.

    References:
        Pearl, Causality, 2009, section 7.1.2.

    Example:
        >>> from pyrocausal import zoo
        >>> print(zoo.MODELS["firing_squad"].truths[4])
        death_{A=0} | he is dead = 1
    """
    order = pyro.sample("order", dist.Bernoulli(0.5))
    captain = pyro.deterministic("captain", order, event_dim=0)
    a = pyro.deterministic("A", captain, event_dim=0)
    b = pyro.deterministic("B", captain, event_dim=0)
    pyro.deterministic("death", torch.maximum(a, b), event_dim=0)
