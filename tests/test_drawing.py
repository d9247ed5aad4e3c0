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
import pyro
import pyro.distributions as dist
import pytest

import pyrocausal as pc
from pyrocausal.graph import CausalGraph, layered
from pyrocausal.graph.drawing import FORMATS, INK, draw

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
    draw(graph, tmp_path / "other")
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "graph.pdf").read_bytes().startswith(b"%PDF")
    assert b"<svg" in (tmp_path / "other.svg").read_bytes()


@pytest.mark.usefixtures("no_dot", "no_matplotlib")
def test_without_dot_and_matplotlib_the_error_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'pyrocausal\[plot\]'"):
        draw(CausalGraph(CLINIC), tmp_path / "graph.svg")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("no_dot")
@pytest.mark.parametrize("suffix", ["dot", "gv"])
def test_the_source_is_written_without_dot(tmp_path: Path, suffix: str) -> None:
    graph = CausalGraph(CLINIC, ["severity"])
    graph.render(tmp_path / f"graph.{suffix}")
    assert CausalGraph.from_dot((tmp_path / f"graph.{suffix}").read_text()).same_as(graph)


def test_an_unknown_suffix_is_told_the_common_ones(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"'\.xyz' is no format.*Use \.svg, \.png, .*\.dot"
    ) as raised:
        CausalGraph(CLINIC).render(tmp_path / "graph.xyz")
    assert len(str(raised.value)) < 150
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", FORMATS)
def test_matplotlib_draws_every_format(suffix: str) -> None:
    assert len(layered.picture(CausalGraph(CLINIC).do("treated"), suffix)) > 1000


@pytest.fixture
def no_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def in_notebook(value: object) -> dict[str, str]:
    """What a notebook asks of a value before it falls back to the text."""
    bundle: dict[str, str] = value._repr_mimebundle_(include=None, exclude=None)  # type: ignore[attr-defined]
    return bundle


@pytest.mark.usefixtures("no_dot")
def test_a_notebook_shows_graphs_without_dot() -> None:
    graph = CausalGraph(CLINIC)
    scm = pc.SCM(lambda: pyro.sample("x", dist.Normal(0.0, 1.0)))
    for value, names in [(graph, 3), (graph.render(), 3), (scm, 1)]:
        svg = in_notebook(value)["image/svg+xml"]
        assert len(texts(ElementTree.fromstring(svg))) == names


@pytest.mark.usefixtures("no_dot", "no_matplotlib")
def test_a_notebook_that_can_not_draw_shows_the_text() -> None:
    assert in_notebook(CausalGraph(CLINIC)) == {}


def test_a_notebook_shows_the_text_of_a_model_that_waits_for_its_inputs() -> None:
    assert in_notebook(pc.SCM(lambda age: pyro.sample("x", dist.Normal(age, 1.0)))) == {}
    assert in_notebook(pc.SCM(lambda **ages: pyro.sample("x", dist.Normal(ages["a"], 1.0)))) == {}


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz's program dot")
def test_a_notebook_shows_what_was_added_to_a_picture() -> None:
    picture = CausalGraph(CLINIC).render()
    picture.node("added")
    assert "added" in in_notebook(picture)["image/svg+xml"]


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


def test_heads_are_solid_whatever_the_line_is() -> None:
    graph = CausalGraph([("x", "y"), ("y", "z")], bidirected=[("x", "z"), ("x", "y")]).do("y")
    found = styles(svg_of(graph))
    # y -> z has one head, x <-> z two; what was cut has one of x -> y and two of x <-> y.
    for ink, heads in (("line", 1), ("mixed", 2), ("cut", 3)):
        solid = [style for style in found if f"fill: {INK[ink]}" in style]
        assert len(solid) == heads
        assert not any("dasharray" in style for style in solid)


def test_a_part_of_a_curve_lies_on_it() -> None:
    curve = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 0.0]])
    part = layered._along(layered._part(curve, 0.2, 0.7))
    t = np.linspace(0.2, 0.7, 41)[:, None]
    expected = (1 - t) ** 2 * curve[0] + 2 * t * (1 - t) * curve[1] + t**2 * curve[2]
    assert part == pytest.approx(expected)


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz's program dot")
def test_what_is_cut_and_what_is_bidirected_stand_out_in_dot(tmp_path: Path) -> None:
    CausalGraph([("x", "y")], bidirected=[("x", "y")]).render(tmp_path / "a.svg")
    assert INK["mixed"] in (tmp_path / "a.svg").read_text()
    CausalGraph([("x", "y")]).do("y").render(tmp_path / "b.svg")
    drawn = (tmp_path / "b.svg").read_text()
    assert 'stroke-width="1.6"' in drawn
    assert re.search(r'font-family="DejaVu Sans"[^>]*>✂', drawn)
    # Against white: at least the 4.5 that accessibility guidelines ask of text.
    assert contrast(INK["cut"]) > 4.5


def contrast(ink: str) -> float:
    """The contrast ratio of a colour with white, as WCAG 2.1 defines it."""
    levels = [int(ink[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in levels]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


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
    places = layered.places_of(graph)
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
    places = layered.places_of(graph)
    for a, b in itertools.combinations(places.values(), 2):
        apart = np.abs(a.centre - b.centre) >= a.axes + b.axes + 0.2
        assert apart.any()
    for a, b in graph.edges:
        assert places[a].centre[0] + places[a].axes[0] < places[b].centre[0] - places[b].axes[0]


def test_layered_picture_keeps_the_places_of_what_was_cut() -> None:
    before, after = (
        layered.places_of(g) for g in (CausalGraph(CLINIC), CausalGraph(CLINIC).do("treated"))
    )
    assert all((before[name].centre == after[name].centre).all() for name in before)
