"""Identification: textbook formulas, refusals with their witness, numbers, and bad input."""

import time
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
from exact_tables import states_of
from written_graphs import graph_of

import pyrocausal as pc
from pyrocausal.identification import Hedge
from pyrocausal.identification.discrete_models import DiscreteModel
from pyrocausal.identification.expressions import Probability, Product, Ratio, Sum
from pyrocausal.identification.query_text import read_query
from pyrocausal.identification.simplifying import divided, summed

NAPKIN = ("W>Z Z>X X>Y", "W-X W-Y")
VERMA = ("A>B B>C C>D", "B-D")
FORMULAS = [
    (("Z>X Z>Y X>Y", ""), "P(Y | do(X))", "sum_z P(y | x, z) P(z)"),
    (("X>M M>Y", "X-Y"), "P(Y | do(X))", "sum_m P(m | x) sum_x' P(y | x', m) P(x')"),
    (("X>M M>Y", "X-Y"), "P(Y | do(X), M)", "sum_x' P(y | x', m) P(x')"),
    (
        ("Z>X Z>M Z>Y X>M M>Y", "X-Y"),
        "P(Y | do(X))",
        "sum_{z,m} P(z) P(m | x, z) sum_x' P(y | x', z, m) P(x' | z)",
    ),
    (NAPKIN, "P(Y | do(X))", "[sum_w P(x, y | w, z) P(w)] / [sum_w P(x | w, z) P(w)]"),
    (("X>Y", "X-Z Z-Y"), "P(Y | do(X))", "P(y | x)"),
    (VERMA, "P(D | do(B))", "sum_c P(c | b) sum_b' P(d | b', c) P(b')"),
    # The smallest adjustment set, by which the free A of sum_b P(d | a, b, c) P(b | a) is gone.
    (VERMA, "P(D | do(C))", "sum_b P(d | c, b) P(b)"),
    (("A>L L>B A>Y B>Y", "L-Y"), "P(Y | do(A, B))", "sum_l P(y | a, b, l) P(l | a)"),
    (("X>Z Z>Y X>Y", "X-Z"), "P(Y | do(X), Z)", "P(y | x, z)"),
    (("X>Z Y>Z", "X-Z"), "P(Y | do(X))", "P(y)"),
    # Both of two confounders; of two ways to block one path the earlier; covariates after both.
    (("A>X A>Y B>X B>Y X>Y", ""), "P(Y | do(X))", "sum_{a,b} P(y | x, a, b) P(a, b)"),
    (("A>X A>C C>Y X>Y", ""), "P(Y | do(X))", "sum_a P(y | x, a) P(a)"),
    (("C>X C>Y X>Y B>Y", ""), "P(Y | do(X), B)", "sum_c P(y | x, c, b) P(c)"),
    (("X>Y X>Z Y>Z", ""), "P(Y | do(X), Z)", "P(y | x, z)"),
    (("X1>X2 X2>Y", ""), "P(Y | do(X1, X2))", "P(y | x2)"),
]
REFUSALS = [
    (("X>Y", "X-Y"), "P(Y | do(X))", "XY", "Y", "Y"),
    (("Z>X X>Y", "X-Y"), "P(Y | do(X))", "XY", "Y", "Y"),
    (NAPKIN, "P(Y | do(X), W)", "WXY", "WY", "WY"),
    (("X>Z Z>Y X>Y", "X-Z"), "P(Y | do(X))", "XZ", "Z", "Z"),
    (("X>Z Y>Z", "X-Z"), "P(Y | do(X), Z)", "XZ", "Z", "Z"),
    (("Z>X X>Y", "Z-X Z-Y"), "P(Y | do(X))", "XYZ", "Y", "Y"),
]


@pytest.mark.parametrize(("edges", "query", "formula"), FORMULAS)
def test_textbook_formulas_are_printed_as_in_the_textbook(
    edges: tuple[str, str], query: str, formula: str
) -> None:
    assert pc.identify(graph_of(*edges), query).formula == formula


