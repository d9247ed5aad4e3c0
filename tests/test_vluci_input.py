"""What VLUCI refuses, and what it says of data it takes."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pyrocausal.errors import UnknownVariable
from pyrocausal.models import VLUCI, vluci_profile
from pyrocausal.models.vluci_columns import read_columns
from pyrocausal.models.vluci_features import Basis
from pyrocausal.models.vluci_two_stage import least_squares

RNG = np.random.default_rng(0)
X = pd.DataFrame(RNG.standard_normal((200, 3)), columns=["a", "b", "c"])
T = (RNG.uniform(size=200) < 1 / (1 + np.exp(-X.a - X.c))).astype(float)
Y = X.a + T + RNG.standard_normal(200)


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at few effects: these tests are not about where the likelihood is highest."""
    monkeypatch.setattr(vluci_profile, "STEPS", 2)


@pytest.mark.parametrize(
    ("t", "y", "message"),
    [
        (np.ones(200), Y, "treatment 1 for every unit"),
        (T + 1, Y, "expected 0 and 1"),
        (T, np.full(200, 3.0), "an outcome that is 3 for every unit"),
        (T[:100], Y, "x of 200, t of 100 and y of 200 rows"),
        (np.stack([T, T], 1), Y, "one number for each unit"),
        (T, np.full(200, np.nan), "0 units"),
    ],
    ids=["one level", "other codes", "constant", "lengths", "matrix", "all missing"],
)
def test_data_that_tell_nothing_are_refused(t: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VLUCI().fit(X, t, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent_dim": 0}, "latent_dim=0"),
        ({"latent_dim": 2, "objective": "exact"}, "objective='joint'"),
        ({"outcome": "gamma"}, "'normal', 'bernoulli', 'poisson'"),
        ({"arms": "both"}, "'shared', 'separate'"),
        ({"treatment": "normal", "objective": "two_stage"}, "binary treatment"),
        ({"treatment_link": "probit", "outcome": "bernoulli"}, "expected 'logit'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VLUCI(**options)


def test_an_instrument_reaches_the_outcome_through_the_treatment_alone() -> None:
    with pytest.raises(ValueError, match="'c' in instruments= and in outcome_only="):
        VLUCI().fit(X, T, Y, instruments=["c"], outcome_only=["c"])
    with pytest.raises(UnknownVariable, match="d"):
        VLUCI().fit(X, T, Y, instruments=["d"])


def test_units_without_an_outcome_are_dropped_with_their_number() -> None:
    y = Y.copy()
    y[:7] = np.nan
    fit: Any = VLUCI().fit(X, T, y)
    assert len(fit.columns.y) == 193
    assert any("7 of 200 units were dropped" in text for text in fit.ate().warnings)
    x = fit.columns.x
    estimate, _ = least_squares(x, fit.columns.t, fit.columns.y)
    assert float(fit.twin.ate()) == pytest.approx(estimate, abs=1e-3)
    assert torch.equal(x, torch.tensor(X[7:].to_numpy()))


def test_separated_treatments_are_told_with_the_share_of_units() -> None:
    few = X[:60]
    fit: Any = VLUCI().fit(few, (few.a > 0).astype(float), Y[:60])
    told = [text for text in fit.warnings if "overlap" in text]
    assert len(told) == 1
    assert "penalised" in told[0]
    assert "%" in told[0]
    assert np.isfinite([fit.ate().low, fit.ate().high]).all()


def test_missing_covariates_need_the_experimental_path() -> None:
    x = X.copy()
    x.iloc[:4, 1] = np.nan
    with pytest.raises(ValueError, match="4 missing covariates"):
        VLUCI().fit(x, T, Y)


def test_bounds_and_levels_are_checked() -> None:
    fit: Any = VLUCI().fit(X[:60], T[:60], Y[:60])
    for options, message in (
        ({"level": 95}, "level=95"),
        ({"bound": -1.0}, "positive multiple"),
        ({"bound": (0.5, 1.0)}, "two shares of variance"),
    ):
        with pytest.raises(ValueError, match=message):
            fit.ate(**options)
    with pytest.raises(ValueError, match="expected the 3 of the fit"):
        fit.cate(torch.zeros(4, 2), point=True)
    with pytest.raises(UnknownVariable, match="'c'"):
        fit.cate(X[["a", "b"]], point=True)


def test_frames_arrays_and_tensors_are_read_alike() -> None:
    kinds = [
        read_columns(X, pd.Series(T), Y, instruments=["c"]),
        read_columns(X.to_numpy(), np.asarray(T), np.asarray(Y), instruments=[2]),
        read_columns(torch.tensor(X.to_numpy()), torch.tensor(T), torch.tensor(Y), instruments=2),
    ]
    for found in kinds:
        assert torch.equal(found.x, torch.tensor(X.to_numpy()))
        assert torch.equal(found.t, torch.tensor(T))
        assert torch.equal(found.y, torch.tensor(Y.to_numpy()))
        assert found.roles["instruments"] == (2,)
        assert (found.treatment_side, found.outcome_side) == ([0, 1, 2], [0, 1])


def test_a_column_that_repeats_another_or_is_constant_adds_no_feature() -> None:
    wider = X.assign(again=X.a * 2 + 1, one=1.0)
    basis = Basis(torch.tensor(wider.to_numpy()), range(5))
    assert basis.size == 3
    features = basis(torch.tensor(wider.to_numpy()))
    torch.testing.assert_close(
        features.mT @ features / 200, torch.eye(3, dtype=torch.float64), atol=1e-9, rtol=0
    )


@pytest.mark.slow
def test_a_fit_leaves_the_global_generators_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    VLUCI(hidden=(4,)).fit(X, T, Y)
    VLUCI(objective="joint", steps=200).fit(X, T, Y)
    assert torch.equal(before, torch.get_rng_state())
