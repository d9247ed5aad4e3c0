"""A web shop whose pages are slow: the latencies of its services, and a fault that spreads."""

import pyro
import pyro.distributions as dist

from pyrocausal.zoo.registry import Truth, register

__all__ = ["service_latency"]

_SLOW = {
    "load": 1.0,
    "fault": 1.0,
    "database": 92.0,
    "cache": 3.0,
    "catalog": 103.0,
    "payment": 40.0,
    "checkout": 138.0,
    "website": 250.0,
}


@register(
    edges="load, fault -> database -> catalog, checkout -> website; "
    "load -> cache -> catalog; load -> payment -> checkout",
    truths=[
        Truth(1, "E[website]", "website", 10 + (8 + 33 + 3) + (5 + 33 + 40)),
        Truth(1, "E[website | fault=1]", "website", 132 + 2 * 60 * 0.95, given={"fault": 1.0}),
        Truth(2, "E[website | do(fault=0)]", "website", 132 - 2 * 60 * 0.05, do={"fault": 0.0}),
        Truth(2, "E[website | do(load=2)]", "website", 132 + 2 * 10 + 1 + 5, do={"load": 2.0}),
        Truth(2, "E[payment | do(database=90)]", "payment", 40.0, do={"database": 90.0}),
        Truth(
            3,
            "website_{fault=0} | a slow page",
            "website",
            250.0 - 2 * 60,
            do={"fault": 0.0},
            evidence=_SLOW,
            exact=True,
        ),
        Truth(
            3,
            "checkout_{database=32} | a slow page",
            "checkout",
            138.0 - 60,
            do={"database": 32.0},
            evidence=_SLOW,
            exact=True,
        ),
    ],
)
def service_latency() -> None:
    r"""The latencies of a web shop in ms: a page waits for catalog and checkout, both for a database.

    ``load`` is in thousands of requests a second; ``fault``, a lock in the database, occurs in 5 %
    of the requests and costs 60 ms there, so 120 ms on the page. All else adds up. Seeing:
    ``E[website] = 132``, and 246 where there is a fault. Doing: 126 without faults. Imagining: of
    a page of 250 ms with a fault, whose database was 2 ms and checkout 1 ms slower than expected
    and whose rendering 1 ms faster, 114 of the 118 ms above the mean are due to the fault, 4 to
    the database's own noise, 1 to checkout and -1 to rendering: `pc.attribute` must say so.

    Example:
        >>> from pyrocausal import zoo
        >>> print(*zoo.MODELS["service_latency"].truths[1:3], sep="\n")
        E[website | fault=1] = 246
        E[website | do(fault=0)] = 126
    """
    load = pyro.sample("load", dist.Normal(1.0, 0.2))
    fault = pyro.sample("fault", dist.Bernoulli(0.05))
    database = pyro.sample("database", dist.Normal(20.0 + 10.0 * load + 60.0 * fault, 3.0))
    cache = pyro.sample("cache", dist.Normal(2.0 + load, 0.5))
    catalog = pyro.sample("catalog", dist.Normal(8.0 + database + cache, 2.0))
    payment = pyro.sample("payment", dist.Normal(35.0 + 5.0 * load, 5.0))
    checkout = pyro.sample("checkout", dist.Normal(5.0 + database + payment, 2.0))
    pyro.sample("website", dist.Normal(10.0 + catalog + checkout, 3.0))
