"""Instruments against the definition, ratios in linear models, and exhaustive search."""

import time
from itertools import combinations, permutations

import numpy as np
import pytest
from written_graphs import graph_of

import pyrocausal as pc
from benchmarks.graphical import LinearModel, check_instruments, named, queries
from benchmarks.identification import graphs
from pyrocausal.errors import UnknownVariable

TEXTBOOK = [
    (("Z>X X>Y", "X-Y"), ["Z"]),
    (("Z>X X>Y C>Z C>Y", "X-Y"), ["Z given {C}"]),
    (("Z>X X>Y Z>Y", "X-Y"), []),  # Z has an effect of its own
    (("Z>X X>Y", "X-Y Z-Y"), []),  # Z is confounded
    (("X>Y Z>V", "X-Y"), []),  # Z has nothing to do with X
    (("X>Y Z>V", "Z-X X-Y"), ["Z", "V"]),  # a proxy is an instrument too
    (("Z>X X>M M>Y X>Y", "X-Y"), ["Z"]),  # a total effect
    (("Z>X X>Y Y>W", "X-Y"), ["Z"]),  # an effect of the outcome is held fixed by nobody
]


@pytest.mark.parametrize(("edges", "expected"), TEXTBOOK)
def test_textbook_graphs_have_their_known_instruments(
    edges: tuple[str, str], expected: list[str]
) -> None:
    found = pc.instruments(graph_of(*edges), outcome="Y", do="X")
    assert [str(one) for one in found] == expected


def test_every_pair_in_every_graph_of_three_nodes_is_judged_right() -> None:
    rng = np.random.default_rng(0)
    for graph in graphs(3):
        for x, y in permutations(["v1", "v2", "v3"], 2):
            check_instruments(named(*graph), {x}, {y}, rng)


def test_random_graphs_with_latents_are_judged_right() -> None:
    rng = np.random.default_rng(1)
    tally = sum(
        (check_instruments(graph, x, y, rng) for graph, x, y in queries(60, rng, single=True)),
        start=check_instruments(graph_of("X>Y"), {"X"}, {"Y"}, rng),
    )
    assert tally["found"] > 10


def test_two_stage_least_squares_on_what_is_found_gives_the_effect() -> None:
    graph = graph_of("Z>X X>Y C>Z C>Y", "X-Y")
    rng = np.random.default_rng(0)
    model = LinearModel.random(graph, rng)
    rows = 200_000
    data = rng.multivariate_normal(np.zeros(len(model.names)), model.covariance, rows)
    z, x, y, c = data[:, model.places("ZXYC")].T
    z = z - c * (c @ z) / (c @ c)
    truth = model.effects("X", "Y").item()
    ratio = (z @ y) / (z @ x)
    error = (y - truth * x).std() * z.std() / abs((z * x).mean()) / rows**0.5
    assert abs(ratio - truth) < 4 * error


def test_an_instrument_may_be_asked_about_and_may_be_forbidden() -> None:
    graph = graph_of("Z>X X>Y C>Z C>Y", "X-Y")
    found = pc.instruments(graph, "Y", "X")
    assert found.is_valid("Z", given="C")
    assert not found.is_valid("Z")
    assert not found.is_valid("Z", given="Y")
    assert not pc.instruments(graph, "Y", "X", forbidden="C")


def test_two_hundred_nodes_take_seconds() -> None:
    rng = np.random.default_rng(0)
    names = [f"v{i}" for i in range(200)]
    pairs = list(combinations(names, 2))
    graph = pc.CausalGraph(
        [pair for pair in pairs if rng.random() < 0.01],
        bidirected=[("v150", "v199")],
        nodes=names,
    )
    start = time.process_time()
    pc.instruments(graph, "v199", "v150")
    assert time.process_time() - start < 3


def test_the_card_says_what_the_ratio_means() -> None:
    card = str(pc.instruments(graph_of("Z>X X>Y", "X-Y"), "Y", "X"))
    assert "if Z moves X one way only, the ratio is the effect on those whom it moves" in card
    assert "pc.bounds" in str(pc.instruments(graph_of("X>Y", "X-Y"), "Y", "X"))


@pytest.mark.parametrize(
    ("roles", "error", "match"),
    [
        ({"outcome": "Y", "do": "Q"}, UnknownVariable, r"instruments\(do=\)"),
        ({"outcome": "X", "do": "X"}, ValueError, "in outcome and in do"),
        ({"outcome": "Y", "do": ["X", "Z"]}, ValueError, r"do=\['X', 'Z'\] are several"),
        ({"outcome": "Y", "do": "X", "forbidden": "X"}, ValueError, "in do and in forbidden"),
        ({"outcome": "U", "do": "X"}, ValueError, "outcome='U' is latent"),
    ],
)
def test_bad_input_is_refused_in_words(
    roles: dict[str, str], error: type[Exception], match: str
) -> None:
    graph = pc.CausalGraph([("Z", "X"), ("X", "Y"), ("U", "X"), ("U", "Y")], latent=["U"])
    with pytest.raises(error, match=match):
        pc.instruments(graph, **roles)