@pytest.mark.parametrize(("edges", "query", "formula"), FORMULAS)
def test_textbook_formulas_equal_the_truth_in_random_models(
    edges: tuple[str, str], query: str, formula: str
) -> None:
    graph = graph_of(*edges)
    estimand, asked = pc.identify(graph, query), read_query(query)
    for seed in range(5):
        model = DiscreteModel.random(graph, seed, states=3)
        truth = model.effect(asked.outcome, asked.do, asked.given)
        do, given = dict.fromkeys(asked.do, 2), dict.fromkeys(asked.given, 1)
        answer = estimand.evaluate(model.table(), do, given)
        np.testing.assert_allclose(answer, truth[(*do.values(), *given.values())], atol=1e-12)


@pytest.mark.parametrize(("edges", "query", "outer", "inner", "roots"), REFUSALS)
def test_what_is_not_identified_raises_with_a_verified_hedge(
    edges: tuple[str, str], query: str, outer: str, inner: str, roots: str
) -> None:
    graph = graph_of(*edges)
    with pytest.raises(pc.NotIdentified, match=r"bounds.*instrument.*experiment") as refusal:
        pc.identify(graph, query)
    hedge = refusal.value.hedge
    assert hedge is not None
    sets = hedge.outer, hedge.inner, hedge.roots
    assert sets == tuple(map(frozenset, (outer, inner, roots)))
    assert hedge.verify(graph)


def test_the_verifier_refuses_what_is_no_hedge() -> None:
    bow, chain = graph_of("X>Y", "X-Y"), graph_of("X>Y")
    with pytest.raises(pc.NotIdentified) as refusal:
        pc.identify(bow, "Y", do="X")
    hedge = refusal.value.hedge
    assert hedge is not None
    assert hedge.verify(bow)
    assert not hedge.verify(chain)


@pytest.mark.parametrize(
    "change",
    [
        {"do": ("Y",)},  # F' may not hold what is set
        {"do": ("Z",)},  # F must meet what is set
        {"outer": frozenset("Y")},  # F' is a part of F, not all
        {"outer": frozenset("ZXY")},  # F hangs together by bidirected edges
        {"roots": frozenset()},
        {"roots": frozenset("X")},  # roots lie in F'
        {"outcome": ("Z",)},  # roots lead to the outcome
        {"outer": frozenset("WXY")},  # all of F leads to the roots
    ],
)
def test_the_verifier_checks_each_clause(change: dict[str, Any]) -> None:
    graph = graph_of("Z>X X>Y", "X-Y W-X")
    hedge = Hedge(frozenset("XY"), frozenset("Y"), frozenset("Y"), ("Y",), ("X",))
    assert hedge.verify(graph)
    assert not replace(hedge, **change).verify(graph)


def test_a_sum_goes_inside_a_ratio_and_a_divisor_inside_a_sum_only_where_they_may() -> None:
    joint, part = Probability(frozenset("xy")), Probability(frozenset("y"))
    ratio = Ratio(joint, Sum(frozenset("x"), Product((joint, part))))
    assert summed("y", ratio) == Sum(frozenset("y"), ratio)
    assert summed("x", ratio) == Ratio(part, ratio.denominator)
    link = Probability(frozenset("y"), frozenset("z"))
    inside = Sum(frozenset("z"), Product((Probability(frozenset("xz")), link)))
    assert divided(inside, Probability(frozenset("x"))) == Sum(
        frozenset("z"), Product((Probability(frozenset("z"), frozenset("x")), link))
    )
    bound = Sum(frozenset("x"), inside.body)
    divisor = Probability(frozenset("x"))
    assert divided(bound, divisor) == Ratio(bound, divisor)


def test_names_that_differ_by_case_alone_keep_their_case() -> None:
    graph = graph_of("z>X z>Y X>Y Z>Y")
    assert pc.identify(graph, "Y", do="X").formula == "sum_z P(Y | X, z) P(z)"


