"""Named graphs of the literature: the known verdict and formula, and the truth by enumeration."""

import numpy as np
import pandas as pd
import pytest
from written_graphs import graph_of

import pyrocausal as pc
from pyrocausal.identification.discrete_models import DiscreteModel
from pyrocausal.identification.query_text import read_query

# Pearl (2009), Causality, figures 3.4, 3.5, 3.8 and 3.9; Shpitser and Pearl (2006, 2008); Hernán
# and Robins (2020), chapter 7; Tian and Pearl (2002).
IDENTIFIED = {
    "an effect without confounding": ("X>Y", "", "P(Y | do(X))", "P(y | x)"),
    "a confounder of mediator and outcome": (
        "X>M M>Y X>Y",
        "M-Y",
        "P(Y | do(X))",
        "P(y | x)",
    ),
    "back door: two blocked ways": (
        "A>B A>C B>D C>D C>E B>X D>X D>Y E>Y X>F F>Y",
        "",
        "P(Y | do(X))",
        None,
    ),
    "back door: a proxy next to the treatment": (
        "Z>X X>Y",
        "Z-Y",
        "P(Y | do(X))",
        "sum_z P(y | x, z) P(z)",
    ),
    "back door: a proxy next to the outcome": (
        "Z>Y X>Y",
        "X-Z",
        "P(Y | do(X))",
        "sum_z P(y | x, z) P(z)",
    ),
    "front door": (
        "X>Z Z>Y",
        "X-Y",
        "P(Y | do(X))",
        "sum_z P(z | x) sum_x' P(y | x', z) P(x')",
    ),
    "front door with two mediators in a row": (
        "X>A A>B B>Y",
        "X-Y",
        "P(Y | do(X))",
        "sum_a P(a | x) sum_x' P(y | x', a) P(x')",
    ),
    "front door below a confounder": (
        "C>X C>Y X>Z Z>Y",
        "X-Y",
        "P(Y | do(X))",
        None,
    ),
    "effect of the mediator of a front door": (
        "X>Z Z>Y",
        "X-Y",
        "P(Y | do(Z))",
        "sum_x P(y | z, x) P(x)",
    ),
    "M-bias": ("X>Y", "X-Z Z-Y", "P(Y | do(X))", "P(y | x)"),
    "napkin": (
        "W>Z Z>X X>Y",
        "W-X W-Y",
        "P(Y | do(X))",
        "[sum_w P(x, y | w, z) P(w)] / [sum_w P(x | w, z) P(w)]",
    ),
    "sequential back door": (
        "A>L L>B A>Y B>Y L>Y",
        "L-Y",
        "P(Y | do(A, B))",
        "sum_l P(y | a, b, l) P(l | a)",
    ),
    "Verma": (
        "A>B B>C C>D",
        "B-D",
        "P(D | do(C))",
        "sum_b P(d | c, b) P(b)",
    ),
    "effect on a cause": ("X>Z Y>Z", "", "P(Y | do(X))", "P(y)"),
    "a collider seen after the action": ("X>Z Y>Z", "", "P(Y | do(X), Z)", "P(y | x, z)"),
}
NOT_IDENTIFIED = {
    "bow": ("X>Y", "X-Y", "P(Y | do(X))"),
    "instrument": ("Z>X X>Y", "X-Y", "P(Y | do(X))"),
    "confounded mediator": ("X>Z Z>Y", "X-Z", "P(Y | do(X))"),
    "confounded mediator beside a direct effect": ("X>Z Z>Y X>Y", "X-Z", "P(Y | do(X))"),
    "mediator confounded with both": ("X>Z Z>Y", "X-Z Z-Y", "P(Y | do(X))"),
    "front door with a direct effect": ("X>Z Z>Y X>Y", "X-Y", "P(Y | do(X))"),
    "front door with a confounded mediator": ("X>Z Z>Y", "X-Y Z-Y", "P(Y | do(X))"),
    "a proxy confounded with both": ("Z>X Z>Y X>Y", "Z-X Z-Y X-Y", "P(Y | do(X))"),
    "a confounded proxy of the treatment": ("Z>X X>Y", "X-Z Z-Y X-Y", "P(Y | do(X))"),
    "butterfly bias, its two causes latent": ("Z>X Z>Y X>Y", "X-Z Z-Y", "P(Y | do(X))"),
    "napkin, given W": ("W>Z Z>X X>Y", "W-X W-Y", "P(Y | do(X), W)"),
}


