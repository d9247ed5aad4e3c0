"""The graph of a program: rare gates, far values, evidence, and no edge that isn't there."""

import random
from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrocausal as pc
from pyrocausal import zoo
from pyrocausal.engine.graph_finding import find_graph

Edges = set[tuple[str, str]]


def edges_of(program: Any, bases: dict[str, Tensor] | None = None, **inputs: Tensor) -> Edges:
    core = pc.SCM(program)._core
    core.remember(inputs)
    with core.session():
        graph = find_graph(program, core.anatomy, core.example_inputs, bases=bases)
    return set(graph.edges)


def normal(name: str, mean: Tensor | float = 0.0) -> Tensor:
    value: Tensor = pyro.sample(name, dist.Normal(mean, 1.0))
    return value


def rare(name: str) -> Tensor:
    value: Tensor = pyro.sample(name, dist.Bernoulli(0.001))
    return value


def behind_a_rare_switch() -> None:
    r, x = rare("r"), normal("x")
    normal("y", 3 * r * x)


def behind_two_rare_switches() -> None:
    r, s, x = rare("r"), rare("s"), normal("x")
    normal("y", 3 * r * s * x)


def only_with_each_other() -> None:
    a, b = rare("a"), rare("b")
    normal("y", 5 * a * b)


def beyond_a_far_threshold() -> None:
    x, z = normal("x"), normal("z")
    normal("y", torch.where(z > 4, x, 0.0))


def between_far_thresholds() -> None:
    x, z = normal("x"), normal("z")
    normal("y", torch.where((z > -7) & (z < -5), x, 0.0))


def where_both_are_far() -> None:
    x, z = normal("x"), normal("z")
    normal("y", torch.where((z > 5) & (x < -5), 1.0, 0.0))


def beyond_a_large_count() -> None:
    c, x = pyro.sample("c", dist.Poisson(2.0)), normal("x")
    normal("y", torch.where(c > 20, x, 0.0))


def at_one_count() -> None:
    c, x = pyro.sample("c", dist.Poisson(0.1)), normal("x")
    normal("y", torch.where(c == 7, x, 0.0))


def at_the_last_of_many_trials() -> None:
    c, x = pyro.sample("c", dist.Binomial(1000, torch.tensor(0.001))), normal("x")
    normal("y", torch.where(c == 1000, x, 0.0))


def at_a_rare_category() -> None:
    k = pyro.sample("k", dist.Categorical(torch.tensor([1.0, 1e-6, 1e-6, 1e-6])))
    x = normal("x")
    normal("y", torch.where(k == 2, x, 0.0))


def through_a_rare_category_that_is_computed() -> None:
    k = pyro.sample("k", dist.Categorical(torch.tensor([1.0, 1e-6, 1e-6])))
    x = normal("x")
    m = pyro.deterministic("m", k + 1)
    normal("y", torch.where(m == 3, x, 0.0))


def where_all_units_share_a_rare_switch() -> None:
    r = rare("r")
    with pc.units():
        x = normal("x")
        normal("y", 3 * r * x)


def near_a_bound() -> None:
    p, x = pyro.sample("p", dist.Beta(2.0, 2.0)), normal("x")
    normal("y", torch.where(p < 1e-3, x, 0.0))


def of_one_item() -> None:
    x = normal("x")
    with pyro.plate("items", 3):
        r = rare("r")
    normal("y", r[1] * x)


GATES: dict[Callable[[], None], Edges] = {
    behind_a_rare_switch: {("r", "y"), ("x", "y")},
    behind_two_rare_switches: {("r", "y"), ("s", "y"), ("x", "y")},
    only_with_each_other: {("a", "y"), ("b", "y")},
    beyond_a_far_threshold: {("x", "y"), ("z", "y")},
    between_far_thresholds: {("x", "y"), ("z", "y")},
    where_both_are_far: {("x", "y"), ("z", "y")},
    beyond_a_large_count: {("c", "y"), ("x", "y")},
    at_one_count: {("c", "y"), ("x", "y")},
    at_the_last_of_many_trials: {("c", "y"), ("x", "y")},
    at_a_rare_category: {("k", "y"), ("x", "y")},
    through_a_rare_category_that_is_computed: {("k", "m"), ("m", "y"), ("x", "y")},
    where_all_units_share_a_rare_switch: {("r", "y"), ("x", "y")},
    near_a_bound: {("p", "y"), ("x", "y")},
    of_one_item: {("r", "y"), ("x", "y")},
}


@pytest.mark.parametrize("program", GATES, ids=lambda program: program.__name__)
def test_an_effect_that_is_rarely_active_is_an_edge(program: Callable[[], None]) -> None:
    assert edges_of(program) == GATES[program]


