"""fit, save, load and from_graph do on a device what they do on the CPU."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer.autoguide import AutoNormal
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import pyrocausal as pc
from pyrocausal.mechanisms import MLP, Linear, Parent, heads

UNITS: Final = 6
Values = Mapping[Any, Tensor]
Check = Callable[[Callable[[torch.device], Values]], None]
on_cuda_too = pytest.mark.parametrize(
    "device", ["pretend", pytest.param("cuda", marks=pytest.mark.gpu)], indirect=True
)


def named(**groups: Values) -> Values:
    """Join answers under names of two parts."""
    return {(group, name): v for group, values in groups.items() for name, v in values.items()}


# age -> treated, kind, outcome; treated -> kind -> outcome
def neural() -> pc.SCM:
    """Networks with heads of several kinds."""
    torch.manual_seed(0)
    networks = {
        "age": Linear(head=heads.Mixture(2)),
        "treated": MLP(1, hidden=(4,), head="bernoulli"),
        "kind": MLP([1, Parent.binary()], hidden=(4,), head=heads.Categorical(3)),
        "outcome": MLP([1, Parent.categorical(3)], hidden=(4,), head="heteroscedastic"),
    }

    def program() -> None:
        for name, network in networks.items():
            pyro.module(f"network of {name}", network)
        age = pyro.sample("age", networks["age"]())
        treated = pyro.sample(
            "treated", networks["treated"](age + pyro.param("offset", torch.tensor(0.5)))
        )
        kind = pyro.sample("kind", networks["kind"](age, treated))
        pyro.sample("outcome", networks["outcome"](age, kind))

    return pc.SCM(program)


@cache
def people() -> dict[str, Tensor]:
    return {name: value.clone() for name, value in neural().sample(80, seed=3).items()}


def ages_missing() -> dict[str, Tensor]:
    return {
        **people(),
        "outcome": torch.where(people()["age"] > 0, torch.nan, people()["outcome"]),
    }


def parameters(scm: pc.SCM) -> dict[str, Tensor]:
    return scm._core.scope.named()


@on_cuda_too
@pytest.mark.parametrize("columns", [people, ages_missing])
def test_a_fit_of_networks(columns: Callable[[], Values], check_same: Check) -> None:
    def ask(device: torch.device) -> Values:
        scm = neural()
        # Adam's first steps are all but signs: rounding would show where a gradient is nearly 0.
        sgd = partial(torch.optim.SGD, lr=0.05)
        report = scm.fit(columns(), steps=4, optimizer=sgd, validation=0, device=device, seed=0)
        assert report.losses.device.type == "cpu"
        asked = scm.counterfactual(scm.sample(UNITS, seed=1), {"treated": 1.0}, seed=2)
        return named(fitted=parameters(scm), loss={"": report.losses.to(device)}, asked=asked)

    check_same(ask)


def test_a_fit_in_minibatches_with_held_out_units(check_same: Check) -> None:
    def ask(device: torch.device) -> Values:
        scm = neural()
        report = scm.fit(people(), steps=6, batch_size=16, validation=0.3, device=device, seed=0)
        scores = {s.variable: torch.tensor([s.gain, s.se], device=device) for s in report.scores}
        return named(fitted=parameters(scm), scores=scores)

    check_same(ask)


class Copies(TorchDispatchMode):
    """Counts the tensors of one or more dimensions that leave the CPU."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket is torch.ops.aten._to_copy and args[0].dim():
            self.count += args[0].device.type == "cpu" != result.device.type
        return result


@on_cuda_too
def test_data_of_a_fit_move_to_the_device_once(device: torch.device) -> None:
    def copies(steps: int) -> int:
        scm = neural().to(device)
        made = Copies()
        with made:
            scm.fit(people(), steps=steps, batch_size=16, validation=0, seed=0)
        return made.count

    assert copies(2) == copies(20) >= len(people())


