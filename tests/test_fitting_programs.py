"""The program as it is: fixed values, factors, evidence, interventions, handlers around a fit."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from fitted_programs import least_squares, line, line_data, param, parameters, positive

import pyrocausal as pc


def test_data_win_over_values_fixed_in_the_program() -> None:
    fixed, given = torch.zeros(100), 2 + torch.randn(100)

    def program() -> None:
        pyro.sample("x", dist.Normal(param("loc"), 1.0), obs=fixed)

    other, wins = pc.SCM(program), pc.SCM(program)
    wins.fit({"x": given}, steps=200, lr=0.1, batch_size=50, validation=0, seed=0)
    assert parameters(wins)["loc"] == pytest.approx(given.mean().item(), abs=0.05)
    with pytest.raises(ValueError, match=r"no units|data is empty"):
        other.fit({}, steps=1)


def test_values_fixed_in_the_program_have_to_be_of_the_units_at_hand() -> None:
    fixed = torch.ones(100)

    def program() -> None:
        x = pyro.sample("x", dist.Normal(param("loc"), 1.0))
        pyro.sample("y", dist.Normal(x, positive("s")), obs=fixed[: len(x)] if cut else fixed)

    data = {"x": torch.zeros(100)}
    cut = False
    pc.SCM(program).fit(data, steps=1, validation=0)
    with pytest.raises(ValueError, match="'y' to 100 values with obs="):
        pc.SCM(program).fit(data, steps=1, batch_size=10)
    cut = True
    pc.SCM(program).fit(data, steps=1, batch_size=10)


def test_a_factor_counts() -> None:
    def program() -> None:
        loc = param("loc")
        x = pyro.sample("x", dist.Normal(loc, 1.0))
        pyro.factor("pull", -0.5 * (loc - 1.0) ** 2 + 0.0 * x)

    x = 3 + torch.randn(200)
    scm = pc.SCM(program)
    scm.fit({"x": x}, steps=300, lr=0.1, batch_size=50, validation=0, seed=0)
    assert parameters(scm)["loc"] == pytest.approx((x.mean().item() + 1) / 2, abs=0.05)


def test_deterministic_columns_have_no_say() -> None:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(param("loc"), 1.0))
        pyro.deterministic("double", 2 * x)

    scm = pc.SCM(program)
    scm.fit(scm.sample(200, seed=0), steps=50, seed=0)


def test_interventions_are_refused_and_evidence_is_fitted() -> None:
    data, scm = line_data(300), pc.SCM(line)
    for intervened in (scm.do(x=1.0), scm.do([{"x": 1.0}, {"x": 2.0}])):
        with pytest.raises(ValueError, match="fit the SCM itself"):
            intervened.fit(data, steps=1)
    known = scm.condition(x=data["x"])
    with pytest.raises(ValueError, match="'x' is in the data and in condition"):
        known.fit(data, steps=1)
    known.fit({"y": data["y"]}, steps=600, lr=0.05, validation=0, seed=0)
    assert parameters(scm)["slope"] == pytest.approx(
        least_squares(data["x"], data["y"])[1], abs=1e-3
    )


def test_handlers_that_are_open_around_a_fit_have_no_say() -> None:
    data, scm = line_data(100), pc.SCM(line)
    with pyro.plate("outer", 3, dim=-2), pyro.poutine.trace() as trace, torch.no_grad():
        report = scm.fit(data, steps=5, seed=0)
    assert set(trace.trace.nodes) <= {"outer"}
    assert torch.equal(report.losses, pc.SCM(line).fit(data, steps=5, seed=0).losses)


def test_what_was_learnt_about_the_program_is_learnt_again() -> None:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(param("b") * x, 1.0))

    scm = pc.SCM(program)
    assert not scm.graph.has_edge("x", "y")
    scm.fit(line_data(100), steps=20, seed=0)
    assert scm.graph.has_edge("x", "y")