def test_a_counterfactual_behind_a_rare_switch_moves() -> None:
    # y - 3 r x = 0.5 is the noise, so that y would have been 3 * 2 + 0.5.
    evidence = {"r": 1.0, "x": 1.0, "y": 3.5}
    imagined = pc.SCM(behind_a_rare_switch).counterfactual(evidence, {"x": 2.0})
    torch.testing.assert_close(imagined["y"], torch.tensor(6.5))


def test_an_effect_behind_a_far_input_is_an_edge() -> None:
    def program(t: Tensor, on: Tensor) -> None:
        x, z = normal("x"), normal("z")
        normal("y", torch.where(t > 50, x, 0.0) + torch.where(on, z, 0.0))

    found = edges_of(program, t=torch.zeros(9), on=torch.zeros(9, dtype=torch.bool))
    assert found == {("x", "y"), ("z", "y"), ("t", "y"), ("on", "y")}


def test_an_effect_that_is_active_at_the_evidence_alone_is_an_edge() -> None:
    def program() -> None:
        x, z, w = normal("x"), normal("z"), normal("w")
        window = (x > 0.1234) & (x < 0.1235)
        normal("y", torch.where(window, z, 0.0) + torch.where(window & (w > 6), 1.0, 0.0))

    evidence = {"x": torch.tensor([0.0, 0.12345]), "z": torch.tensor([1.0, float("nan")])}
    assert edges_of(program) == set()
    assert edges_of(program, evidence) == {("x", "y"), ("z", "y"), ("w", "y")}


def test_evidence_on_inputs_items_and_what_is_shared_is_looked_at() -> None:
    def program(t: Tensor) -> None:
        k = pyro.sample("k", dist.Poisson(1.0))
        with pc.units():
            z = normal("z")
            with pyro.plate("items", 2):
                v = normal("v", (k == 37) * z)
            normal("y", torch.where(v[0] == 0.125, t, 0.0))
            normal("o", torch.where(t == 0.375, z, 0.0))

    given = torch.rand(9)
    assert edges_of(program, t=given) == set()
    evidence = {
        "k": torch.tensor(37.0),
        "v": torch.tensor([[0.0, 1.0], [0.125, 1.0]]),
        "t": torch.tensor([0.375, 0.5]),
    }
    assert edges_of(program, evidence, t=given) == {
        ("k", "v"),
        ("z", "v"),
        ("v", "y"),
        ("t", "y"),
        ("t", "o"),
        ("z", "o"),
    }


def test_evidence_on_a_computed_variable_is_looked_at() -> None:
    def program() -> None:
        x, z = normal("x"), normal("z")
        m = pyro.deterministic("m", x + 1)
        normal("y", torch.where(m == 0.125, z, 0.0))

    assert edges_of(program, {"m": torch.tensor([0.125])}) == {("x", "m"), ("m", "y"), ("z", "y")}


@pytest.mark.parametrize("name", zoo.MODELS)
def test_the_graph_of_every_model_of_the_zoo_is_found(name: str) -> None:
    assert edges_of(zoo.MODELS[name].program) == zoo.MODELS[name].edges


Effect = Callable[[Tensor], Tensor]
EFFECTS: list[Effect] = [
    lambda value: value,
    lambda value: -2 * value,
    lambda value: 1e-5 * value,
    lambda value: value.tanh(),
    lambda value: value.abs().sqrt(),
    lambda value: (value > 0.5) * 1.0,
    lambda value: torch.where((value - 1).abs() < 0.3, 2.0, 0.0),
]
GATE: dict[str, Effect] = {
    "switch": lambda value: value == 1,
    "category": lambda value: value == 2,
    "count": lambda value: value > 12,
    "number": lambda value: value.abs() > 9,
    "size": lambda value: value > 1e3,
}


def draw(kind: str, name: str, mean: Tensor | float) -> Tensor:
    """Draw a variable of some kind, whose distribution moves wherever the mean does."""
    mean = torch.as_tensor(mean)
    near = mean.asinh()
    logits = torch.stack([near * 0, near * 0 - 9, near * 0 - 12 + near / 9], -1)
    made: dict[str, Callable[[], Any]] = {
        "switch": lambda: dist.Bernoulli(logits=near / 9 - 7),
        "category": lambda: dist.Categorical(logits=logits),
        "count": lambda: dist.Poisson((near / 9).exp()),
        "number": lambda: dist.Normal(mean, 1.0),
        "size": lambda: dist.LogNormal(near, 1.0),
    }
    value: Tensor = pyro.sample(name, made[kind]())
    return value * 1.0


