"""A fit that stops on its way says so; one that has arrived doesn't."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrocausal as pc
from pyrocausal.fitting import refitting
from pyrocausal.fitting.converging import still_falling

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(400, generator=GENERATOR)
Y = 3.0 * X + torch.randn(400, generator=GENERATOR)
DATA = {"x": X, "y": Y}
QUIET: dict[str, Any] = {"compile": False, "progress": False, "seed": 0}


def line() -> pc.SCM:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(pyro.param("b", torch.tensor(0.0)) * x, 1.0))

    return pc.SCM(program)


class Scored:
    """Units of Normal(loc, 1), as a fit scores them."""

    def __init__(self, values: Tensor, loc: Tensor) -> None:
        self.values, self.loc = values, loc

    def __len__(self) -> int:
        return len(self.values)

    def total(self) -> Tensor:
        density: Tensor = torch.distributions.Normal(self.loc, 1.0).log_prob(self.values)
        return density


def looked(
    trained: Tensor, held_out: Tensor, before: float, here: float, gained: float = 0.0
) -> float:
    loc = torch.tensor(here, dtype=torch.float64)
    one, other = Scored(trained, loc), Scored(held_out, loc)
    start = torch.tensor(before, dtype=torch.float64)
    found = still_falling(one, other, [loc], [start], gained)  # type: ignore[arg-type]
    assert float(loc) == here
    return found


@pytest.mark.parametrize("step", [0.1, 0.03])
def test_a_mean_on_its_way_is_off_by_its_standard_errors_whatever_the_steps(
    step: float,
) -> None:
    values, nothing = Y.double(), torch.zeros(0)
    mean, error = values.mean().item(), values.std().item() / 20
    found = looked(values, nothing, -1.0 - step, -1.0)
    # Half a step ahead the slope is that at a quarter of it.
    assert found == pytest.approx((mean + 1.0 - step / 4) / error, rel=1e-6)


def test_a_mean_that_has_arrived_falls_no_more() -> None:
    mean = Y.double().mean().item()
    assert looked(Y.double(), torch.zeros(0), mean - 0.1, mean) == 0.0


def test_what_the_units_held_out_do_not_gain_is_not_counted() -> None:
    values = Y.double() + 5.0
    assert looked(values, values, -0.1, 0.0) > 10
    assert looked(values, -values, -0.1, 0.0) == 0.0


def test_what_is_little_beside_all_that_was_gained_is_not_counted() -> None:
    values, nothing = Y.double(), torch.zeros(0)
    # From -1 to the mean there are (mean + 1)^2 / 2 to gain, about .5 for each unit.
    assert looked(values, nothing, -1.1, -1.0, gained=10.0) > 5
    assert looked(values, nothing, -1.1, -1.0, gained=1000.0) == 0.0


def test_a_fit_that_stops_on_its_way_says_so_and_what_to_do() -> None:
    model = line()
    words = (
        r"not converged after 100 steps.*Give more steps= \(now 100\) or a higher lr= \(now 0.01\)"
    )
    with pytest.warns(pc.ConvergenceWarning, match=words):
        report = model.fit(DATA, steps=100, lr=0.01, **QUIET)
    assert not report.converged
    assert f"not converged: the loss still falls by {report.falling:.1f} standard" in str(report)
    answer = pc.ate(model, "x", "y", num_samples=100, seed=0)
    assert "the model's fit had not converged" in str(answer)


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 300, "lr": 0.1},
        {"steps": 300, "lr": 0.1, "validation": 0.0},
        {"steps": 300, "lr": 0.1, "batch_size": 50},
        {"steps": 100, "lr": 0.01, "uncertainty": "laplace"},  # goes to the maximum
        {"steps": 99, "lr": 0.01},  # a trial
    ],
    ids=["plain", "nothing held out", "batches", "newton", "few steps"],
)
def test_a_fit_that_has_arrived_is_silent(options: dict[str, Any]) -> None:
    model = line()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = model.fit(DATA, **options, **QUIET)
    assert report.converged
    assert not pc.ate(model, "x", "y", num_samples=100, seed=0).warnings


def test_a_network_that_learns_its_units_by_heart_is_silent() -> None:
    rng = np.random.default_rng(0)
    noise = {"x": rng.normal(size=100), "y": rng.normal(size=100)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = pc.SCM.from_graph(
            [("x", "y")], data=noise, steps=150, lr=0.05, progress=False, seed=0
        )
    assert model.report is not None
    assert model.report.converged


def test_counts_start_near_where_they_end() -> None:
    rng = np.random.default_rng(0)
    table = {"visits": rng.negative_binomial(5, 0.05, 800)}  # mean 95
    graph = pc.CausalGraph(nodes=["visits"])
    model = pc.SCM.from_graph(graph, data=table, steps=1, progress=False, seed=0)
    drawn = model.sample(20_000, seed=0)["visits"]
    assert float(drawn.std()) == pytest.approx(table["visits"].std(), rel=0.1)


# ---------------------------------------------------------------- uncertainty of networks


def table(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.binomial(1, 0.5, rows).astype(float)
    return pd.DataFrame({"x": x, "y": 2.0 * x + rng.normal(size=rows)})


def test_too_many_parameters_for_second_derivatives_are_told_of_the_bootstrap() -> None:
    words = r'the program has \d+, expected at most 500. Ask for uncertainty="bootstrap"'
    with pytest.raises(ValueError, match=words):
        pc.SCM.from_graph(
            [("x", "y")], data=table(200), steps=5, uncertainty="sandwich", progress=False, seed=0
        )


def test_the_spread_of_fits_to_halves_is_the_error_of_a_difference_of_means() -> None:
    rows = table(400)
    model = pc.SCM.from_graph(
        [("x", "y")],
        data=rows,
        steps=60,
        lr=0.05,
        validation=0.0,
        compile=False,
        uncertainty="bootstrap",
        progress=False,
        seed=0,
    )
    answer = pc.ate(model, "x", "y", seed=0)
    by_arm = rows.groupby("x")["y"]
    expected = (by_arm.var() / by_arm.count()).sum() ** 0.5
    assert answer.interval is not None
    # A deviation of 20 fits is known to 1 / sqrt(38), three of which are 49 %.
    found = float(answer.interval.sources["parameters"])
    assert found == pytest.approx(expected, rel=3 / (2 * (refitting.FITS - 1)) ** 0.5)
    assert abs(answer.value - (by_arm.mean()[1] - by_arm.mean()[0])) < 2 * expected
    before = pc.ate(model, "x", "y", seed=0).value
    assert before == answer.value  # the parameters are those of the fit to all rows
