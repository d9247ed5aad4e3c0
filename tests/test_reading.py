"""Reading what a user passes: rows and tables, and errors that name the cure."""

from collections.abc import Callable
from math import inf, nan
from typing import Any, Final

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrocausal as pc


# severity -> treated -> recovery; severity -> recovery
def clinic() -> None:
    severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
    treated = pyro.sample("treated", dist.Bernoulli(logits=1.5 * severity))
    pyro.sample("recovery", dist.Normal(2.0 * treated - severity, 0.5))


# (age) -> risk -> event
def cohort(age: Tensor) -> None:
    risk = pyro.sample("risk", dist.Normal(torch.log(age), 1.0))
    pyro.sample("event", dist.Normal(risk, 1.0))


CLINIC: Final = pc.SCM(clinic)
COHORT: Final = pc.SCM(cohort)
UNIT: Final = {"severity": 0.3, "treated": 0.0, "recovery": -0.1}
TREAT: Final = {"treated": 1.0}
TABLE: Final = pd.DataFrame(
    {"severity": [0.0, 1.0], "treated": [0, 1], "recovery": [1.0, 2.0], "ward": ["a", "b"]}
)
OWN: Final = ["severity", "treated", "recovery"]


def test_a_row_of_a_table_is_evidence_of_one_unit() -> None:
    answer = CLINIC.counterfactual(TABLE[OWN].iloc[0], TREAT)
    assert answer.dims == ()
    assert answer["recovery"].item() == pytest.approx(3.0)


def test_a_row_may_hold_a_gap_and_numbers_of_several_kinds() -> None:
    row = pd.Series({"severity": 0.0, "treated": True, "recovery": pd.NA}, dtype=object)
    answer = CLINIC.counterfactual(row, TREAT, seed=0)
    assert answer.routes["recovery"] == "exact, prior where missing"


def test_a_row_of_a_table_gives_the_inputs_of_one_unit() -> None:
    people = pd.DataFrame({"age": [50, 60], "risk": [1.0, 2.0], "event": [0.0, 1.0]})
    row = people.iloc[1]
    answer = COHORT.counterfactual(row[["risk", "event"]], {"risk": 3.0}, inputs=row[["age"]])  # type: ignore[arg-type]
    assert answer["event"].item() == pytest.approx(2.0)


def test_an_input_without_dimensions_is_the_same_for_all_units() -> None:
    one = COHORT.sample(3, inputs={"age": torch.tensor(50.0)}, seed=0)
    each = COHORT.sample(3, inputs={"age": [50.0] * 3}, seed=0)
    assert torch.equal(one["event"], each["event"])


def test_the_largest_number_of_the_type_is_read() -> None:
    largest = float(np.finfo(np.float32).max)
    assert CLINIC.do(severity=largest).sample(2, variables="severity")["severity"][0] == largest


def test_a_column_is_no_row() -> None:
    with pytest.raises(
        TypeError, match=r"evidence is a Series; .*or a DataFrame, or one row of it"
    ):
        CLINIC.counterfactual(TABLE["severity"], TREAT)


@pytest.mark.parametrize(
    ("given", "cure"),
    [
        (pd.to_datetime(["2020-01-01", "2020-01-02"]), r"time since some date.*\.dt\.days"),
        (pd.to_timedelta(["1D", "2D"]), r"time in some unit.*\.dt\.total_seconds\(\)"),
        (pd.Categorical(["low", "high"]), r"\['severity'\]\.cat\.codes, with NaN in place of -1"),
        (["low", "high"], "Code them 0, 1, 2"),
    ],
    ids=["dates", "times", "categories", "words"],
)
def test_what_is_no_number_is_told_its_own_cure(given: Any, cure: str) -> None:
    with pytest.raises(TypeError, match=rf"evidence\['severity'\] holds .*numbers\. .*{cure}"):
        CLINIC.counterfactual(TABLE[OWN].assign(severity=given), TREAT)


def test_categories_outside_of_a_table_are_told_of_their_codes() -> None:
    with pytest.raises(TypeError, match=r"\['severity'\]\.codes"):
        CLINIC.counterfactual({**UNIT, "severity": pd.Categorical(["low"])}, TREAT)


def test_categories_of_numbers_are_read_as_these() -> None:
    table = TABLE[OWN].assign(treated=pd.Categorical([0, 1]))
    assert CLINIC.counterfactual(table, TREAT)["recovery"].tolist() == [3.0, 2.0]


