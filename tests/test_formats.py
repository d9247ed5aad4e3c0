"""Notations of causal graphs: what is written reads back, and what others write is understood."""

import itertools
import random
import shutil
import subprocess
from collections.abc import Callable

import networkx as nx
import pandas as pd
import pytest

from pyrocausal.graph import CausalGraph

ROUND_TRIPS: dict[str, Callable[[CausalGraph], CausalGraph]] = {
    "networkx": lambda graph: CausalGraph.from_networkx(graph.to_networkx()),
    "DOT": lambda graph: CausalGraph.from_dot(graph.to_dot()),
    "dagitty": lambda graph: CausalGraph.from_dagitty(graph.to_dagitty()),
    "Mermaid": lambda graph: CausalGraph.from_mermaid(graph.to_mermaid()),
}

NAMES = [
    "x",
    "X*",
    "blood pressure",
    'the "true" dose',
    "layer.weight",
    "a->b",
    "node",
    "end",
    "Graph",
    "2nd",
    "größe",
    "semi;colon, #35; & <b>bold</b>",
    r"back\slash",
    "n3",
    "-1",
    " spaces ",
    "{[(|)]}",
    "a:b",
    "//no comment",
]


@pytest.mark.parametrize("notation", ROUND_TRIPS)
def test_every_notation_reads_back_what_it_wrote(notation: str) -> None:
    rng = random.Random(0)
    allowed = [name for name in NAMES if not (notation == "dagitty" and name == "node")]
    for _ in range(30):
        names = rng.sample(allowed, 7)
        pairs = list(itertools.combinations(names, 2))
        graph = CausalGraph(
            [pair for pair in pairs if rng.random() < 0.3],
            latent=rng.sample(names, 2),
            bidirected=[pair for pair in pairs if rng.random() < 0.2],
            nodes=names,
        )
        back = ROUND_TRIPS[notation](graph)
        assert back.same_as(graph)
        assert list(back) == list(graph)


@pytest.mark.parametrize("notation", ROUND_TRIPS)
def test_the_empty_graph_and_a_lone_variable_survive(notation: str) -> None:
    for graph in (CausalGraph(), CausalGraph(nodes=["alone"], latent=["alone"])):
        assert ROUND_TRIPS[notation](graph).same_as(graph)


def test_a_table_of_two_columns_is_a_list_of_edges() -> None:
    table = pd.DataFrame({"cause": ["x", "x", "m"], "effect": ["m", "y", "y"]})
    assert CausalGraph(table).same_as(CausalGraph([("x", "m"), ("x", "y"), ("m", "y")]))
    polars = pytest.importorskip("polars")
    # Two rows of two columns are as good as pairs when read column by column.
    pairs = polars.DataFrame({"cause": ["x", "x"], "effect": ["y", "z"]})
    assert CausalGraph(pairs).same_as(CausalGraph([("x", "y"), ("x", "z")]))


def test_a_table_of_three_columns_is_no_list_of_edges() -> None:
    table = pd.DataFrame({"cause": ["x"], "effect": ["m"]})
    with pytest.raises(ValueError, match="An edge is a pair of names"):
        CausalGraph(table.assign(kind="->"))


def test_dot_reads_chains_groups_comments_ports_and_attributes() -> None:
    text = r"""
    // a comment with -> in it
    strict digraph "my graph" {
        # another comment
        rankdir=LR; graph [label="a -> b", bgcolor=white]
        node [shape=ellipse, fontname="Helvetica"];
        a -> b -> "c d" [color=red, weight=2]; /* and
        another */ b:n -> e:s:w
        { f g } -> { a; b }
        "say \"hi\"" [label=<<b>bold</b> text>]
        h -> f [dir=back]
        a -> e [dir=both style=dashed][color=blue]
        subgraph cluster_0 { label="hidden"; node [style="dashed,filled"]; U; V -> a }
        W [observed="no"]; subgraph { a }
    }
    """
    edges = [("a", "b"), ("b", "c d"), ("b", "e"), ("f", "a"), ("f", "b"), ("g", "a")]
    expected = CausalGraph(
        [*edges, ("g", "b"), ("f", "h"), ("V", "a")],
        latent=["U", "V", "W"],
        bidirected=[("a", "e")],
        nodes=['say "hi"', "U", "W"],
    )
    assert CausalGraph.from_dot(text).same_as(expected)


def test_dot_on_one_line_needs_no_spaces() -> None:
    graph = CausalGraph.from_dot("digraph{a->b;b->c[dir=both];u[style=dashed]u->a}")
    assert str(graph) == "a -> b; u -> a; b <-> c | latent: u"


