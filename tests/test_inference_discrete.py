"""Discrete programs: what is missing, against enumeration of all states by brute force."""

from itertools import product
from typing import Any, Final

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrocausal as pc

NAMES: Final = [f"x{i}" for i in range(8)]
_random = np.random.default_rng(3)
WEIGHTS: Final = np.tril(_random.normal(size=(8, 8)) * 1.5 * (_random.random((8, 8)) < 0.5), -1)
OFFSETS: Final = _random.normal(size=8) * 0.7
DRAWS: Final = 1000


def program() -> None:
    values: list[Tensor] = []
    for i, name in enumerate(NAMES):
        logits = torch.tensor(float(OFFSETS[i]))
        for weight, value in zip(WEIGHTS[i], values, strict=False):
            logits = logits + float(weight) * value
        values.append(pyro.sample(name, dist.Bernoulli(logits=logits)))


SCM: Final = pc.SCM(program)


def probability(states: Any) -> Any:
    """Return the probability of each state of all eight sites."""
    logits = OFFSETS + states @ WEIGHTS.T
    return np.prod(1 / (1 + np.exp(-np.where(states == 1, logits, -logits))), 1)


STATES: Final = np.array(list(product((0, 1), repeat=8)))
JOINT: Final = probability(STATES)


def posterior(seen: dict[int, int]) -> Any:
    """Return the posterior mean of each site."""
    weight = JOINT * np.all([STATES[:, i] == value for i, value in seen.items()], 0)
    return weight @ STATES / weight.sum(), weight / weight.sum()


@pytest.mark.parametrize(
    "seen", [{7: 1}, {3: 0, 6: 1}, {5: 1, 6: 0, 7: 1}, {0: 1, 4: 0}, {1: 1, 2: 1, 7: 0}], ids=str
)
def test_the_posterior_is_that_of_brute_force(seen: dict[int, int]) -> None:
    evidence = {NAMES[i]: float(value) for i, value in seen.items()}
    abduction = SCM.abduct(evidence, num_draws=DRAWS, seed=0)
    mean, weight = posterior(seen)
    drawn = torch.stack([abduction.factual[name].flatten() for name in NAMES], 1).double()
    error = np.sqrt(np.clip(mean * (1 - mean), 0, 1) / DRAWS)
    assert np.all(np.abs(drawn.mean(0).numpy() - mean) <= 4 * error + 1e-9)
    # Pairs too: variables are drawn jointly.
    pairs = (drawn.T @ drawn / DRAWS).numpy()
    expected = np.einsum("s,si,sj->ij", weight, STATES, STATES)
    variance = np.clip(expected * (1 - expected), 0, 1)
    assert np.all(np.abs(pairs - expected) <= 4 * np.sqrt(variance / DRAWS) + 1e-9)
    assert {r for n, r in abduction.routes.items() if "enumeration" in r} <= {
        "gumbel-max, enumeration"
    }


def gumbel_pns(seen: dict[int, int], cause: int, effect: int) -> float:
    """Return P(effect would be 1 under cause=1 and 0 under cause=0 | seen), by brute force.

    A binary Gumbel-max site is 1 where a logistic number is above ``-logits``, so its noise is one
    number; a state of all sites says in which cell it lies, and the two worlds are run cell by
    cell: uniforms on a fine grid inside the cell of each site.
    """
    random = np.random.default_rng(0)
    _, weight = posterior(seen)
    chosen = STATES[random.choice(len(STATES), size=40_000, p=weight)]
    logits = OFFSETS + chosen @ WEIGHTS.T
    below = 1 / (1 + np.exp(logits))  # P(site is 0)
    u = random.random(chosen.shape)
    u = np.where(chosen == 1, below + u * (1 - below), u * below)
    outcomes = []
    for value in (1, 0):
        world = np.zeros_like(chosen)
        for i in range(8):
            threshold = 1 / (1 + np.exp(OFFSETS[i] + world @ WEIGHTS[i]))
            world[:, i] = value if i == cause else u[:, i] > threshold
        outcomes.append(world[:, effect])
    return float(np.mean((outcomes[0] == 1) & (outcomes[1] == 0)))


