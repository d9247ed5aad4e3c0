"""Checkpoints of a fit: killed at any moment it goes on to the same end, or says why it can't."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from fitted_programs import line, line_data, param, positive, state
from pyro.infer.autoguide import AutoNormal
from safetensors.torch import save_file
from torch import Tensor, nn

import pyrocausal as pc
from pyrocausal.fitting import paths
from pyrocausal.fitting.paths import Paths

OPTIONS: dict[str, Any] = {"steps": 60, "batch_size": 16, "validation": 0.2, "lr": 0.05}


def hidden_cause() -> None:
    """A latent u: u -> x, u -> y."""
    u = pyro.sample("u", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(param("a") * u, 1.0))
    pyro.sample("y", dist.Normal(param("b") * u, positive("s")))


class Crash(Exception):
    """Stands for whatever ends a process."""


def crashing(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let the fit fail just before a step."""
    take, taken = Paths.take, 0

    def until(self: Paths, *args: Any) -> list[Tensor]:
        nonlocal taken
        taken += 1
        if taken == step:
            raise Crash
        return take(self, *args)

    monkeypatch.setattr(Paths, "take", until)


def fitted(program: Callable[[], None], guide: Any = None, **options: Any) -> dict[str, Tensor]:
    scm = pc.SCM(program)
    report = scm.fit(line_data(100), guide, seed=3, **(OPTIONS | options))
    return {**state(scm), "losses": report.losses}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


CASES: dict[str, tuple[Callable[[], None], Any, dict[str, Any]]] = {
    "all observed": (line, None, {}),
    "all units a step": (line, None, {"batch_size": None}),
    "a guide that draws": (hidden_cause, AutoNormal, {"validation": 0.0}),
    "SGD with momentum": (
        line,
        None,
        {"optimizer": partial(torch.optim.SGD, lr=1e-2, momentum=0.9)},
    ),
    "Rprop": (line, None, {"optimizer": torch.optim.Rprop}),
}


@pytest.mark.parametrize(
    ("case", "way"),
    [
        *((case, "eager") for case in CASES),
        ("a guide that draws", "replayed"),
        ("SGD with momentum", "replayed"),
    ],
)
def test_a_fit_that_crashed_goes_on_to_the_same_end_bit_by_bit(
    case: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, guide, options = CASES[case]
    compile = False if way == "eager" else "auto"
    if way == "replayed":
        monkeypatch.setattr(paths, "worth_capturing", lambda *_: True)
        monkeypatch.setattr(Paths, "_compile", lambda *_: None)
    options = {**options, "compile": compile}
    whole = fitted(program, guide, **options)
    kept = {**options, "checkpoint": tmp_path / "fit", "every": 7}
    for crash in (4, 30):  # before the first writing, and in the middle
        with monkeypatch.context() as patch:
            crashing(patch, crash)
            with pytest.raises(Crash):
                fitted(program, guide, **kept)
    assert same(fitted(program, guide, **kept), whole)
    # Once more: it is finished, and nothing is left to do.
    with monkeypatch.context() as patch:
        crashing(patch, 1)
        assert same(fitted(program, guide, **kept), whole)


def test_a_rerun_without_a_seed_takes_that_of_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(scm: pc.SCM) -> Any:
        return scm.fit(line_data(100), checkpoint=tmp_path, every=5, **OPTIONS)

    with monkeypatch.context() as patch:
        crashing(patch, 40)
        with pytest.raises(Crash):
            fit(pc.SCM(line))
    report = fit(pc.SCM(line))
    assert "went on from step 35 of" in repr(report)
    scm = pc.SCM(line)
    plain = scm.fit(line_data(100), seed=report.seed, **OPTIONS)
    assert torch.equal(plain.losses, report.losses)


def test_buffers_go_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(**options: Any) -> dict[str, Tensor]:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 1))

        def program() -> None:
            pyro.module("net", net)
            x = pyro.sample("x", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(net(x[:, None])[:, 0], 1.0))

        return {**fitted(program, **options), **dict(net.named_buffers())}

    whole = run()
    with monkeypatch.context() as patch:
        crashing(patch, 33)
        with pytest.raises(Crash):
            run(checkpoint=tmp_path, every=10)
    assert same(run(checkpoint=tmp_path, every=10), whole)


def steep() -> None:
    """The line with another formula, but the same sites and parameters."""
    x = pyro.sample("x", dist.Normal(param("mean"), positive("spread")))
    loc = param("intercept") + 1.01 * param("slope") * x
    pyro.sample("y", dist.Normal(loc, positive("scale")))


