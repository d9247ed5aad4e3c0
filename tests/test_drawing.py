"""Pictures of causal graphs: what is in them, with and without Graphviz and matplotlib."""

import itertools
import logging
import random
import re
import shutil
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import graphviz
import numpy as np
import pytest

from pyrocausal.graph import CausalGraph, layered
from pyrocausal.graph.drawing import INK, draw

# severity -> treated, recovery; treated -> recovery
CLINIC = [("severity", "treated"), ("severity", "recovery"), ("treated", "recovery")]


@pytest.fixture
def no_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> bytes:
        raise graphviz.ExecutableNotFound(["dot"])

    monkeypatch.setattr(graphviz.Digraph, "pipe", refuse)


def svg_of(graph: CausalGraph) -> ElementTree.Element:
    return ElementTree.fromstring(layered.picture(graph))


def texts(svg: ElementTree.Element) -> list[str]:
    return [
        "".join(element.itertext()).strip()
        for element in svg.iter()
        if element.tag.endswith("text")
    ]


def styles(svg: ElementTree.Element) -> list[str]:
    return [element.get("style", "") for element in svg.iter() if element.tag.endswith("path")]


def test_source_marks_latent_intervened_bidirected_and_cut() -> None:
    graph = CausalGraph([("U", "x"), ("x", "y")], ["U"], [("x", "y"), ("y", "z")]).do("x")
    source = graph.render().source
    assert re.search(r"\tU \[style=dashed\]", source)
    assert re.search(r"\tx \[.*peripheries=2", source)
    assert re.search(r"\tx -> y\n", source)
    assert re.search(r"\ty -> z \[.*dir=both style=dashed", source)
    assert re.search(r"\tU -> x \[label=\"✂\".*style=dotted", source)
    assert re.search(r"\tx -> y \[label=\"✂\".*dir=both.*style=dotted", source)


def test_source_reads_back_as_the_graph_where_nothing_was_cut() -> None:
    rng = random.Random(0)
    names = ["x", "blood pressure", "X*", "node", "2nd"]
    for _ in range(20):
        pairs = list(itertools.combinations(names, 2))
        edges = [pair for pair in pairs if rng.random() < 0.4]
        graph = CausalGraph(edges, rng.sample(names, 2), rng.sample(pairs, 2), nodes=names)
        assert CausalGraph.from_dot(graph.render().source).same_as(graph)


@pytest.mark.parametrize("name", ["a:b", r"back\n", "<b>", 'say "hi"'])
def test_source_shows_odd_names_as_labels(name: str) -> None:
    source = CausalGraph([(name, "y")]).render().source
    assert '"node 0" -> y' in source
    assert graphviz.quoting.quote(graphviz.escape(name)) in source


@pytest.mark.usefixtures("no_dot")
def test_without_dot_matplotlib_draws_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "graph.svg"
    with caplog.at_level(logging.INFO, logger="pyrocausal"):
        picture = CausalGraph(CLINIC).render(path)
    assert isinstance(picture, graphviz.Digraph)
    assert "matplotlib draws" in caplog.text
    assert set(texts(ElementTree.parse(path).getroot())) == {"severity", "treated", "recovery"}


@pytest.mark.usefixtures("no_dot")
def test_the_suffix_decides_the_format(tmp_path: Path) -> None:
    graph = CausalGraph(CLINIC)
    draw(graph, tmp_path / "graph.png")
    draw(graph, str(tmp_path / "graph.pdf"))
    draw(graph, tmp_path / "graph")
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "graph.pdf").read_bytes().startswith(b"%PDF")
    assert b"<svg" in (tmp_path / "graph").read_bytes()


@pytest.mark.usefixtures("no_dot")
def test_without_dot_and_matplotlib_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'pyrocausal\[plot\]'"):
        draw(CausalGraph(CLINIC), tmp_path / "graph.svg")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz's program dot")
