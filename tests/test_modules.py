"""The modules of a program are found under names of their own, wherever it keeps them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

import pyrocausal as pc
from pyrocausal.engine.parameters import modules_of


def line(net: nn.Module, x: Tensor) -> Tensor:
    value: Tensor = net(x[:, None])[:, 0]
    return value


def with_two_helpers() -> tuple[Callable[[], None], list[nn.Module]]:
    """A chain, x -> y -> z, each effect in the hands of a helper with a network called net."""
    first = SimpleNamespace(net=nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5)))
    second = SimpleNamespace(net=nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5)))

    def program() -> None:
        pyro.module("first", first.net)
        pyro.module("second", second.net)
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        y = pyro.sample("y", dist.Normal(line(first.net, x), 1.0))
        pyro.sample("z", dist.Normal(line(second.net, y), 1.0))

    return program, [first.net, second.net]


def test_attributes_of_one_name_are_kept_apart_by_their_owners() -> None:
    program, nets = with_two_helpers()
    assert modules_of(program) == dict(zip(["first.net", "second.net"], nets, strict=True))


def test_all_helpers_are_put_into_evaluation_mode() -> None:
    # Dropout in training mode would be refused: two runs of the same rows differ.
    program, _ = with_two_helpers()
    assert pc.SCM(program).sample(4, seed=0)["z"].shape == (4,)


def test_a_variable_and_an_attribute_of_one_name_are_kept_apart() -> None:
    net, helper = nn.Linear(1, 1), SimpleNamespace(net=nn.Linear(1, 1))
    assert modules_of(lambda x: helper.net(net(x))) == {"helper.net": helper.net, "net": net}


def test_variables_of_one_name_in_two_functions_are_kept_apart() -> None:
    def make() -> tuple[Callable[[Tensor], Tensor], nn.Module]:
        net = nn.Linear(1, 1)
        return lambda x: net(x), net

    (first, one), (second, other) = make(), make()
    assert modules_of(lambda x: first(second(x))) == {"net": one, "second.net": other}


def test_a_module_that_is_reached_twice_is_found_once() -> None:
    net = nn.Linear(1, 1)
    helper = SimpleNamespace(net=net)
    assert list(modules_of(lambda x: helper.net(net(x))).values()) == [net]


class Chained(nn.Module):
    """x -> y, by modules in a plain container."""

    def __init__(self, keep: Callable[[list[nn.Module]], Any]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.nets = keep([nn.Linear(1, 1), nn.Dropout(0.5)])

    def forward(self) -> None:
        x = pyro.sample("x", dist.Normal(0.0, self.scale.exp()))
        nets = self.nets.values() if isinstance(self.nets, dict) else self.nets
        value = x[:, None]
        for net in nets:
            value = net(value)
        pyro.sample("y", dist.Normal(value[:, 0], 1.0))


CONTAINERS: dict[str, Callable[[list[nn.Module]], Any]] = {
    "list": list,
    "tuple": tuple,
    "dictionary": lambda nets: dict(enumerate(nets)),
}
DATA = {"x": torch.linspace(-1, 1, 40), "y": torch.linspace(-2, 3, 40)}


@pytest.mark.parametrize("keep", CONTAINERS.values(), ids=CONTAINERS)
def test_modules_in_a_plain_container_of_a_module_are_found_and_the_cure_is_named(
    keep: Callable[[list[nn.Module]], Any],
) -> None:
    program = Chained(keep)
    found = modules_of(program)
    assert list(found) == ["program", "program.nets[0]", "program.nets[1]"]
    scm = pc.SCM(program)
    assert scm.sample(4, seed=0)["y"].shape == (4,)  # dropout is off
    with pytest.raises(ValueError, match=r"program.nets\[0\].*nn.ModuleList"):
        scm.fit(DATA, steps=2, seed=0)


def test_a_module_list_is_fitted() -> None:
    report = pc.SCM(Chained(nn.ModuleList)).fit(DATA, steps=2, seed=0)
    assert report.parameters == 3


def test_a_program_without_a_python_module_can_be_asked() -> None:
    # Code run by exec in a bare namespace has no __module__.
    space: dict[str, Any] = {"pyro": pyro, "dist": dist, "__builtins__": __builtins__}
    exec("def program():\n    pyro.sample('x', dist.Normal(0.0, 1.0))", space)
    space["program"].__module__ = None
    assert pc.SCM(space["program"]).sample(3, seed=0)["x"].shape == (3,)


def test_what_a_method_uses_is_called_as_the_method_calls_it() -> None:
    class Program:
        def __init__(self) -> None:
            self.net = nn.Linear(1, 1)

        def run(self) -> None:
            x = pyro.sample("x", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(line(self.net, x), 1.0))

    assert list(modules_of(Program().run)) == ["self.net"]
    assert list(modules_of(partial(Program().run))) == ["self.net"]
    with pytest.raises(ValueError, match=r'pyro.module\("self.net", self.net\)'):
        pc.SCM(Program().run).fit(DATA, steps=2, seed=0)


def test_helpers_are_saved_and_come_back(tmp_path: Path) -> None:
    program, nets = with_two_helpers()
    scm = pc.SCM(program)
    scm.save(tmp_path / "model")
    before = [{k: v.clone() for k, v in net.state_dict().items()} for net in nets]
    for net in nets:
        for tensor in net.parameters():
            tensor.data.zero_()
    pc.SCM.load(tmp_path / "model", program)
    for net, values in zip(nets, before, strict=True):
        assert all(torch.equal(values[k], v) for k, v in net.state_dict().items())


def test_buffers_of_helpers_of_one_name_are_all_saved(tmp_path: Path) -> None:
    helpers = [SimpleNamespace(net=nn.BatchNorm1d(1)) for _ in "ab"]
    first, second = helpers

    def program() -> None:
        pyro.module("first", first.net)
        pyro.module("second", second.net)
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(line(first.net, x) + line(second.net, x), 1.0))

    for number, helper in enumerate(helpers, start=1):
        helper.net.get_buffer("running_mean").fill_(number)
    pc.SCM(program).save(tmp_path / "model")
    for helper in helpers:
        helper.net.get_buffer("running_mean").zero_()
    pc.SCM.load(tmp_path / "model", program)
    assert [helper.net.get_buffer("running_mean").item() for helper in helpers] == [1.0, 2.0]
