"""Adjustment sets against the adjustment formula, exhaustive search and asymptotic variances."""

import time
from itertools import combinations, islice, permutations

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
from written_graphs import graph_of

import pyrocausal as pc
from benchmarks.graphical import LinearModel, check_adjustment, named, queries
from benchmarks.identification import graphs
from pyrocausal.errors import UnknownVariable
from pyrocausal.identification.discrete_models import DiscreteModel


def sets_of(text: str) -> set[frozenset[str]]:
    return {frozenset(part.replace("0", "")) for part in text.split()}


# Edges; treatments, outcomes; minimal sets, "0" the empty one; the efficient set.
TEXTBOOK = [
    (("Z>X Z>Y X>Y", ""), "X", "Y", "Z", "Z"),
    (("X>Y", "X-Z Z-Y"), "X", "Y", "0", "0"),  # M-bias
    (("X>Y X>C Y>C", ""), "X", "Y", "0", "0"),  # a common effect
    (("X>M M>Y W>Y", ""), "X", "Y", "0", "W"),  # precision
    (("A>X A>C C>Y X>M M>Y W>M I>X", ""), "X", "Y", "A C", "CW"),
    (("A>X A>Z B>Z B>Y Z>X Z>Y X>Y", ""), "X", "Y", "AZ BZ", "BZ"),
    (("A>L L>B A>Y B>Y", "L-Y"), "AB", "Y", "", None),  # one confounder is an effect of A
    (("A>L L>B A>Y B>Y L>Y", ""), "B", "Y", "L", "AL"),
    (("X>Y", "X-Y"), "X", "Y", "", None),  # the bow
    (("X>M M>Y", "X-Y"), "X", "Y", "", None),  # a front door
    (("C>X C>Y C>Z X>Z Z>Y", ""), "XZ", "Y", "C", "C"),
    (("Z>X Z>Y", ""), "X", "Y", "Z", None),  # no effect: nothing to estimate
]


@pytest.mark.parametrize(("edges", "x", "y", "minimal", "efficient"), TEXTBOOK)
def test_textbook_graphs_have_their_known_sets(
    edges: tuple[str, str], x: str, y: str, minimal: str, efficient: str | None
) -> None:
    sets = pc.adjustment_sets(graph_of(*edges), outcome=list(y), do=list(x))
    assert set(sets) == sets_of(minimal)
    assert bool(sets) == bool(minimal)
    assert sets.efficient == (None if efficient is None else sets_of(efficient).pop())


def test_what_is_forbidden_joins_its_neighbours() -> None:
    chain = graph_of("A>X A>B B>C C>Y X>Y")
    assert set(pc.adjustment_sets(chain, "Y", "X", forbidden="A")) == sets_of("B C")
    assert set(pc.adjustment_sets(chain, "Y", "X", forbidden=["A", "B"])) == sets_of("C")
    assert set(pc.adjustment_sets(chain, "Y", "X", forbidden=["A", "B", "C"])) == set()


def test_every_set_in_every_graph_of_three_nodes_is_judged_right() -> None:
    rng = np.random.default_rng(0)
    tally = sum(
        (
            check_adjustment(named(*graph), {x}, {y}, rng)
            for graph in graphs(3)
            for x, y in permutations(["v1", "v2", "v3"], 2)
        ),
        start=check_adjustment(graph_of("X>Y"), {"X"}, {"Y"}, rng),
    )
    assert tally["effects"] > 200
    assert tally["valid"] > 100


def test_random_graphs_with_latents_and_several_treatments_are_judged_right() -> None:
    rng = np.random.default_rng(1)
    tally = sum(
        (check_adjustment(graph, x, y, rng) for graph, x, y in queries(60, rng)),
        start=check_adjustment(graph_of("X>Y"), {"X"}, {"Y"}, rng),
    )
    assert tally["valid"] > 30
    assert tally["efficient"] > 10


def test_the_nearest_sets_have_least_variance_in_sparse_graphs() -> None:
    rng = np.random.default_rng(2)
    compared = 0
    for _ in range(300):
        names = [f"v{i}" for i in range(8)]
        pairs = list(combinations(names, 2))
        graph = pc.CausalGraph(
            [pair for pair in pairs if rng.random() < 0.3],
            bidirected=[pair for pair in pairs if rng.random() < 0.04],
            nodes=names,
        )
        x, *y = sorted(rng.permutation(names)[:2])
        sets, model = pc.adjustment_sets(graph, y, x), LinearModel.random(graph, rng)
        variance = {z: model.variances([x], y, z).item() for z in sets}
        if len(variance) > 1:
            compared += 1
            assert sets.efficient_minimal is not None
            least = min(variance.values()) * (1 + 1e-9)
            assert variance[sets.efficient_minimal] <= least
            if sets.efficient is not None:
                assert model.variances([x], y, sets.efficient).item() <= least
    assert compared > 20


