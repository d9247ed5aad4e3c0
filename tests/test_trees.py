"""Answers as xarray's DataTree: what stands in them, under which dimensions and labels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
import xarray as xr

import pyrocausal as pc
from pyrocausal.answers import Answer, Effect, Interval


@pc.scm
def clinic() -> None:
    severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
    treated = pyro.sample("treated", dist.Bernoulli(logits=1.5 * severity))
    pyro.sample("scans", dist.Normal(torch.stack([severity, treated], -1), 1.0).to_event(1))
    pyro.sample("recovery", dist.Normal(2.0 * treated - severity, 0.5))


WORLDS: Final = [{"treated": 0.0}, {"treated": 1.0}]
ROWS: Final = pd.DataFrame(
    {"severity": [0.3, 1.0], "treated": [0, 1], "recovery": [-0.1, np.nan]}, index=["Ann", "Bob"]
)
COINS: Final = {"heads": [1.0] * 70 + [0.0] * 30}


@pc.scm
def coins() -> None:
    bias = pyro.sample("bias", dist.Beta(1.0, 1.0))
    with pc.units():
        pyro.sample("heads", dist.Bernoulli(bias))


def test_samples_have_named_worlds_and_units_and_what_they_rest_on() -> None:
    answer = clinic.do(WORLDS).sample(4, seed=0)
    tree = answer.to_datatree()
    recovery = tree["data/recovery"]
    assert recovery.dims == ("world", "unit")
    assert recovery.world.values.tolist() == ["treated=0", "treated=1"]
    assert np.array_equal(recovery.values, answer["recovery"].numpy())
    assert tree["data/scans"].dims == ("world", "unit", "scans_dim_0")
    assert np.array_equal(tree["natural/treated"].values, answer.natural["treated"].numpy())
    assert tree.attrs["query"] == answer.query
    assert (tree.attrs["rung"], tree.attrs["seed"]) == (2, 0)
    assert tree.attrs["assumptions"] == list(answer.assumptions)


def test_a_counterfactual_is_a_posterior_beside_the_fact_and_the_evidence() -> None:
    answer = clinic.counterfactual(ROWS, WORLDS, num_draws=5, seed=0)
    tree = answer.to_datatree()
    assert set(tree.children) == {"posterior", "natural", "factual", "observed_data"}
    assert tree["posterior/recovery"].dims == ("chain", "draw", "world", "unit")
    assert tree["factual/recovery"].dims == ("chain", "draw", "unit")
    whole = tree["posterior/recovery"].sel(chain=0, world="treated=1", unit="Bob")
    assert np.array_equal(whole.values, answer["recovery"][:, 1, 1].numpy())
    seen = tree["observed_data/recovery"]
    assert seen.sel(unit="Ann").item() == pytest.approx(-0.1)
    assert np.isnan(seen.sel(unit="Bob").item())
    assert "recovery: exact, prior where missing" in tree.attrs["routes"]


def test_a_dimension_that_a_question_does_not_have_is_absent() -> None:
    one = clinic.counterfactual(ROWS.iloc[0], {"treated": 1.0}, seed=0).to_datatree()
    assert one["posterior/recovery"].dims == ()
    assert one["observed_data/severity"].item() == pytest.approx(0.3)
    assert clinic.sample(3, seed=0).to_datatree()["data/severity"].dims == ("unit",)


def test_units_may_have_labels_of_several_levels() -> None:
    places = pd.MultiIndex.from_tuples([("a", 1), ("b", 1)], names=["ward", "bed"])
    answer = clinic.counterfactual(ROWS.set_axis(places), {"treated": 1.0}, seed=0)
    found = answer.to_datatree()["posterior/recovery"]
    assert found.sel(ward="b").item() == pytest.approx(answer["recovery"][1].item())


def test_an_answer_has_its_numbers_over_what_they_belong_to() -> None:
    total = pc.ate(clinic, "treated", "recovery", num_samples=200, seed=0)
    tree = total.to_datatree()
    assert tree["value"].item() == pytest.approx(total.value)
    assert tree["value"].dims == ()
    assert tree.attrs["query"] == total.query
    people = pd.Index(["male", "female"], name="sex")
    value = torch.tensor([2.0, 4.0])
    by_sex = Effect(value, None, Interval(value - 1, value + 1), "E[Y]", rung=2, index=people)
    assert by_sex.to_datatree()["upper"].sel(sex="female").item() == 5.0
    both = pd.MultiIndex.from_tuples([("f", "old"), ("m", "old")], names=["sex", "age"])
    groups: Answer = Effect(value, None, None, "E[Y]", rung=2, index=both)
    assert groups.to_datatree()["value"].sel(sex="m", age="old").item() == 4.0


def test_the_posterior_of_what_units_share_has_chains_and_draws() -> None:
    coins.fit(COINS, pyro.infer.autoguide.AutoNormal, steps=600, lr=0.05, seed=0)
    tree = coins.posterior(2000, seed=0)
    bias = tree["posterior/bias"]
    assert bias.dims == ("chain", "draw")
    # The exact posterior is Beta(71, 31): mean 0.696, sd 0.045. A normal guide on the logit comes
    # near it; the mean of 2000 draws has an error of 0.001, the fit one of some hundredths.
    assert bias.mean().item() == pytest.approx(71 / 102, abs=0.02)
    assert bias.std().item() == pytest.approx(0.045, rel=0.3)
    with pytest.raises(ValueError, match="all variables of clinic belong to units"):
        clinic.posterior()


def test_a_tree_can_be_written_and_read(tmp_path: Path) -> None:
    for library in ("h5netcdf", "h5py"):
        pytest.importorskip(library)
    tree = clinic.counterfactual(ROWS, WORLDS, num_draws=3, seed=0).to_datatree()
    tree.to_netcdf(tmp_path / "answer.nc")
    assert xr.open_datatree(tmp_path / "answer.nc")["posterior"].equals(tree["posterior"])


def test_arviz_summarises_a_counterfactual() -> None:
    stats = pytest.importorskip("arviz_stats")
    answer = clinic.counterfactual(ROWS, {"treated": 1.0}, num_draws=50, seed=0)
    table = stats.summary(answer.to_datatree(), var_names=["recovery"])
    assert list(table.index) == ["recovery[Ann]", "recovery[Bob]"]


def test_without_xarray_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'pyrocausal\[arviz\]'"):
        clinic.sample(3, seed=0).to_datatree()
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'pyrocausal\[arviz\]'"):
        Effect(2.0, None, None, "E[Y]", rung=2).to_datatree()
