"""Bounds of random models with latents: the truth is within, and each sharp end is attained."""

from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from exact_tables import states, states_of

import pyrocausal as pc
from pyrocausal.bounding import Witness
from pyrocausal.identification.discrete_models import DiscreteModel

NAMES = "ABCD"
Query = tuple[str, str, list[str], dict[str, int], bool]
"""Outcome, action, conditions, values, and whether two actions are compared."""


def random_graph(rng: np.random.Generator) -> pc.CausalGraph:
    """Draw a graph of four variables and one to three latent causes of two or three of them."""
    order = [str(name) for name in rng.permutation(list(NAMES))]
    edges = [pair for pair in combinations(order, 2) if rng.random() < 0.5]
    latent = [f"U{i}" for i in range(rng.integers(1, 4))]
    for u in latent:
        number = int(rng.choice([2, 3]))
        edges += [(u, str(name)) for name in rng.choice(order, number, replace=False)]
    return pc.CausalGraph(edges, latent=latent, nodes=order)


def with_witness(model: DiscreteModel, graph: pc.CausalGraph, witness: Witness) -> DiscreteModel:
    """Return a model in which a law over types rules one c-component, the rest being as it was."""
    ruled = set(witness.parents)
    kept = {
        name: table
        for name, table in model.tables.items()
        if name not in graph.latent or not ruled & set(graph.successors(name))
    }
    for node, parents in witness.parents.items():
        # The table of a node that reads its function off the type: 1 at the function's value.
        size = model.tables[node][1].shape[-1]
        kept[node] = ("R", *parents), np.eye(size)[witness.functions[node]]
    return replace(model, tables={"R": ((), witness.probabilities), **kept})


def answer(model: DiscreteModel, query: Query) -> float:
    """Return a probability after an action, or what it is more than after the other action."""
    y, x, z, codes, compared = query
    law = model.effect([y], [x], z)
    one, other = (
        float(law[(code, *(codes[name] for name in z), codes[y])])
        for code in (codes[x], 1 - codes[x])
    )
    return one - other if compared else one


def check(seed: int) -> Counter[str]:
    """Ask one random query of one random model, and check the answer."""
    rng = np.random.default_rng(seed)
    graph = random_graph(rng)
    y, x, *others = [str(name) for name in rng.permutation(list(NAMES))]
    if x in graph.descendants(y):
        x, y = y, x
    z = [name for name in others if rng.random() < 0.25]
    model = DiscreteModel.random(graph, seed)
    codes = {name: int(rng.integers(2)) for name in NAMES}
    query = y, x, z, codes, seed % 3 == 0
    found = pc.bounds(
        graph,
        states_of(model),
        {y: codes[y]},
        do={x: codes[x]},
        versus={x: 1 - codes[x]} if query[-1] else None,
        given={name: codes[name] for name in z},
        weights="p",
    )
    truth = answer(model, query)
    assert found.lower - 1e-7 <= truth <= found.upper + 1e-7
    assert found.distance < 1e-12
    try:
        pc.identify(graph, y, do=x, given=z)
    except pc.NotIdentified:
        assert not found.route.startswith("identified")
    else:
        assert found.width <= 1e-7
        assert found.lower == pytest.approx(truth, abs=1e-9)
        return Counter(identified=1)
    if not found.sharp:
        return Counter(valid=1)
    check_witnesses(found, model, graph, query)
    return Counter(sharp=1)


def check_witnesses(
    found: pc.Bounds, model: DiscreteModel, graph: pc.CausalGraph, query: Query
) -> None:
    """Rebuild a model for each end: it gives the same table, and attains the end."""
    assert found.witnesses
    for witness, end in zip(found.witnesses, (found.lower, found.upper), strict=True):
        rebuilt = with_witness(model, graph, witness)
        np.testing.assert_allclose(rebuilt.law(), model.law(), atol=1e-9)
        assert answer(rebuilt, query) == pytest.approx(end, abs=1e-9)


def test_a_sample_of_random_models_is_bounded_rightly() -> None:
    tally = sum((check(seed) for seed in range(80)), Counter[str]())
    assert tally["identified"] > 30
    assert tally["sharp"] > 5
    assert tally["valid"] > 5


@pytest.mark.slow
def test_a_thousand_random_models_are_bounded_rightly() -> None:
    tally = sum((check(seed) for seed in range(80, 1080)), Counter[str]())
    assert sum(tally.values()) == 1000


@pytest.mark.parametrize("seed", range(30))
def test_ends_under_an_assumption_are_attained_by_models_that_keep_it(seed: int) -> None:
    # Z -> X -> Y, X <-> Y, no unit's Y falling when X grows
    rng = np.random.default_rng(seed)
    graph = pc.CausalGraph([("Z", "X"), ("X", "Y"), ("U", "X"), ("U", "Y")], latent=["U"])
    types = rng.dirichlet(np.ones(12)).reshape(4, 3)  # X(z) any of four, Y(x) one of three
    x = np.eye(2)[np.array([[0, 0], [0, 1], [1, 0], [1, 1]])]
    y = np.eye(2)[np.array([[0, 0], [0, 1], [1, 1]])]
    law = np.einsum("ij,z,izx,jxy->zxy", types, [0.4, 0.6], x, y)
    truth = float((types[:, 1]).sum())
    table, query = states("ZXY", law), ("Y", "X", list[str](), {"X": 1, "Y": 1}, True)
    found = pc.bounds(
        graph,
        table,
        {"Y": 1},
        {"X": 1},
        versus={"X": 0},
        assumptions=["Y increases in X"],
        weights="p",
    )
    assert found.lower - 1e-9 <= truth <= found.upper + 1e-9
    model = DiscreteModel.random(graph, seed)
    tables = {**model.tables, "U": ((), types.ravel()), "Z": ((), np.array([0.4, 0.6]))}
    tables["X"] = ("U", "Z"), np.repeat(x, 3, axis=0)
    tables["Y"] = ("U", "X"), np.tile(y, (4, 1, 1))
    check_witnesses(found, replace(model, tables=tables), graph, query)
    assert found.witnesses
    for witness in found.witnesses:
        functions = witness.functions["Y"]
        assert (functions[:, 0] <= functions[:, 1]).all()
