"""Graphs of other libraries, as classes of the same attributes: what they hold is kept."""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import networkx as nx
import pytest

from pyrocausal.graph import CausalGraph

CONFOUNDED = CausalGraph([("u", "x"), ("u", "y"), ("x", "y")], latent=["u"], nodes=["lone"])
MIXED = CausalGraph([("u", "x"), ("x", "y"), ("y", "z")], ["u"], [("x", "y"), ("x", "z")])


# pgmpy 1.1


class DAG(nx.DiGraph):  # type: ignore[misc]  # networkx ships no types
    """pgmpy.base.DAG."""

    def __init__(self, ebunch: Any = None, latents: Any = ()) -> None:
        super().__init__(ebunch)
        self.latents = set(latents)


class ADMG(nx.MultiDiGraph):  # type: ignore[misc]
    """pgmpy.base.ADMG, where a bidirected edge is two directed ones of another type."""

    def __init__(self, directed_ebunch: Any = (), bidirected_ebunch: Any = ()) -> None:
        super().__init__()
        self.latents: set[str] = set()
        for u, v in directed_ebunch:
            self.add_edge(u, v, type="directed")
        for u, v in bidirected_ebunch:
            self.add_edge(u, v, type="bidirected")
            self.add_edge(v, u, type="bidirected")


class MAG(nx.Graph):  # type: ignore[misc]
    """pgmpy.base.MAG, where an edge knows the marks at its ends."""

    def __init__(self, ebunch: Any) -> None:
        super().__init__()
        self.latents: set[str] = set()
        for u, v, at_u, at_v in ebunch:
            self.add_edge(u, v, marks={u: at_u, v: at_v})


class PDAG(nx.DiGraph):  # type: ignore[misc]
    """pgmpy.base.PDAG, where an undirected edge is two directed ones."""

    def __init__(self, directed_ebunch: Any, undirected_ebunch: Any) -> None:
        super().__init__([*directed_ebunch, *undirected_ebunch])
        self.add_edges_from((v, u) for u, v in undirected_ebunch)
        self.directed_edges, self.undirected_edges = set(directed_ebunch), set(undirected_ebunch)
        self.latents: set[str] = set()


@pytest.fixture
def pgmpy(monkeypatch: pytest.MonkeyPatch) -> None:
    base = ModuleType("pgmpy.base")
    base.DAG, base.ADMG = DAG, ADMG  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pgmpy", ModuleType("pgmpy"))
    monkeypatch.setitem(sys.modules, "pgmpy.base", base)


@pytest.mark.usefixtures("pgmpy")
@pytest.mark.parametrize(("graph", "kind"), [(CONFOUNDED, DAG), (MIXED, ADMG)], ids=str)
def test_pgmpy_gives_back_what_it_got(graph: CausalGraph, kind: type) -> None:
    made = graph.to_pgmpy()
    assert type(made) is kind
    assert CausalGraph.from_pgmpy(made).same_as(graph)


def test_the_marks_of_pgmpy_tell_the_kind_of_an_edge() -> None:
    graph = MAG([("x", "y", "-", ">"), ("z", "y", ">", ">"), ("x", "w", ">", "-")])
    assert str(CausalGraph.from_pgmpy(graph)) == "x -> y; w -> x; y <-> z"


def test_edges_of_pgmpy_without_a_direction_are_named() -> None:
    with pytest.raises(ValueError, match=r"direction of y --- z is open.*Direct these edges"):
        CausalGraph.from_pgmpy(PDAG([("x", "y")], [("y", "z")]))
    with pytest.raises(ValueError, match=r"y --- z, y <-o x is open"):
        CausalGraph.from_pgmpy(MAG([("y", "z", "-", "-"), ("x", "y", "o", ">")]))


def test_a_graph_of_pgmpy_does_not_lose_its_latents_to_networkx() -> None:
    with pytest.raises(TypeError, match=r"pgmpy's DAG: read it by CausalGraph\.from_pgmpy"):
        CausalGraph.from_networkx(DAG([("u", "x")], latents=["u"]))
    with pytest.raises(TypeError, match=r"Got a DiGraph; expected a graph of pgmpy"):
        CausalGraph.from_pgmpy(nx.DiGraph())