def test_dot_defaults_hold_in_their_group_only() -> None:
    text = "digraph { subgraph { edge [dir=both] node [style=dashed] U -> a } a -> b; c }"
    assert str(CausalGraph.from_dot(text)) == "a -> b; c; U <-> a | latent: U, a"


def test_dagitty_reads_what_its_web_page_writes() -> None:
    text = """
    dag {
    bb="-4.5,-3.2,4.1,3.5"
    "blood pressure" [outcome,pos="1.2,-0.3"]
    exercise [exposure,pos="-1.300,0.001"]
    age [adjusted,pos="0,1"]
    taste [latent,pos="0,-2"]
    x.1 [u]
    age -> { exercise "blood pressure" }
    exercise -> "blood pressure" [beta=-0.5]
    exercise <- taste -> "blood pressure"
    exercise <-> x.1 -> age
    lonely
    }
    """
    bp = "blood pressure"
    edges = [("age", "exercise"), ("age", bp), ("exercise", bp), ("taste", "exercise")]
    expected = CausalGraph(
        [*edges, ("taste", bp), ("x.1", "age")],
        latent=["taste", "x.1"],
        bidirected=[("exercise", "x.1")],
        nodes=["lonely"],
    )
    assert CausalGraph.from_dagitty(text).same_as(expected)


