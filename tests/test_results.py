"""Answers as a reader meets them: the card that is printed, and the tables."""

from typing import Any, Final

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc
from pyrocausal.summaries import component_names, summarize


# severity -> treated -> recovery; severity -> recovery
def clinic() -> None:
    severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
    treated = pyro.sample("treated", dist.Bernoulli(logits=1.5 * severity))
    pyro.sample("recovery", dist.Normal(2.0 * treated - severity, 0.5))


# (weights) -> y <- share; grid and age are alone
def kinds() -> None:
    """A variable that all units share, a vector, a matrix, and a continuous mixture."""
    weights = pyro.sample("weights", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    with pc.units():
        share = pyro.sample("share", dist.Dirichlet(torch.ones(3)))
        pyro.sample("y", dist.Normal(share[:, 0] * weights[0] + weights[1], 1.0))
        pyro.sample("grid", dist.Normal(torch.zeros(2, 2), 1.0).to_event(2))
        ages = dist.Normal(torch.tensor([20.0, 40.0]), 2.0)
        pyro.sample("age", dist.MixtureSameFamily(dist.Categorical(torch.ones(2)), ages))


CLINIC: Final = pc.SCM(clinic)
KINDS: Final = pc.SCM(kinds)
UNIT: Final = {"severity": 0.3, "treated": 0.0, "recovery": -0.1}
TREAT: Final = {"treated": 1.0}
PATIENTS: Final = pd.DataFrame(
    {"severity": [0.0, 1.0], "treated": [0, 1], "recovery": [1.0, 2.0]},
    index=pd.Index(["Ann", "Bob"], name="patient"),
)
KIND: Final[dict[str, Any]] = {
    "weights": [1.0, 0.0],
    "share": [0.2, 0.3, 0.5],
    "y": 1.0,
    "grid": [[1.0, 2.0], [3.0, 4.0]],
    "age": 30.0,
}


def lines_of(answer: object) -> list[str]:
    return str(answer).splitlines()


# Tables


def test_the_answer_about_one_unit_is_a_table_of_one_row() -> None:
    table = CLINIC.counterfactual(UNIT, TREAT).to_frame()
    assert table.shape == (1, 3)
    assert table["recovery"].tolist() == pytest.approx([1.9])


def test_what_all_units_share_is_repeated_in_each_row() -> None:
    answer = KINDS.sample(4, seed=0)
    table = answer.to_frame()
    assert table.index.names == ["unit"]
    assert table["weights[0]"].tolist() == [answer["weights"][0].item()] * 4
    assert np.array_equal(table["y"], answer["y"])


def test_variables_that_all_units_share_are_a_table_without_units() -> None:
    table = KINDS.sample(4, variables="weights", seed=0).to_frame()
    assert table.shape == (1, 2)


@pytest.mark.parametrize("order", [["weights", "y"], ["y", "weights"]])
def test_sizes_are_those_of_the_units_in_any_order(order: list[str]) -> None:
    assert KINDS.sample(4, variables=order, seed=0).to_frame().shape == (4, 3)


def test_columns_bear_the_indices_of_their_numbers() -> None:
    answer = KINDS.counterfactual({**KIND, "share": [[0.2, 0.3, 0.5]] * 2}, {"y": 2.0}, seed=0)
    table = answer.to_frame()
    assert table["share[2]"].tolist() == pytest.approx([0.5, 0.5])
    assert table.filter(like="grid[1,0]").to_numpy().ravel().tolist() == [3.0, 3.0]


def test_rows_are_draws_worlds_and_units_in_this_order() -> None:
    worlds = [TREAT, {"severity": 2.0}, {"treated": 0.0}]
    answer = CLINIC.counterfactual(PATIENTS, worlds, num_draws=2, seed=0)
    table = answer.to_frame()
    assert table.index.names == ["draw", "world", "patient"]
    for draw, world, unit, name in [(0, 1, 0, "Ann"), (1, 2, 1, "Bob")]:
        expected = answer["recovery"][draw, world, unit].item()
        assert table.loc[(draw, world, name), "recovery"] == pytest.approx(expected)


def test_units_keep_the_labels_of_the_table_they_came_from() -> None:
    answer = CLINIC.counterfactual(PATIENTS, TREAT)
    assert answer.to_frame().index.equals(PATIENTS.index)
    assert answer.to_frame().index.name == "patient"
    # U = 2 - (2 - 1) = 1 for Bob, who was treated
    assert answer.to_frame().loc["Bob", "recovery"] == pytest.approx(2.0)
    sampled = CLINIC.condition(PATIENTS).sample(2)
    assert sampled.to_frame().index.equals(PATIENTS.index)


@pytest.mark.parametrize(
    "index",
    [
        pd.Index([7, 3]),
        pd.Index(["a", "a"]),
        pd.date_range("2020-01-01", periods=2),
        pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["ward", "bed"]),
    ],
    ids=["numbers", "repeated", "dates", "two levels"],
)
def test_labels_of_any_kind_are_kept(index: pd.Index) -> None:
    table = PATIENTS.set_axis(index)
    assert list(CLINIC.counterfactual(table, TREAT).to_frame().index) == list(index)
    worlds = CLINIC.counterfactual(table, [TREAT]).to_frame()
    assert [label for _, label in worlds.index] == list(index)


