"""Captured fits: which way they take, when they warn, and that they find the same."""

import gc
import warnings
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer.autoguide import AutoNormal
from torch import Tensor, nn

import pyrocausal as pc
from pyrocausal.capture.deciding import Compilation
from pyrocausal.errors import NotCapturable
from pyrocausal.fitting import paths
from pyrocausal.fitting.fit_report import FitReport
from pyrocausal.fitting.paths import Paths


def line() -> None:
    """A line: x -> y."""
    x = pyro.sample("x", dist.Normal(pyro.param("m", torch.tensor(0.0)), 1.0))
    scale = pyro.param("s", torch.tensor(1.0), constraint=dist.constraints.positive)
    pyro.sample("y", dist.Normal(pyro.param("w", torch.tensor(0.0)) * x, scale))


def line_data(n: int = 200) -> dict[str, Tensor]:
    x = torch.randn(n, generator=torch.Generator().manual_seed(0))
    return {"x": x, "y": 2 * x + x.flip(0)}


def fit(program: Callable[..., Any], compile: Any, **options: Any) -> tuple[pc.SCM, FitReport]:
    scm = pc.SCM(program)
    options = {"steps": 40, "batch_size": 32, "validation": 0.0, "seed": 1} | options
    return scm, scm.fit(line_data(), options.pop("guide", None), compile=compile, **options)


def state(scm: pc.SCM) -> dict[str, Tensor]:
    return {name: tensor.detach() for name, tensor in scm._core.scope.named().items()}


@pytest.fixture
def replaying(monkeypatch: pytest.MonkeyPatch) -> None:
    """Capture wherever it is asked for, and replay without compiling."""
    monkeypatch.setattr(paths, "worth_capturing", lambda *_: True)
    monkeypatch.setattr(Paths, "_compile", lambda *_: None)


# ---------------------------------------------------------------- the ways


def test_small_fits_stay_eager_without_a_word() -> None:
    _, report = fit(line, "auto")
    assert report.path == "eager"
    assert "(eager)" in str(report)


