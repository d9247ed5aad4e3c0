"""Input that is right in any of its forms is accepted: numbers, lists, arrays, tables."""

from math import inf, nan
from typing import Any, Final

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from small_programs import CLINIC, HIDDEN, KIND, KINDS, TREAT, UNIT, UNUSUAL, clinic
from torch import Tensor

import pyrocausal as pc


def test_a_latent_can_be_set() -> None:
    assert (HIDDEN.do(severity=2.0).sample(3, latent=True)["severity"] == 2.0).all()


def test_a_family_of_the_users_own_can_be_sampled_and_passed_by() -> None:
    assert UNUSUAL.sample(3, seed=0)["y"].shape == (3,)
    assert UNUSUAL.do(x=1.0).sample(3, seed=0)["y"].shape == (3,)
    # w = y + U_w, and the action on y itself doesn't need y's noise.
    answer = UNUSUAL.counterfactual({"x": 1.0, "y": 1.0, "w": 1.5}, {"y": 2.0})
    assert answer["w"].item() == pytest.approx(2.5)


def test_a_distribution_without_support_can_be_sampled() -> None:
    class Vague(dist.TorchDistribution):
        arg_constraints: dict[str, Any] = {}  # noqa: RUF012 - torch's class attribute

        def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
            return torch.ones(torch.Size(sample_shape) + self.batch_shape)

        def expand(self, batch_shape: Any, _instance: Any = None) -> "Vague":
            return Vague(torch.Size(batch_shape), validate_args=False)

        def log_prob(self, value: Tensor) -> Tensor:
            return torch.zeros_like(value)

    scm = pc.SCM(lambda: pyro.sample("x", Vague(validate_args=False)))
    assert scm.sample(3)["x"].tolist() == [1.0, 1.0, 1.0]
    assert scm.do(x=2.0).sample(3)["x"].tolist() == [2.0, 2.0, 2.0]


def test_the_density_outside_of_a_continuous_support_is_zero() -> None:
    scm = pc.SCM(lambda: pyro.sample("x", dist.Exponential(2.0)))
    density = scm.log_prob({"x": [-1.0, 0.5]})
    assert density[0] == -inf
    assert density[1].item() == pytest.approx(np.log(2.0) - 1.0)


def test_condition_is_joined_with_the_evidence_of_abduct() -> None:
    held = CLINIC.condition(severity=0.3).abduct({"treated": 0.0, "recovery": -0.1}, seed=0)
    whole = CLINIC.abduct(UNIT, seed=0)
    for name, value in whole.factual.items():
        assert torch.equal(held.factual[name], value)


def test_one_value_stands_for_all_units() -> None:
    answer = CLINIC.counterfactual(
        {"severity": torch.zeros(3), "treated": 1.0, "recovery": [2.0]}, TREAT
    )
    assert answer["recovery"].tolist() == [2.0, 2.0, 2.0]


ONE: Final = (
    {"severity": 1, "treated": 0, "recovery": 2},
    {"severity": 1.0, "treated": False, "recovery": 2.0},
    {"severity": np.float64(1.0), "treated": np.bool_(False), "recovery": np.int64(2)},
    {"severity": torch.tensor(1.0), "treated": torch.tensor(False), "recovery": torch.tensor(2)},
    {"severity": np.array(1.0), "treated": np.array(0), "recovery": np.array(2.0)},
)
TWO: Final = (
    {"severity": [1, 2], "treated": [0, 1], "recovery": [2, 3]},
    {"severity": (1.0, 2.0), "treated": (False, True), "recovery": (2.0, 3.0)},
    {"severity": np.array([1.0, 2.0]), "treated": np.array([0, 1]), "recovery": [2.0, 3.0]},
    {"severity": np.array([2.0, 1.0])[::-1], "treated": np.arange(2), "recovery": [2, 3.0]},
    {"severity": torch.tensor([1, 2]), "treated": torch.tensor([False, True]), "recovery": [2, 3]},
    {"severity": torch.tensor([1.0, 2.0]).double(), "treated": [0.0, 1.0], "recovery": [2.0, 3.0]},
    {"severity": [torch.tensor(1.0), torch.tensor(2.0)], "treated": [0, 1], "recovery": [2, 3]},
    {"severity": pd.Series([1.0, 2.0], index=[5, 7]), "treated": [0, 1], "recovery": [2, 3]},
    pd.DataFrame({"severity": [1.0, 2.0], "treated": [False, True], "recovery": [2, 3]}),
    pd.DataFrame({"severity": [1.0, 2.0], "treated": [0, 1], "recovery": [2, 3]}, dtype=object),
    pd.DataFrame({"severity": [1, 2], "treated": [0, 1], "recovery": [2, 3]}, dtype="Int64"),
)