def test_a_table_that_counts_its_rows_gives_the_index_unit() -> None:
    table = CLINIC.counterfactual(PATIENTS.reset_index(drop=True), TREAT).to_frame()
    assert table.index.name == "unit"
    assert list(table.index) == [0, 1]


def test_columns_of_differing_labels_give_none() -> None:
    columns = {name: PATIENTS[name] for name in PATIENTS}
    columns["treated"] = columns["treated"].set_axis(["Bob", "Ann"])
    assert list(CLINIC.counterfactual(columns, TREAT).to_frame().index) == [0, 1]


def test_the_factual_and_the_natural_values_are_tables_too() -> None:
    answer = CLINIC.counterfactual(PATIENTS, [TREAT, {"treated": 0.0}])
    pd.testing.assert_frame_equal(
        answer.to_frame("factual"), PATIENTS, check_dtype=False, check_exact=False
    )
    natural = answer.to_frame("natural")
    assert natural.columns.tolist() == ["treated"]
    assert natural["treated"].tolist() == [0.0, 1.0, 0.0, 1.0]
    assert CLINIC.do(TREAT).sample(3, seed=0).to_frame("natural").shape == (3, 1)


def test_a_table_of_what_is_not_there_is_an_error_that_names_what_is() -> None:
    with pytest.raises(ValueError, match="got 'factual'; expected one of data, natural"):
        CLINIC.sample(3).to_frame("factual")


# Cards


def test_the_card_of_a_vector_has_a_row_for_each_component() -> None:
    card = lines_of(KINDS.counterfactual(KIND, {"y": 2.0}, seed=0))
    assert "  share[0]   0.2" in card
    assert "  share[2]   0.5" in card
    assert "  grid[1,0]  3" in card


def test_the_card_of_an_image_says_its_shape() -> None:
    values = {"image": torch.linspace(0.0, 1.0, 2 * 784).reshape(2, 28, 28)}
    assert summarize(values, ("unit",)) == ["image  28 x 28 numbers from 0 to 1"]


def test_the_card_has_a_row_for_each_world() -> None:
    answer = CLINIC.do(treated=pc.grid([0.0, 1.0])).sample(500, seed=0)
    card = lines_of(answer)
    assert "dimensions: world 2, unit 500" in card
    assert rows_of(card, "treated") == [["world 0", "0"], ["world 1", "1"]]
    means = [float(row[1].split()[1].rstrip(",")) for row in rows_of(card, "recovery")]
    assert means == pytest.approx(answer["recovery"].mean(1).tolist(), rel=1e-3)
    # severity isn't reached by the action
    assert rows_of(card, "severity")[0][0] == "all worlds"


def rows_of(card: list[str], name: str) -> list[list[str]]:
    """The rows of a variable: the first that bears its name, and those below without one."""
    start = next(i for i, line in enumerate(card) if line.startswith(f"  {name}"))
    rows = [card[start].replace(name, " " * len(name), 1)]
    rows += [line for line in card[start + 1 : start + 2] if line.startswith("     ")]
    return [[part.strip() for part in row.strip().split("  ") if part] for row in rows]