def test_latent_nodes_are_projected_out_and_never_in_the_formula() -> None:
    graph = pc.CausalGraph([("U", "X"), ("U", "Y"), ("X", "M"), ("M", "Y")], latent=["U"])
    assert pc.identify(graph, "Y", do="X") == pc.identify(graph_of("X>M M>Y", "X-Y"), "Y", do="X")


def test_isolated_nodes_and_unrelated_actions_do_no_harm() -> None:
    graph = pc.CausalGraph([("X", "Y")], nodes=["A", "B"])
    assert pc.identify(graph, "Y", do="X").formula == "P(y | x)"
    assert pc.identify(graph, "Y", do=["X", "A"]).formula == "P(y | x)"
    assert pc.identify(graph, "Y", do="B").formula == "P(y)"
    assert pc.identify(graph, "Y").formula == "P(y)"
    assert pc.identify(graph, "Y", given="X").formula == "P(y | x)"


def test_an_scm_is_taken_by_its_graph() -> None:
    def program() -> None:
        u = pyro.sample("U", dist.Normal(0.0, 1.0))
        x = pyro.sample("X", dist.Normal(u, 1.0))
        pyro.sample("Y", dist.Normal(x + u, 1.0))

    assert pc.identify(pc.SCM(program), "Y", do="X").formula == "sum_u P(y | x, u) P(u)"
    with pytest.raises(pc.NotIdentified, match="hedge"):
        pc.identify(pc.SCM(program, latent=["U"]), "Y", do="X")


# Experiments


def test_an_experiment_gives_what_observation_does_not() -> None:
    # Z -> X -> Y with Z <-> X and Z <-> Y
    graph = graph_of("Z>X X>Y", "Z-X Z-Y")
    estimand = pc.identify(graph, "Y", do="X", available=[set(), {"Z"}])
    assert str(estimand) == "P(y | do(x)) = P(y | do(z), x), any z"
    model = DiscreteModel.random(graph, seed=0)
    trial = states_of(model, do=["Z"])
    answer = estimand.evaluate({(): states_of(model), "Z": trial}, {"X": 1}, weights="p")
    np.testing.assert_allclose(answer, model.effect("Y", "X")[1], atol=1e-12)
    assert answer.attrs["spread"] < 1e-12


def test_without_a_fitting_experiment_each_hedge_is_named() -> None:
    with pytest.raises(pc.NotIdentified, match=r"observation and do\(z\).*experiment do\(z\)"):
        pc.identify(graph_of("Z>X X>Y", "X-Y"), "Y", do="X", available=[(), "Z"])
    with pytest.raises(pc.NotIdentified, match="No experiment leaves Y alone"):
        pc.identify(graph_of("X>Y"), "Y", do="X", available=["Y"])


# Numbers


def test_rows_and_the_table_of_their_states_give_the_same() -> None:
    rng = np.random.default_rng(0)
    z = rng.integers(0, 2, 200)
    x = rng.integers(0, 2, 200) ^ (z & rng.integers(0, 2, 200))
    y = rng.choice(["bad", "fair", "good"], 200)
    rows = pd.DataFrame({"Z": z, "X": x, "Y": y})
    states = rows.value_counts(normalize=True).rename("p").reset_index()
    estimand = pc.identify(graph_of("Z>X Z>Y X>Y"), "Y", do="X")
    good = rows.assign(good=rows.Y == "good").groupby(["X", "Z"]).good.mean()
    by_hand = (good[1] * rows.Z.value_counts(normalize=True)).sum()
    one = estimand.evaluate(rows, {"X": 1})
    two = estimand.evaluate(states, {"X": 1}, weights="p")
    assert list(one.index) == ["bad", "fair", "good"]
    assert one["good"] == pytest.approx(by_hand, abs=1e-14)
    np.testing.assert_allclose(one, two, atol=1e-14)


def test_several_outcomes_have_a_multiindex() -> None:
    graph = graph_of("X>A A>B X>B")
    model = DiscreteModel.random(graph, seed=1)
    answer = pc.identify(graph, ["B", "A"], do="X").evaluate(
        states_of(model), {"X": 0}, weights="p"
    )
    assert answer.index.names == ["B", "A"]
    np.testing.assert_allclose(answer.unstack(), model.effect(["B", "A"], "X")[0], atol=1e-12)


