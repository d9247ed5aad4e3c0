"""From a graph and a table to an SCM that answers do."""

import numpy as np
import pandas as pd
import pytest
import torch

import pyrocausal as pc


def test_one_line_goes_from_a_table_to_the_effect_of_an_action() -> None:
    # z -> x -> y, z -> y: the effect of x on y is 2, the regression on x alone gives more
    rng = np.random.default_rng(0)
    z = rng.normal(size=4000)
    x = z + rng.normal(size=4000)
    y = 2 * x + 3 * z + rng.normal(size=4000)
    table = pd.DataFrame({"z": z, "x": x, "y": y})
    scm = pc.SCM.from_graph([("z", "x"), ("z", "y"), ("x", "y")], data=table, seed=0)
    worlds = scm.do([{"x": 0.0}, {"x": 1.0}]).sample(4000, seed=0)
    effect = (worlds["y"][1] - worlds["y"][0]).mean().item()
    design = np.column_stack([np.ones(4000), x, z])
    expected = np.linalg.lstsq(design, y, rcond=None)[0][1]
    assert abs(effect - expected) < 0.15
    assert set(scm.graph.edges) == {("z", "x"), ("z", "y"), ("x", "y")}


def test_binary_columns_become_bernoulli_sites() -> None:
    rng = np.random.default_rng(1)
    a = rng.binomial(1, 0.3, size=3000)
    b = rng.binomial(1, 0.2 + 0.5 * a)
    scm = pc.SCM.from_graph([("a", "b")], data={"a": a, "b": b}, seed=0)
    got = scm.do([{"a": 0.0}, {"a": 1.0}]).sample(20_000, seed=0)["b"].mean(1)
    expected = torch.tensor([b[a == 0].mean(), b[a == 1].mean()])
    assert torch.allclose(got.double(), expected.double(), atol=0.04)


def test_a_variable_without_mechanism_or_data_is_an_error() -> None:
    with pytest.raises(ValueError, match="no mechanism"):
        pc.SCM.from_graph([("a", "b")])
