"""Plug-in: estimands of any kind, their factors fitted and drawn from."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from estimates import error, interval

import pyrocausal as pc
from pyrocausal.estimation.conditionals import conditional
from pyrocausal.estimation.learned import Learned
from pyrocausal.estimation.table import read_rows

FRONT_DOOR = pc.identify(
    pc.CausalGraph([("X", "M"), ("M", "Y")], bidirected=[("X", "Y")]), "Y", do="X"
)
NAPKIN = pc.identify(
    pc.CausalGraph([("W", "Z"), ("Z", "X"), ("X", "Y")], bidirected=[("W", "X"), ("W", "Y")]),
    "Y",
    do="X",
)
Rows = pd.DataFrame


def expit(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def test_a_front_door_of_binary_variables_is_what_evaluate_says() -> None:
    rng = np.random.default_rng(0)
    u = rng.random(2000) < 0.5
    x = rng.random(2000) < 0.2 + 0.6 * u
    m = rng.random(2000) < 0.1 + 0.8 * x
    y = rng.random(2000) < 0.1 + 0.4 * m + 0.4 * u
    rows = pd.DataFrame({"X": x, "M": m, "Y": y.astype(float)})
    exact = FRONT_DOOR.evaluate(rows, {"X": True})[1] - FRONT_DOOR.evaluate(rows, {"X": False})[1]
    effect = FRONT_DOOR.estimate(rows, (True, False), method="plug-in", replicates=20, seed=0)
    assert abs(float(effect) - exact) < 4 * interval(effect).sources["Monte Carlo"]
    assert interval(effect).sources["Monte Carlo"] < 0.1 * error(effect)


def linear_front_door(n: int) -> Rows:
    # U -> X -> M -> Y, U -> Y; effect of X on Y: 2 * 1.5
    rng = np.random.default_rng(3)
    u, noise = rng.normal(size=n), rng.normal(size=(3, n))
    x = u + noise[0]
    m = 2 * x + noise[1]
    return pd.DataFrame({"X": x, "M": m, "Y": 1.5 * m - 3 * u + noise[2]})


def test_a_front_door_of_continuous_variables_is_the_product_of_slopes() -> None:
    rows = linear_front_door(1000)
    effect = FRONT_DOOR.estimate(rows, (1, 0), method="plug-in", squares=False, replicates=40)
    sources = interval(effect).sources
    assert abs(float(effect) - 3.0) < 4 * (sources["sampling"] + sources["Monte Carlo"])
    first = np.polyfit(rows.X, rows.M, 1)[0]
    design = np.column_stack([np.ones(1000), rows.M, rows.X])
    second = np.linalg.lstsq(design, rows.Y, rcond=None)[0][1]
    # Products with the treatment, whose coefficients are 0 in truth, make the difference.
    assert float(effect) == pytest.approx(first * second, abs=0.3)
    assert abs(float(effect.details["naive difference"].split()[0]) - 1.5) < 0.2


def test_a_ratio_is_met_by_weights() -> None:
    # napkin with U1 on W and X, U2 on W and Y; effect of X: 1
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(2, 3000))
    w = a + b + rng.normal(size=3000)
    z = rng.random(3000) < expit(w)
    x = rng.random(3000) < expit(2 * z - 1 + a)
    y = x + 2 * b + rng.normal(size=3000)
    rows = pd.DataFrame({"W": w, "Z": z, "X": x, "Y": y})
    effect = NAPKIN.estimate(rows, (True, False), method="plug-in", replicates=40, seed=0)
    assert abs(float(effect) - 1) < 4 * error(effect) < 1
    assert abs(float(effect.details["naive difference"].split()[0]) - 1) > 3 * error(effect)


@pytest.mark.slow
def test_a_learned_factor_follows_a_curve() -> None:
    # M bends with X as no parabola does
    rng = np.random.default_rng(29)
    x = rng.normal(size=800)
    data = {"X": x, "M": 1 - np.exp(-2 * x**2) + 0.2 * rng.normal(size=800)}
    learned = Learned(read_rows(data, ["X", "M"]), "M", ("X",))
    at = {"X": np.repeat([-1.0, 0.0, 1.0], 2000)}
    drawn, truth = learned.draw(at, rng).reshape(3, -1), 1 - np.exp([-2.0, 0.0, -2.0])
    assert np.abs(learned.mean(at).reshape(3, -1)[:, 0] - truth).max() < 0.15
    assert np.abs(drawn.mean(1) - truth).max() < 0.15
    assert np.abs(drawn.std(1) - 0.2).max() < 0.1
    grid = np.linspace(-2, 3, 6000)
    densities = learned.density(grid, {"X": np.zeros(6000)})
    assert densities.sum() * (grid[1] - grid[0]) == pytest.approx(1, abs=1e-3)


def test_mechanisms_are_fitted_to_each_factor_with_conditions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fitted = []

    def stand_in(rows: Any, target: str, given: tuple[str, ...]) -> Any:
        fitted.append((target, given))
        return conditional(rows, target, given, "X", squares=False)

    monkeypatch.setattr("pyrocausal.estimation.plug_in.Learned", stand_in)
    options: Any = {"method": "plug-in", "squares": False, "seed": 0}
    rows = linear_front_door(200)
    learned = FRONT_DOOR.estimate(rows, (1, 0), models="mechanisms", **options)
    assert fitted == [("M", ("X",)), ("Y", ("M", "X"))] * 21
    assert "mechanisms" in learned.details["models"]
    assert "20 bootstrap samples" in learned.details["method"]
    assert float(learned) == float(FRONT_DOOR.estimate(rows, (1, 0), **options))
