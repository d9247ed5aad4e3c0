"""The controls S1 to S8 have the graph, the effect and the bias they declare."""

import numpy as np
import pytest
import torch

from pyrocausal import zoo

NAIVE = {
    "S1": 2.84,
    "S2": 2.83,
    "S3": 1.80,
    "S4": 0.350,
    "S5": 2.99,
    "S6": 2.0,
    "S7": 1.17,
    "S8": 2.40,
}
each = pytest.mark.parametrize("name", zoo.CONFOUNDED)


@each
def test_the_declared_edges_are_those_of_the_program(name: str) -> None:
    model = zoo.CONFOUNDED[name]
    graph = model.scm().graph
    assert set(graph.edges) == set(model.edges)
    assert graph.latent >= {"u"}


@each
def test_doing_gives_the_declared_effect(name: str) -> None:
    model = zoo.CONFOUNDED[name]
    done = [model.scm().do(t=t).sample(40_000, seed=0)["y"].double() for t in (1.0, 0.0)]
    difference = done[0] - done[1]
    error = float(difference.std()) / 200
    assert float(difference.mean()) == pytest.approx(model.ate, abs=4 * error + 1e-5)
    for truth, y in zip(model.truths, done, strict=True):
        assert float(y.mean()) == pytest.approx(truth.value, abs=4 * float(y.std()) / 200)


@each
def test_effects_at_covariates_average_to_the_effect(name: str) -> None:
    model = zoo.CONFOUNDED[name]
    tau = model.effect(model.data(40_000, seed=1))
    assert float(tau.mean()) == pytest.approx(model.ate, abs=4 * float(tau.std()) / 200 + 1e-4)


@each
def test_the_difference_that_ignores_u_is_biased_as_the_specification_says(name: str) -> None:
    model = zoo.CONFOUNDED[name]
    data = {key: value.numpy() for key, value in model.data(60_000, seed=2).items()}
    columns = [data[c] for c in model.covariates]
    if name == "S3":
        columns += [data["x1"] ** 2, np.sin(2 * data["x2"]), data["x1"] * data["t"]]
    design = np.column_stack([data["t"], np.ones(60_000), *columns])
    slope = np.linalg.lstsq(design, data["y"], rcond=None)[0][0]
    expected = NAIVE[name]
    # Least squares of a binary outcome, or of other noise than it asks for: a few hundredths.
    assert slope == pytest.approx(expected, abs=0.06)


def test_data_are_the_observed_columns_of_one_seed() -> None:
    model = zoo.CONFOUNDED["S8"]
    first, second = model.data(20, seed=3), model.data(20, seed=3)
    assert list(first) == ["x1", "x2", "w1", "w2", "w3", "t", "y"]
    assert all(torch.equal(first[name], second[name]) for name in first)