def random_program(seed: int) -> tuple[Callable[[], None], Edges]:
    """A program of variables of random kinds, whose causes act alone or behind a rare gate."""
    rng = random.Random(seed)
    kinds = rng.choices(list(GATE), k=rng.randint(3, 6))
    plan = []
    for position in range(len(kinds)):
        causes = [(i, rng.choice(EFFECTS)) for i in range(position) if rng.random() < 0.3]
        gated = (
            tuple(rng.sample(range(position), 2)) if position > 1 and rng.random() < 0.5 else ()
        )
        plan.append((causes, gated))

    def program() -> None:
        values: list[Tensor] = []
        for position, (causes, gated) in enumerate(plan):
            mean: Tensor | float = 0.0
            for cause, effect in causes:
                mean = mean + effect(values[cause])
            if gated:
                gate, behind = gated
                mean = mean + torch.where(GATE[kinds[gate]](values[gate]), values[behind], 0.0)
            values.append(draw(kinds[position], f"v{position}", mean))

    edges = {
        (f"v{cause}", f"v{position}")
        for position, (causes, gated) in enumerate(plan)
        for cause in {*gated, *(cause for cause, _ in causes)}
    }
    return program, edges


@pytest.mark.parametrize("first", range(0, 200, 20))
def test_the_graphs_of_random_programs_are_found(first: int) -> None:
    for seed in range(first, first + 20):
        program, edges = random_program(seed)
        assert edges_of(program) == edges, seed


def test_numbers_that_overflow_make_no_edge() -> None:
    def program() -> None:
        x, z = normal("x"), normal("z")
        huge = (10 * x).exp()
        normal("zero", 0.0 * huge + z)
        normal("none", huge - huge + z)
        normal("one", torch.where(huge == huge, z, x))
        pyro.sample("b", dist.Bernoulli(logits=0.0 * x.exp().exp() + z))
        normal("y", huge)

    assert edges_of(program) == {
        ("z", "zero"),
        ("z", "none"),
        ("z", "one"),
        ("z", "b"),
        ("x", "y"),
    }


def test_saturated_probabilities_make_no_edge() -> None:
    def program() -> None:
        x, z = normal("x"), normal("z")
        pyro.sample("b", dist.Bernoulli(probs=(50 * x).sigmoid()))
        pyro.sample("k", dist.Categorical(logits=torch.stack([1e3 * z, -1e3 * z], -1)))
        pyro.sample("c", dist.Poisson((3 * z).exp()))
        pyro.sample("s", dist.StudentT(3.0, z, (5 * x).exp()))

    assert edges_of(program) == {("x", "b"), ("z", "k"), ("z", "c"), ("z", "s"), ("x", "s")}


def test_where_a_distribution_cannot_be_built_others_still_show_the_edges() -> None:
    def program() -> None:
        r, x = normal("r"), normal("x")
        one = torch.ones_like(r)
        covariance = torch.stack(
            [torch.stack([one, r / 9], -1), torch.stack([r / 9, one], -1)], -2
        )
        v = pyro.sample("v", dist.MultivariateNormal(torch.zeros(2), covariance))
        k = pyro.sample("k", dist.Poisson(0.5))
        table = torch.arange(9.0)
        normal("y", torch.where(k == 5, x + table[k.long()], 0.0) + v[..., 0])

    found = edges_of(program)
    assert found == {("r", "v"), ("v", "y"), ("k", "y"), ("x", "y")}


def test_a_program_that_fails_on_prior_draws_says_so() -> None:
    def program() -> None:
        x = normal("x")
        normal("y", x)
        if len(x) > 11:  # more rows than the probing runs have
            raise RuntimeError("no such luck")

    with pytest.raises(RuntimeError, match="no such luck"):
        edges_of(program)


def test_a_program_that_only_has_shared_variables_has_a_graph() -> None:
    def program() -> None:
        a = rare("a")
        b = rare("b")
        normal("y", a * b)
        with pc.units():
            pass

    assert edges_of(program) == {("a", "y"), ("b", "y")}


def test_the_program_runs_about_once_for_each_variable() -> None:
    runs: list[int] = []

    def program() -> None:
        value: Tensor | float = 0.0
        for position in range(40):
            value = normal(f"v{position}", value)
        runs.append(len(torch.as_tensor(value)))

    core = pc.SCM(program)._core
    assert len(core.anatomy.variables) == 40
    runs.clear()
    assert len(core.graph.edges) == 39
    assert len(runs) <= 40 + 8
    assert max(runs) <= 4096


@pytest.mark.parametrize("after", [0, 2, 4, 6])
def test_a_program_whose_sites_change_meanwhile_is_never_half_known(after: int) -> None:
    runs: list[int] = []
    limit = 1000

    def program() -> None:
        runs.append(1)
        x = normal("x")
        normal("y", x)
        if len(runs) > limit:
            normal("z", x)

    core = pc.SCM(program)._core
    anatomy = core.anatomy
    limit = len(runs) + after
    with core.session(), pytest.raises(ValueError, match="other sites on other runs"):
        find_graph(program, anatomy, core.example_inputs)
    core.forget()
    assert set(core.graph.edges) == {("x", "y"), ("x", "z")}
