"""Warnings of fitted models: settings that hardly any data show, values beyond their range."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrocausal as pc


# z -> x -> y, z -> dose -> y
def clinic() -> None:
    b = pyro.param("b", torch.tensor(1.0))
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    x = pyro.sample("x", dist.Bernoulli(logits=5.0 * z))
    dose = pyro.sample("dose", dist.Normal(z, 1.0))
    pyro.sample("y", dist.Normal(b * x + dose, 1.0))


def rows() -> dict[str, Tensor]:
    """Return a table whose doses go from -2 to 3."""
    z = torch.linspace(-1.0, 1.0, 60)
    x = (torch.arange(60) % 2).float()
    dose = torch.linspace(-2.0, 3.0, 60)
    return {"z": z, "x": x, "dose": dose, "y": x + dose}


@pytest.fixture(scope="module")
def fitted() -> pc.SCM:
    model = pc.SCM(clinic)
    model.fit(rows(), steps=3, compile=False, progress=False, seed=0)
    return model


def warned(answer: pc.Effect, about: str) -> list[str]:
    return [words for words in answer.warnings if words.startswith(about)]


def test_units_without_a_chance_of_the_treatment_are_counted(fitted: pc.SCM) -> None:
    answer = pc.ate(fitted, "x", "y", num_samples=20_000, seed=0)
    # sigmoid(5 z) < .01 where z < -.919, which is 18 % of the units; 2000 are looked at.
    (one, other) = warned(answer, "overlap")
    for words, setting in ((one, "x=1"), (other, "x=0")):
        assert setting in words
        share = float(words.split()[1])
        assert share == pytest.approx(17.9, abs=4 * 100 * (0.179 * 0.821 / 2000) ** 0.5)


def test_of_a_group_only_its_own_units_count(fitted: pc.SCM) -> None:
    middle: Callable[[dict[str, Tensor]], Tensor] = lambda v: v["z"].abs() < 0.5  # noqa: E731
    assert not warned(pc.ate(fitted, "x", "y", given=middle, num_samples=500, seed=0), "overlap")
    treated = warned(pc.att(fitted, "x", "y", num_samples=2000, seed=0), "overlap")
    assert len(treated) == 1
    assert "x=0" in treated[0]


def test_seen_units_are_judged_by_their_own_causes(fitted: pc.SCM) -> None:
    seen = {"z": [-3.0, 0.0], "x": [0.0, 1.0], "dose": [0.0, 0.0], "y": [0.0, 1.0]}
    (words,) = warned(pc.ite(fitted, "x", "y", evidence=seen, seed=0), "overlap")
    assert "50 % of the units" in words
    assert "x=1" in words


@pytest.mark.parametrize("values", [(12.0, 0.0), (0.0, 12.0)])
def test_a_value_beyond_the_data_is_named_with_their_range(
    fitted: pc.SCM, values: tuple[float, float]
) -> None:
    answer = pc.ate(fitted, "dose", "y", values=values, num_samples=100, seed=0)
    assert warned(answer, "extrapolation") == [
        "extrapolation: dose=12 lies outside -2 to 3, the range in the data of the fit"
    ]


def test_the_ends_of_the_range_lie_in_it(fitted: pc.SCM) -> None:
    answer = pc.ate(fitted, "dose", "y", values=(3.0, -2.0), num_samples=100, seed=0)
    assert not answer.warnings


def test_each_dose_beyond_the_range_is_named(fitted: pc.SCM) -> None:
    answer = pc.dose_response(fitted, "dose", "y", doses=[0, 4, 5], num_samples=100, seed=0)
    assert len(warned(answer, "extrapolation")) == 2


def test_a_model_that_was_not_fitted_knows_of_no_data() -> None:
    answer = pc.ate(pc.SCM(clinic), "x", "y", num_samples=100, seed=0)
    assert not answer.warnings


def test_the_range_is_saved_with_the_model(fitted: pc.SCM, tmp_path: Path) -> None:
    fitted.save(tmp_path / "clinic.st")
    again = pc.SCM.load(tmp_path / "clinic.st", clinic)
    answer = pc.ate(again, "dose", "y", values=(12.0, 0.0), num_samples=100, seed=0)
    assert warned(answer, "extrapolation")


def test_missing_values_have_no_part_in_the_range() -> None:
    def program() -> None:
        shift = pyro.param("shift", torch.tensor(0.0))
        x = pyro.sample("x", dist.Normal(shift, 1.0))
        y = pyro.sample("y", dist.Normal(x, 1.0))
        pyro.sample("w", dist.Normal(y, 1.0))

    model = pc.SCM(program)
    data = {"x": [0.0, 1.0, 2.0], "y": [1.0, 2.0, 0.0], "w": [5.0, float("nan"), 6.0]}
    model.fit(data, steps=2, compile=False, progress=False, seed=0)
    assert model._core.learnt is not None
    assert model._core.learnt.ranges == {"x": (0.0, 2.0), "y": (0.0, 2.0), "w": (5.0, 6.0)}


# ---------------------------------------------------------------- moved otherwise than by setting


def test_a_policy_that_gives_units_what_they_hardly_get_is_named(fitted: pc.SCM) -> None:
    def contrary(v: dict[str, Tensor]) -> Tensor:
        return (v["z"] < 0.0).float()

    answer = pc.policy_value(fitted, contrary, "y", treatment="x", num_samples=4000, seed=0)
    (words,) = warned(answer, "overlap")
    # sigmoid(-5 |z|) < .01 where |z| > .919, which is 36 % of the units; 2000 are looked at.
    share = float(words.split(", ")[1].split()[0])
    assert share == pytest.approx(35.8, abs=4 * 100 * (0.358 * 0.642 / 2000) ** 0.5)


def test_a_policy_that_follows_the_chances_has_overlap(fitted: pc.SCM) -> None:
    answer = pc.policy_value(fitted, lambda v: (v["z"] > 0).float(), "y", treatment="x", seed=0)
    assert not answer.warnings


@pytest.mark.parametrize(
    "action",
    [pc.shift(4.0), pc.edit(lambda x: x + 4.0), pc.policy(lambda v: v["z"] + 5.0)],
    ids=["shift", "edit", "policy"],
)
def test_an_action_that_moves_units_out_of_the_range_is_named(fitted: pc.SCM, action: Any) -> None:
    answer = pc.contrast(fitted, "y", {"dose": action}, {"x": 0.0}, num_samples=4000, seed=0)
    (words,) = warned(answer, "extrapolation")
    assert "outside -2 to 3, the range in the data of the fit" in words
    # dose ~ Normal(0, 2): by 4 up, P(dose > -1) = .76 (.98 of z + 5).
    assert float(words.split(", ")[1].split()[0]) > 70


def test_a_small_shift_is_no_extrapolation(fitted: pc.SCM) -> None:
    answer = pc.contrast(
        fitted, "y", {"dose": pc.shift(0.01)}, {"x": 0.0}, given={"x": 0.0}, seed=0
    )
    assert not warned(answer, "extrapolation")


def test_a_model_that_was_not_fitted_may_be_moved_anywhere() -> None:
    answer = pc.contrast(pc.SCM(clinic), "y", {"dose": pc.shift(9.0)}, {"x": 0.0}, seed=0)
    assert not answer.warnings
