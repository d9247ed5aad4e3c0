"""From a graph and a table to an SCM: what is built, what is chosen, what is refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

import pyrocausal as pc
from pyrocausal.building import GraphProgram
from pyrocausal.choosing import Column, choose_mechanisms
from pyrocausal.mechanisms import MLP, Linear, Mechanism, Parent, Table, heads

# z -> x -> y <- z
TRIANGLE = [("z", "x"), ("z", "y"), ("x", "y")]


def linear_table(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    z = rng.normal(5.0, 2.0, size=n)
    x = 0.5 * z + rng.normal(size=n)
    y = 2 * x - z + rng.normal(size=n)
    return pd.DataFrame({"z": z, "x": x, "y": y})


def least_squares(table: pd.DataFrame) -> tuple[float, float]:
    """Return the coefficient of x in the regression of y on x and z, and its standard error."""
    design = np.column_stack([table["x"], table["z"], np.ones(len(table))])
    coefficients = np.linalg.lstsq(design, table["y"], rcond=None)[0]
    residual = table["y"] - design @ coefficients
    covariance = np.linalg.inv(design.T @ design) * residual.var(ddof=3)
    return coefficients[0], covariance[0, 0] ** 0.5


def effect_of_x(scm: pc.SCM, low: float = 0.0, high: float = 1.0) -> float:
    """Return E[y | do(x=high)] - E[y | do(x=low)]; the worlds share their noise."""
    worlds = scm.do([{"x": low}, {"x": high}]).sample(5000, seed=0)
    return float((worlds["y"][1] - worlds["y"][0]).mean())


# What is fitted


def test_linear_mechanisms_find_the_coefficient_of_least_squares() -> None:
    table = linear_table(500)
    mechanisms = {
        "z": Linear(head=heads.Normal(loc=5.0, scale=2.0)),
        "x": Linear([Parent.continuous(loc=5.0, scale=2.0)]),
        "y": Linear([Parent.continuous(loc=5.0, scale=2.0), 1]),
    }
    scm = pc.SCM.from_graph(TRIANGLE, mechanisms, table, steps=600, lr=0.1, validation=0.0, seed=0)
    coefficient, se = least_squares(table)
    # Both maximize the same likelihood: only the optimizer stands between them.
    assert abs(effect_of_x(scm) - coefficient) < 0.05 * se
    assert scm.graph.same_as(pc.CausalGraph(TRIANGLE))


def test_networks_chosen_for_linear_data_find_the_coefficient_of_least_squares() -> None:
    table = linear_table(1000)
    scm = pc.SCM.from_graph(TRIANGLE, data=table, steps=600, seed=0)
    coefficient, se = least_squares(table)
    low, high = 1.5, 3.5  # the quartiles of x, about
    assert abs(effect_of_x(scm, low, high) - 2.0 * coefficient) < 4 * 2.0 * se
    naive = np.polyfit(table["x"], table["y"], 1)[0]
    assert abs(naive - coefficient) > 10 * se, "the table must be confounded"


def test_discrete_variables_get_the_frequencies_and_do_adjusts_by_them() -> None:
    rng = np.random.default_rng(0)
    n = 3000
    z = rng.choice(3, size=n, p=[0.5, 0.3, 0.2])
    x = rng.binomial(1, 0.2 + 0.3 * z)
    y = rng.binomial(1, 0.1 + 0.2 * z + 0.3 * x)
    table = pd.DataFrame({"z": z, "x": x, "y": y})
    scm = pc.SCM.from_graph(TRIANGLE, data=table, steps=300, validation=0.0, seed=0)
    draws = 40_000
    worlds = scm.do([{"x": 0}, {"x": 1}]).sample(draws, seed=0)
    by_cell = table.groupby(["x", "z"])["y"].mean()
    for value in (0, 1):
        # The adjustment formula on frequencies; what remains is the noise of the draws, and the
        # standard error of a cell where the fit falls short of the frequencies.
        expected = (by_cell[value] * table["z"].value_counts(normalize=True)).sum()
        got = float(worlds["y"][value].mean())
        assert abs(got - expected) < 4 * (expected * (1 - expected) / draws) ** 0.5 + 0.002
    shares = torch.bincount(worlds["z"][0], minlength=3) / draws
    assert torch.allclose(shares, torch.bincount(torch.tensor(z)) / n, atol=4 * 0.5 / draws**0.5)


def test_counts_keep_mean_and_variance() -> None:
    rng = np.random.default_rng(0)
    visits = rng.negative_binomial(3, 0.2, size=2000)  # mean 12, variance 60
    days = rng.poisson(1.0 + 2.0 * visits)
    scm = pc.SCM.from_graph(
        [("visits", "days")], data={"visits": visits, "days": days}, steps=500, lr=0.05, seed=0
    )
    drawn = scm.sample(20_000, seed=0)
    error = 4 * visits.std() * (1 / 2000 + 1 / 20_000) ** 0.5
    assert abs(float(drawn["visits"].mean()) - visits.mean()) < error
    assert float(drawn["visits"].var()) == pytest.approx(visits.var(), rel=0.25)
    many = scm.do(visits=20).sample(20_000, seed=0)["days"].mean()
    assert float(many) == pytest.approx(41.0, rel=0.05)


def test_a_root_follows_a_distribution_of_two_humps() -> None:
    rng = np.random.default_rng(0)
    humps = np.where(rng.random(2000) < 0.3, rng.normal(-3, 0.5, 2000), rng.normal(2, 1, 2000))
    scm = pc.SCM.from_graph(pc.CausalGraph(nodes=["x"]), data={"x": humps}, steps=600, seed=0)
    drawn = np.sort(scm.sample(2000, seed=0)["x"].numpy())
    everywhere = np.concatenate([drawn, humps])
    below = [
        np.searchsorted(np.sort(part), everywhere, side="right") / 2000 for part in (drawn, humps)
    ]
    # The 0.1% point of Kolmogorov and Smirnov's distance; a normal fit is at 0.15.
    assert np.abs(below[0] - below[1]).max() < 1.95 * (2 / 2000) ** 0.5


def test_other_units_of_measurement_give_the_same_effect() -> None:
    table = linear_table(300)
    options: dict[str, Any] = {"steps": 100, "seed": 0}
    kilograms = effect_of_x(pc.SCM.from_graph(TRIANGLE, data=table, **options))
    grams = table.assign(y=1000 * table["y"] - 4e4)
    assert effect_of_x(pc.SCM.from_graph(TRIANGLE, data=grams, **options)) == pytest.approx(
        1000 * kilograms, rel=1e-2
    )


def test_a_seed_gives_the_same_fit_and_leaves_the_generator_alone() -> None:
    table, state = linear_table(100), torch.get_rng_state()
    first, second = (
        pc.SCM.from_graph(TRIANGLE, data=table, steps=5, seed=3).sample(5, seed=0) for _ in "ab"
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_missing_value_at_a_leaf_is_left_out() -> None:
    table = linear_table(400)
    table.loc[::4, "y"] = np.nan
    mechanisms = choose_mechanisms(pc.CausalGraph(TRIANGLE), table)
    loc = mechanisms["y"].get_buffer("head.loc")
    assert float(loc) == pytest.approx(table["y"].mean(), rel=1e-4)
    scm = pc.SCM.from_graph(TRIANGLE, data=table, steps=20, seed=0)
    assert scm.sample(5, seed=0)["y"].isfinite().all()


def test_a_latent_variable_is_fitted_with_a_guide_and_not_without() -> None:
    # u -> a, u -> b, u latent: Cov(a, b) = 1
    rng = np.random.default_rng(0)
    u = rng.normal(size=500)
    table = {"a": u + rng.normal(size=500), "b": u + rng.normal(size=500)}
    graph = pc.CausalGraph([("u", "a"), ("u", "b")], latent=["u"])
    mechanisms: dict[str, Any] = {"u": dist.Normal(0.0, 1.0), "a": Linear(1), "b": Linear(1)}

    def guide(batch: Mapping[str, Tensor]) -> None:
        weight = pyro.param("weight", torch.zeros(2))
        scale = pyro.param("scale", torch.tensor(0.5), constraint=dist.constraints.positive)
        pyro.sample("u", dist.Normal(weight[0] * batch["a"] + weight[1] * batch["b"], scale))

    with pytest.raises(pc.IncompleteEvidence, match=r"\bu\b"):
        pc.SCM.from_graph(graph, mechanisms, table, steps=5)
    scm = pc.SCM.from_graph(graph, mechanisms, table, guide=guide, steps=500, lr=0.05, seed=0)
    drawn = scm.sample(20_000, seed=0)
    assert set(drawn) == {"a", "b"}
    got = float(torch.cov(torch.stack([drawn["a"], drawn["b"]]))[0, 1])
    # The standard error of a covariance of 500 pairs, (s11 s22 + s12^2) / n.
    assert abs(got - np.cov(table["a"], table["b"])[0, 1]) < 4 * (5 / 500) ** 0.5


# What is built


def test_parents_come_in_the_order_of_the_edges() -> None:
    graph = pc.CausalGraph([("b", "y"), ("a", "y")], nodes=["a"])
    scm = pc.SCM.from_graph(
        graph,
        {
            "a": dist.Delta(torch.tensor(1.0)),
            "b": dist.Delta(torch.tensor(2.0)),
            "y": first_parent,
        },
    )
    assert scm.sample(3, seed=0)["y"].tolist() == [2.0, 2.0, 2.0]


def first_parent(*parents: Tensor) -> dist.Delta:
    return dist.Delta(parents[0])


def test_a_variable_standing_alone_is_a_variable() -> None:
    graph = pc.CausalGraph([("x", "y")], nodes=["alone"])
    table = {"x": [0.1, 0.7, 0.3], "y": [0.3, 1.2, 0.8], "alone": [1.5, 2.5, 0.0]}
    scm = pc.SCM.from_graph(graph, data=table, steps=1, seed=0)
    assert scm.graph.same_as(graph)
    assert scm.sample(4, seed=0)["alone"].shape == (4,)


def test_names_may_have_dots_and_be_names_of_methods() -> None:
    edges = [("type", "a.b"), ("a.b", "a%2Eb"), ("keys", "a.b")]
    rng = np.random.default_rng(0)
    table = {name: rng.normal(size=30) for name in ("type", "keys", "a.b", "a%2Eb")}
    scm = pc.SCM.from_graph(edges, data=table, steps=2, seed=0)
    assert set(scm.graph.edges) == set(edges)


def test_a_network_that_a_function_reaches_is_fitted() -> None:
    net = nn.Linear(1, 1)
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    mechanisms: dict[str, Any] = {
        "x": dist.Normal(0.0, 1.0),
        "y": lambda x: dist.Normal(net(x[..., None])[..., 0], 0.1),
    }
    table = {"x": x, "y": 3 * x + 0.1 * rng.normal(size=400)}
    pc.SCM.from_graph([("x", "y")], mechanisms, table, steps=400, lr=0.05, seed=0)
    assert net.weight.item() == pytest.approx(3.0, abs=4 * 0.1 / 400**0.5)


def test_given_mechanisms_stay_and_the_others_are_chosen_beside_them() -> None:
    class Fixed(Mechanism):
        def forward(self, *parents: Tensor) -> Any:
            return dist.Normal(parents[0], 1.0)

    table = linear_table(100)
    scm = pc.SCM.from_graph(TRIANGLE, {"x": Fixed()}, table, steps=2, seed=0)
    assert isinstance(scm.program, GraphProgram)
    kinds = [type(module) for module in scm.program.mechanisms.values()]
    assert kinds == [MLP, Fixed, MLP]


def test_a_saved_model_is_loaded_into_the_program_of_the_same_graph_and_table(
    tmp_path: Path,
) -> None:
    table = linear_table(100)
    scm = pc.SCM.from_graph(TRIANGLE, data=table, steps=5, seed=0)
    scm.save(tmp_path / "model.safetensors")
    graph = pc.CausalGraph(TRIANGLE)
    program = GraphProgram(graph, choose_mechanisms(graph, table))
    again = pc.SCM.load(tmp_path / "model.safetensors", program)
    first, second = scm.sample(20, seed=0), again.sample(20, seed=0)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_counterfactual_keeps_the_noise_that_the_fact_gives() -> None:
    table = linear_table(400)
    mechanisms = {"y": Linear(2)}
    scm = pc.SCM.from_graph(TRIANGLE, mechanisms, table, steps=50, seed=0)
    row = table.iloc[:5]
    same = scm.counterfactual(row, {"x": torch.tensor(row["x"].to_numpy())}, seed=0)
    assert same["y"].numpy() == pytest.approx(row["y"].to_numpy(), abs=1e-4)
    moved = scm.counterfactual(row, {"x": pc.shift(1.0)}, seed=0)
    slopes = (moved["y"] - same["y"]).numpy()
    assert slopes == pytest.approx(slopes.mean(), abs=1e-4)


# What is chosen


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("binary", [0, 1, 1]),
        ("binary", [0.0, 1.0, np.nan]),
        ("binary", [True, False]),
        ("categorical", [2, 0, 1]),
        ("categorical", range(10)),
        ("count", [*range(11), 40]),
        ("continuous", [*range(150, 190)]),  # narrower than any count of this mean
        ("continuous", [*range(-6, 6)]),
        ("continuous", [0.0, 0.5]),
        ("codes", [1, 2, 3, 4, 5]),
        ("codes", [-1, 1]),
        ("codes", [0, 2]),
        ("constant", [3, 3]),
        ("vector", [[0.0, 1.0], [2.0, 3.0]]),
    ],
)
def test_the_kind_of_a_column_is_told_by_its_values(kind: str, values: ArrayLike) -> None:
    assert Column.read("x", np.asarray(values)).kind == kind


def test_parents_are_seen_in_units_of_their_own() -> None:
    rng = np.random.default_rng(0)
    count = rng.negative_binomial(3, 0.1, size=300)
    table = {
        "number": rng.normal(50, 3, size=300),
        "count": count,
        "code": np.arange(300) % 4,
        "pair": rng.normal(7, 2, size=(300, 2)),
        "y": rng.normal(size=300),
    }
    parents = ["number", "count", "code", "pair"]
    graph = pc.CausalGraph([(name, "y") for name in parents])
    chosen = choose_mechanisms(graph, table, given=parents)
    assert list(chosen) == ["y"]
    features = chosen["y"].encoder(*(torch.as_tensor(table[name]) for name in parents))  # type: ignore[operator]
    assert features.shape == (300, 1 + 1 + 4 + 2)
    standardized = features[:, [0, 1, 6, 7]]
    assert standardized.mean(0).abs().max() < 1e-4
    assert standardized.std(0) == pytest.approx(1.0, abs=0.01)


def test_a_table_starts_at_the_frequencies_and_has_no_impossible_entry() -> None:
    a = np.repeat([0, 1], 200)
    b = np.concatenate([np.zeros(200), np.repeat([0, 1], 100)])
    chosen = choose_mechanisms(pc.CausalGraph([("a", "b")]), {"a": a, "b": b})
    assert isinstance(chosen["b"], Table)
    probs = chosen["b"](torch.tensor([0, 1])).probs
    # One more unit at each value of a, of which a quarter has b = 1.
    assert probs.tolist() == pytest.approx([0.25 / 201, 100.25 / 201])


def test_too_few_rows_for_a_table_give_a_network() -> None:
    table = {"a": [0, 1] * 19, "b": [0, 0, 1] * 12 + [1, 1]}
    chosen = choose_mechanisms(pc.CausalGraph([("a", "b")]), table)
    assert [type(mechanism) for mechanism in chosen.values()] == [Table, MLP]


# What is refused

GOOD = {"x": [0.5, 1.5, 0.1], "y": [1.0, 2.5, 0.7]}


@pytest.mark.parametrize(
    ("table", "error", "words"),
    [
        (GOOD | {"x": ["m", "f", "f"]}, TypeError, "'x'.*Code them 0, 1, 2"),
        (GOOD | {"extra": [1.0, 2.0, 3.0]}, pc.UnknownVariable, "'extra'"),
        ({"x": GOOD["x"]}, ValueError, "data lack y"),
        (GOOD | {"x": [1, 2, 5]}, ValueError, r"'x'.*\(1, 2, 5\).*Recode"),
        (GOOD | {"x": [7, 7, 7]}, ValueError, "'x'.*the one value 7"),
        (GOOD | {"x": [[1.0, 2.0]] * 3}, ValueError, r"'x'.*shape \(2,\).*mechanism"),
        (GOOD | {"x": [np.nan] * 3}, ValueError, "'x'.*no values"),
        (GOOD | {"x": [0.5, np.inf, 1.0]}, ValueError, "'x'.*infinity"),
        (np.zeros((3, 2)), TypeError, "data is a ndarray"),
    ],
)
def test_data_that_tell_no_mechanism_are_refused_by_name(
    table: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        pc.SCM.from_graph([("x", "y")], data=table)


@pytest.mark.parametrize(
    ("mechanisms", "error", "words"),
    [
        ({"x": dist.Normal(0.0, 1.0)}, ValueError, "no mechanism for y"),
        ({"x": dist.Normal(0.0, 1.0), "Y": MLP(1)}, pc.UnknownVariable, "no variable 'Y'"),
        ({"x": 3.0, "y": MLP(1)}, TypeError, "mechanism of 'x' is a float"),
        ({"x": dist.Normal(0.0, 1.0), "y": dist.Normal(0.0, 1.0)}, ValueError, "'y'.*values of x"),
    ],
)
def test_mechanisms_that_fit_no_variable_are_refused_by_name(
    mechanisms: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        pc.SCM.from_graph([("x", "y")], mechanisms)


def test_a_mechanism_that_returns_no_distribution_is_refused_by_name() -> None:
    scm = pc.SCM.from_graph([("x", "y")], {"x": dist.Normal(0.0, 1.0), "y": torch.sin})
    with pytest.raises(TypeError, match="'y' returned a Tensor"):
        scm.sample(3)


def test_what_is_never_observed_needs_a_mechanism() -> None:
    table = {"x": [0.5, 1.5], "y": [1.0, 2.5]}
    confounded = pc.CausalGraph([("x", "y")], bidirected=[("x", "y")])
    with pytest.raises(ValueError, match=r"x <-> y.*explicit\(\).*U_x_y"):
        pc.SCM.from_graph(confounded, data=table)
    with pytest.raises(ValueError, match=r"U_x_y is latent.*mechanism"):
        pc.SCM.from_graph(confounded.explicit(), data=table)


def test_options_of_the_fit_need_data() -> None:
    mechanisms = {"x": dist.Normal(0.0, 1.0), "y": MLP(1)}
    with pytest.raises(ValueError, match="lr but no data"):
        pc.SCM.from_graph([("x", "y")], mechanisms, lr=0.1)