def test_the_asymptotic_variance_is_that_of_simulated_regressions() -> None:
    # A -> X, A -> C -> Y, X -> M -> Y, W -> M
    graph = graph_of("A>X A>C C>Y X>M M>Y W>M")
    rng = np.random.default_rng(0)
    model = LinearModel.random(graph, rng)
    runs, rows = 2_000, 200
    data = rng.multivariate_normal(np.zeros(6), model.covariance, (runs, rows))
    sets = pc.adjustment_sets(graph, "Y", "X")
    for z in [*sets, sets.efficient]:
        assert z is not None
        (place,) = model.places(["Y"])
        regressors = data[:, :, model.places(["X", *sorted(z)])]
        gram = np.einsum("rni,rnj->rij", regressors, regressors)
        moment = np.einsum("rni,rn->ri", regressors, data[:, :, place])
        slope = np.linalg.solve(gram, moment[:, :, None])[:, 0, 0]
        expected = model.variances(["X"], ["Y"], z).item() / rows
        # A variance of normal draws has the relative standard error sqrt(2 / runs); 1 / rows is
        # the order of what the asymptotics leave out.
        assert slope.var() == pytest.approx(expected, rel=4 * (2 / runs) ** 0.5 + 4 / rows)
        truth = model.effects(["X"], ["Y"]).item()
        assert abs(slope.mean() - truth) < 4 * (expected / runs) ** 0.5


def test_the_estimand_of_each_set_gives_the_truth() -> None:
    graph = graph_of("A>X A>C C>Y X>M M>Y W>M")
    model = DiscreteModel.random(graph, seed=0, states=3)
    sets = pc.adjustment_sets(graph, "Y", "X")
    for z in [*sets, sets.efficient or (), sets.cheapest() or ()]:
        answer = sets.estimand(z).evaluate(model.table(), {"X": 1})
        np.testing.assert_allclose(answer, model.effect("Y", "X")[1], atol=1e-12)
    with pytest.raises(ValueError, match=r"\['M'\] is no adjustment set here"):
        sets.estimand("M")


def test_costs_decide_which_set_is_cheapest() -> None:
    graph = graph_of("A>X A>B B>C C>Y X>Y")
    sets = pc.adjustment_sets(graph, "Y", "X")
    assert sets.cheapest() == frozenset({"C"})
    assert sets.cheapest({"C": 1.5, "A": 1.25}) == frozenset({"B"})
    assert sets.cheapest({"C": 0.3, "A": 0.1, "B": 0.2}) == frozenset({"A"})
    # Of equal costs the one nearest to the outcome; .1 + .2 > .3 for a computer, and it shows.
    two = pc.adjustment_sets(graph_of("A>X B>X A>C B>C C>Y X>Y"), "Y", "X")
    assert two.cheapest({"A": 1, "B": 2, "C": 3}) == frozenset({"C"})
    assert two.cheapest({"A": 0.1, "B": 0.2, "C": 0.3}) == frozenset({"C"})
    assert two.cheapest({"A": 0.1, "B": 0.2, "C": 0.1 + 0.2 + 1e-15}) == frozenset({"A", "B"})


def test_latent_nodes_and_bidirected_edges_say_the_same() -> None:
    hidden = pc.CausalGraph(
        [("U", "X"), ("U", "Z"), ("Z", "Y"), ("X", "Y"), ("V", "Z"), ("V", "Y")],
        latent=["U", "V"],
    )
    projected = graph_of("Z>Y X>Y", "X-Z Z-Y")
    for graph in (hidden, projected):
        assert not pc.adjustment_sets(graph, "Y", "X")
        assert set(pc.adjustment_sets(graph, "Z", "X")) == set()


def test_an_scm_is_read_by_its_graph() -> None:
    @pc.scm
    def clinic() -> None:
        severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
        treated = pyro.sample("treated", dist.Bernoulli(logits=severity))
        pyro.sample("recovery", dist.Normal(2.0 * treated - severity, 0.5))

    assert set(pc.adjustment_sets(clinic, "recovery", "treated")) == {frozenset({"severity"})}


