"""Root causes in a web shop with a known fault: `attribute` against the shares by hand."""

from __future__ import annotations

from typing import Final

import pyro
import pyro.distributions as dist
import pytest

import pyrocausal as pc
from pyrocausal import zoo

SHOP: Final = zoo.service_latency()
# What each is above its expected value, and by how much that slows the page; see the model.
SLOW: Final = {
    "load": 1.0,
    "fault": 1.0,
    "database": 92.0,
    "cache": 3.0,
    "catalog": 103.0,
    "payment": 40.0,
    "checkout": 138.0,
    "website": 250.0,
}
SHARES: Final = {"fault": 120 * 0.95, "database": 2 * 2.0, "checkout": 1.0, "website": -1.0}


def later() -> None:
    """The shop after a release: the database takes 15 ms more, and payment 4 ms less."""
    load = pyro.sample("load", dist.Normal(1.0, 0.2))
    fault = pyro.sample("fault", dist.Bernoulli(0.05))
    database = pyro.sample("database", dist.Normal(35.0 + 10.0 * load + 60.0 * fault, 3.0))
    cache = pyro.sample("cache", dist.Normal(2.0 + load, 0.5))
    catalog = pyro.sample("catalog", dist.Normal(8.0 + database + cache, 2.0))
    payment = pyro.sample("payment", dist.Normal(31.0 + 5.0 * load, 5.0))
    checkout = pyro.sample("checkout", dist.Normal(5.0 + database + payment, 2.0))
    pyro.sample("website", dist.Normal(10.0 + catalog + checkout, 3.0))


def test_the_fault_is_found_behind_a_slow_page_with_its_share() -> None:
    why = pc.attribute(SHOP, SLOW, "website", num_samples=500, seed=0)
    found = why.to_frame()
    assert found["value"].idxmax() == "fault"
    for name, row in found.iterrows():
        assert abs(row["value"] - SHARES.get(str(name), 0.0)) < 4 * row["se"] + 1e-3, name
    # What is shared out is the page's time above a mean whose own error is 27 / sqrt(500) = 1.2.
    assert found["value"].sum() == pytest.approx(250 - 132, abs=5)


def test_a_release_is_found_behind_a_slower_checkout() -> None:
    why = pc.attribute(SHOP, pc.SCM(later), "checkout", num_samples=200, seed=0)
    expected = {"database": 15.0, "payment": -4.0}
    for name, share in zip(why.index, why.value.tolist(), strict=True):
        # Mechanisms of one noise differ by a constant, so that nothing is left to chance.
        assert share == pytest.approx(expected.get(name, 0.0), abs=1e-3), name


def test_the_fault_undone_gives_the_page_its_time_back() -> None:
    page = SHOP.counterfactual(SLOW, {"fault": 0.0}, seed=0)
    assert page["website"].item() == pytest.approx(130.0, abs=1e-3)