def test_a_table_with_other_columns_is_told_to_leave_them_out() -> None:
    with pytest.raises(pc.UnknownVariable) as raised:
        CLINIC.counterfactual(TABLE, TREAT)
    assert "no variable 'ward'" in str(raised.value)
    assert "df[['recovery', 'severity', 'treated']]" in str(raised.value)
    # Without a table there is no column to leave out.
    with pytest.raises(pc.UnknownVariable, match=r"treated\.$"):
        CLINIC.counterfactual({**UNIT, "ward": 1.0}, TREAT)


def test_a_table_for_inputs_is_told_which_columns_are_inputs() -> None:
    people = pd.DataFrame({"age": [50.0, 60.0], "risk": [1.0, 2.0]})
    with pytest.raises(pc.UnknownVariable, match=r"no input 'risk'.*Inputs: age\..*df\[\['age'\]"):
        COHORT.sample(2, inputs=people)  # type: ignore[arg-type]
    with pytest.raises(pc.UnknownVariable, match=r"no input 'age'. Inputs: none.$"):
        CLINIC.sample(2, inputs={"age": [1.0, 2.0]})


@pytest.mark.parametrize(("value", "word"), [(nan, "NaN"), (inf, "infinite"), (-inf, "infinite")])
def test_inputs_are_finite(value: float, word: str) -> None:
    with pytest.raises(ValueError, match=rf"inputs\['age'\] is {word} for unit 1\."):
        COHORT.sample(3, inputs={"age": [1.0, value, 1.0]})


@pytest.mark.parametrize("ask", ["do", "evidence", "inputs"])
def test_what_is_too_large_for_the_type_is_said_to_be_so(ask: str) -> None:
    asked: dict[str, Callable[[], object]] = {
        "do": lambda: CLINIC.do(severity=1e39).sample(2),
        "evidence": lambda: CLINIC.counterfactual({**UNIT, "severity": 1e39}, TREAT),
        "inputs": lambda: COHORT.sample(2, inputs={"age": [1.0, 1e39]}),
    }
    with pytest.raises(ValueError, match=r"holds 1e\+39, which is too large .*torch\.float32"):
        asked[ask]()


@pytest.mark.parametrize(
    ("units", "words"),
    [([2.5, 0.0], "for unit 0:"), ([2.5, 2.5], "for units 0, 1:")],
    ids=["one", "two"],
)
def test_one_unit_is_named_in_the_singular(units: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=rf"evidence\['treated'\] is impossible {words}"):
        CLINIC.counterfactual({"severity": [0.0, 0.0], "treated": units}, TREAT)
    with pytest.raises(ValueError, match="can't infer 'severity' for unit 1:"):
        CLINIC.abduct({"severity": [0.0, nan], "treated": [0.0, 1.0]}, method="gaussian")


def test_values_for_other_units_are_pointed_to_grid() -> None:
    with pytest.raises(ValueError, match=r"shape \(2,\); .*\(5,\)\. .*pc\.grid\(\[\.\.\.\]\)"):
        CLINIC.do(treated=[0.0, 1.0]).sample(5)


def test_a_grid_of_several_arguments_is_told_of_one_list() -> None:
    with pytest.raises(TypeError, match=r"grid\(\) got 2 arguments; expected one list"):
        pc.grid(0.0, 1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("amount", ["a", None, pc.shift(1.0), {"x": 1.0}, torch.relu], ids=type)
def test_a_shift_is_by_a_number(amount: Any) -> None:
    with pytest.raises(TypeError, match=r"shift\(\) got .*; expected a number or a tensor"):
        pc.shift(amount)


def test_a_name_in_other_capitals_is_suggested() -> None:
    with pytest.raises(
        pc.UnknownVariable, match=r"no variable 'TREATED'\. Did you mean 'treated'"
    ):
        CLINIC.do(TREATED=1.0)
    error = pc.UnknownVariable("X", ["x", "y"])
    assert "Did you mean 'x'?" in str(error)
    # Spelling comes before capitals, and what is nothing like a name is given none.
    assert "Did you mean 'dOse'?" in str(pc.UnknownVariable("DOse", ["dOse", "dose"]))
    assert "Did you mean" not in str(pc.UnknownVariable("qq", ["x", "y"]))


def test_a_policy_that_reads_its_own_variable_is_told_of_edit() -> None:
    own = pc.policy(lambda values: values["treated"])
    for ask in (
        lambda: CLINIC.do(treated=own).sample(3),
        pc.do(clinic, treated=own),
    ):
        with pytest.raises(
            ValueError, match=r"value that it is to give.*pc\.edit.*read: severity"
        ):
            ask()