def test_dot_draws_every_node_and_edge(tmp_path: Path) -> None:
    path = tmp_path / "graph.svg"
    CausalGraph(CLINIC, ["severity"]).do("treated").render(path)
    svg = ElementTree.parse(path).getroot()
    assert sorted(texts(svg)) == ["recovery", "severity", "treated", "✂"]
    kinds = [element.get("class") for element in svg.iter()]
    assert (kinds.count("node"), kinds.count("edge")) == (3, 3)


def test_layered_picture_marks_latent_intervened_bidirected_and_cut() -> None:
    plain = CausalGraph([("U", "x"), ("x", "y")], bidirected=[("x", "y")])
    latent = CausalGraph([("U", "x"), ("x", "y")], ["U"], [("x", "y")])
    done = latent.do("x")
    dashes = [sum("dasharray" in style for style in styles(svg_of(g))) for g in (plain, latent)]
    assert dashes[1] == dashes[0] + 1  # the border of U
    assert texts(svg_of(latent)).count("✂") == 0
    assert texts(svg_of(done)).count("✂") == 2
    filled = [sum(INK["set"] in style for style in styles(svg_of(g))) for g in (latent, done)]
    assert filled == [0, 2]  # the double border of x
    assert any(INK["cut"] in style for style in styles(svg_of(done)))


def test_layered_picture_shows_dollars_and_foreign_letters_as_they_are() -> None:
    graph = CausalGraph([("cost $x$", "größe"), ("größe", "結果")])
    assert set(texts(svg_of(graph))) == {"cost $x$", "größe", "結果"}


def test_layered_picture_of_the_same_graph_is_the_same_file() -> None:
    graph = CausalGraph(CLINIC, bidirected=[("severity", "recovery")]).twin("treated")
    assert layered.picture(graph) == layered.picture(graph)


def test_layered_picture_of_no_node_is_a_picture() -> None:
    assert texts(svg_of(CausalGraph())) == []


def layout_graphs() -> list[CausalGraph]:
    # napkin; front door; the clinic's twin; a long name above a long edge
    napkin = CausalGraph([("W", "Z"), ("Z", "X"), ("X", "Y")], bidirected=[("W", "X"), ("W", "Y")])
    front = CausalGraph([("X", "M"), ("M", "Y")], bidirected=[("X", "Y")])
    long = [
        ("x", "a very long name of a mediator"),
        ("a very long name of a mediator", "y"),
        ("x", "y"),
    ]
    return [
        napkin,
        front,
        CausalGraph(CLINIC).twin("treated"),
        CausalGraph(long),
        CausalGraph(CLINIC),
    ]


@pytest.mark.parametrize("graph", layout_graphs(), ids=str)
def test_layered_edges_run_through_no_node_and_touch_their_own(graph: CausalGraph) -> None:
    places = layered._places(graph)
    for kind, bends in (
        (list(graph.edges), layered._STRAIGHT_FIRST),
        (graph.bidirected_pairs(), layered._BENT),
    ):
        for a, b in kind:
            curve = layered._route(places, a, b, bends)
            points = layered._along(curve)
            others = [places[name] for name in graph if name not in {a, b}]
            assert not any(place.meets(points) for place in others), (a, b)
            for name, end in ((a, points[0]), (b, points[-1])):
                offset = (end - places[name].centre) / places[name].axes
                assert np.linalg.norm(offset) == pytest.approx(1.0)


@pytest.mark.parametrize("graph", layout_graphs(), ids=str)
def test_layered_nodes_are_apart_and_causes_stand_left(graph: CausalGraph) -> None:
    places = layered._places(graph)
    for a, b in itertools.combinations(places.values(), 2):
        apart = np.abs(a.centre - b.centre) >= a.axes + b.axes + 0.2
        assert apart.any()
    for a, b in graph.edges:
        assert places[a].centre[0] + places[a].axes[0] < places[b].centre[0] - places[b].axes[0]


def test_layered_picture_keeps_the_places_of_what_was_cut() -> None:
    before, after = (
        layered._places(g) for g in (CausalGraph(CLINIC), CausalGraph(CLINIC).do("treated"))
    )
    assert all((before[name].centre == after[name].centre).all() for name in before)