@pytest.mark.usefixtures("replaying")
@pytest.mark.parametrize("compile", ["auto", True])
@pytest.mark.parametrize("options", [{}, {"batch_size": None}, {"validation": 0.2}])
def test_replayed_steps_find_what_eager_ones_find(compile: Any, options: dict[str, Any]) -> None:
    (one, eager), (two, replayed) = (fit(line, way, **options) for way in (False, compile))
    assert (eager.path, replayed.path) == ("eager", "replayed")
    torch.testing.assert_close(replayed.losses, eager.losses, rtol=1e-5, atol=1e-6)
    for name, value in state(one).items():
        torch.testing.assert_close(state(two)[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("stride", [1, 10])
def test_compiled_steps_find_what_eager_ones_find(
    stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "choose_compilation", lambda *_, **__: Compilation(stride, False))
    (one, eager), (two, compiled) = (fit(line, way, steps=44) for way in (False, True))
    assert compiled.path == "compiled"
    torch.testing.assert_close(compiled.losses, eager.losses, rtol=1e-4, atol=1e-5)
    for name, value in state(one).items():
        torch.testing.assert_close(state(two)[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_another_optimizer_gets_compiled_gradients() -> None:
    sgd = partial(torch.optim.SGD, lr=0.01)
    (_, eager), (_, compiled) = (fit(line, way, optimizer=sgd) for way in (False, True))
    assert compiled.path == "compiled"
    torch.testing.assert_close(compiled.losses, eager.losses, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("replaying")
def test_the_parameters_stay_the_objects_and_the_memory_that_they_were() -> None:
    net = nn.Linear(1, 1)
    memory = [p.data_ptr() for p in net.parameters()]

    def program() -> None:
        pyro.module("net", net)
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(net(x[:, None])[:, 0], 1.0))

    before = net.weight.item()
    scm, report = fit(program, True)
    assert report.path == "replayed"
    assert [p.data_ptr() for p in net.parameters()] == memory
    assert net.weight.item() != before
    assert state(scm)["net$$$weight"].item() == net.weight.item()


@pytest.mark.usefixtures("replaying")
def test_a_second_fit_takes_the_graph_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    scm = pc.SCM(line)
    data = line_data()
    scm.fit(data, steps=5, batch_size=32, compile=True, seed=0)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("captured again")

    monkeypatch.setattr("pyrocausal.fitting.captured.capture", refuse)
    more = {name: value + 1 for name, value in data.items()}
    report = scm.fit(more, steps=5, batch_size=32, compile=True, seed=0)
    assert report.path == "replayed"
    eager = pc.SCM(line)
    eager.fit(data, steps=5, batch_size=32, compile=False, seed=0)
    expected = eager.fit(more, steps=5, batch_size=32, compile=False, seed=0)
    torch.testing.assert_close(report.losses, expected.losses, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("replaying")
def test_a_graph_keeps_neither_the_data_nor_the_model_alive() -> None:
    scm, number = pc.SCM(line), 777
    scm.fit(line_data(number), steps=3, batch_size=32, validation=0.0, compile=True, seed=0)
    gc.collect()
    tensors = [thing for thing in gc.get_objects() if type(thing) is Tensor]
    assert [tensor.shape for tensor in tensors if number in tensor.shape] == []
    core = weakref.ref(scm._core)
    del scm
    gc.collect()
    assert core() is None


def test_what_is_no_way_is_refused() -> None:
    with pytest.raises(ValueError, match="compile='fast'"):
        fit(line, "fast")


# ---------------------------------------------------------------- refusals


runs: list[int] = []


def remembering() -> None:
    runs.append(1)
    line()


def branching() -> None:
    x = pyro.sample("x", dist.Normal(pyro.param("m", torch.tensor(0.0)), 1.0))
    loc = x if x.abs().sum() > 0 else -x
    pyro.sample("y", dist.Normal(loc, 1.0))


TRAPS = {
    remembering: ("length of runs", "runs.append(1)"),
    branching: ("truth value", "x.abs().sum()"),
}


@pytest.mark.usefixtures("replaying")
@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.__name__)
def test_a_trap_warns_once_and_runs_as_pyro_does(trap: Callable[[], None]) -> None:
    reason, code = TRAPS[trap]
    with pytest.warns(pc.CaptureWarning, match=reason) as caught:
        scm, report = fit(trap, "auto")
    assert len(caught) == 1
    assert code in str(caught[0].message)
    assert (report.path, report.steps) == ("eager", 40)
    plain, expected = fit(trap, False)
    assert torch.equal(report.losses, expected.losses)
    assert all(torch.equal(state(scm)[name], value) for name, value in state(plain).items())


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.__name__)
def test_a_trap_raises_before_the_first_step_where_compiling_is_a_must(
    trap: Callable[[], None],
) -> None:
    scm = pc.SCM(trap)
    scm.fit(line_data(), steps=3, compile=False, seed=0)
    before = {name: value.clone() for name, value in state(scm).items()}
    with pytest.raises(NotCapturable, match=TRAPS[trap][0]):
        scm.fit(line_data(), steps=3, compile=True)
    assert all(torch.equal(state(scm)[name], value) for name, value in before.items())
    assert all(value.storage_offset() == 0 for value in state(scm).values())


@pytest.mark.usefixtures("replaying")
def test_a_hook_of_a_parameter_is_called() -> None:
    weight = nn.Parameter(torch.tensor(0.0))
    called: list[int] = []

    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(pyro.param("w", weight) * x, 1.0))

    weight.register_post_accumulate_grad_hook(lambda _: called.append(1))
    with pytest.warns(pc.CaptureWarning, match="hook"):
        _, report = fit(program, "auto")
    assert len(called) == report.steps


@pytest.mark.usefixtures("replaying")
def test_parameters_that_share_memory_are_moved_together() -> None:
    both = torch.zeros(2)
    one, two = nn.Parameter(both[:1]), nn.Parameter(both[1:])

    def program() -> None:
        x = pyro.sample("x", dist.Normal(pyro.param("one", one), 1.0))
        pyro.sample("y", dist.Normal(pyro.param("two", two) * x, 1.0))

    with pytest.warns(pc.CaptureWarning, match="share their memory"):
        fit(program, "auto")


class Setting:
    """A number that somebody changes while a fit runs."""

    def __init__(self) -> None:
        self.scale = 1.0

    def program(self) -> None:
        pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(pyro.param("w", torch.tensor(0.0)), self.scale))


@pytest.mark.usefixtures("replaying")
def test_a_change_from_outside_takes_back_what_may_be_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setting, steps = Setting(), 0
    take = Paths.take

    def meddling(self: Paths, *args: Any) -> list[Tensor]:
        nonlocal steps
        steps += 1
        if steps == 70:
            setting.scale = 5.0
        return take(self, *args)

    monkeypatch.setattr(Paths, "take", meddling)
    with pytest.warns(pc.CaptureWarning, match="something else changed .*scale"):
        scm, report = fit(setting.program, "auto", steps=120)
    assert report.path == "eager"
    assert report.steps == 120
    assert steps > 120  # some were taken twice
    # The last steps are those of the new number.
    y = line_data()["y"]
    w = state(scm)["w"]
    density = (
        -dist.Normal(w, 5.0).log_prob(y).mean()
        - dist.Normal(0.0, 1.0).log_prob(line_data()["x"]).mean()
    )
    assert report.losses[-20:].mean().item() == pytest.approx(density.item(), abs=0.15)


@pytest.mark.usefixtures("replaying")
def test_what_changes_out_of_sight_is_found_when_the_program_is_traced_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # torch is not searched for numbers: as a file or a clock, this is out of sight.
    monkeypatch.setattr(torch, "out_of_sight", 1.0, raising=False)

    def program() -> None:
        scale = torch.out_of_sight  # type: ignore[attr-defined]
        pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(pyro.param("w", torch.tensor(0.0)) * scale, 1.0))

    take, steps = Paths.take, 0

    def meddling(self: Paths, *args: Any) -> list[Tensor]:
        nonlocal steps
        steps += 1
        if steps == 30:
            torch.out_of_sight = 2.0  # type: ignore[attr-defined]
        return take(self, *args)

    monkeypatch.setattr(Paths, "take", meddling)
    with pytest.warns(pc.CaptureWarning, match="other operations"):
        _, report = fit(program, "auto", steps=120)
    assert (report.path, report.steps) == ("eager", 120)