def test_the_spread_over_a_free_variable_tests_the_graph() -> None:
    estimand = pc.identify(graph_of(*NAPKIN), "Y", do="X")
    right = states_of(DiscreteModel.random(graph_of(*NAPKIN), seed=0))
    wrong = states_of(DiscreteModel.random(graph_of("W>Z Z>X X>Y Z>Y", "W-X W-Y"), seed=0))
    assert estimand.evaluate(right, {"X": 1}, weights="p").attrs["spread"] < 1e-12
    answer = estimand.evaluate(wrong, {"X": 1}, weights="p")
    assert answer.attrs["spread"] > 0.1
    assert "spread over Z" in str(answer.name)


def test_an_empty_cell_that_is_needed_is_a_positivity_error_that_names_it() -> None:
    rows = pd.DataFrame({"Z": [0, 0, 1, 1, 2], "X": [0, 1, 0, 1, 0], "Y": [0, 1, 1, 0, 1]})
    estimand = pc.identify(graph_of("Z>X Z>Y X>Y"), "Y", do="X")
    with pytest.raises(ValueError, match="positivity: no row has X=1, Z=2"):
        estimand.evaluate(rows, {"X": 1})
    assert estimand.evaluate(rows, {"X": 0}).sum() == pytest.approx(1)


def test_an_empty_cell_of_probability_zero_is_not_needed() -> None:
    # X -> M -> Y, X <-> Y: at X = 1 M is never 1, where Y was never seen with X = 0
    rows = pd.DataFrame(
        {"X": [0, 0, 1, 1, 0], "M": [0, 1, 0, 0, 0], "Y": [0, 1, 1, 0, 1], "W": 0.2}
    )
    estimand = pc.identify(graph_of("X>M M>Y", "X-Y"), "Y", do="X")
    with pytest.raises(ValueError, match="no row has M=1, X=1"):
        estimand.evaluate(rows, {"X": 0})
    answer = estimand.evaluate(rows, {"X": 1}, weights="W")
    assert answer[1] == pytest.approx(0.6 * 0.5 + 0.4 * 0.5)


def test_a_long_chain_of_sums_needs_no_joint_table() -> None:
    # X -> M1 -> ... -> M30 -> Y with X <-> Y: a joint table would have 2^32 cells
    names = ["X", *(f"M{i}" for i in range(30)), "Y"]
    graph = pc.CausalGraph(list(pairwise(names)), bidirected=[("X", "Y")])
    rng = np.random.default_rng(0)
    columns = {"X": rng.integers(0, 2, 4000)}
    for before, name in pairwise(names):
        columns[name] = columns[before] ^ (rng.random(4000) < 0.1)
    answer = pc.identify(graph, ["Y", "M29"], do="X").evaluate(columns, {"X": 1})
    assert answer.sum() == pytest.approx(1)


@pytest.mark.parametrize("pairs", [0, 20, 40])
def test_a_sparse_graph_of_a_hundred_nodes_takes_less_than_a_second(pairs: int) -> None:
    rng = np.random.default_rng(pairs)
    names = [f"V{i}" for i in range(100)]
    edges = set(pairwise(names))
    for a, step in zip(rng.integers(0, 90, 80), rng.integers(2, 10, 80), strict=True):
        edges.add((names[a], names[a + step]))
    mixed = {(names[a], names[a + 3]) for a in rng.choice(95, pairs, replace=False)}
    graph = pc.CausalGraph(sorted(edges), bidirected=sorted(mixed), nodes=names)
    start = time.process_time()
    for x, y in (("V10", "V90"), ("V50", "V60")):
        try:
            pc.identify(graph, y, do=x)
        except pc.NotIdentified as refusal:
            assert refusal.hedge is not None  # noqa: PT017  # either verdict will do
            assert refusal.hedge.verify(graph)  # noqa: PT017
    assert time.process_time() - start < 2  # two queries


