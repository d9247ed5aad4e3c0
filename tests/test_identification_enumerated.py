"""Identification against enumeration: a sample of ``python -m benchmarks.identification``."""

from collections import Counter
from itertools import chain, combinations, permutations

import networkx as nx
import numpy as np
import pytest

from benchmarks.identification import check, graphs, random_graph
from pyrocausal import CausalGraph, NotIdentified, identify
from pyrocausal.identification.discrete_models import DiscreteModel


def subsets(pairs: list[tuple[int, int]]) -> list[tuple[tuple[int, int], ...]]:
    return list(chain.from_iterable(combinations(pairs, k) for k in range(len(pairs) + 1)))


def test_there_are_as_many_small_graphs_as_are_known() -> None:
    # By Burnside's lemma: the mean over all orders of how many graphs an order leaves alone.
    for n in (1, 2, 3, 4):
        pairs = list(combinations(range(n), 2))
        one_way = subsets([*pairs, *((b, a) for a, b in pairs)])
        dags = [edges for edges in one_way if nx.is_directed_acyclic_graph(nx.DiGraph(edges))]
        mixed = [{e: 0 for e in map(frozenset, edges)}.keys() for edges in subsets(pairs)]
        orders = list(permutations(range(n)))
        fixed = sum(
            sum({(o[a], o[b]) for a, b in edges} == set(edges) for edges in dags)
            * sum({frozenset(o[a] for a in e) for e in edges} == edges for edges in mixed)
            for o in orders
        )
        assert len(list(graphs(n))) == fixed / len(orders)


@pytest.mark.slow
def test_every_effect_in_every_graph_of_three_nodes_is_right() -> None:
    tally = Counter[str]()
    for graph in graphs(3):
        for x, y in permutations(range(3), 2):
            tally += check(graph, {y}, {x}, set(), models=2, pairs=True)
            (z,) = {0, 1, 2} - {x, y}
            tally += check(graph, {y}, {x}, {z}, models=1)
    assert tally["pairs"] > 20
    assert tally["identified"] > 200


@pytest.mark.parametrize("seed", range(40))
def test_a_random_query_in_a_larger_graph_is_right(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 4 + seed % 3
    nodes = rng.permutation(n).tolist()
    cuts = np.cumsum([*rng.integers(1, 3, size=2), rng.integers(0, 2)])
    y, x, given, _ = (set(part.tolist()) for part in np.split(nodes, cuts))
    check(random_graph(n, rng), y, x, given, models=1, pairs=True)


@pytest.mark.parametrize("seed", range(40))
def test_a_random_query_from_several_experiments_is_right(seed: int) -> None:
    rng = np.random.default_rng(seed)
    _, directed, mixed = random_graph(4, rng)
    graph = CausalGraph(
        [(f"V{a}", f"V{b}") for a, b in sorted(directed)],
        bidirected=[(f"V{a}", f"V{b}") for a, b in sorted(mixed)],
        nodes=[f"V{i}" for i in range(4)],
    )
    x, y, z, w = rng.permutation([*graph]).tolist()
    given = [w] if seed % 2 else []
    try:
        estimand = identify(graph, y, do=x, given=given, available=[(), z, (z, w)])
    except NotIdentified:
        with pytest.raises(NotIdentified):
            identify(graph, y, do=x, given=given)
        return
    model = DiscreteModel.random(graph, seed)
    sources = {}
    for experiment in ((), (z,), (z, w)):
        table = model.table(experiment)
        sources[experiment] = {**table.codes, "p": table.weights}
    source = sources if estimand.verdict == "experiments" else sources[()]
    answer = estimand.evaluate(source, {x: 1}, dict.fromkeys(given, 0), weights="p")
    truth = model.effect([y], [x], given)[(1, *([0] * len(given)))]
    np.testing.assert_allclose(answer, truth, atol=1e-9)
    assert answer.attrs.get("spread", 0.0) < 1e-9


def test_the_enumerated_model_has_the_law_that_sampling_it_gives() -> None:
    # U -> X -> Y, U -> Y, by hand
    graph = CausalGraph([("U", "X"), ("U", "Y"), ("X", "Y")], latent=["U"])
    model = DiscreteModel.random(graph, seed=0)
    (_, u), (_, x), (parents, y) = (model.tables[name] for name in "UXY")
    assert parents == ("U", "X")
    np.testing.assert_allclose(model.effect("Y", "X"), np.einsum("u,uxy->xy", u, y))
    np.testing.assert_allclose(model.law(), np.einsum("u,ux,uxy->xy", u, x, y))