def test_mermaid_reads_labels_shapes_arrows_and_classes() -> None:
    text = """
    %% a comment
    flowchart TD;
        A[age] --> B("blood #quot;pressure#quot;") & C{{dose}}
        A ---> D; C ==> D
        B -->|raises a lot| D
        C -- a label --> E
        E -. another .-> F((f)) -.-> G
        C <--> D
        E <-.-> G
        U1:::latent --> A
        U2 --> A
        U3([hidden]) --> A
        class U2 latent
        classDef ghost fill:none,stroke-dasharray: 2 2
        class H,I ghost
        style U3 stroke-dasharray: 5 5
        style A fill:#f9f
        linkStyle 0 stroke:red
        click A "https://example.org"
        dashed-name.x
    """
    bp = 'blood "pressure"'
    edges = [("age", bp), ("age", "dose"), ("age", "D"), ("dose", "D"), (bp, "D"), ("dose", "E")]
    expected = CausalGraph(
        [*edges, ("E", "f"), ("f", "G"), ("U1", "age"), ("U2", "age"), ("hidden", "age")],
        latent=["U1", "U2", "hidden", "H", "I"],
        bidirected=[("dose", "D"), ("E", "G")],
        nodes=["H", "I", "dashed-name.x"],
    )
    assert CausalGraph.from_mermaid(text).same_as(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("digraph {\n a -> b\n b -> ;\n}", r"DOT, line 3: expected a name, got ';'"),
        ("digraph {\n a -- b }", r"DOT, line 2: expected a directed or bidirected edge.*got '--'"),
        ("digraph {\n a -> b [dir=none] }", r"DOT, line 2: .*between 'a' and 'b'"),
        ("graph { a -- b }", r"DOT, line 1: expected 'digraph \{', got 'graph'"),
        ("digraph {\n a -> b\n", r"DOT, line 3: expected a name, got 'the end of the text'"),
        ("digraph {\n a }\n}", r"DOT, line 3: expected the end of the text, got '\}'"),
        ('digraph {\n\n "a -> b }', r"DOT, line 3: .*quotes must close"),
        ("digraph {\n a -> b [style=dashed }", r"DOT, line 2: expected a name, got '\}'"),
        ("", r"DOT, line 1: expected 'digraph \{', got 'the end of the text'"),
        ("digraph x y { }", r"DOT, line 1: expected .\{., got .y."),
        ("digraph { a -> b -> a }", r"cycle a -> b -> a"),
        ("digraph { a -> b; a -> b }", r"a -> b is listed twice"),
    ],
)
def test_dot_names_the_line_of_an_error(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CausalGraph.from_dot(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dag {\n x -> y\n x @-> y }", r"dagitty, line 3: expected a directed or.*got '@->'"),
        ("pdag { x -- y }", r"dagitty, line 1: expected 'dag \{', got 'pdag'"),
        ("dag {\n x [pos= }", r"dagitty, line 2: expected a name, got '\}'"),
    ],
)
def test_dagitty_names_the_line_of_an_error(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CausalGraph.from_dagitty(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A --> B", r"Mermaid, line 1: expected 'graph LR'"),
        ("", r"Mermaid, line 0: expected 'graph LR'"),
        ("graph LR\n A --- B", r"Mermaid, line 2: expected an arrow .* got '--- B'"),
        ("graph LR\n A --> B\n A -->", r"Mermaid, line 3: expected a node"),
        ("graph LR\n A[open --> B", r"Mermaid, line 2: expected an arrow .* got '\[open --> B'"),
        ("graph LR\n\n subgraph one", r"Mermaid, line 3: expected .* without subgraphs"),
        ("graph LR\n A[x] --> B[x]", r"several nodes have the label 'x'"),
        ("graph LR\n A -- text --- B --> C", r"Mermaid, line 2: expected an arrow"),
    ],
)
def test_mermaid_names_the_line_of_an_error(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CausalGraph.from_mermaid(text)


@pytest.mark.parametrize("name", ["ends with \\", 'a\\"b'])
def test_a_name_that_dot_can_not_write_is_refused(name: str) -> None:
    graph = CausalGraph(nodes=[name])
    with pytest.raises(ValueError, match="rename it"):
        graph.to_dot()
    with pytest.raises(ValueError, match="rename it"):
        graph.to_dagitty()
    assert ROUND_TRIPS["Mermaid"](graph).same_as(graph)


@pytest.mark.parametrize("name", ["node", "graph", "two\nlines"])
def test_a_name_that_dagitty_can_not_write_is_refused(name: str) -> None:
    graph = CausalGraph(nodes=[name])
    with pytest.raises(ValueError, match="dagitty allows no variable named"):
        graph.to_dagitty()
    assert ROUND_TRIPS["DOT"](graph).same_as(graph)
    assert ROUND_TRIPS["Mermaid"](graph).same_as(graph)


def test_networkx_graphs_bring_their_latents_and_isolated_nodes() -> None:
    plain = nx.MultiDiGraph([("u", "x"), ("x", "y")], bidirected=[("x", "y")])
    plain.add_node("v", observed="no", label="Unobserved")
    plain.add_node("w", latent=False)
    plain.nodes["u"]["latent"] = True
    expected = CausalGraph([("u", "x"), ("x", "y")], ["u", "v"], [("x", "y")], nodes=["v", "w"])
    assert CausalGraph.from_networkx(plain).same_as(expected)


def test_networkx_graphs_that_are_no_causal_graph_are_refused() -> None:
    with pytest.raises(TypeError, match="undirected Graph"):
        CausalGraph.from_networkx(nx.Graph([("x", "y")]))
    with pytest.raises(TypeError, match=r"got 0.*relabel_nodes"):
        CausalGraph.from_networkx(nx.path_graph(3, create_using=nx.DiGraph))
    with pytest.raises(ValueError, match="x -> y is listed twice"):
        CausalGraph.from_networkx(nx.MultiDiGraph([("x", "y"), ("x", "y")]))


def test_networkx_export_is_plain_and_independent() -> None:
    graph = CausalGraph([("x", "y")], bidirected=[("x", "y")])
    plain = graph.to_networkx()
    assert type(plain) is nx.DiGraph
    plain.remove_node("x")
    assert set(graph) == {"x", "y"}


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz's program dot")
def test_graphviz_reads_the_same_names_from_dot() -> None:
    graph = CausalGraph(itertools.pairwise(NAMES), latent=["x"], bidirected=[("x", "2nd")])
    command = ["dot", "-Tplain"]
    plain = subprocess.run(
        command, input=graph.to_dot(), capture_output=True, text=True, check=True
    )
    nodes = [line for line in plain.stdout.splitlines() if line.startswith("node ")]
    edges = [line for line in plain.stdout.splitlines() if line.startswith("edge ")]
    assert len(nodes) == len(NAMES)
    assert len(edges) == len(NAMES)
    assert sum(" dashed " in line for line in nodes) == 1


def test_a_strict_graph_may_say_an_edge_twice() -> None:
    text = "strict digraph { a -> b; b -> c; a -> b; a -> c [dir=both]; c -> a [dir=both] }"
    graph = CausalGraph.from_dot(text)
    assert graph.same_as(CausalGraph([("a", "b"), ("b", "c")], bidirected=[("a", "c")]))
    with pytest.raises(ValueError, match="a -> b is listed twice"):
        CausalGraph.from_dot(text.removeprefix("strict "))


def test_mermaid_front_matter_is_left() -> None:
    text = "\n---\ntitle: Clinic\nconfig:\n  theme: base\n---\nflowchart TD\n  a --> b\n"
    assert CausalGraph.from_mermaid(text).same_as(CausalGraph([("a", "b")]))
    # The lines keep their numbers.
    with pytest.raises(ValueError, match="Mermaid, line 8: expected an arrow"):
        CausalGraph.from_mermaid(text.replace("-->", "->>"))
    with pytest.raises(ValueError, match=r"Mermaid, line 2: expected 'graph LR'.*got '---'"):
        CausalGraph.from_mermaid("\n---\ntitle: never closed\n")