def test_many_worlds_are_cut_short() -> None:
    rows = summarize({"x": torch.arange(12.0)[:, None]}, ("world", "unit"))
    assert len(rows) == 9
    assert rows[-1].split() == ["...", "12", "worlds"]


def test_codes_of_categories_are_told_by_their_shares_and_not_by_a_mean() -> None:
    codes = torch.tensor([[0, 2, 2, 1, 2], [1, 1, 1, 1, 1]])
    assert summarize({"mode": codes}, ("world", "unit")) == [
        "mode  world 0  0 in 20 %, 1 in 20 %, 2 in 60 %",
        "      world 1  1",
    ]
    (row,) = summarize({"n": torch.arange(100)}, ("unit",))
    assert row.startswith("n  mean 49.5, sd 29.01")


def test_the_interval_of_the_card_holds_the_middle_of_the_values() -> None:
    (row,) = summarize({"x": torch.arange(1, 1001).float()}, ("unit",))
    # Exact: the mean is 500.5, the 25th and the 975th of 1000 stand at the ends.
    assert row == "x  mean 500.5, sd 288.8, 95% in [26, 976]"


def test_a_continuous_mixture_is_not_called_discrete() -> None:
    (assumed,) = [
        line for line in KINDS.counterfactual(KIND, {"y": 2.0}).assumptions if "age" in line
    ]
    assert assumed == "the coupling of the mixture components of age (gumbel-max)"


def test_one_draw_of_what_is_random_says_so() -> None:
    ask = CLINIC.counterfactual
    drawn = "one draw; recovery is random given the evidence (num_draws= gives more)"
    assert drawn in lines_of(ask({"severity": 0.3}, TREAT))
    assert "one draw" not in str(ask({"severity": 0.3}, TREAT, num_draws=5))
    # The action reaches `treated`, whose Gumbel noise one value does not determine.
    assert "one draw; treated is random" in str(ask(UNIT, {"severity": 1.0}))


def test_an_answer_that_is_determined_says_nothing_of_draws() -> None:
    # `treated` is set, or stays as it was: its noise plays no part.
    for do in (TREAT, {"recovery": 0.0}, {"treated": pc.policy(lambda values: 1.0)}):
        answer = CLINIC.counterfactual(UNIT, do)
        assert answer.random == ()
        many = CLINIC.counterfactual(UNIT, do, num_draws=50, seed=1)
        assert all(float(many[name].std()) < 1e-6 for name in many)


@pytest.mark.parametrize(
    ("evidence", "do", "random"),
    [
        ({"severity": 0.3, "treated": 0.0}, TREAT, ("recovery",)),
        (UNIT, {"treated": dist.Bernoulli(0.5)}, ("treated",)),
        (UNIT, {"severity": pc.shift(1.0)}, ("treated",)),
        (UNIT, [{"severity": 1.0}, {"severity": 1.0, "treated": 1.0}], ("treated",)),
        (
            UNIT,
            {"treated": pc.mechanism(lambda v: dist.Bernoulli(logits=v["severity"] + 3))},
            ("treated",),
        ),
        (UNIT, pc.edge("severity", "treated", 2.0), ("treated",)),
    ],
    ids=["missing", "distribution", "shift", "worlds", "mechanism", "edge"],
)
def test_random_variables_are_those_that_differ_between_draws(
    evidence: dict[str, float], do: Any, random: tuple[str, ...]
) -> None:
    answer = CLINIC.counterfactual(evidence, do, num_draws=200, seed=0)
    assert answer.random == random
    for name in random:
        assert float(answer[name].std(0).max()) > 0.0


def test_an_abduction_prints_as_a_card() -> None:
    card = repr(CLINIC.abduct(PATIENTS)).splitlines()
    assert card == [
        "noise of 2 units, 1 draw",
        "given severity, treated, recovery",
        "routes: exact: severity, recovery; gumbel-max: treated",
    ]


def test_components_are_named_by_their_indices() -> None:
    assert component_names("x", ()) == ["x"]
    assert component_names("x", (1,)) == ["x[0]"]
    assert component_names("x", (2, 2)) == ["x[0,0]", "x[0,1]", "x[1,0]", "x[1,1]"]
