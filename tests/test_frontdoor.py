"""Front-door sets against the criterion, the formula and exhaustive search."""

import time
from itertools import permutations

import numpy as np
import pytest

import pyrocausal as pc
from benchmarks.graphical import check_frontdoor, named, queries
from benchmarks.identification import graphs
from pyrocausal.errors import UnknownVariable
from pyrocausal.identification.discrete_models import DiscreteModel

SMOKING = pc.CausalGraph([("X", "M"), ("M", "Y")], bidirected=[("X", "Y")])
# X -> A -> B -> Y and X -> C -> Y, X <-> Y
CHAINS = pc.CausalGraph(
    [("X", "A"), ("A", "B"), ("B", "Y"), ("X", "C"), ("C", "Y")], bidirected=[("X", "Y")]
)


def test_textbook_graphs_have_their_known_sets() -> None:
    assert list(pc.frontdoor_sets(SMOKING, "Y", "X")) == [{"M"}]
    chains = pc.frontdoor_sets(CHAINS, "Y", "X")
    assert set(chains) == {frozenset("AC"), frozenset("BC")}
    assert chains.largest == frozenset("ABC")
    assert not pc.frontdoor_sets(pc.CausalGraph([("X", "Y")]), "Y", "X")
    leaky = pc.CausalGraph([("X", "M"), ("M", "Y")], bidirected=[("X", "Y"), ("M", "Y")])
    assert not pc.frontdoor_sets(leaky, "Y", "X")


def test_required_and_forbidden_variables_are_heeded() -> None:
    assert list(pc.frontdoor_sets(CHAINS, "Y", "X", forbidden="A")) == [{"B", "C"}]
    assert list(pc.frontdoor_sets(CHAINS, "Y", "X", required=["A", "B"])) == [set("ABC")]
    assert not pc.frontdoor_sets(CHAINS, "Y", "X", forbidden="C")


def test_a_mediator_that_leaves_may_take_another_along() -> None:
    # V <-> Y bars V, and W <- V <-> Y then bars W.
    graph = pc.CausalGraph(
        [("X", "V"), ("V", "W"), ("W", "Y")], bidirected=[("X", "Y"), ("V", "Y")]
    )
    assert pc.frontdoor_sets(graph, "Y", "X").largest is None


def test_every_set_in_every_graph_of_three_nodes_is_judged_right() -> None:
    rng = np.random.default_rng(0)
    for graph in graphs(3):
        for x, y in permutations(["v1", "v2", "v3"], 2):
            check_frontdoor(named(*graph), {x}, {y}, rng)


def test_random_graphs_with_latents_and_several_treatments_are_judged_right() -> None:
    rng = np.random.default_rng(1)
    tally = sum(
        (check_frontdoor(graph, x, y, rng) for graph, x, y in queries(80, rng)),
        start=check_frontdoor(SMOKING, {"X"}, {"Y"}, rng),
    )
    assert tally["valid"] > 30


def test_the_estimand_of_each_set_gives_the_truth() -> None:
    model = DiscreteModel.random(CHAINS, seed=0)
    sets = pc.frontdoor_sets(CHAINS, "Y", "X")
    for m in [*sets, sets.largest or ()]:
        answer = sets.estimand(m).evaluate(model.table(), {"X": 1})
        np.testing.assert_allclose(answer, model.effect("Y", "X")[1], atol=1e-12)
    with pytest.raises(ValueError, match=r"\['A'\] is no front-door set here"):
        sets.estimand("A")


def test_many_sets_come_one_by_one_and_soon() -> None:
    # X -> a1 -> b1 -> Y, ...: one of each pair
    edges = [
        edge for i in range(15) for edge in (("X", f"a{i}"), (f"a{i}", f"b{i}"), (f"b{i}", "Y"))
    ]
    graph = pc.CausalGraph(edges, bidirected=[("X", "Y")])
    start = time.process_time()
    found = list(pc.frontdoor_sets(graph, "Y", "X").minimal(limit=20))
    assert len(set(found)) == 20
    assert all(len(m) == 15 for m in found)
    assert time.process_time() - start < 5


def test_the_card_names_the_formula_and_what_it_rests_on() -> None:
    card = str(pc.frontdoor_sets(SMOKING, "Y", "X"))
    assert "sum_m P(m | X) sum_x P(Y | x, m) P(x)" in card
    assert "minimal sets: {M}" in card
    assert "none: pc.identify" in str(pc.frontdoor_sets(SMOKING, "Y", "X", forbidden="M"))


@pytest.mark.parametrize(
    ("roles", "error", "match"),
    [
        ({"outcome": "Y", "do": "Q"}, UnknownVariable, r"frontdoor_sets\(do=\)"),
        ({"outcome": "Y", "do": "Y"}, ValueError, "in outcome and in do"),
        ({"outcome": "Y", "do": "X", "required": "X"}, ValueError, "in do and in required"),
        ({"outcome": "Y", "do": []}, ValueError, "do= is empty"),
    ],
)
def test_bad_input_is_refused_in_words(
    roles: dict[str, str], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        pc.frontdoor_sets(SMOKING, **roles)
