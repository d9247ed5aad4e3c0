"""Several worlds at once: mediation, paths, causation, nested counterfactuals; by enumeration."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrocausal as pc

N = 20_000

# Two correlated mediators (serial: m moves w) and an interaction of x with m.
ALPHA, BETA, GAMMA = 1.5, 0.8, 0.5  # x -> m, x -> w, m -> w
DIRECT, OF_M, OF_W, TOGETHER = 1.0, 0.7, 0.4, 0.6


@pc.scm
def plant() -> None:
    x = pyro.sample("x", dist.Bernoulli(0.5))
    m = pyro.sample("m", dist.Normal(1.0 + ALPHA * x, 1.0))
    w = pyro.sample("w", dist.Normal(BETA * x + GAMMA * m, 1.0))
    pyro.sample("y", dist.Normal(DIRECT * x + OF_M * m + OF_W * w + TOGETHER * x * m, 1.0))


def y_of(x: float, m: float, w: float) -> float:
    return DIRECT * x + OF_M * m + OF_W * w + TOGETHER * x * m


def m_of(x: float) -> float:
    return 1.0 + ALPHA * x


def w_of(x: float, m: float) -> float:
    return BETA * x + GAMMA * m


CONTROL = y_of(0, m_of(0), w_of(0, m_of(0)))
TREATED = y_of(1, m_of(1), w_of(1, m_of(1)))


def close(answer: pc.Effect, truth: float) -> bool:
    # Noise that cancels leaves rounding.
    return abs(float(answer.value) - truth) < 4 * float(answer.se or 0.0) + 1e-4


@pytest.mark.parametrize(
    ("mediators", "direct", "indirect"),
    [
        ((), y_of(1, m_of(0), w_of(0, m_of(0))), y_of(0, m_of(1), w_of(1, m_of(1)))),
        # w alone: m responds to the direct change of x.
        ("w", y_of(1, m_of(1), w_of(0, m_of(0))), y_of(0, m_of(0), w_of(1, m_of(1)))),
        # m alone: w responds to the direct change of x and to m.
        ("m", y_of(1, m_of(0), w_of(1, m_of(0))), y_of(0, m_of(1), w_of(0, m_of(1)))),
    ],
)
def test_natural_effects_of_two_correlated_mediators(
    mediators: Any, direct: float, indirect: float
) -> None:
    nde = pc.nde(plant, "x", "y", mediators=mediators, num_samples=N, seed=1)
    nie = pc.nie(plant, "x", "y", mediators=mediators, num_samples=N, seed=1)
    assert close(nde, direct - CONTROL)
    assert close(nie, indirect - CONTROL)
    assert nde.rung == nie.rung == 3


def test_total_is_direct_less_the_reversed_indirect_effect_not_their_sum() -> None:
    total = pc.ate(plant, "x", "y", num_samples=N, seed=2)
    assert close(total, TREATED - CONTROL)
    ate = total.value
    nde, nie = (
        question(plant, "x", "y", num_samples=N, seed=2).value for question in (pc.nde, pc.nie)
    )
    back = pc.nie(plant, "x", "y", values=(0.0, 1.0), num_samples=N, seed=2).value
    assert abs(float(ate - (nde - back))) < 1e-4
    assert abs(float(ate - (nde + nie))) > 0.5


def test_controlled_effect_holds_the_mediators() -> None:
    answer = pc.cde(plant, "x", "y", mediators={"m": 2.0, "w": 0.0}, num_samples=N, seed=3)
    assert close(answer, DIRECT + 2.0 * TOGETHER)
    assert answer.rung == 2
    with pytest.raises(TypeError, match="value"):
        pc.cde(plant, "x", "y", mediators=["m"])  # type: ignore[arg-type]


def test_paths_carry_what_their_edges_say() -> None:
    def through(*edges: tuple[str, str]) -> pc.Effect:
        return pc.path_effect(plant, "x", "y", edges=edges, num_samples=N, seed=4)

    assert close(through(("x", "y")), y_of(1, m_of(0), w_of(0, m_of(0))) - CONTROL)
    assert close(through(("x", "w"), ("w", "y")), OF_W * BETA)
    assert close(through(("x", "m"), ("m", "w"), ("w", "y")), OF_W * GAMMA * ALPHA)
    assert close(through(("x", "m"), ("m", "y")), OF_M * ALPHA)
    every = [("x", "m"), ("x", "w"), ("x", "y"), ("m", "w"), ("m", "y"), ("w", "y")]
    assert close(through(*every), TREATED - CONTROL)
    assert close(through(("x", "m")), 0.0)  # a path must reach the outcome
    with pytest.raises(ValueError, match="lacks"):
        through(("w", "m"))


def test_mediators_must_lie_between() -> None:
    with pytest.raises(ValueError, match="between"):
        pc.nde(plant, "m", "y", mediators="x")


# A discrete model, enumerated over all response types under the monotone coupling.
P_Z, P_X, P_Y = 0.3, (0.2, 0.7), {(0, 0): 0.3, (0, 1): 0.5, (1, 0): 0.8, (1, 1): 0.4}


def lookup(values: Any, *keys: Tensor) -> Tensor:
    return torch.as_tensor(values)[tuple(key.long() for key in keys)]


@pc.scm
def drug() -> None:
    z = pyro.sample("z", dist.Bernoulli(P_Z))
    x = pyro.sample("x", dist.Bernoulli(lookup(P_X, z)))
    pyro.sample("y", dist.Bernoulli(lookup([[0.3, 0.5], [0.8, 0.4]], x, z)))


def cells() -> Iterator[tuple[float, int, int, int, int]]:
    """Yield ``P, z, x, y(1), y(0)`` under the monotone coupling of y."""
    for z, x in product((0, 1), repeat=2):
        p_zx = (P_Z if z else 1 - P_Z) * (P_X[z] if x else 1 - P_X[z])
        p, q = P_Y[1, z], P_Y[0, z]
        joint = {
            (1, 1): min(p, q),
            (1, 0): max(0.0, p - q),
            (0, 1): max(0.0, q - p),
            (0, 0): 1 - max(p, q),
        }
        for (one, other), chance in joint.items():
            yield p_zx * chance, z, x, one, other


def share(event: Callable[..., bool], given: Callable[..., bool] = lambda *_: True) -> float:
    meant = [(p, rest) for p, *rest in cells() if given(*rest)]
    return sum(p for p, rest in meant if event(*rest)) / sum(p for p, _ in meant)


def factual(x: int, one: int, other: int) -> int:
    return one if x else other


def test_probabilities_of_causation_are_those_of_the_enumeration_and_inside_their_bounds() -> None:
    helped = lambda z, x, one, other: bool(one and not other)  # noqa: E731
    harmed = lambda z, x, one, other: bool(other and not one)  # noqa: E731
    truths = {
        pc.pns: share(helped),
        pc.benefit: share(helped),
        pc.harm: share(harmed),
        pc.pn: share(helped, lambda z, x, one, other: x == 1 and factual(x, one, other) == 1),
        pc.ps: share(helped, lambda z, x, one, other: x == 0 and factual(x, one, other) == 0),
    }
    for question, truth in truths.items():
        answer = question(drug, "x", "y", num_samples=N, seed=5)
        assert close(answer, truth), question
        assert answer.bounds is not None
        assert answer.bounds.lower - 1e-9 <= answer.value <= answer.bounds.upper + 1e-9
        assert answer.rung == 3


def test_bounds_are_tian_and_pearls_averaged_over_causes() -> None:
    bounds = pc.pns(drug, "x", "y", num_samples=N, seed=6).bounds
    assert bounds is not None
    weights = {0: 1 - P_Z, 1: P_Z}
    lower = sum(w * max(0.0, P_Y[1, z] - P_Y[0, z]) for z, w in weights.items())
    upper = sum(w * min(P_Y[1, z], 1 - P_Y[0, z]) for z, w in weights.items())
    # Shares of z have a standard error of .0033.
    assert abs(float(bounds.lower) - lower) < 4 * 0.0033
    assert abs(float(bounds.upper) - upper) < 4 * 0.0033


def test_another_coupling_gives_another_answer_within_the_same_bounds() -> None:
    other = pc.SCM(drug.program, noise={"y": "independent"})
    answer = pc.harm(other, "x", "y", num_samples=N, seed=7)
    truth = sum(w * (1 - P_Y[1, z]) * P_Y[0, z] for z, w in {0: 1 - P_Z, 1: P_Z}.items())
    assert close(answer, truth)
    assert "independent" in answer.assumptions[-1]


def test_causation_for_one_unit_that_was_seen() -> None:
    seen = {"z": 0.0, "x": 1.0, "y": 1.0}
    answer = pc.pn(drug, "x", "y", evidence=seen, seed=8)
    assert abs(float(answer.value) - (1 - 0.3 / 0.8)) < 1e-6
    with pytest.raises(ValueError, match="x=1"):
        pc.pn(drug, "x", "y", evidence={"z": 0.0, "x": 0.0, "y": 1.0}, seed=8)


@pc.scm
def three_ways() -> None:
    x = pyro.sample("x", dist.Bernoulli(0.5))
    shares = torch.tensor([[0.3, 0.2, 0.5], [0.25, 0.45, 0.3]])
    pyro.sample("y", dist.Categorical(shares[x.long()]))


def test_an_event_of_more_values_than_two_is_not_taken_for_0_where_it_did_not_come() -> None:
    options: Any = {"num_samples": 4000, "seed": 0}
    assert pc.pns(three_ways, "x", {"y": 1}, **options).query == "PNS: P(y(x=1)=1, y(x=0)!=1)"
    assert pc.ps(three_ways, "x", {"y": 2}, **options).query.endswith("| x=0, y!=2)")
    assert pc.pn(three_ways, "x", {"y": 2}, **options).query.endswith("| x=1, y=2)")
    assert pc.pn(drug, "x", "y", **options).query == "PN: P(y(x=1)=1, y(x=0)=0 | x=1, y=1)"


def test_expressions_are_effects_written_out() -> None:
    gain = pc.Y("y", do={"x": 1}) - pc.Y("y", do={"x": 0})
    assert pc.effect(drug, gain, seed=9).rung == 2
    on_treated = pc.effect(drug, gain, given=pc.Y("x") == 1, num_samples=N, seed=9)
    assert on_treated.rung == 3
    truth = share(lambda z, x, one, other: bool(one), lambda z, x, *_: x == 1)
    truth -= share(lambda z, x, one, other: bool(other), lambda z, x, *_: x == 1)
    assert close(on_treated, truth)
    joint = (pc.Y("y", do={"x": 1}) == 1) & (pc.Y("y", do={"x": 0}) == 0)
    assert close(
        pc.effect(drug, joint, num_samples=N, seed=9), share(lambda z, x, a, b: bool(a and not b))
    )


def test_nested_counterfactuals_are_natural_effects() -> None:
    nested = pc.Y("y", do={"x": 1, "m": pc.Y("m", do={"x": 0}), "w": pc.Y("w", do={"x": 0})})
    answer = pc.effect(plant, nested - pc.Y("y", do={"x": 0}), num_samples=N, seed=10)
    assert (
        abs(float(answer.value) - float(pc.nde(plant, "x", "y", num_samples=N, seed=10).value))
        < 1e-5
    )
    assert answer.rung == 3


def test_a_variable_set_to_what_it_is_in_another_world() -> None:
    @pc.scm
    def doses() -> None:
        dose = pyro.sample("dose", dist.Normal(1.0, 1.0))
        treated = pyro.sample("treated", dist.Bernoulli(torch.sigmoid(dose)))
        pyro.sample("recovery", dist.Normal(2.0 * treated + dose, 0.1))

    nested = pc.Y("recovery", do={"treated": pc.Y("treated", do={"dose": 0})})
    # E[recovery] = 2 P(treated under dose 0) + E[dose] = 2 * 0.5 + 1.
    assert close(pc.effect(doses, nested, num_samples=N, seed=11), 2.0)


def test_the_prisoner_would_have_died_without_the_first_shot() -> None:
    squad = pc.zoo.firing_squad()
    saved = pc.Y("death", do={"A": 0}) == 0
    died = pc.effect(squad, saved, given=pc.Y("death") == 1, num_samples=4000, seed=12)
    assert float(died.value) == 0.0
    both = pc.Y("death", do={"A": 0, "B": 0}) == 0
    assert (
        float(pc.effect(squad, both, given=pc.Y("death") == 1, num_samples=4000, seed=12).value)
        == 1.0
    )


def test_nested_worlds_of_units_that_were_seen_with_random_noise() -> None:
    seen = {"x": [0.0, 1.0], "m": [1.0, 3.0]}
    answer = pc.nde(plant, "x", "y", evidence=seen, num_samples=2000, seed=13)
    # The mediator under control is 1 for the first unit, 1.5 for the second.
    assert close(answer, DIRECT + TOGETHER * (1.0 + 1.5) / 2)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: pc.effect(drug, "y"), "do= and versus="),
        (lambda: pc.effect(drug, pc.Y("y"), do={"x": 1}), "itself"),
        (lambda: pc.effect(drug, pc.Y("q")), "there is no variable"),
        (lambda: pc.effect(drug, pc.Y("y"), given=pc.Y("x")), "event"),
        (lambda: pc.Y("y") + "x", "number"),
        (lambda: bool(pc.Y("y") == 1), "neither"),
        (lambda: pc.pns(drug, "x", {"y": 1, "z": 1}), "one"),
        (lambda: pc.pns(drug, "x", "y", scale="ratio"), "no scale"),
    ],
)
def test_bad_expressions_are_refused_in_words(ask: Callable[[], object], words: str) -> None:
    with pytest.raises((ValueError, TypeError, KeyError), match=words):
        ask()