# Bad input


def cyclic() -> pc.CausalGraph:
    graph = graph_of("X>Y")
    graph.add_edge("Y", "X")
    return graph


BACK_DOOR = graph_of("Z>X Z>Y X>Y")
LATENT = pc.CausalGraph([("U", "X"), ("X", "Y")], latent=["U"])
QUERIES = [
    (BACK_DOOR, {"outcome": "y", "do": "X"}, "no variable 'y'"),
    (BACK_DOOR, {"outcome": "Y", "do": "Q"}, "no variable 'Q'"),
    (BACK_DOOR, {"outcome": "Y", "do": "Y"}, "'Y' is in outcome and in do"),
    (BACK_DOOR, {"outcome": "Y", "do": "X", "given": "Y"}, "'Y' is in outcome and in given"),
    (BACK_DOOR, {"outcome": "Y", "do": "X", "given": "X"}, "'X' is in do and in given"),
    (BACK_DOOR, {"outcome": [], "do": "X"}, "no outcome"),
    (BACK_DOOR, {"outcome": "P(Y | do(X=1))"}, "Values are given to evaluate"),
    (BACK_DOOR, {"outcome": "E(Y | do(X))"}, "expected text such as"),
    (BACK_DOOR, {"outcome": "P(Y | do(X))", "do": "X"}, "expected one of the two"),
    (BACK_DOOR, {"outcome": "Y", "do": "X", "available": ["Q"]}, "no variable 'Q'"),
    (BACK_DOOR, {"outcome": "Y", "do": "X", "available": "Z"}, "expected a list of experiments"),
    (LATENT, {"outcome": "Y", "do": "U"}, "'U' is latent"),
    (cyclic(), {"outcome": "Y", "do": "X"}, "cycle X -> Y -> X"),
    ("X -> Y", {"outcome": "Y", "do": "X"}, "expected a CausalGraph or an SCM"),
]


@pytest.mark.parametrize(("graph", "query", "message"), QUERIES)
def test_a_senseless_query_is_a_clear_error(
    graph: pc.CausalGraph, query: dict[str, str], message: str
) -> None:
    with pytest.raises((ValueError, TypeError, pc.UnknownVariable), match=message):
        pc.identify(graph, **query)


ROWS = pd.DataFrame({"Z": [0, 0, 1, 1], "X": [0, 1, 0, 1], "Y": [0, 1, 1, 1], "p": 0.25})
TABLES = [
    (ROWS.drop(columns="Z"), {}, "no variable 'Z'"),
    (ROWS, {"do": {}}, "expected a value for each of"),
    (ROWS, {"do": {"X": 1, "Z": 0}}, "and no other"),
    (ROWS, {"do": {"X": 7}}, "no row has X=7"),
    (ROWS, {"weights": "q"}, "no variable 'q'"),
    (ROWS.assign(p=0.3), {"weights": "p"}, "sum to 1.2; expected probabilities that sum to 1"),
    (ROWS.assign(Z=[0, np.nan, 1, 1]), {}, "'Z' has missing values"),
    (ROWS.assign(Z=["a", 1, "b", 2]), {}, "mixes strings with other values"),
    (ROWS.head(0), {}, "expected one value a row"),
    (
        pd.DataFrame({"Z": np.linspace(0, 1, 50), "X": [0, 1] * 25, "Y": [0, 1] * 25}),
        {},
        "'Z' is continuous",
    ),
]


@pytest.mark.parametrize(("rows", "options", "message"), TABLES)
def test_a_table_that_does_not_fit_is_a_clear_error(
    rows: pd.DataFrame, options: dict[str, object], message: str
) -> None:
    estimand = pc.identify(BACK_DOOR, "Y", do="X")
    with pytest.raises((ValueError, TypeError, pc.UnknownVariable), match=message):
        estimand.evaluate(rows, **{"do": {"X": 1}, **options})  # type: ignore[arg-type]
