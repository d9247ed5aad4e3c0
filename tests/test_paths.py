"""Paths of a graph: all of them, their state, and what blocks them."""

import random
from itertools import combinations

import networkx as nx
import pytest

from pyrocausal.errors import UnknownVariable
from pyrocausal.graph import CausalGraph

# z -> x, y; x -> y; x, y -> c -> d; x <-> y
EXAMPLE = CausalGraph(
    [("z", "x"), ("z", "y"), ("x", "y"), ("x", "c"), ("y", "c"), ("c", "d")],
    bidirected=[("x", "y")],
)


def random_graph(rng: random.Random) -> CausalGraph:
    names = list("abcdef")
    rng.shuffle(names)
    pairs = list(combinations(names, 2))
    return CausalGraph(
        [pair for pair in pairs if rng.random() < 0.4],
        latent=rng.sample(names, rng.randint(0, 2)),
        bidirected=[pair for pair in pairs if rng.random() < 0.15],
        nodes=sorted(names),
    )


def test_each_path_says_what_it_is_and_what_blocks_it() -> None:
    assert str(EXAMPLE.paths("x", "y")).splitlines() == [
        "x -> y  (causal, open)",
        "x <-> y  (back-door, open)",
        "x <- z -> y  (back-door, open)",
        "x -> c <- y  (non-causal, blocked: c a collider)",
    ]
    (blocked,) = [path for path in EXAMPLE.paths("x", "y", given="z") if "z" in path.nodes]
    assert (blocked.held, blocked.closed, blocked.is_open) == (("z",), (), False)


def test_a_collider_is_opened_by_what_is_held_fixed_below_it() -> None:
    assert len(EXAMPLE.paths("x", "y").open) == 3
    assert len(EXAMPLE.paths("x", "y", given="d").open) == 4
    assert len(EXAMPLE.paths("x", "y", given=["c", "z"]).open) == 3


def test_several_blockers_are_all_named_in_order() -> None:
    graph = CausalGraph([("a", "b"), ("c", "b"), ("c", "d"), ("e", "d"), ("e", "f"), ("f", "g")])
    (path,) = graph.paths("a", "g", given="f")
    assert path.blocked_by == ("b", "d", "f")
    assert str(path).endswith("(non-causal, blocked: f held fixed, b, d colliders)")


def test_open_paths_exist_exactly_where_variables_are_not_separated() -> None:
    rng = random.Random(0)
    for _ in range(150):
        graph = random_graph(rng)
        x, y, *others = rng.sample(sorted(graph), 6)
        given = others[: rng.randint(0, 3)]
        paths = graph.paths(x, y, given, limit=None)
        assert bool(paths.open) != graph.d_separated(x, y, given)


def test_there_are_as_many_paths_as_in_the_undirected_graph() -> None:
    rng = random.Random(1)
    for _ in range(50):
        graph = random_graph(rng)
        x, y = rng.sample(sorted(graph), 2)
        multigraph = nx.MultiGraph([*graph.edges, *graph.bidirected_pairs()])
        multigraph.add_nodes_from(graph)
        paths = graph.paths(x, y, limit=None)
        expected = len(list(nx.all_simple_edge_paths(multigraph, x, y)))
        assert len(set(paths)) == len(paths) == expected
        assert [len(path.nodes) for path in paths] == sorted(len(path.nodes) for path in paths)


def test_a_limit_stops_the_search_and_says_so() -> None:
    names = [f"v{i}" for i in range(60)]
    dense = CausalGraph(list(combinations(names, 2)))
    paths = dense.paths("v0", "v59", limit=10)
    assert len(paths) == 10
    assert not paths.complete
    assert str(paths).endswith("the first 10 paths; there are more")
    assert EXAMPLE.paths("x", "y", limit=4).complete
    assert not EXAMPLE.paths("x", "y", limit=3).complete


def test_the_search_never_enters_where_the_goal_is_out_of_reach() -> None:
    # x -> y, and x -> a dense part without a way out.
    names = [f"v{i}" for i in range(40)]
    dead = [*combinations(names, 2), ("x", "v0"), ("x", "y")]
    assert str(CausalGraph(dead).paths("x", "y")) == "x -> y  (causal, open)"


def test_variables_in_different_parts_have_no_path() -> None:
    assert str(CausalGraph(nodes=["a", "b"]).paths("a", "b")) == "no path"


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (("x", "q"), UnknownVariable, "there is no variable 'q'"),
        (("x", "y", "q"), UnknownVariable, r"paths\(given=\)"),
        (("x", "x"), ValueError, "expected two different variables"),
        (("x", "y", ["y"]), ValueError, "neither of them held fixed"),
    ],
)
def test_bad_input_is_refused_in_words(
    arguments: tuple[str, ...], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        EXAMPLE.paths(*arguments)
