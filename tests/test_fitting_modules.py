"""Modules and parameters: what a fit trains, and what it leaves alone."""

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import pytest
import torch
from fitted_programs import line_data, param, positive
from torch import Tensor, nn

import pyrocausal as pc


class Net(nn.Module):
    """A network from one number to one number."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return the number for each unit."""
        result: Tensor = self.layers(x[:, None])[:, 0]
        return result


def net_program(net: nn.Module, *, register: bool = True) -> Callable[[], None]:
    def program() -> None:
        if register:
            pyro.module("net", net)
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(net(x), positive("scale")))

    return program


def test_an_unregistered_module_is_named_with_its_cure() -> None:
    net = Net(nn.Linear(1, 1))
    scm = pc.SCM(net_program(net, register=False))
    with pytest.raises(ValueError, match=r'layers.0.weight.*pyro.module\("net", net\)'):
        scm.fit(line_data(20), steps=1)
    net.requires_grad_(False)
    scm.fit(line_data(20), steps=1)


def test_an_unregistered_tensor_and_a_program_without_parameters_are_refused() -> None:
    weight = torch.zeros((), requires_grad=True)

    def program() -> None:
        pyro.sample("x", dist.Normal(weight, 1.0))

    with pytest.raises(ValueError, match="not registered"):
        pc.SCM(program).fit({"x": torch.randn(9)}, steps=1)
    with pytest.raises(ValueError, match="nothing to fit"):
        pc.SCM(lambda: pyro.sample("x", dist.Normal(0.0, 1.0))).fit({"x": torch.randn(9)}, steps=1)


def test_a_module_that_is_the_program_owns_its_parameters() -> None:
    class Program(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.loc = nn.Parameter(torch.zeros(()))

        def forward(self) -> None:
            pyro.sample("x", dist.Normal(self.loc, 1.0))

    x = 2 + torch.randn(100)
    program, other = Program(), Program()
    pc.SCM(program).fit({"x": x}, steps=200, lr=0.1, validation=0, seed=0)
    pc.SCM(other.forward).fit({"x": x}, steps=200, lr=0.1, validation=0, seed=0)
    assert program.loc.item() == pytest.approx(x.mean().item(), abs=1e-3)
    assert other.loc.item() == pytest.approx(x.mean().item(), abs=1e-3)


def test_two_scms_that_name_their_modules_alike_do_not_touch_each_other() -> None:
    first, second = Net(nn.Linear(1, 1)), Net(nn.Linear(1, 1))
    one, two = pc.SCM(net_program(first)), pc.SCM(net_program(second))
    two.sample(2)
    before = {k: v.clone() for k, v in second.state_dict().items()}
    data = line_data(100)
    one.fit(data, steps=20, seed=0)
    assert all(torch.equal(before[k], v) for k, v in second.state_dict().items())
    kept = {k: v.clone() for k, v in first.state_dict().items()}
    two.fit(data, steps=20, seed=0)
    assert all(torch.equal(kept[k], v) for k, v in first.state_dict().items())
    assert any(not torch.equal(before[k], v) for k, v in second.state_dict().items())
    assert not list(pyro.get_param_store())


def test_a_fit_leaves_alone_the_global_values_it_started_from() -> None:
    def program() -> None:
        pyro.sample("x", dist.Normal(param("loc"), 1.0))

    pyro.param("loc", torch.tensor(7.0))
    one, two = pc.SCM(program), pc.SCM(program)
    assert two.sample(1, seed=0)["x"].item() > 3
    one.fit({"x": torch.zeros(9)}, steps=50, lr=0.5, seed=0)
    assert one.sample(1, seed=0)["x"].item() < 4
    assert pyro.param("loc").item() == 7
    assert two.sample(1, seed=0)["x"].item() > 3


def test_modules_train_in_a_fit_and_keep_the_mode_they_had() -> None:
    modes = []

    class Watch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            modes.append((self.training, torch.is_grad_enabled(), len(x)))
            return x

    net = Net(nn.Linear(1, 1), nn.BatchNorm1d(1), Watch(), nn.Dropout(0.1))
    net.layers[1].eval()
    data = line_data(200)
    pc.SCM(net_program(net)).fit(data, steps=40, lr=0.05, seed=0)
    assert [m.training for m in net.modules()] == [True, True, True, False, True, True]
    assert {training for training, grad, _ in modes if grad} == {True}
    assert {training for training, _, units in modes if units == 20} == {False}  # held out
    # The linear layer moves, so that the statistics are those of some x -> a + b x.
    norm = net.layers[1]
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.num_batches_tracked is not None
    assert norm.num_batches_tracked > 0


def test_batch_normalization_learns_the_statistics_of_the_data() -> None:
    x = 5 + 3 * torch.randn(400)
    net = Net(nn.BatchNorm1d(1, affine=False), nn.Linear(1, 1))
    y = 0.4 * x + 0.1 * torch.randn(400)
    scm = pc.SCM(net_program(net))
    scm.fit({"x": x, "y": y}, steps=800, lr=0.1, validation=0, seed=0)
    norm = net.layers[0]
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.running_mean.item() == pytest.approx(x.mean().item(), rel=1e-3)
    assert norm.running_var.item() == pytest.approx(x.var().item(), rel=1e-3)
    # In evaluation mode the network is the regression line.
    net.eval()
    assert net(torch.tensor([0.0, 1.0])).diff().item() == pytest.approx(0.4, abs=0.01)
