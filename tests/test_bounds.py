"""Bounds against published tables, closed forms and hand-made models."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from bounded import BOW, EFFECT, INSTRUMENT, LIPID, MANSKI, VITAMIN_A, ends, pair, trial
from exact_tables import states, states_of

import pyrocausal as pc
from pyrocausal.identification.discrete_models import DiscreteModel

FRONT_DOOR = pc.CausalGraph([("X", "M"), ("M", "Y")], bidirected=[("X", "Y")])
BACK_DOOR = pc.CausalGraph([("Z", "X"), ("Z", "Y"), ("X", "Y")])


@pytest.mark.parametrize(
    ("table", "assumption", "expected"),
    [
        (LIPID, (), (0.392, 0.780)),
        (LIPID, ("X increases in Z",), (0.392, 0.780)),
        (LIPID, ("Y increases in X",), (0.465, 0.780)),
        (VITAMIN_A, (), (-0.1946, 0.0054)),
        (VITAMIN_A, ("X increases in Z",), (-0.1946, 0.0054)),
        (VITAMIN_A, ("Y increases in X",), (0.0026, 0.0054)),
    ],
)
def test_the_published_trials_with_imperfect_compliance_are_reproduced(
    table: Sequence[Sequence[float]], assumption: Sequence[str], expected: tuple[float, float]
) -> None:
    found = pc.bounds(INSTRUMENT, trial(table), **EFFECT, assumptions=assumption, weights="p")
    assert ends(found) == pytest.approx(expected, abs=1e-6)
    assert found.sharp
    assert found.interval is None


@pytest.mark.parametrize("seed", range(12))
def test_an_instrument_gives_the_closed_form_of_balke_and_pearl(seed: int) -> None:
    law = DiscreteModel.random(INSTRUMENT, seed).law()
    found = pc.bounds(INSTRUMENT, states("ZXY", law), **EFFECT, weights="p")
    p = (law / law.sum((1, 2), keepdims=True)).transpose(2, 1, 0)  # p[y, x, z]
    (p000, p001), (p010, p011) = p[0]
    (p100, p101), (p110, p111) = p[1]
    lower = max(
        p111 + p000 - 1,
        p110 + p001 - 1,
        p110 - p111 - p101 - p010 - p100,
        p111 - p110 - p100 - p011 - p101,
        -p011 - p101,
        -p010 - p100,
        p001 - p011 - p101 - p010 - p000,
        p000 - p010 - p100 - p011 - p001,
    )
    upper = min(
        1 - p011 - p100,
        1 - p010 - p101,
        -p010 + p011 + p001 + p110 + p000,
        -p011 + p111 + p001 + p010 + p000,
        p111 + p001,
        p110 + p000,
        -p101 + p111 + p001 + p110 + p100,
        -p100 + p110 + p000 + p111 + p101,
    )
    assert ends(found) == pytest.approx((lower, upper), abs=1e-9)


def test_without_any_knowledge_the_bounds_are_manskis() -> None:
    table = pair(*MANSKI)
    one = pc.bounds(BOW, table, {"Y": 1}, do={"X": 1}, weights="p")
    assert ends(one) == pytest.approx((0.3, 0.8), abs=1e-9)
    effect = pc.bounds(BOW, table, **EFFECT, weights="p")
    assert ends(effect) == pytest.approx((-0.3, 0.7), abs=1e-9)
    rising = pc.bounds(BOW, table, **EFFECT, assumptions="Y increases in X", weights="p")
    assert ends(rising) == pytest.approx((0.0, 0.7), abs=1e-9)


def test_a_mean_over_several_values_has_manskis_bounds() -> None:
    law = np.array([[0.1, 0.2, 0.1], [0.3, 0.2, 0.1]])
    table = states("XY", law).replace({"Y": {0: -1.0, 1: 2.0, 2: 5.0}})
    found = pc.bounds(BOW, table, "Y", do={"X": 1}, weights="p")
    seen = -1 * 0.3 + 2 * 0.2 + 5 * 0.1
    assert ends(found) == pytest.approx((seen - 0.4, seen + 5 * 0.4), abs=1e-9)


def test_one_law_for_each_component_identifies_the_front_door() -> None:
    # One polytope over all response functions leaves [.359, .889] here.
    u, x, m = np.array([0.5, 0.5]), np.array([0.27, 0.67]), np.array([0.1, 0.9])
    y = np.array([[0.3, 0.5], [0.8, 0.8]])  # P(y=1 | m, u)
    both = [np.stack([1 - p, p], -1) for p in (x, m, y)]
    law = np.einsum("u,ux,xm,muy->xmy", u, *both)
    found = pc.bounds(FRONT_DOOR, states("XMY", law), {"Y": 1}, do={"X": 1}, weights="p")
    assert ends(found) == pytest.approx((0.76, 0.76), abs=1e-9)


def test_a_cell_that_never_occurs_opens_an_identified_query() -> None:
    # P(x=1, z=1) = 0, so that P(y=1 | x=1, z=1) may be anything.
    law = np.array([[[0.1, 0.2], [0.1, 0.2]], [[0.15, 0.25], [0.0, 0.0]]])  # z, x, y
    found = pc.bounds(BACK_DOOR, states("ZXY", law), {"Y": 1}, do={"X": 1}, weights="p")
    known = 0.6 * 0.2 / 0.3
    assert ends(found) == pytest.approx((known, known + 0.4), abs=1e-9)
    assert found.sharp


def test_a_condition_after_the_action_bends_the_range() -> None:
    # X -> Y -> Z, X <-> Y: q = P(y | do x) is within Manski's ends, and P(y | do x, z) grows in q.
    graph = pc.CausalGraph([("X", "Y"), ("Y", "Z")], bidirected=[("X", "Y")])
    law = np.einsum("xy,yz->xyz", [[0.4, 0.1], [0.2, 0.3]], [[0.8, 0.2], [0.3, 0.7]])
    found = pc.bounds(
        graph, states("XYZ", law), {"Y": 1}, do={"X": 1}, given={"Z": 1}, weights="p"
    )
    expected = tuple(q * 0.7 / (q * 0.7 + (1 - q) * 0.2) for q in (0.3, 0.8))
    assert ends(found) == pytest.approx(expected, abs=1e-9)
    assert "fractional" in found.route


def test_two_open_factors_give_products_of_intervals_that_claim_no_sharpness() -> None:
    # Two bows, A -> B and C -> D, whose effects meet in Y = B and D.
    graph = pc.CausalGraph(
        [("A", "B"), ("C", "D"), ("B", "Y"), ("D", "Y")], bidirected=[("A", "B"), ("C", "D")]
    )
    bow = np.array([[0.4, 0.1], [0.2, 0.3]])
    both = np.zeros((2, 2, 2))
    both[..., 0] = 1
    both[1, 1] = [0, 1]
    law = np.einsum("ab,cd,bdy->abcdy", bow, bow, both)
    found = pc.bounds(graph, states("ABCDY", law), {"Y": 1}, do={"A": 1, "C": 1}, weights="p")
    assert ends(found) == pytest.approx((0.3 * 0.3, 0.8 * 0.8), abs=1e-9)
    assert not found.sharp
    assert "products of intervals" in str(found)
    effect = pc.bounds(
        graph,
        states("ABCDY", law),
        {"Y": 1},
        do={"A": 1, "C": 1},
        versus={"A": 0, "C": 0},
        weights="p",
    )
    assert ends(effect) == pytest.approx((0.09 - 0.6**2, 0.64 - 0.1**2), abs=1e-9)


def test_three_nodes_are_sharp_with_one_latent_and_not_with_three() -> None:
    edges = [("X", "Y"), ("W", "X")]
    one = pc.CausalGraph([*edges, *(("U", v) for v in "WXY")], latent=["U"])
    three = pc.CausalGraph(edges, bidirected=[("W", "X"), ("X", "Y"), ("W", "Y")])
    table = states_of(DiscreteModel.random(one, seed=1))
    found = [pc.bounds(g, table, {"Y": 1}, do={"X": 1}, weights="p") for g in (one, three)]
    assert [answer.sharp for answer in found] == [True, False]
    assert ends(found[0]) == pytest.approx(ends(found[1]), abs=1e-12)
    joined = pc.CausalGraph(
        [*edges, ("T", "W"), ("T", "U"), ("U", "X"), ("U", "Y")], latent=["T", "U"]
    )
    assert pc.bounds(joined, table, {"Y": 1}, do={"X": 1}, weights="p").sharp


def test_a_component_too_large_to_list_is_cut_to_what_the_effect_needs() -> None:
    causes = [(f"C{i}", "W") for i in range(4)]
    graph = pc.CausalGraph(
        [("X", "Y"), *causes], bidirected=[("X", "Y"), ("Y", "W")], nodes=["X", "Y", "W"]
    )
    table = states_of(DiscreteModel.random(graph, seed=0))
    found = pc.bounds(graph, table, {"Y": 1}, do={"X": 1}, weights="p")
    p = table.groupby(["X", "Y"])["p"].sum()
    assert ends(found) == pytest.approx((p[1, 1], 1 - p[1, 0]), abs=1e-9)
    assert "8 response functions of {X, Y}" in found.route
    assert not found.sharp
    rows = table.sample(500, weights="p", replace=True, random_state=0).drop(columns="p")
    assert pc.bounds(graph, rows, {"Y": 1}, do={"X": 1}).interval is None


def test_a_node_with_too_many_response_functions_is_named() -> None:
    causes = [(f"C{i}", "Y") for i in range(5)]
    graph = pc.CausalGraph([("X", "Y"), *causes], bidirected=[("X", "Y")])
    values = np.random.default_rng(0).integers(2, size=(200, 7))
    rows = pd.DataFrame(values, columns=["X", "Y", *(f"C{i}" for i in range(5))])
    with pytest.raises(ValueError, match=r"'Y' has 1\.84e\+19 response functions"):
        pc.bounds(graph, rows, {"Y": 1}, do={"X": 1})


def test_an_experiment_with_two_settings_changes_nothing_where_the_cause_is_none() -> None:
    found = pc.bounds(
        pc.CausalGraph([("Y", "X")]), pair(*MANSKI), "Y", {"X": 1}, versus={"X": 0}, weights="p"
    )
    assert ends(found) == pytest.approx((0, 0), abs=1e-12)


def test_an_assumption_that_the_table_contradicts_is_an_error() -> None:
    law = np.array([[0.1, 0.4], [0.4, 0.1]])
    with pytest.raises(ValueError, match="contradict the graph and the assumption 'Y increases"):
        pc.bounds(
            pc.CausalGraph([("X", "Y")]),
            states("XY", law),
            **EFFECT,
            assumptions=["Y increases in X"],
            weights="p",
        )
    falling = pc.bounds(
        pc.CausalGraph([("X", "Y")]),
        states("XY", law),
        **EFFECT,
        assumptions=["Y decreases in X"],
        weights="p",
    )
    assert ends(falling) == pytest.approx((-0.6, -0.6), abs=1e-9)


def test_a_program_with_latents_is_bounded_like_its_graph() -> None:
    def program() -> None:
        u = pyro.sample("U", dist.Bernoulli(0.5))
        x = pyro.sample("X", dist.Bernoulli(0.2 + 0.6 * u))
        pyro.sample("Y", dist.Bernoulli(0.1 + 0.3 * x + 0.4 * u))

    hidden = pc.scm(program, latent=["U"])
    rows = {name: values.to(torch.int64) for name, values in hidden.sample(500, seed=0).items()}
    found = pc.bounds(hidden, rows, "Y", do={"X": 1}, versus={"X": 0})
    assert found.interval is not None
    assert found.interval[0] < found.lower < 0.3 < found.upper < found.interval[1]