def hierarchy() -> None:
    """Mu -> z -> x, with one mu for all units."""
    mu = pyro.sample("mu", dist.Normal(torch.zeros(2), 2.0).to_event(1))
    with pc.units():
        z = pyro.sample("z", dist.Normal(mu.sum(), 1.0))
        pyro.sample("x", dist.Normal(z * pyro.param("w", torch.tensor(1.0)), 1.0))


class Guide(nn.Module):
    """Proposes mu by a parameter, and each z by a network of its x."""

    def __init__(self) -> None:
        super().__init__()
        self.loc, self.network = nn.Parameter(torch.zeros(2)), nn.Linear(1, 1)

    def forward(self, batch: Values) -> None:
        pyro.sample("mu", dist.Normal(self.loc, 0.1).to_event(1))
        with pc.units():
            pyro.sample("z", dist.Normal(self.network(batch["x"][:, None])[:, 0], 0.5))


@pytest.mark.parametrize("guide", [Guide, lambda: AutoNormal], ids=["module", "AutoNormal"])
def test_a_fit_with_a_guide_and_draws_from_its_posterior(
    guide: Callable[[], Any], check_same: Check
) -> None:
    def ask(device: torch.device) -> Values:
        torch.manual_seed(0)
        scm = pc.SCM(hierarchy)
        made, data = guide(), {"x": torch.linspace(-1.0, 1.0, 10)}
        report = scm.fit(data, made, steps=5, validation=0, device=device, seed=0)
        after = scm.counterfactual({"z": [0.5, 1.0]}, {"x": pc.shift(1.0)}, num_draws=2, seed=0)
        sample = scm.sample(UNITS, seed=0)
        return named(loss={"": report.losses.to(device)}, sample=sample, after=after)

    check_same(ask)


@pytest.mark.parametrize("guide", [Guide, lambda: AutoNormal], ids=["module", "AutoNormal"])
def test_a_fitted_guide_follows_the_model(guide: Callable[[], Any], check_same: Check) -> None:
    def ask(device: torch.device) -> Values:
        torch.manual_seed(0)
        scm = pc.SCM(hierarchy)
        scm.fit({"x": torch.linspace(-1.0, 1.0, 10)}, guide(), steps=2, validation=0, seed=0)
        return scm.to(device).sample(UNITS, seed=0)

    check_same(ask)


def test_parameters_move_there_and_back_and_stay_the_same_objects(device: torch.device) -> None:
    scm = neural()
    scm.fit(people(), steps=2, seed=0)
    before, values = parameters(scm), {k: v.tolist() for k, v in parameters(scm).items()}
    for place in (device, torch.device("cpu")):
        assert scm.to(place) is scm
        assert all(tensor is before[name] for name, tensor in parameters(scm).items())
        assert {tensor.device for tensor in parameters(scm).values()} == {place}
        assert {name: tensor.tolist() for name, tensor in before.items()} == values
        assert scm.sample(UNITS, seed=0)["outcome"].device == place


@on_cuda_too
def test_a_file_knows_no_device(device: torch.device, tmp_path: Path) -> None:
    scm = neural()
    scm.fit(people(), steps=2, device=device, seed=0)
    scm.save(tmp_path / "model.safetensors")
    for place in (torch.device("cpu"), device):
        program = neural().to(place).program
        loaded = parameters(pc.SCM.load(tmp_path / "model.safetensors", program))
        assert {tensor.device for tensor in loaded.values()} == {place}
        for name, tensor in parameters(scm).items():
            assert loaded[name].tolist() == tensor.tolist()


def test_a_model_from_a_graph(check_same: Check) -> None:
    edges = [("age", "treated"), ("age", "kind"), ("kind", "outcome"), ("treated", "outcome")]

    def ask(device: torch.device) -> Values:
        data = {name: value.to(device) for name, value in people().items()}
        given = {"age": dist.Normal(torch.tensor(0.0), 1.0)}
        scm = pc.SCM.from_graph(edges, given, data, steps=3, device=device, seed=0)
        return named(fitted=parameters(scm), sample=scm.sample(UNITS, seed=1))

    check_same(ask)
