"""Causal graphs: separation, projection, interventions and twins, against brute force."""

import copy
import itertools
import random
from collections.abc import Iterator

import networkx as nx
import pytest

from pyrocausal.errors import UnknownVariable
from pyrocausal.graph import CausalGraph

LETTERS = "abcdef"


def random_graph(rng: random.Random, nodes: int = 6, bidirected: float = 0.0) -> CausalGraph:
    """Draw a graph whose order is unlike the alphabet, with up to half of its variables latent."""
    names = list(LETTERS[:nodes])
    rng.shuffle(names)
    density = rng.uniform(0.2, 0.6)
    pairs = list(itertools.combinations(names, 2))
    return CausalGraph(
        [pair for pair in pairs if rng.random() < density],
        latent=rng.sample(names, rng.randint(0, nodes // 2)),
        bidirected=[pair for pair in pairs if rng.random() < bidirected],
        nodes=sorted(names),
    )


def subsets(names: set[str]) -> Iterator[set[str]]:
    for size in range(len(names) + 1):
        yield from map(set, itertools.combinations(sorted(names), size))


# Heads at both ends of each edge: ("x", "y") -> {(False, True)} for x -> y, (True, True) for <->.
Ends = dict[tuple[str, str], set[tuple[bool, bool]]]


def ends(graph: CausalGraph) -> Ends:
    """List, for each ordered pair, the edges between them as heads at the two ends."""
    heads: Ends = {}
    for a, b in graph.edges:
        heads.setdefault((a, b), set()).add((False, True))
        heads.setdefault((b, a), set()).add((True, False))
    for pair in graph.bidirected:
        for a, b in itertools.permutations(pair):
            heads.setdefault((a, b), set()).add((True, True))
    return heads


def walks(
    heads: Ends, path: list[str], goal: str
) -> Iterator[tuple[list[str], list[tuple[bool, bool]]]]:
    """Yield each simple path to the goal with each choice of edges along it."""
    if path[-1] == goal:
        steps = [sorted(heads[step]) for step in itertools.pairwise(path)]
        for choice in itertools.product(*steps):
            yield path, list(choice)
        return
    for a, b in heads:
        if a == path[-1] and b not in path:
            yield from walks(heads, [*path, b], goal)


def separated_by_paths(graph: CausalGraph, x: str, y: str, given: set[str]) -> bool:
    """Tell by the definition whether each path between two variables is blocked."""
    heads = ends(graph)
    for path, marks in walks(heads, [x], y):
        is_open = True
        for i, middle in enumerate(path[1:-1]):
            collider = marks[i][1] and marks[i + 1][0]
            below = {middle} | set(nx.descendants(graph, middle))
            is_open &= bool(below & given) if collider else middle not in given
        if is_open:
            return False
    return True


def projected_by_paths(graph: CausalGraph) -> tuple[set[tuple[str, str]], set[frozenset[str]]]:
    """Return the edges of the latent projection by its definition through paths."""
    directed, bidirected = set(), set()
    heads = ends(graph)
    for x, y in itertools.permutations(graph.observed, 2):
        for path, marks in walks(heads, [x], y):
            inside = zip(path[1:-1], marks, marks[1:], strict=False)
            if all(z in graph.latent and not (into[1] and out[0]) for z, into, out in inside):
                if all(mark == (False, True) for mark in marks):
                    directed.add((x, y))
                if marks[0][0] and marks[-1][1]:
                    bidirected.add(frozenset({x, y}))
    return directed, bidirected


@pytest.mark.parametrize("bidirected", [0.0, 0.25])
def test_separation_agrees_with_the_enumeration_of_paths(bidirected: float) -> None:
    rng = random.Random(1)
    verdicts = []
    for _ in range(25):
        graph = random_graph(rng, nodes=rng.randint(2, 5), bidirected=bidirected)
        for x, y in itertools.combinations(graph, 2):
            for given in subsets(set(graph) - {x, y}):
                verdict = graph.d_separated(x, y, given)
                assert verdict == separated_by_paths(graph, x, y, given), (str(graph), x, y, given)
                verdicts.append(verdict)
    assert 0.1 < sum(verdicts) / len(verdicts) < 0.9


def test_separation_of_sets_is_separation_of_all_their_pairs() -> None:
    rng = random.Random(2)
    for _ in range(40):
        graph = random_graph(rng, bidirected=0.1)
        a, b, c, d, e, f = rng.sample(LETTERS, 6)
        pairs = itertools.product((a, b), (c, d))
        expected = all(graph.d_separated(x, y, {e, f}) for x, y in pairs)
        assert graph.d_separated([a, b], [c, d], [e, f]) == expected


@pytest.mark.parametrize("bidirected", [0.0, 0.2])
def test_latent_projection_agrees_with_its_definition_by_paths(bidirected: float) -> None:
    rng = random.Random(3)
    for _ in range(60):
        graph = random_graph(rng, bidirected=bidirected)
        projected = graph.latent_projection()
        directed, mixed = projected_by_paths(graph)
        assert set(projected) == graph.observed
        assert set(projected.edges) == directed, str(graph)
        assert projected.bidirected == frozenset(mixed), str(graph)


def test_latent_projection_keeps_every_separation_of_observed_variables() -> None:
    rng = random.Random(4)
    for _ in range(15):
        graph = random_graph(rng, bidirected=0.1)
        projected = graph.latent_projection()
        assert projected.latent == frozenset()
        for x, y in itertools.combinations(graph.observed, 2):
            for given in subsets(set(graph.observed) - {x, y}):
                assert projected.d_separated(x, y, given) == graph.d_separated(x, y, given)


def test_projecting_after_do_is_do_after_projecting() -> None:
    rng = random.Random(5)
    for _ in range(60):
        graph = random_graph(rng, bidirected=0.2)
        x = rng.choice(sorted(graph.observed))
        assert graph.do(x).latent_projection().same_as(graph.latent_projection().do(x))


def test_explicit_makes_one_latent_root_for_each_bidirected_edge() -> None:
    graph = CausalGraph([("x", "y"), ("U_x_y", "x")], bidirected=[("y", "x"), ("y", "z")])
    explicit = graph.explicit()
    assert explicit.bidirected == frozenset()
    # U_x_y is taken by a variable of the graph.
    assert explicit.latent == {"U_x_y_", "U_y_z"}
    assert explicit.children("U_x_y_") == {"x", "y"}
    assert explicit.latent_projection().same_as(graph)


def test_do_cuts_all_edges_into_the_variable_and_remembers_them() -> None:
    graph = CausalGraph([("z", "x"), ("x", "y")], bidirected=[("x", "y"), ("z", "y")])
    done = graph.do("x")
    assert set(done.edges) == {("x", "y")}
    assert done.bidirected == {frozenset({"z", "y"})}
    assert done.intervened == {"x"}
    assert done.cut == {("z", "x")}
    assert done.cut_bidirected == {frozenset({"x", "y"})}


def test_do_twice_is_do_of_both_and_no_do_changes_nothing() -> None:
    graph = CausalGraph([("z", "x"), ("x", "y"), ("z", "y")], bidirected=[("x", "y")])
    twice, both = graph.do("x").do("y"), graph.do("x", "y")
    assert twice.same_as(both)
    assert (twice.cut, twice.cut_bidirected) == (both.cut, both.cut_bidirected)
    assert graph.do().same_as(graph)


def test_methods_leave_the_graph_as_it_was() -> None:
    graph = CausalGraph([("u", "x"), ("x", "y")], latent=["u"], bidirected=[("x", "y")])
    before = copy.deepcopy(graph)
    graph.do("x"), graph.explicit(), graph.latent_projection(), graph.twin("x"), graph.render()
    graph.to_networkx().add_edge("y", "z")
    assert graph.same_as(before)
    assert (graph.intervened, graph.cut) == (frozenset(), frozenset())
    assert graph.graph == before.graph


def test_relatives_leave_out_the_variables_asked_about() -> None:
    # a -> b -> c -> d, a -> c
    graph = CausalGraph([("a", "b"), ("b", "c"), ("c", "d"), ("a", "c")])
    assert graph.parents("c") == {"a", "b"}
    assert graph.parents(["b", "c"]) == {"a"}
    assert graph.children(["a", "b"]) == {"c"}
    assert graph.ancestors("d") == {"a", "b", "c"}
    assert graph.ancestors(["c", "b"]) == {"a"}
    assert graph.descendants("b") == {"c", "d"}
    assert graph.descendants([]) == frozenset()


def test_topological_order_breaks_ties_by_the_order_of_adding() -> None:
    assert CausalGraph([("z", "y"), ("b", "y"), ("a", "b")]).topological_order() == [*"zaby"]
    rng = random.Random(6)
    for _ in range(30):
        graph = random_graph(rng)
        place = {name: i for i, name in enumerate(graph.topological_order())}
        assert all(place[a] < place[b] for a, b in graph.edges)


def test_twin_network_of_a_chain_by_hand() -> None:
    # z -> x -> y, x <-> y
    twin = CausalGraph([("z", "x"), ("x", "y")], bidirected=[("x", "y")]).twin({"x": 1.0})
    assert set(twin.edges) == {
        ("z", "x"),
        ("x", "y"),
        ("U_z", "z"),
        ("U_x", "x"),
        ("U_y", "y"),
        ("U_x_y", "x"),
        ("U_x_y", "y"),
        ("x*", "y*"),
        ("U_y", "y*"),
        ("U_x_y", "y*"),
    }
    assert twin.latent == {"U_x", "U_y", "U_z", "U_x_y"}
    assert twin.intervened == {"x*"}
    assert twin.cut == {("z", "x*"), ("U_x", "x*"), ("U_x_y", "x*")}


def test_twin_network_shares_a_latent_root_and_copies_a_latent_descendant() -> None:
    twin = CausalGraph([("u", "y"), ("x", "m"), ("m", "y")], latent=["u", "m"]).twin("x")
    assert twin.children("u") == {"y", "y*"}
    assert {"m*", "U_m"} <= twin.latent
    assert "U_u" not in twin
    assert "u*" not in twin


def test_twin_network_of_a_mutilated_graph_gives_the_set_variable_no_noise() -> None:
    twin = CausalGraph([("x", "m"), ("m", "y")]).do("m").twin("x")
    assert twin.latent == {"U_x", "U_y"}
    assert "m*" not in twin
    assert twin.intervened == {"m", "x*"}


def test_twin_network_gives_ignorability_exactly_where_the_back_door_criterion_does() -> None:
    rng = random.Random(7)
    verdicts = []
    for _ in range(60):
        graph = random_graph(rng, nodes=5, bidirected=0.15)
        x, y = rng.sample(sorted(graph), 2)
        if y not in graph.descendants(x):
            continue
        out = graph.explicit()
        out.remove_edges_from(list(out.out_edges(x)))
        twin = graph.twin(x)
        for given in subsets(set(graph) - graph.descendants(x) - {x, y}):
            verdict = twin.d_separated(f"{y}*", x, given)
            assert verdict == out.d_separated(y, x, given), (str(graph), x, y, given)
            verdicts.append(verdict)
    assert 0.1 < sum(verdicts) / len(verdicts) < 0.9


def test_networkx_sees_copies_and_subgraphs_of_the_same_class() -> None:
    graph = CausalGraph(
        [("u", "x"), ("x", "y")], latent=["u"], bidirected=[("u", "y"), ("x", "y")]
    )
    for same in (graph.copy(), graph.to_directed(), copy.deepcopy(graph), nx.freeze(graph.copy())):
        assert isinstance(same, CausalGraph)
        assert same.same_as(graph)
    part = graph.subgraph(["x", "y"])
    assert isinstance(part, CausalGraph)
    assert part.bidirected == {frozenset({"x", "y"})}
    assert part.copy().same_as(CausalGraph([("x", "y")], bidirected=[("x", "y")]))
    assert set(graph.reverse().edges) == {("x", "u"), ("y", "x")}
    assert not graph.to_undirected().is_directed()
    assert nx.transitive_closure(graph).has_edge("u", "y")
    assert sorted(graph.copy(as_view=True).nodes) == ["u", "x", "y"]


def test_same_as_sees_every_difference() -> None:
    graph = CausalGraph([("x", "y")], bidirected=[("x", "y")])
    assert graph.same_as(CausalGraph([("x", "y")], bidirected=[("y", "x")]))
    assert not graph.same_as(CausalGraph([("x", "y")]))
    assert not graph.same_as(CausalGraph([("y", "x")], bidirected=[("x", "y")]))
    assert not graph.same_as(CausalGraph([("x", "y")], bidirected=[("x", "y")], latent=["x"]))
    assert not graph.same_as(CausalGraph([("x", "y")], bidirected=[("x", "y")], nodes=["z"]))


def test_text_lists_edges_then_lone_and_latent_variables() -> None:
    graph = CausalGraph([("u", "x"), ("u", "y")], ["u"], [("x", "z")], nodes=["alone"])
    assert str(graph) == "alone; u -> x, y; x <-> z | latent: u"
    assert repr(CausalGraph()) == "CausalGraph()"


@pytest.mark.parametrize(
    ("edges", "bidirected", "message"),
    [
        ([("x", "y"), ("y", "z"), ("z", "x")], [], r"cycle x -> y -> z -> x"),
        ([("x", "x")], [], r"x -> x is a self loop"),
        ([("x", "y"), ("x", "y")], [], r"x -> y is listed twice"),
        ([("x", "y", "z")], [], r"pair of names .* got \('x', 'y', 'z'\)"),
        (["xy"], [], r"pair of names .* got 'xy'"),
        ([], [("x", "y"), ("y", "x")], r"y <-> x is listed twice"),
        ([], [("x", "x")], r"x <-> x is a self loop"),
    ],
)
def test_impossible_edges_are_refused_by_name(
    edges: list[tuple[str, str]], bidirected: list[tuple[str, str]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        CausalGraph(edges, bidirected=bidirected)


def test_unknown_variables_are_refused_with_the_nearest_name() -> None:
    graph = CausalGraph([("dose", "response")])
    with pytest.raises(UnknownVariable, match=r"latent: there is no variable 'dos'.*'dose'"):
        CausalGraph([("dose", "response")], latent=["dos"])
    with pytest.raises(UnknownVariable, match=r"do: .*'dosage'"):
        graph.do("dosage")
    with pytest.raises(UnknownVariable, match=r"ancestors: .*'age'"):
        graph.ancestors("age")
    with pytest.raises(UnknownVariable, match=r"twin: .*'age'"):
        graph.twin(["age"])
    with pytest.raises(UnknownVariable, match=r"d_separated: .*'age'"):
        graph.d_separated("dose", "response", given=["age"])


def test_overlapping_sets_are_no_question_of_separation() -> None:
    graph = CausalGraph([("x", "y")])
    with pytest.raises(ValueError, match=r"\['x'\] appear in more than one of x, y, given"):
        graph.d_separated("x", "y", given="x")


def test_names_are_strings() -> None:
    with pytest.raises(TypeError, match="named by strings, got 1"):
        CausalGraph([(1, 2)])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="from_networkx"):
        CausalGraph(nx.DiGraph([("x", "y")]))


def test_a_single_world_graph_names_what_lies_below_the_fixed_half() -> None:
    graph = CausalGraph([("a", "l"), ("l", "b"), ("a", "y"), ("b", "y")], bidirected=[("l", "y")])
    split = graph.swig({"a": 1, "b": 0})
    # b's random half is below a=1, y below both; the bidirected edge stays with the random ones.
    assert set(split) == {"a", "a=1", "l(a=1)", "b(a=1)", "b=0", "y(a=1, b=0)"}
    assert split.bidirected == {frozenset({"l(a=1)", "y(a=1, b=0)"})}
    assert split.fixed == split.intervened == {"a=1", "b=0"}
    assert not split.parents(["a=1", "b=0"]) | split.children(["a", "b(a=1)"])
    # With b fixed alone above y, a's value no longer shows there.
    chain = CausalGraph([("a", "b"), ("b", "y")]).swig(["a", "b"])
    assert set(chain) == {"a", "a'", "b(a')", "b'", "y(b')"}
    with pytest.raises(UnknownVariable, match="swig"):
        graph.swig("z")


def test_no_dependence_passes_a_constant() -> None:
    # x -> y; x -> z
    split = CausalGraph([("x", "y"), ("x", "z")]).swig("x")
    assert split.d_separated("y(x')", "z(x')")
    assert "held fixed" in str(split.paths("y(x')", "z(x')"))
    # Asked about itself, it is a variable: y depends on the value that x is set to.
    assert not split.d_separated("x'", "y(x')")


def test_adjustment_is_separation_in_the_single_world_graph() -> None:
    """The back-door criterion and ``x _||_ y(x) | z`` agree (Richardson, Robins 2013)."""
    rng = random.Random(2)
    for _ in range(60):
        graph = random_graph(rng, bidirected=0.15)
        order = graph.topological_order()
        x, y = order[1], order[-1]
        below = graph.descendants(x)
        others = [z for z in graph if z not in {x, y, *below}]
        given = rng.sample(others, rng.randint(0, len(others)))
        without = graph.copy()
        without.remove_edges_from(list(graph.out_edges(x)))
        split = graph.swig({x: 1})
        outcome = next(n for n in split if n == y or n.startswith(f"{y}("))
        assert split.d_separated(x, outcome, given) == without.d_separated(x, y, given)
