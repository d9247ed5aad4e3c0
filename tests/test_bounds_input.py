"""Bounds as they are asked for and shown: the card, and questions that make no sense."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from bounded import BOW, MANSKI, ends, pair
from exact_tables import states

import pyrocausal as pc


def test_the_card_says_what_the_bounds_rest_on() -> None:
    found = pc.bounds(
        BOW,
        pair(*MANSKI),
        {"Y": 1},
        do={"X": 1},
        assumptions=["Y increases in X"],
        weights="p",
    )
    assert str(found).splitlines() == [
        "P(Y=1 | do(X=1)) in [0.4000, 0.8000]",
        "rung: 2 (doing)",
        "sharp: yes, a model of the graph with this table attains each end",
        "route: linear program over 6 response functions of {X, Y}",
        "assumes: the graph X -> Y; X <-> Y",
        "assumes: Y increases in X",
    ]
    frame = found.to_frame()
    assert frame.loc["P(Y=1 | do(X=1))", "upper"] == pytest.approx(0.8)
    assert found.width == pytest.approx(0.4)


BAD: dict[str, tuple[Mapping[str, Any], str]] = {
    "unknown outcome": ({"outcome": {"Q": 1}}, "no variable 'Q'"),
    "unknown action": ({"do": {"Q": 1}}, "no variable 'Q'"),
    "outcome is set": ({"outcome": {"X": 1}}, "'X' is in outcome and in do"),
    "outcome is given": ({"given": {"Y": 1}}, "'Y' is in outcome and in given"),
    "no outcome": ({"outcome": {}}, "no outcome"),
    "latent": ({"do": {"U": 1}}, "'U' is latent"),
    "a value that never occurs": ({"do": {"X": 2}}, "X=2 occurs in no row; the rows have 0, 1"),
    "names for values": ({"do": "X"}, r"expected values by name, such as do=\{'X': 1\}"),
    "several names": ({"outcome": ["Y"]}, "expected a name, for its mean"),
    "assumption": ({"assumptions": ["Y is nice"]}, "can't read the assumption 'Y is nice'"),
    "values that the data tell": (
        {"assumptions": ["X is binary"]},
        "'X is binary'; the data tell",
    ),
    "no direct cause": ({"assumptions": ["X increases in Y"]}, "'Y' is no direct cause of 'X'"),
    "unknown in assumption": ({"assumptions": ["Y increases in Q"]}, "no variable 'Q'"),
    "weights": ({"weights": "bad"}, "expected probabilities that sum to 1"),
    "no such weights": ({"weights": "q"}, "no variable 'q'"),
    "no graph": ({"graph_or_scm": [("X", "Y")]}, "expected a CausalGraph or an SCM"),
    "column": ({"data": {"X": [0, 1], "p": [0.5, 0.5]}}, "no variable 'Y'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_apart(name: str) -> None:
    change, message = BAD[name]
    asked = {
        "graph_or_scm": pc.CausalGraph([("X", "Y"), ("U", "X"), ("U", "Y")], latent=["U"]),
        "data": pair(*MANSKI).assign(bad=0.3),
        "outcome": {"Y": 1},
        "do": {"X": 1},
        "weights": "p",
    }
    with pytest.raises((ValueError, TypeError, KeyError), match=message):
        pc.bounds(**{**asked, **change})


def test_a_continuous_column_is_refused() -> None:
    values = np.random.default_rng(0).normal(size=100)
    with pytest.raises(ValueError, match="'Y' is continuous"):
        pc.bounds(BOW, {"X": values > 0, "Y": values}, "Y", do={"X": True})


def test_words_have_no_mean_and_no_order() -> None:
    table = pair(*MANSKI).replace({"Y": {0: "ill", 1: "well"}})
    with pytest.raises(ValueError, match="it has no mean"):
        pc.bounds(BOW, table, "Y", do={"X": 1}, weights="p")
    with pytest.raises(ValueError, match="'increases' has no meaning"):
        pc.bounds(
            BOW, table, {"Y": "well"}, {"X": 1}, assumptions=["Y increases in X"], weights="p"
        )
    found = pc.bounds(BOW, table, {"Y": "well"}, do={"X": 1}, weights="p")
    assert ends(found) == pytest.approx((0.3, 0.8), abs=1e-9)


def test_a_cycle_is_refused() -> None:
    graph = pc.CausalGraph([("X", "Y")])
    graph.add_edge("Y", "X")
    with pytest.raises(ValueError, match="cycle"):
        pc.bounds(graph, pair(*MANSKI), "Y", do={"X": 1}, weights="p")


def test_a_condition_that_can_not_occur_after_the_action_is_an_error() -> None:
    # X -> Z is a copy, so that Z = 0 never follows do(X = 1).
    graph = pc.CausalGraph([("X", "Z"), ("X", "Y"), ("Y", "Z")], bidirected=[("X", "Y")])
    law = np.zeros((2, 2, 2))
    law[0, :, 0], law[1, :, 1] = [0.3, 0.2], [0.1, 0.4]
    with pytest.raises(ValueError, match="gives the condition a positive probability"):
        pc.bounds(graph, states("XYZ", law), "Y", do={"X": 1}, given={"Z": 0}, weights="p")


def test_a_known_condition_that_can_not_occur_after_the_action_is_an_error() -> None:
    law = np.zeros((2, 2, 2))
    law[0, :, 0], law[1, :, 1] = [0.3, 0.2], [0.1, 0.4]
    graph = pc.CausalGraph([("X", "Z"), ("X", "Y"), ("Y", "Z")])
    with pytest.raises(ValueError, match="gives the condition a positive probability"):
        pc.bounds(graph, states("XYZ", law), "Y", do={"X": 1}, given={"Z": 0}, weights="p")


def test_without_scipy_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=r"pip install 'pyrocausal\[bounds\]'"):
        pc.bounds(BOW, pair(*MANSKI), "Y", do={"X": 1}, weights="p")