def heavy() -> None:
    """The line with other noise."""
    x = pyro.sample("x", dist.Normal(param("mean"), positive("spread")))
    loc = param("intercept") + param("slope") * x
    pyro.sample("y", dist.Laplace(loc, positive("scale")))


def other_parameters() -> None:
    """The line with another name of a parameter."""
    x = pyro.sample("x", dist.Normal(param("mean"), positive("spread")))
    pyro.sample("y", dist.Normal(param("slope") * x, positive("noise")))


def moved_data() -> dict[str, Tensor]:
    data = line_data(100)
    data["y"][99] += 1e-6
    return data


OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "formula": ({"program": steep}, "the log density of 'y' is .* and was"),
    "family": ({"program": heavy}, "site 'y' is Laplace, scalar, float32 and was Normal"),
    "parameters": (
        {"program": other_parameters},
        "the parameter 'noise' is there and was not",
    ),
    "one number": ({"data": moved_data()}, "the data of 'y' is not the same"),
    "fewer units": ({"data": line_data(90)}, "'number of units' is 90 and was 100"),
    "steps": ({"steps": 4}, "the setting 'steps' is 4 and was 3"),
    "rate": ({"lr": 0.1}, 'the setting "optimizer\'s lr" is 0.1 and was 0.05'),
    "optimizer": (
        {"optimizer": torch.optim.SGD},
        "the setting 'optimizer' is .*SGD and was .*Adam",
    ),
    "seed": ({"seed": 4}, "the seed is 4 and was 3"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_checkpoint_of_another_fit_is_refused_with_the_difference(
    other: str, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"data": line_data(100), "seed": 3, **OPTIONS, "steps": 3}
    pc.SCM(line).fit(**given, checkpoint=tmp_path)
    change, words = OTHERS[other]
    changed = {"program": line, **given, **change}
    scm = pc.SCM(changed.pop("program"))
    scm.sample(2, seed=0)
    before = state(scm)
    with pytest.raises(ValueError, match=f"is the checkpoint of another fit: .*{words}.*folder"):
        scm.fit(**changed, checkpoint=tmp_path)
    assert same(state(scm), before)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    fitted(line, checkpoint=tmp_path)
    file = tmp_path / "fit.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match="is damaged and can't be read"):
        fitted(line, checkpoint=tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told_and_the_last_checkpoint_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, written = fitted(line), 0

    def filling(*args: Any) -> None:
        nonlocal written
        written += 1
        if written == 3:
            Path("/dev/full").write_bytes(b"0")  # raises what a full disk raises
        save_file(*args)

    monkeypatch.setattr("pyrocausal.fitting.checkpointing.save_file", filling)
    with pytest.raises(OSError, match=r"at step 30: .*No space left.*step 20 stands; make room"):
        fitted(line, checkpoint=tmp_path, every=10)
    assert [file.name for file in tmp_path.iterdir()] == ["fit.safetensors"]
    assert same(fitted(line, checkpoint=tmp_path, every=10), whole)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"every": 5}, "every=5 but no checkpoint"),
        ({"checkpoint": "c", "every": 0}, "every=0"),
        ({"checkpoint": 5}, "checkpoint=5"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        fitted(line, **options)


SCRIPT = """
import sys, torch
sys.path[:0] = {path!r}
torch.set_num_threads(1)
from test_checkpoints import fitted, hidden_cause, AutoNormal
folder, out = sys.argv[1:]
found = fitted(hidden_cause, AutoNormal, steps=400, every=10, checkpoint=folder, compile=False)
torch.save(found, out)
"""


@pytest.mark.slow
def test_a_fit_that_was_killed_goes_on_to_the_same_end(tmp_path: Path) -> None:
    chance = random.Random(0)
    command = [sys.executable, "-c", SCRIPT.format(path=sys.path), "", ""]
    ends = []
    for kills in (0, 2):
        command[3:] = [str(tmp_path / f"fit{kills}"), str(tmp_path / f"{kills}.pt")]
        killed = 0
        while killed < kills:
            run = subprocess.Popen(command)
            while not Path(command[3], "fit.safetensors").exists() and run.poll() is None:
                time.sleep(0.01)
            time.sleep(chance.uniform(0.0, 1.0))
            os.kill(run.pid, signal.SIGKILL)
            killed += run.wait() == -signal.SIGKILL
            assert killed, "it was over before it could be killed"
        subprocess.run(command, check=True)
        ends.append(torch.load(command[4], weights_only=True))
    assert same(*ends)