@pytest.mark.parametrize("evidence", ONE, ids=["int", "bool", "numpy", "tensor", "0-dim"])
def test_one_unit_may_be_given_as_any_number(evidence: dict[str, Any]) -> None:
    # U = 2 - (0 - 1) = 3; recovery under treatment = 2 - 1 + 3
    answer = CLINIC.counterfactual(evidence, TREAT)["recovery"]
    assert answer.dtype == torch.float32
    assert answer.shape == ()
    assert answer.item() == pytest.approx(4.0)


@pytest.mark.parametrize("evidence", TWO, ids=range(len(TWO)))
def test_units_may_be_given_as_any_array(evidence: Any) -> None:
    answer = CLINIC.counterfactual(evidence, TREAT)["recovery"]
    assert answer.dtype == torch.float32
    assert answer.tolist() == pytest.approx([4.0, 3.0])


@pytest.mark.parametrize("missing", [None, nan, pd.NA], ids=["None", "NaN", "NA"])
def test_a_gap_may_be_none_nan_or_na(missing: Any) -> None:
    table = pd.DataFrame({"severity": [0.0, 1.0], "treated": 0, "recovery": [1.0, missing]})
    answer = CLINIC.counterfactual(table, TREAT, seed=0)
    prior = CLINIC.do(treated=1.0, severity=1.0).sample(2, seed=0)["recovery"]
    # U = 1 - (0 - 0); the other's noise is drawn from the prior, as sample() draws it.
    assert answer["recovery"].tolist() == pytest.approx([3.0, prior[1].item()])


VALUES: Final[dict[str, tuple[Any, list[float]]]] = {
    "an int": (1, [1.0, 1.0]),
    "a bool": (True, [1.0, 1.0]),
    "a numpy number": (np.float64(1.0), [1.0, 1.0]),
    "a numpy bool": (np.bool_(True), [1.0, 1.0]),
    "a list": ([0, 1], [0.0, 1.0]),
    "a float64 array": (np.array([0.0, 1.0]), [0.0, 1.0]),
    "a Series": (pd.Series([0, 1]), [0.0, 1.0]),
    "a 0-dim tensor": (torch.tensor(1.0), [1.0, 1.0]),
    "a bool tensor": (torch.tensor([False, True]), [0.0, 1.0]),
    "a policy of bools": (pc.policy(lambda values: values["severity"] < inf), [1.0, 1.0]),
    "a policy of one number": (pc.policy(lambda values: 1), [1.0, 1.0]),
    "a distribution of ints": (dist.Categorical(torch.tensor([0.0, 1.0])), [1.0, 1.0]),
}


@pytest.mark.parametrize("case", VALUES.values(), ids=VALUES)
def test_an_intervention_may_be_any_number(case: tuple[Any, list[float]]) -> None:
    value, expected = case
    treated = CLINIC.do(treated=value).sample(2)["treated"]
    assert treated.dtype == torch.float32
    assert treated.tolist() == expected
    assert pc.do(pyro.plate("people", 2)(clinic), treated=1)() is None


def test_a_class_may_be_given_as_a_float() -> None:
    assert KINDS.do(stage=2.0).sample(2)["stage"].tolist() == [2, 2]
    answer = KINDS.counterfactual({**KIND, "stage": 2.0, "visits": np.int32(3)}, {"dose": 2})
    assert answer["stage"].item() == 2
    assert answer["total"].item() == pytest.approx(2.0)


def test_numbers_of_units_may_come_from_numpy() -> None:
    assert CLINIC.sample(np.int64(3))["severity"].shape == (3,)  # type: ignore[arg-type]
    draws = CLINIC.counterfactual(UNIT, TREAT, num_draws=np.int64(2))  # type: ignore[arg-type]
    assert draws["severity"].shape == (2,)


def test_an_intervention_may_be_empty_where_it_is_written_out() -> None:
    answer = CLINIC.counterfactual(UNIT, [{}, TREAT])
    assert answer["recovery"][0].item() == pytest.approx(-0.1)
    assert answer["recovery"][1].item() == pytest.approx(1.9)
