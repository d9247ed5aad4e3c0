"""What is saved comes back bit for bit, and only into the program it was saved from."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer.autoguide import AutoNormal
from pyro.nn import PyroModule, PyroParam
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import pyrocausal as pc
from pyrocausal.fitting.saving import HEADER

DATA = {"x": torch.linspace(-1, 1, 40), "y": torch.linspace(-2, 3, 40)}


def constrained() -> Callable[[], None]:
    """Constrained parameters: x -> y."""

    def program() -> None:
        corner = pyro.param("corner", torch.eye(2), constraint=dist.constraints.lower_cholesky)
        scale = pyro.param("scale", torch.tensor(1.0), constraint=dist.constraints.positive)
        x = pyro.sample("x", dist.Normal(pyro.param("loc", torch.tensor(0.0)), scale))
        pyro.sample("y", dist.Normal(corner[1, 0] + corner[0, 0] * x, corner[1, 1]))

    return program


def normalized() -> Callable[[], None]:
    """A network with buffers: x -> y."""
    net = nn.Sequential(nn.Linear(1, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 1))

    def program() -> None:
        pyro.module("net", net)
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(net(x[:, None])[:, 0], 1.0))

    return program


class Plain(nn.Module):
    """A module that is the program."""

    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(1, 1)
        self.register_buffer("shift", torch.randn(()))

    def forward(self) -> None:
        """Run the program."""
        x = pyro.sample("x", dist.Normal(self.shift, 1.0))
        pyro.sample("y", dist.Normal(self.line(x[:, None])[:, 0], 1.0))


class Pyroic(PyroModule):
    """A PyroModule that is the program."""

    line: Any
    scale: Any

    def __init__(self) -> None:
        super().__init__()
        self.line = PyroModule[nn.Linear](1, 1)  # type: ignore[call-arg, arg-type]
        self.scale = PyroParam(torch.tensor(1.0), constraint=dist.constraints.positive)

    def forward(self) -> None:
        """Run the program."""
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(self.line(x[:, None])[:, 0], self.scale))


MAKERS: dict[str, Callable[[], Any]] = {
    "constrained": constrained,
    "normalized": normalized,
    "module": Plain,
    "pyro-module": Pyroic,
}
each_program = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def tensors(scm: pc.SCM) -> dict[str, Tensor]:
    return {**scm._core.scope.named(), **scm._core.scope.buffers()}


@each_program
def test_a_round_trip_is_exact(make: Callable[[], Any], tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    scm = pc.SCM(make(), name="one")
    scm.fit(DATA, steps=20, seed=0)
    scm.save(path)
    with torch.random.fork_rng():
        torch.manual_seed(99)  # a program whose parameters start elsewhere
        program = make()
    state = torch.get_rng_state()
    again = pc.SCM.load(path, program)
    assert torch.equal(state, torch.get_rng_state())
    before, after = tensors(scm), tensors(again)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert again.name == "one"
    first, second = scm.sample(50, seed=3), again.sample(50, seed=3)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(scm.log_prob(DATA), again.log_prob(DATA))
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


@each_program
def test_a_loaded_model_can_be_fitted_on(make: Callable[[], Any], tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    pc.SCM(make()).save(path)
    again = pc.SCM.load(path, make())
    before = {name: tensor.detach().clone() for name, tensor in tensors(again).items()}
    again.fit(DATA, steps=5, seed=0)
    assert any(not torch.equal(before[name], tensor) for name, tensor in tensors(again).items())


def test_loading_leaves_the_global_store_and_other_scms_alone(tmp_path: Path) -> None:
    program, path = constrained(), tmp_path / "model"
    scm = pc.SCM(program)
    scm.fit(DATA, steps=20, seed=0)
    scm.save(path)
    pyro.param("loc", torch.tensor(7.0))
    other = pc.SCM(program)
    assert other.sample(1, seed=0)["x"].item() > 3  # it took over the global value
    pc.SCM.load(path, program)
    assert pyro.param("loc").item() == 7
    assert other.sample(1, seed=0)["x"].item() > 3
    assert set(pyro.get_param_store()) == {"loc"}


def test_latents_couplings_and_name_come_back(tmp_path: Path) -> None:
    def program() -> None:
        u = pyro.sample("u", dist.Normal(0.0, 1.0))
        pyro.sample("k", dist.Categorical(logits=torch.stack([u, 0 * u, -u], -1)))

    path = tmp_path / "model"
    pc.SCM(program, latent=["u"], noise={"k": "quantile"}, name="choice").save(path)
    again = pc.SCM.load(path, program)
    assert again.latent == {"u"}
    assert again.name == "choice"
    assert again._core.couplings == {"k": "quantile"}
    assert again.graph.latent == {"u"}


def test_couplings_that_are_functions_are_asked_for(tmp_path: Path) -> None:
    def coupling(fn: Any) -> Any:
        raise NotImplementedError

    def program() -> None:
        pyro.sample("k", dist.Bernoulli(0.5))

    path = tmp_path / "model"
    pc.SCM(program, noise={"k": coupling}).save(path)
    with pytest.raises(ValueError, match=r"noise of k.*noise=\{'k': ...\}"):
        pc.SCM.load(path, program)
    assert pc.SCM.load(path, program, noise={"k": coupling})._core.couplings == {"k": coupling}


def test_a_program_with_arguments_is_probed_on_those_that_are_passed(tmp_path: Path) -> None:
    def program(t: Tensor) -> None:
        pyro.sample("y", dist.Normal(pyro.param("b", torch.tensor(0.5)) * t, 1.0))

    path, t = tmp_path / "model", torch.arange(40.0)
    scm = pc.SCM(program)
    scm.fit({"y": DATA["y"]}, inputs={"t": t}, steps=5, seed=0)
    scm.save(path)
    with pytest.raises(ValueError, match="program takes t"):
        pc.SCM.load(path, program)
    again = pc.SCM.load(path, program, inputs={"t": t[:5]})
    assert torch.equal(
        again.sample(40, inputs={"t": t}, seed=0)["y"],
        scm.sample(40, inputs={"t": t}, seed=0)["y"],
    )


def test_a_guide_is_not_saved_and_that_is_said(tmp_path: Path) -> None:
    def program() -> None:
        loc = pyro.sample("loc", dist.Normal(0.0, 1.0))
        with pc.units():
            pyro.sample("x", dist.Normal(loc, 1.0))

    path = tmp_path / "model"
    scm = pc.SCM(program)
    scm.fit({"x": DATA["x"]}, AutoNormal, steps=3, seed=0)
    scm.save(path)
    with pytest.warns(UserWarning, match=r"guide.*not in the file"):
        pc.SCM.load(path, program)


# ---------------------------------------------------------------- files that are refused


def test_another_programs_file_is_refused_with_both_lists(tmp_path: Path) -> None:
    path = tmp_path / "model"

    def first() -> None:
        pyro.param("a", torch.zeros(2))
        pyro.sample("x", dist.Normal(pyro.param("b", torch.zeros(3)).sum(), 1.0))

    def second() -> None:
        pyro.param("c", torch.zeros(2))
        pyro.sample("x", dist.Normal(pyro.param("b", torch.zeros(4)).sum(), 1.0))

    def third() -> None:
        pyro.sample("z", dist.Normal(0.0, 1.0))

    pc.SCM(first).save(path)
    with pytest.raises(ValueError, match="parameters differ") as caught:
        pc.SCM.load(path, second)
    text = str(caught.value)
    assert "in the file only: parameter a;" in text
    assert "in the program only: parameter c;" in text
    assert "parameter b is float32 (3,) in the file and float32 (4,) in the program" in text
    with pytest.raises(ValueError, match=r"variables differ.*file only: x.*program only: z"):
        pc.SCM.load(path, third)


def test_a_refused_file_changes_no_module(tmp_path: Path) -> None:
    path = tmp_path / "model"
    pc.SCM(normalized()).save(path)
    net = nn.Sequential(nn.Linear(1, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))

    def program() -> None:
        pyro.module("net", net)
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(net(x[:, None])[:, 0], 1.0))

    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(ValueError, match="differ"):
        pc.SCM.load(path, program)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.99])
def test_a_file_that_was_cut_off_is_refused(keep: float, tmp_path: Path) -> None:
    path = tmp_path / "model"
    pc.SCM(constrained()).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(ValueError, match="damaged"):
        pc.SCM.load(path, constrained())


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with pytest.raises(FileNotFoundError, match="no file"):
        pc.SCM.load(path, constrained())
    path.write_bytes(b"not tensors at all, but long enough to be taken for a header of some kind")
    with pytest.raises(ValueError, match="damaged"):
        pc.SCM.load(path, constrained())
    save_file({"loc": torch.zeros(())}, path)
    with pytest.raises(ValueError, match=r"not written by SCM.save"):
        pc.SCM.load(path, constrained())
    pc.SCM(constrained()).save(path)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()[HEADER])
        content = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    save_file(content, path, {HEADER: json.dumps({**header, "format": 99})})
    with pytest.raises(ValueError, match="has the format 99"):
        pc.SCM.load(path, constrained())
    for text, words in (("{", "damaged"), ("3", "no header"), ("{}", "no header")):
        save_file(content, path, {HEADER: text})
        with pytest.raises(ValueError, match=words):
            pc.SCM.load(path, constrained())


def test_the_old_file_stays_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model"
    pc.SCM(constrained()).save(path)
    before = path.read_bytes()

    def fail(tensors: Any, filename: Path, metadata: Any) -> None:
        filename.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("pyrocausal.fitting.saving.save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        pc.SCM(constrained()).save(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_interventions_are_not_saved(tmp_path: Path) -> None:
    scm = pc.SCM(constrained())
    for changed in (scm.do(x=1.0), scm.condition(x=1.0)):
        with pytest.raises(ValueError, match="Save the SCM itself"):
            changed.save(tmp_path / "model")
