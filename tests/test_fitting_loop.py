"""The loop: when it stops, what it repeats, how it fails, and the settings that it takes."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from fitted_programs import hierarchy, line, line_data, param, state
from pyro.infer.autoguide import AutoNormal
from torch import Tensor

import pyrocausal as pc
from pyrocausal.fitting.fit_report import FitReport
from pyrocausal.fitting.guiding import posterior_draws


def wide_program(seen: list[Tensor]) -> Callable[[], None]:
    """A regression with so many coefficients that it overfits; notes the held-out units."""

    def program() -> None:
        x = pyro.sample("x", dist.Normal(torch.zeros(30), 1.0).to_event(1))
        if not torch.is_grad_enabled():
            seen.append(x.detach())
        w = pyro.param("w", torch.zeros(30))
        pyro.sample("y", dist.Normal(x @ w, 1.0))

    return program


def test_a_fit_stops_when_held_out_units_no_longer_gain_and_keeps_the_best_parameters() -> None:
    torch.manual_seed(0)
    x = torch.randn(80, 30)
    y = x[:, 0] + 2 * torch.randn(80)
    seen: list[Tensor] = []
    path: list[Tensor] = []

    class Recorder(torch.optim.Adam):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            super().step(closure)
            path.append(self.param_groups[0]["params"][0].detach().clone())

    scm = pc.SCM(wide_program(seen))
    scm.graph  # noqa: B018 - learnt before the notes are taken
    seen.clear()
    report = scm.fit(
        {"x": x, "y": y},
        steps=4000,
        patience=4,
        validation=0.4,
        seed=0,
        optimizer=partial(Recorder, lr=0.01),
        compile=False,  # it notes what it sees, which on a slow machine a graph would be made of
    )
    assert report.steps == len(path) < 4000
    assert "had not risen for 200 steps; the parameters are those of step" in report.stopped
    held = seen[0]
    assert len(held) == report.held_out == 32
    of_held = y[(x[:, None] == held[None]).all(-1).any(1)]
    looks = torch.stack([path[i - 1] for i in range(50, len(path) + 1, 50)])
    ordered = x[(x[:, None] == held[None]).all(-1).any(1)]
    errors = ((ordered @ looks.T - of_held[:, None]) ** 2).mean(0)
    assert torch.equal(state(scm)["w"], looks[errors.argmin()])
    assert errors.argmin() < len(errors) - 2


def test_the_same_seed_gives_the_same_fit_bit_by_bit() -> None:
    data = line_data(100)

    def fitted(seed: int) -> tuple[FitReport, dict[str, Tensor]]:
        scm = pc.SCM(line)
        torch.randn(3)  # where the global generator stands plays no part
        return scm.fit(data, steps=30, batch_size=10, seed=seed), state(scm)

    (one, first), (two, second), (three, _) = fitted(1), fitted(1), fitted(2)
    assert torch.equal(one.losses, two.losses)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(one.losses, three.losses)


def numpy_state() -> list[int]:
    state = np.random.get_state(legacy=False)  # noqa: NPY002 - the global one is meant
    return [*state["state"]["key"].tolist(), state["state"]["pos"]]


def test_no_global_generator_moves() -> None:
    scm = pc.SCM(hierarchy)
    before = torch.get_rng_state(), numpy_state(), random.getstate()
    scm.fit({"x": torch.arange(30.0)}, AutoNormal, steps=5, batch_size=7, seed=0)
    posterior_draws(scm._core, 0, 3)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (numpy_state(), random.getstate())


class Failing(torch.optim.SGD):
    """Raises at its sixth step."""

    def __init__(self, params: Any, error: type[BaseException]) -> None:
        super().__init__(params, lr=0.1)
        self.error, self.count = error, 0

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take a step, or raise."""
        self.count += 1
        if self.count == 6:
            raise self.error
        super().step(closure)


def test_an_interrupt_returns_what_is_fitted_so_far() -> None:
    scm = pc.SCM(line)
    start = state(scm)
    report = scm.fit(line_data(50), optimizer=partial(Failing, error=KeyboardInterrupt), seed=0)
    assert report.steps == 5
    assert "interrupted from the keyboard after 5 steps" in repr(report)
    assert not torch.equal(state(scm)["slope"], start.get("slope", torch.tensor(0.0)))


def test_an_error_leaves_the_parameters_as_they_were() -> None:
    scm = pc.SCM(line)
    scm.sample(2, seed=0)
    before = state(scm)
    with pytest.raises(ZeroDivisionError):
        scm.fit(line_data(50), optimizer=partial(Failing, error=ZeroDivisionError), seed=0)
    assert all(torch.equal(before[name], value) for name, value in state(scm).items())


def test_a_loss_that_is_not_finite_names_the_site() -> None:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(param("loc"), 1.0))
        pyro.sample("y", dist.Gamma(torch.full_like(x, 0.5), 1.0))  # infinite at zero

    data = {"x": torch.randn(20), "y": torch.ones(20)}
    data["y"][4] = 0.0
    with pytest.raises(ValueError, match=r"at the start.*'y' \(Gamma, 1 of 20.*support"):
        pc.SCM(program).fit(data, steps=1, validation=0)
    data["y"][:] = 1.0
    data["y"][4:] = 0.0
    with pytest.raises(ValueError, match=r"'y' \(Gamma"):
        pc.SCM(program).fit(data, steps=1, validation=0.9)


def test_a_loss_that_diverges_names_step_and_site_and_puts_the_parameters_back() -> None:
    scm = pc.SCM(line)
    scm.sample(2, seed=0)
    before = state(scm)
    sgd = partial(torch.optim.SGD, lr=1e6)
    with pytest.raises(
        ValueError, match=r"not finite at step \d+; sites: .*'y' \(Normal.*lower lr"
    ):
        scm.fit(line_data(100), optimizer=sgd, validation=0, steps=200, seed=0)
    assert all(torch.equal(before[name], value) for name, value in state(scm).items())


def test_the_progress_bar_is_silent_off_a_terminal_unless_forced(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scm = pc.SCM(line)
    scm.fit(line_data(20), steps=2)
    scm.fit(line_data(20), steps=2, progress=False)
    assert capsys.readouterr() == ("", "")
    scm.fit(line_data(20), steps=2, progress=True)
    assert "fit: 100%" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps": 0}, "steps=0"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
        ({"patience": 0}, "patience=0"),
        ({"validation": 1.0}, "validation=1.0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pc.SCM(line).fit(line_data(20), **settings)


def test_an_optimizer_of_pyro_is_refused_with_what_to_pass() -> None:
    with pytest.raises(TypeError, match=r"partial\(torch.optim.SGD"):
        pc.SCM(line).fit(line_data(20), optimizer=pyro.optim.Adam({"lr": 0.1}))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no CUDA device"):
        pc.SCM(line).fit(line_data(20), device="cuda")