# DoWhy 0.14


@dataclass
class DowhyCausalGraph:
    """dowhy.causal_graph.CausalGraph."""

    _graph: nx.DiGraph


@dataclass
class CausalModel:
    """dowhy.CausalModel."""

    _graph: DowhyCausalGraph


@dataclass
class StructuralCausalModel:
    """dowhy.gcm.StructuralCausalModel."""

    graph: nx.DiGraph


@pytest.mark.parametrize("graph", [CONFOUNDED, MIXED], ids=str)
def test_dowhy_gives_back_every_cause_as_a_node(graph: CausalGraph) -> None:
    made = graph.to_dowhy()
    assert type(made) is nx.DiGraph
    models = (made, CausalModel(DowhyCausalGraph(made)), StructuralCausalModel(made))
    for model in models:
        assert CausalGraph.from_dowhy(model).same_as(graph.explicit())
    # Nothing was lost: the separations are those of the bidirected edges.
    assert CausalGraph.from_dowhy(made).latent_projection().same_as(graph.latent_projection())


def test_what_dowhy_does_not_observe_is_latent() -> None:
    graph = nx.DiGraph([("U", "x"), ("U", "y")])
    graph.add_node("U", label="Unobserved Confounders", observed="no", style="filled")
    graph.add_node("x", observed="yes", penwidth=2)
    assert str(CausalGraph.from_dowhy(StructuralCausalModel(graph))) == "U -> x, y | latent: U"
    with pytest.raises(TypeError, match="Got a int; expected a model of DoWhy"):
        CausalGraph.from_dowhy(3)


# causal-learn 0.1.4


class Endpoint(enum.Enum):
    """causallearn.graph.Endpoint."""

    TAIL, ARROW, CIRCLE = -1, 1, 2

    def __str__(self) -> str:
        return self.name


class NodeType(enum.Enum):
    """causallearn.graph.NodeType."""

    MEASURED, LATENT = 1, 2

    def __str__(self) -> str:
        return self.name


@dataclass(eq=False)
class GraphNode:
    """causallearn.graph.GraphNode."""

    name: str
    node_type: NodeType = NodeType.MEASURED

    def get_name(self) -> str:
        return self.name

    def get_node_type(self) -> NodeType:
        return self.node_type

    def set_node_type(self, node_type: NodeType) -> None:
        self.node_type = node_type


@dataclass
class Edge:
    """causallearn.graph.Edge."""

    node1: GraphNode
    node2: GraphNode
    endpoint1: Endpoint
    endpoint2: Endpoint

    def get_node1(self) -> GraphNode:
        return self.node1

    def get_node2(self) -> GraphNode:
        return self.node2

    def get_endpoint1(self) -> Endpoint:
        return self.endpoint1

    def get_endpoint2(self) -> Endpoint:
        return self.endpoint2


@dataclass
class GeneralGraph:
    """causallearn.graph.GeneralGraph."""

    nodes: list[GraphNode]
    edges: list[Edge] = field(default_factory=list)

    def add_edge(self, edge: Edge) -> None:
        self.edges.append(edge)

    def get_nodes(self) -> list[GraphNode]:
        return self.nodes

    def get_graph_edges(self) -> list[Edge]:
        return self.edges


@dataclass
class Found:
    """What causal-learn's ``pc`` returns."""

    G: GeneralGraph


@pytest.fixture
def causal_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    for part in (Edge, Endpoint, GeneralGraph, GraphNode, NodeType):
        module = ModuleType(part.__name__)
        setattr(module, part.__name__, part)
        monkeypatch.setitem(sys.modules, f"causallearn.graph.{part.__name__}", module)
    for package in ("causallearn", "causallearn.graph"):
        monkeypatch.setitem(sys.modules, package, ModuleType(package))


@pytest.mark.usefixtures("causal_learn")
@pytest.mark.parametrize("graph", [CONFOUNDED, MIXED], ids=str)
def test_causal_learn_gives_back_what_it_got(graph: CausalGraph) -> None:
    made = graph.to_causal_learn()
    for holder in (made, Found(made), {"G": made, "score": 1.0}):  # by hand, pc(), ges()
        assert CausalGraph.from_causal_learn(holder).same_as(graph)


