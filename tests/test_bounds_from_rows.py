"""Bounds from rows: projection on the model, contradiction, and intervals that cover."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from exact_tables import states_of
from scipy import optimize, stats

import pyrocausal as pc
from pyrocausal.bounding.program import Laws
from pyrocausal.bounding.projection import divergence, project
from pyrocausal.bounding.response_functions import ResponseFunctions
from pyrocausal.bounding.sampling_error import clopper_pearson
from pyrocausal.identification.admg import Admg
from pyrocausal.identification.discrete_models import DiscreteModel

INSTRUMENT = pc.CausalGraph([("Z", "X"), ("X", "Y")], bidirected=[("X", "Y")])
FRONT_DOOR = pc.CausalGraph([("X", "M"), ("M", "Y")], bidirected=[("X", "Y")])
VERMA = pc.CausalGraph([("A", "X"), ("X", "C"), ("C", "Y")], bidirected=[("X", "Y")])
BACK_DOOR = pc.CausalGraph([("Z", "X"), ("Z", "Y"), ("X", "Y")])


def draw(table: pd.DataFrame, rows: int, seed: int) -> pd.DataFrame:
    """Return rows drawn from a table of all states."""
    counts = np.random.default_rng(seed).multinomial(rows, table["p"] / table["p"].sum())
    return table.drop(columns="p").loc[table.index.repeat(counts)]


def least_distance(cells: npt.NDArray[np.intp], weights: npt.NDArray[np.float64]) -> float:
    """Return the least mean of -log Q over laws, by a general optimiser on the log scale."""
    contexts = np.arange(len(cells))[:, None]
    types = np.zeros((*weights.shape, cells.shape[1]))
    types[contexts, cells, np.arange(cells.shape[1])] = 1

    def loss(logits: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        law = np.exp(logits - logits.max())
        law /= law.sum()
        image = types @ law
        ratio = weights / image
        gain = np.einsum("cv,cvk->k", ratio, types)
        return -float((weights * np.log(image)).sum()), -law * (gain - 1)

    start = np.zeros(cells.shape[1])
    options = {"maxiter": 20_000, "ftol": 1e-15, "gtol": 1e-9}
    return float(optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options=options).fun)


@pytest.mark.parametrize("seed", range(3))
def test_the_projection_is_the_maximum_of_the_likelihood(seed: int) -> None:
    weights = np.random.default_rng(seed).dirichlet(np.ones(16)).reshape(4, 4)
    g = Admg.from_graph(VERMA)
    types = ResponseFunctions.of(g, {"X", "Y"}, dict.fromkeys("AXCY", 2))
    cells = types.cells({"X", "Y"})
    image, law = project(cells, weights)
    np.testing.assert_allclose(Laws(cells, image, image).matrix @ law, image.ravel(), atol=1e-12)
    table = weights / weights.sum(1, keepdims=True)
    best = least_distance(cells, weights) + float((weights * np.log(table)).sum())
    assert divergence(weights, table, image) == pytest.approx(best, abs=1e-7)


def test_the_limits_of_a_cell_are_the_exact_binomial_ones() -> None:
    counts, totals = np.array([0.0, 3, 17, 20]), np.array([20.0, 20, 20, 20])
    low, high = clopper_pearson(counts, totals, 0.01)
    for k, least, greatest in zip(counts, low, high, strict=True):
        exact = stats.binomtest(int(k), 20).proportion_ci(0.99, method="exact")
        assert (least, greatest) == pytest.approx(tuple(exact))


def test_rows_of_a_graph_with_a_hidden_constraint_are_projected_and_not_refused() -> None:
    table = states_of(DiscreteModel.random(VERMA, seed=5))
    truth = pc.bounds(VERMA, table, {"Y": 1}, do={"X": 1}, weights="p")
    rows, distances = 100_000, []
    for seed in range(12):
        found = pc.bounds(VERMA, draw(table, rows, seed), {"Y": 1}, do={"X": 1})
        distances.append(2 * rows * found.distance)
        assert found.width < 1e-9
        # n = 100,000: five standard errors of a probability are below .008.
        assert found.lower == pytest.approx(truth.lower, abs=0.02)
    assert min(distances) > 0
    # Two constraints of separation and two hidden ones: chi-square on 4, its mean 4 with a
    # standard error of sqrt(8 / 12) = .82.
    assert np.mean(distances) == pytest.approx(4, abs=3 * 0.82)


def test_a_hidden_constraint_that_fails_contradicts_the_graph() -> None:
    wrong = pc.CausalGraph([*VERMA.edges, ("A", "Y")], bidirected=[("X", "Y")])
    table = states_of(DiscreteModel.random(wrong, seed=1))
    with pytest.raises(ValueError, match="the data contradict the graph"):
        pc.bounds(VERMA, draw(table, 5000, 0), {"Y": 1}, do={"X": 1})
    with pytest.raises(ValueError, match="an exact table has at most"):
        pc.bounds(VERMA, table, {"Y": 1}, do={"X": 1}, weights="p")
    pc.bounds(wrong, draw(table, 5000, 0), {"Y": 1}, do={"X": 1})


def test_a_separation_that_fails_contradicts_the_graph() -> None:
    table = states_of(DiscreteModel.random(BACK_DOOR, seed=0))
    apart = pc.CausalGraph([("Z", "X"), ("X", "Y")])
    with pytest.raises(ValueError, match="the data contradict the graph"):
        pc.bounds(apart, draw(table, 5000, 0), {"Y": 1}, do={"X": 1})


def test_the_instrumental_inequality_contradicts_the_graph() -> None:
    # P(y=1, x=1 | z=0) = P(y=0, x=1 | z=1) = .7: no assignment of types does that.
    law = np.array([[[0.1, 0.1], [0.1, 0.7]], [[0.1, 0.1], [0.7, 0.1]]]) / 2  # z, x, y
    table = pd.DataFrame(list(np.ndindex(2, 2, 2)), columns=list("ZXY")).assign(p=law.ravel())
    with pytest.raises(ValueError, match=r"2 n KL = .* 99\.9 % point"):
        pc.bounds(INSTRUMENT, draw(table, 300, 0), "Y", do={"X": 1})


@pytest.mark.parametrize("graph", [INSTRUMENT, FRONT_DOOR, VERMA, BACK_DOOR], ids=str)
@pytest.mark.parametrize("runs", [10, pytest.param(60, marks=pytest.mark.slow)])
def test_the_interval_covers_the_bounds_of_the_population(
    graph: pc.CausalGraph, runs: int
) -> None:
    query: dict[str, Any] = {"outcome": "Y", "do": {"X": 1}, "versus": {"X": 0}}
    covered = 0
    for seed in range(runs):
        table = states_of(DiscreteModel.random(graph, seed))
        truth = pc.bounds(graph, table, **query, weights="p")
        found = pc.bounds(graph, draw(table, 400, seed), **query)
        assert found.interval is not None
        assert found.interval[0] <= found.lower <= found.upper <= found.interval[1]
        inside = found.interval[0] <= truth.lower + 1e-9, truth.upper - 1e-9 <= found.interval[1]
        covered += all(inside)
    assert covered >= stats.binom.ppf(0.001, runs, 0.95)


def test_an_interval_shrinks_with_the_root_of_the_number_of_rows() -> None:
    table = states_of(DiscreteModel.random(INSTRUMENT, seed=2))
    beyond = []
    for rows in (1000, 16_000):
        found = pc.bounds(INSTRUMENT, draw(table, rows, 0), {"Y": 1}, do={"X": 1})
        assert found.interval is not None
        beyond.append(found.interval[1] - found.interval[0] - found.width)
    assert beyond[0] / beyond[1] == pytest.approx(4, rel=0.35)


def test_the_card_of_rows_shows_the_interval_and_the_distance() -> None:
    table = states_of(DiscreteModel.random(VERMA, seed=5))
    text = str(pc.bounds(VERMA, draw(table, 2000, 1), {"Y": 1}, do={"X": 1}))
    assert "95 % interval (outer, 2000 rows): [" in text
    assert "projected on the model, at " in text