def test_exponentially_many_sets_come_one_by_one() -> None:
    # X <- a1 <- b1 -> Y, ... : one of each pair
    edges = [("X", "Y")]
    for i in range(99):
        edges += [(f"a{i}", "X"), (f"b{i}", f"a{i}"), (f"b{i}", "Y")]
    sets = pc.adjustment_sets(pc.CausalGraph(edges), "Y", "X")
    start = time.process_time()
    first = list(sets.minimal(limit=20))
    assert len(set(first)) == 20
    assert all(len(z) == 99 and sets.is_valid(z) for z in first)
    assert list(islice(sets, 20)) == first
    assert len(sets.cheapest() or ()) == 99
    assert sets.efficient == frozenset(f"b{i}" for i in range(99))
    assert time.process_time() - start < 5


@pytest.mark.parametrize("latents", [0, 60])
def test_a_graph_of_two_hundred_nodes_takes_less_than_a_second(latents: int) -> None:
    rng = np.random.default_rng(0)
    names = [f"v{i}" for i in range(200)]
    graph = pc.CausalGraph(
        [pair for pair in combinations(names, 2) if rng.random() < 0.02],
        latent=rng.choice(names[1:-1], latents, replace=False).tolist(),
        nodes=names,
    )
    observed = [name for name in names if name in graph.observed]
    start = time.process_time()
    sets = pc.adjustment_sets(graph, "v199", observed[-30])
    assert sets
    assert "minimal sets: {" in str(sets)
    assert time.process_time() - start < 1


def test_the_card_says_what_to_do_where_there_is_no_set() -> None:
    card = str(pc.adjustment_sets(graph_of("X>Y", "X-Y"), "Y", "X"))
    assert "none: whatever is held fixed, some path between X and Y" in card
    assert "pc.identify" in card
    card = str(pc.adjustment_sets(graph_of("X>M M>Y"), "Y", "X", required="M"))
    assert "the required {M} can't be held fixed" in card
    assert "never hold: {M}" in card


BOW = graph_of("X>Y Z>X", "X-Y")
HIDDEN = pc.CausalGraph([("U", "X"), ("U", "Y"), ("X", "Y")], latent=["U"])
BAD = [
    (BOW, {"outcome": "Y", "do": "Q"}, UnknownVariable, r"adjustment_sets\(do=\): .* 'Q'"),
    (BOW, {"outcome": "y", "do": "X"}, UnknownVariable, "Did you mean"),
    (BOW, {"outcome": "X", "do": "X"}, ValueError, "'X' is in outcome and in do"),
    (BOW, {"outcome": "Y", "do": "X", "required": "Y"}, ValueError, "in outcome and in required"),
    (
        BOW,
        {"outcome": "Y", "do": "X", "required": "Z", "forbidden": "Z"},
        ValueError,
        "in required and in forbidden",
    ),
    (BOW, {"outcome": "Y", "do": ()}, ValueError, "do= is empty"),
    (BOW, {"outcome": [], "do": "X"}, ValueError, "outcome= is empty"),
    (HIDDEN, {"outcome": "Y", "do": "U"}, ValueError, "do='U' is latent"),
    (HIDDEN, {"outcome": "U", "do": "X"}, ValueError, "outcome='U' is latent"),
    (HIDDEN, {"outcome": "Y", "do": "X", "required": "U"}, ValueError, "required='U' is latent"),
    ("X>Y", {"outcome": "Y", "do": "X"}, TypeError, "got str; expected a CausalGraph"),
]


@pytest.mark.parametrize(("graph", "roles", "error", "match"), BAD)
def test_bad_input_is_refused_in_words(
    graph: pc.CausalGraph, roles: dict[str, str], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        pc.adjustment_sets(graph, **roles)


def test_a_latent_variable_may_be_forbidden() -> None:
    assert not pc.adjustment_sets(HIDDEN, "Y", "X", forbidden="U")


@pytest.mark.parametrize("cost", [0, -1.0, float("inf"), float("nan")])
def test_a_cost_that_is_no_positive_number_is_refused(cost: float) -> None:
    sets = pc.adjustment_sets(graph_of("Z>X Z>Y X>Y"), "Y", "X")
    with pytest.raises(ValueError, match=r"the cost of 'Z' is .* expected a positive number"):
        sets.cheapest({"Z": cost})
    with pytest.raises(UnknownVariable, match="there is no variable 'Q'"):
        sets.cheapest({"Q": 1.0})