def test_what_causal_learn_leaves_open_is_named() -> None:
    x, y, z = map(GraphNode, "xyz")
    edges = [Edge(x, y, Endpoint.CIRCLE, Endpoint.ARROW), Edge(y, z, Endpoint.TAIL, Endpoint.TAIL)]
    with pytest.raises(ValueError, match=r"direction of x o-> y, y --- z is open"):
        CausalGraph.from_causal_learn(Found(GeneralGraph([x, y, z], edges)))
    with pytest.raises(TypeError, match=r"Got a tuple; .*fci\(\) returns a pair"):
        CausalGraph.from_causal_learn((GeneralGraph([x]), []))


@pytest.mark.parametrize(
    ("library", "module"), [("pgmpy", "pgmpy"), ("causal-learn", "causallearn")]
)
def test_a_library_that_is_not_there_is_named(
    library: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    write = getattr(CausalGraph([("x", "y")]), f"to_{library.replace('-', '_')}")
    with pytest.raises(ModuleNotFoundError, match=f"pip install {library}"):
        write()


# Two examples of dagitty.net, in its notation

DAGITTY = {
    "Shrier & Platt": (
        """dag {
        WarmUpExercises [exposure,pos="0.100,0.800"]
        Injury [outcome,pos="0.500,0.900"]
        Coach [pos="0.100,0.100"] Genetics [pos="0.500,0.100"]
        TeamMotivation [pos="0.050,0.300"] FitnessLevel [pos="0.300,0.300"]
        ConnectiveTissueDisorder [pos="0.600,0.300"] NeuromuscularFatigue [pos="0.500,0.500"]
        PreGameProprioception [pos="0.200,0.500"] TissueWeakness [pos="0.700,0.500"]
        IntraGameProprioception [pos="0.350,0.700"] ContactSport [pos="0.100,0.450"]
        PreviousInjury [pos="0.150,0.600"]
        Coach -> { TeamMotivation FitnessLevel } Genetics -> { FitnessLevel
        NeuromuscularFatigue ConnectiveTissueDisorder }
        TeamMotivation -> { WarmUpExercises PreviousInjury }
        FitnessLevel -> { PreGameProprioception NeuromuscularFatigue }
        PreGameProprioception -> WarmUpExercises -> IntraGameProprioception -> Injury
        ConnectiveTissueDisorder -> { TissueWeakness NeuromuscularFatigue }
        TissueWeakness -> Injury
        NeuromuscularFatigue -> { IntraGameProprioception Injury }
        ContactSport -> { PreviousInjury IntraGameProprioception }
        PreviousInjury -> Injury
        }""",
        13,
        20,
    ),
    "M-bias": (
        """dag {
        bb="-3,-3,3,3"
        A [exposure,pos="-1.0,1.0"]
        B [outcome,pos="1.0,1.0"]
        M [adjusted,pos="0.0,0.0"]
        U1 [latent,pos="-1.0,-1.0"]
        U2 [latent,pos="1.0,-1.0"]
        U1 -> A
        U1 -> M
        U2 -> B
        U2 -> M
        A -> B
        }""",
        5,
        5,
    ),
}


@pytest.mark.parametrize("name", DAGITTY)
def test_what_dagitty_shows_is_read_and_written_back(name: str) -> None:
    text, nodes, edges = DAGITTY[name]
    graph = CausalGraph.from_dagitty(text)
    assert (len(graph), len(graph.edges)) == (nodes, edges)
    assert CausalGraph.from_dagitty(graph.to_dagitty()).same_as(graph)


def test_the_example_with_a_known_answer_keeps_it() -> None:
    from pyrocausal import adjustment_sets

    graph = CausalGraph.from_dagitty(DAGITTY["M-bias"][0])
    # M is a collider of latent causes: nothing needs to be adjusted for, and M must not be.
    assert graph.d_separated("U1", "U2")
    assert not graph.d_separated("U1", "U2", given="M")
    assert "{}" in str(adjustment_sets(graph, "B", do="A"))
