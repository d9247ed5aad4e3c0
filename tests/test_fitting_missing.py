"""Missing values: left out where they have no observed effects, else inferred by a guide."""

import math
from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from fitted_programs import least_squares, line, line_data, param, parameters, positive
from pyro.infer.autoguide import AutoMultivariateNormal, AutoNormal

import pyrocausal as pc


def test_missing_values_without_observed_effects_are_left_out() -> None:
    data = line_data()
    there = torch.arange(500) % 3 > 0
    scm = pc.SCM(line)
    report = scm.fit(
        {"x": data["x"], "y": torch.where(there, data["y"], torch.nan)},
        steps=600,
        lr=0.05,
        validation=0,
        seed=0,
    )
    intercept, slope, scale = least_squares(data["x"][there], data["y"][there])
    found = parameters(scm)
    assert (found["intercept"], found["slope"], found["scale"]) == pytest.approx(
        (intercept, slope, scale), abs=1e-3
    )
    assert found["mean"] == pytest.approx(data["x"].mean().item(), abs=1e-3)
    assert report.losses.isfinite().all()


def test_missing_values_outside_the_support_of_zero_give_finite_gradients() -> None:
    x = dist.LogNormal(1.0, 0.5).sample((200,))
    x[::4] = torch.nan

    def program() -> None:
        pyro.sample("x", dist.LogNormal(param("loc"), positive("scale")))

    scm = pc.SCM(program)
    scm.fit({"x": x}, steps=400, lr=0.05, validation=0, seed=0)
    logs = x[~x.isnan()].log()
    assert parameters(scm) == pytest.approx(
        {"loc": logs.mean().item(), "scale": logs.std(correction=0).item()}, abs=2e-3
    )


def test_missing_causes_are_refused_with_their_units_and_what_is_needed() -> None:
    data = line_data(20)
    data["x"][[3, 7]] = torch.nan
    with pytest.raises(pc.IncompleteEvidence, match=r"'x' for units 3, 7, where 'y'.*guide"):
        pc.SCM(line).fit(data, steps=1)
    with pytest.raises(pc.IncompleteEvidence, match="guide with a site 'x'"):
        pc.SCM(line).fit(data, lambda batch: None, steps=1)
    with pytest.raises(ValueError, match="AutoMultivariateNormal"):
        pc.SCM(line).fit(data, AutoMultivariateNormal, steps=1)


def test_causes_and_effects_that_are_missing_together_are_left_out_together() -> None:
    x = torch.randn(60, 3)
    y = 2 * x + torch.randn(60, 3)
    x[::2, 1], y[::2, 1] = torch.nan, torch.nan

    def program() -> None:
        with pyro.plate("visits", 3, dim=-2):
            x = pyro.sample("x", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(param("b") * x, 1.0))

    scm = pc.SCM(program)
    scm.fit({"x": x, "y": y}, steps=300, lr=0.1, validation=0, seed=0)
    there = ~x.isnan()
    slope = (x[there] * y[there]).sum() / (x[there] ** 2).sum()
    assert parameters(scm)["b"] == pytest.approx(slope.item(), abs=1e-3)


def missing_x(batch: Any) -> None:
    assert batch["x"].isnan().any()
    pyro.sample("x", dist.Normal(param("g0") + param("g1") * batch["y"], positive("g2")))


@pytest.mark.parametrize("make", [lambda: AutoNormal, lambda: missing_x], ids=["auto", "function"])
def test_a_guide_infers_missing_causes(make: Callable[[], Any]) -> None:
    # With x missing in places the maximum likelihood is known: y from all units, x | y from the
    # complete ones, and the two together give the joint normal distribution.
    data = line_data(400)
    there = torch.arange(400) % 2 == 0
    scm = pc.SCM(line)
    scm.fit(
        {"x": torch.where(there, data["x"], torch.nan), "y": data["y"]},
        make(),
        steps=1500,
        lr=0.03,
        validation=0,
        seed=0,
    )
    y, x = data["y"], data["x"][there]
    a, b, s = least_squares(y[there], x)  # x = a + b y + noise
    mean_y, var_y = y.mean().item(), y.var(correction=0).item()
    slope = b * var_y / (b * b * var_y + s * s)
    found = parameters(scm)
    assert found["mean"] == pytest.approx(a + b * mean_y, abs=0.05)
    assert found["spread"] == pytest.approx(math.sqrt(b * b * var_y + s * s), abs=0.05)
    assert found["slope"] == pytest.approx(slope, abs=0.05)