@pytest.mark.parametrize("name", IDENTIFIED)
def test_what_is_known_to_be_identified_is_and_equals_the_truth(name: str) -> None:
    directed, bidirected, query, formula = IDENTIFIED[name]
    graph, asked = graph_of(directed, bidirected), read_query(query)
    estimand = pc.identify(graph, query)
    assert formula in (None, estimand.formula)
    for seed in range(3):
        model = DiscreteModel.random(graph, seed)
        truth = model.effect(asked.outcome, asked.do, asked.given)
        do, given = dict.fromkeys(asked.do, 1), dict.fromkeys(asked.given, 0)
        answer = estimand.evaluate(model.table(), do, given)
        np.testing.assert_allclose(answer, truth[(*do.values(), *given.values())], atol=1e-12)


@pytest.mark.parametrize("name", NOT_IDENTIFIED)
def test_what_is_known_not_to_be_identified_is_refused_with_its_witness(name: str) -> None:
    directed, bidirected, query = NOT_IDENTIFIED[name]
    graph = graph_of(directed, bidirected)
    with pytest.raises(pc.NotIdentified) as refusal:
        pc.identify(graph, query)
    assert refusal.value.hedge is not None
    assert refusal.value.hedge.verify(graph)


# The spread over a free variable, judged by bootstrap


def napkin(seed: int, n: int, direct: float) -> pd.DataFrame:
    # W -> Z -> X -> Y, W <-> X, W <-> Y; the napkin has no Z -> Y
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, n)) < 0.5
    w = rng.random(n) < 0.2 + 0.3 * a + 0.3 * b
    z = rng.random(n) < 0.3 + 0.4 * w
    x = rng.random(n) < 0.2 + 0.3 * z + 0.3 * a
    y = rng.random(n) < 0.2 + 0.3 * x + 0.3 * b + direct * z
    return pd.DataFrame({"W": w, "Z": z, "X": x, "Y": y}).astype(int)


NAPKIN = pc.identify(graph_of("W>Z Z>X X>Y", "W-X W-Y"), "Y", do="X")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyrocausal.identification.spread.REPLICATES", 59)


@pytest.mark.usefixtures("few")
def test_a_spread_by_chance_is_seldom_called_more() -> None:
    p = [NAPKIN.evaluate(napkin(s, 400, 0.0), {"X": 1}).attrs["spread p"] for s in range(40)]
    # Binomial(40, .05) exceeds 7 with probability .0007; (40, .5) lies in 10 .. 30 but for .001.
    assert sum(value <= 0.05 for value in p) <= 7
    assert 10 <= sum(value <= 0.5 for value in p) <= 30


def test_a_wrong_graph_spreads_more_than_chance_does() -> None:
    answer = NAPKIN.evaluate(napkin(0, 4000, 0.2), {"X": 1})
    assert answer.attrs["spread p"] < 0.01
    assert f"spread over Z {answer.attrs['spread']:.2g} (p 0.005)" in str(answer.name)


def test_without_rows_or_free_variables_no_spread_is_judged() -> None:
    rows = napkin(0, 400, 0.0)
    states = rows.value_counts(normalize=True).rename("p").reset_index()
    exact = NAPKIN.evaluate(states, {"X": 1}, weights="p")
    assert "spread" in exact.attrs
    assert "spread p" not in exact.attrs
    simple = pc.identify(graph_of("X>Y"), "Y", do="X").evaluate(rows, {"X": 1})
    assert not simple.attrs