def test_without_a_compiler_the_graph_is_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("Compiling does not work here: no compiler")

    monkeypatch.setattr("pyrocausal.fitting.captured.lower", broken)
    monkeypatch.setattr(paths, "worth_capturing", lambda *_: True)
    monkeypatch.setattr(paths, "choose_compilation", lambda *_, **__: Compilation(1, False))
    with pytest.warns(pc.CaptureWarning, match="no compiler"):
        _, report = fit(line, "auto")
    assert report.path == "replayed"
    with pytest.raises(RuntimeError, match="no compiler"):
        fit(line, True)


def test_compiled_steps_that_come_out_otherwise_are_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(function: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
        return lambda *arguments: [1.01 * loss for loss in function(*arguments)]

    monkeypatch.setattr("pyrocausal.fitting.captured.lower", wrong)
    monkeypatch.setattr(paths, "worth_capturing", lambda *_: True)
    monkeypatch.setattr(paths, "choose_compilation", lambda *_, **__: Compilation(1, False))
    with pytest.warns(pc.CaptureWarning, match="compiled steps give another result"):
        _, report = fit(line, "auto")
    assert report.path == "replayed"


@pytest.mark.usefixtures("replaying")
def test_a_fit_with_held_out_units_and_a_guide_stops_and_scores_alike() -> None:
    def program() -> None:
        mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
        with pc.units():
            x = pyro.sample("x", dist.Normal(mu, 1.0))
            pyro.sample("y", dist.Normal(pyro.param("w", torch.tensor(0.0)) * x, 1.0))

    reports = [
        fit(program, way, guide=AutoNormal, validation=0.2, steps=100, lr=0.05)[1]
        for way in (False, "auto")
    ]
    assert [report.path for report in reports] == ["eager", "replayed"]
    for eager, replayed in zip(reports[0].scores, reports[1].scores, strict=True):
        assert replayed.log_prob == pytest.approx(eager.log_prob, rel=1e-4)


def test_warnings_are_of_the_kind_that_users_can_silence() -> None:
    assert issubclass(pc.CaptureWarning, UserWarning)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pc.CaptureWarning)
        warnings.warn("silent", pc.CaptureWarning, stacklevel=1)
