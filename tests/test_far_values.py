"""Far values, by which rare effects are found, and the seeds that they are drawn with."""

from typing import Any

import pyro.distributions as dist
import pytest
import torch

from pyrocausal.engine.far_values import far_values
from pyrocausal.engine.tracing import quiet_seed

SUPPORTS: dict[str, Any] = {
    "bernoulli": dist.Bernoulli(torch.full((40,), 0.01)),
    "bernoulli vector": dist.Bernoulli(torch.full((40, 2), 0.01)).to_event(1),
    "categorical": dist.Categorical(torch.ones(40, 4)),
    "one hot": dist.OneHotCategorical(torch.ones(40, 3)),
    "multinomial": dist.Multinomial(5, torch.ones(40, 3)),
    "binomial": dist.Binomial(torch.arange(40.0), torch.tensor(0.5)),
    "beta binomial": dist.BetaBinomial(torch.ones(40), torch.ones(40), 12),
    "poisson": dist.Poisson(torch.ones(40)),
    "uniform": dist.Uniform(torch.arange(40.0), torch.arange(40.0) + 0.5),
    "beta": dist.Beta(torch.ones(40), 1.0),
    "pareto": dist.Pareto(torch.ones(40), 2.0),
    "dirichlet": dist.Dirichlet(torch.ones(40, 3)),
    "correlation": dist.LKJCholesky(3).expand((40,)),
    "normal vector": dist.Normal(torch.zeros(40, 2), 1.0).to_event(1),
    "log-normal": dist.LogNormal(torch.zeros(40), 1.0),
    "von Mises": dist.VonMises(torch.zeros(40), 1.0),
}


@pytest.mark.parametrize("name", SUPPORTS)
def test_far_values_stay_in_the_support_and_differ_from_those_drawn(name: str) -> None:
    fn = SUPPORTS[name]
    value = fn.sample()
    found = far_values(value, 0, fn.event_dim, fn)
    assert found.shape == value.shape
    assert found.dtype == value.dtype
    assert bool(fn.support.check(found).all())
    assert not torch.equal(found, value)


def test_far_values_hold_every_member_of_a_small_support() -> None:
    for name, members in {"bernoulli": 2, "categorical": 4, "beta binomial": 13}.items():
        fn = SUPPORTS[name]
        assert set(far_values(fn.sample(), 0, 0, fn).tolist()) == set(range(members))
    counts = set(far_values(SUPPORTS["poisson"].sample(), 0, 0, SUPPORTS["poisson"]).tolist())
    assert counts >= {*range(21), 32, 64}


def test_far_values_of_numbers_lie_on_both_sides_at_several_scales() -> None:
    fn = SUPPORTS["log-normal"]
    size = far_values(fn.sample(), 0, 0, fn).log()
    assert bool((size < -9).any())
    assert bool((size > 9).any())
    spread = far_values(torch.randn(40), 0, 0, dist.Normal(torch.zeros(40), 1.0))
    assert all(bool((side * spread > scale).any()) for side in (1, -1) for scale in (10, 100, 400))


def test_seeding_quietly_wakes_no_gpu_and_forks_only_those_awake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forked: list[Any] = []
    fork = torch.random.fork_rng

    def noting(devices: Any = None, **kwargs: Any) -> Any:
        forked.append(devices)
        return fork([])

    monkeypatch.setattr(torch.random, "fork_rng", noting)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    with quiet_seed(0):
        pass
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    with quiet_seed(5):
        pass
    assert forked == [[], [0, 1]]
    assert seeds == [5]
