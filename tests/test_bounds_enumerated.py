"""Bounds of random models with latents: the truth is within, and each sharp end is attained."""

from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

import pyrocausal as pc
from pyrocausal.bounding import Witness
from pyrocausal.identification.discrete_models import DiscreteModel

NAMES = "ABCD"


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


def effect(model: DiscreteModel, y: str, x: str, z: list[str], codes: dict[str, int]) -> float:
    return float(model.effect([y], [x], z)[tuple(codes[name] for name in (x, *z, y))])


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
    law = model.law()
    table = pd.DataFrame(list(np.ndindex(*law.shape)), columns=list(model.observed))
    found = pc.bounds(
        graph,
        table.assign(p=law.ravel()),
        {y: codes[y]},
        do={x: codes[x]},
        given={name: codes[name] for name in z},
        weights="p",
    )
    truth = effect(model, y, x, z, codes)
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
    assert found.witnesses
    for witness, end in zip(found.witnesses, (found.lower, found.upper), strict=True):
        rebuilt = with_witness(model, graph, witness)
        np.testing.assert_allclose(rebuilt.law(), law, atol=1e-9)
        assert effect(rebuilt, y, x, z, codes) == pytest.approx(end, abs=1e-9)
    return Counter(sharp=1)


def test_a_sample_of_random_models_is_bounded_rightly() -> None:
    tally = sum((check(seed) for seed in range(80)), Counter[str]())
    assert tally["identified"] > 30
    assert tally["sharp"] > 5
    assert tally["valid"] > 5


@pytest.mark.slow
def test_a_thousand_random_models_are_bounded_rightly() -> None:
    tally = sum((check(seed) for seed in range(80, 1080)), Counter[str]())
    assert sum(tally.values()) == 1000