@pytest.mark.parametrize("method", ["enumeration", "importance"])
def test_the_probability_of_necessity_and_sufficiency_is_that_of_brute_force(method: Any) -> None:
    seen, cause, effect = {4: 1, 7: 1}, 1, 6
    evidence = {NAMES[i]: float(value) for i, value in seen.items()}
    abduction = SCM.abduct(evidence, num_draws=DRAWS, seed=0, method=method)
    worlds = [{NAMES[cause]: 1.0}, {NAMES[cause]: 0.0}]
    answer = SCM.counterfactual(evidence, worlds, abduction=abduction, num_draws=DRAWS, seed=0)
    one, zero = answer[NAMES[effect]].unbind(1)
    found = float(((one == 1) & (zero == 0)).float().mean())
    expected = gumbel_pns(seen, cause, effect)
    error = (expected * (1 - expected) * (1 / DRAWS + 1 / 40_000 + 1 / 1000)) ** 0.5
    assert 0.01 < expected < 0.99
    assert found == pytest.approx(expected, abs=4 * error)


def test_doing_nothing_and_doing_what_was_seen_give_the_evidence_back() -> None:
    evidence = {"x4": [1.0, 0.0], "x6": [0.0, 1.0]}
    given = {name: torch.tensor(values) for name, values in evidence.items()}
    answer = SCM.counterfactual(evidence, [{}, {"x4": given["x4"]}], num_draws=50, seed=0)
    for name in NAMES:
        nothing, same = answer[name].unbind(1)
        assert torch.equal(nothing, answer.factual[name])
        assert torch.equal(same, answer.factual[name])
    for name, values in given.items():
        assert torch.equal(answer.factual[name], values.expand(50, 2))


def test_evidence_that_no_state_gives_is_impossible() -> None:
    @pc.scm
    def strict() -> None:
        z = pyro.sample("z", dist.Bernoulli(0.5))
        x = pyro.sample("x", dist.Bernoulli(0.5))
        pyro.sample("y", dist.Bernoulli(probs=x * z))

    with pytest.raises(ValueError, match=r"impossible for unit 1: no values of x give it"):
        strict.abduct({"y": [1.0, 1.0], "z": [1.0, 0.0]}, seed=0)


def test_one_hot_and_counted_states_are_enumerated() -> None:
    @pc.scm
    def kinds() -> None:
        kind = pyro.sample("kind", dist.OneHotCategorical(torch.tensor([0.2, 0.3, 0.5])))
        hits = pyro.sample("hits", dist.Binomial(4, probs=kind @ torch.tensor([0.1, 0.5, 0.9])))
        pyro.sample("y", dist.Normal(hits, 1.0))

    abduction = kinds.abduct({"y": 1.0}, num_draws=DRAWS, seed=0)
    hits = torch.arange(5.0)
    p = torch.tensor([0.1, 0.5, 0.9])
    joint = (
        dist.Binomial(4, probs=p[:, None]).log_prob(hits)
        + torch.tensor([0.2, 0.3, 0.5]).log()[:, None]
        + dist.Normal(hits, 1.0).log_prob(torch.tensor(1.0))
    ).exp()
    expected = joint.sum(1) / joint.sum()
    found = abduction.factual["kind"].float().flatten(0, 2).mean(0)
    error = (expected * (1 - expected) / DRAWS).sqrt()
    assert bool(((found - expected).abs() < 4 * error).all())


def test_a_count_without_end_is_weighed_and_not_enumerated() -> None:
    @pc.scm
    def counts() -> None:
        n = pyro.sample("n", dist.Poisson(3.0))
        pyro.sample("y", dist.Normal(n, 1.0))

    abduction = counts.abduct({"y": 5.0}, num_draws=1000, seed=0)
    assert abduction.routes["n"] == "quantile, importance"
    n = torch.arange(40.0)
    joint = dist.Poisson(3.0).log_prob(n) + dist.Normal(n, 1.0).log_prob(torch.tensor(5.0))
    weight = joint.softmax(0)
    mean = float((weight * n).sum())
    sd = float((weight * (n - mean) ** 2).sum()) ** 0.5
    assert abduction.quality is not None
    error = sd * (1 / float(abduction.quality.ess[0]) + 1 / 1000) ** 0.5
    assert float(abduction.factual["n"].mean()) == pytest.approx(mean, abs=4 * error)
    with pytest.raises(ValueError, match=r"method='enumeration' can't infer 'n'.*without end"):
        counts.abduct({"y": 5.0}, method="enumeration")
