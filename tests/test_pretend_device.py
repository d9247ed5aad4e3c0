"""The pretended device refuses what a real one refuses, and gives the CPU's numbers."""

from collections.abc import Callable
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from pretend_device import DevicesMixed
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

MIXED: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "sum": lambda here, there: here + there,
    "in place, on the CPU": lambda here, there: here.add_(there),
    "in place, on the device": lambda here, there: there.add_(here),
    "a number of the device with a tensor of the CPU": lambda here, there: here * there[0],
    "where": lambda here, there: torch.where(here > 0, there, 0.0),
    "stack": lambda here, there: torch.stack([there[0], torch.tensor(1.0)]),
    "an index of the device": lambda here, there: here[there.long()],
    "values that are put": lambda here, there: there.__setitem__(there > 0, here),
    "matrix product": lambda here, there: here @ there,
    "distribution": lambda here, there: dist.Normal(here, 1.0).log_prob(there),
    "module": lambda here, there: nn.Linear(2, 1)(there),
}


@pytest.mark.parametrize("operation", MIXED)
def test_tensors_of_two_devices_do_not_mix(operation: str, device: torch.device) -> None:
    with pytest.raises(DevicesMixed):
        MIXED[operation](torch.ones(2), torch.ones(2, device=device))


def test_numpy_takes_nothing_from_the_device(device: torch.device) -> None:
    with pytest.raises(RuntimeError, match="numpy"):
        torch.ones(2, device=device).numpy()


def test_numbers_and_indices_of_the_cpu_mix_as_on_cuda(device: torch.device) -> None:
    there = torch.tensor([1.0, 2.0], device=device)
    there[torch.tensor([0])] = torch.tensor(3.0)
    found = torch.where(there > 2, there * torch.tensor(2.0), there)[torch.tensor([True, True])]
    assert found.device == device
    assert found.tolist() == [6.0, 2.0]


def test_a_gradient_passes_between_the_devices(device: torch.device) -> None:
    here = torch.ones(2, requires_grad=True)
    there = here.to(device)
    there.retain_grad()
    (3 * there).cpu().sum().backward()
    assert there.grad is not None
    assert there.grad.device == device
    assert here.grad is not None
    assert here.grad.tolist() == [3.0, 3.0]


def test_a_module_moves_its_parameters_in_place(device: torch.device) -> None:
    layer = nn.Linear(2, 1)
    weight, value = layer.weight, layer.weight.tolist()
    layer(torch.ones(2)).backward()
    for place in (device, torch.device("cpu")):
        layer.to(place)
        assert layer.weight is weight
        assert isinstance(weight, nn.Parameter)
        assert weight.grad is not None
        assert weight.device == weight.grad.device == place
        assert weight.tolist() == value


def test_draws_are_those_of_the_cpu(device: torch.device) -> None:
    def draws(place: str | torch.device) -> list[list[float]]:
        torch.manual_seed(0)
        with torch.device(place):
            drawn = [torch.randn(3), torch.randperm(3), dist.Gamma(2.0, 1.0).sample((3,))]
        assert all(tensor.device == torch.device(place) for tensor in drawn)
        return [tensor.tolist() for tensor in drawn]

    assert draws(device) == draws("cpu")


def test_a_captured_graph_works_on_the_device(device: torch.device) -> None:
    weight = torch.ones(2, device=device)

    def affine(x: Tensor) -> Tensor:
        return weight * x + torch.arange(2, device=device)

    graph = make_fx(affine)(torch.zeros(2, device=device))
    weight += 1  # a tensor that is no argument is read where it lives
    assert graph(torch.ones(2, device=device)).tolist() == [2.0, 3.0]
