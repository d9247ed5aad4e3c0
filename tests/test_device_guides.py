"""Guides, and evidence within limits, do on a device what they do on the CPU."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrocausal as pc

Values = Mapping[Any, Tensor]
Check = Callable[[Callable[[torch.device], Values]], None]
INF: Final = float("inf")
on_cuda_too = pytest.mark.parametrize(
    "device", ["pretend", pytest.param("cuda", marks=pytest.mark.gpu)], indirect=True
)


# x, kind -> m -> y
def mixed() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    kind = pyro.sample("kind", dist.Categorical(torch.tensor([0.5, 0.3, 0.2])))
    m = pyro.sample("m", dist.Normal(torch.tanh(x) + kind, 0.5))
    pyro.sample("y", dist.Normal(m**2, 0.5))


# arm -> visits, time
def time_to_event() -> None:
    arm = pyro.sample("arm", dist.Bernoulli(0.5))
    pyro.sample("visits", dist.Poisson(1.0 + arm))
    pyro.sample("time", dist.Exponential(1.0 + arm))


SEEN: Final = {"y": torch.tensor([0.5, 2.0, 4.0, 0.1])}
Head = Literal["gaussian", "mixture"]
HEADS: Final[tuple[Head, ...]] = ("gaussian", "mixture")


@on_cuda_too
@pytest.mark.filterwarnings("ignore::pyrocausal.UnreliableWarning")  # it has learnt little
@pytest.mark.parametrize("head", HEADS)
def test_a_guide_is_trained_saved_loaded_and_asked_there(
    head: Head, device: torch.device, tmp_path: Path
) -> None:
    scm = pc.SCM(mixed).to(device)
    report = scm.amortize(steps=5, hidden=8, layers=1, head=head, seed=0, progress=False)
    assert report.losses.device.type == "cpu"
    assert scm.amortized is not None
    assert {p.device for p in scm.amortized.parameters()} == {device}
    assert {b.device for b in scm.amortized.buffers()} == {device}
    scm.save(tmp_path / "scm.st")
    again = pc.SCM.load(tmp_path / "scm.st", mixed).to(device)
    assert again.amortized is not None
    assert {p.device for p in again.amortized.parameters()} == {device}
    for one in (scm, again):
        abduction = one.abduct(SEEN, method="guide", num_draws=3, seed=0)
        assert {value.device for value in abduction.factual.values()} == {device}
        assert abduction.quality is not None
        assert abduction.quality.ess.device == device
    answer = again.counterfactual(SEEN, {"m": 0.0}, num_draws=3, seed=0)
    assert answer["y"].device == device


def test_a_guide_moves_with_its_scm_and_proposes_the_same_density(device: torch.device) -> None:
    scm = pc.SCM(mixed)
    scm.amortize(steps=5, hidden=8, layers=1, seed=0, progress=False)
    values = {"x": torch.zeros(1, 4), "kind": torch.ones(1, 4).long(), "m": torch.ones(1, 4)}
    names = ["x", "kind", "m"]
    assert scm.amortized is not None
    before = scm.amortized.log_prob(SEEN, values, names)
    scm.to(device)
    moved = scm.amortized.log_prob(
        {name: value.to(device) for name, value in SEEN.items()},
        {name: value.to(device) for name, value in values.items()},
        names,
    )
    assert moved.device == device
    torch.testing.assert_close(moved.cpu(), before)


@on_cuda_too
def test_evidence_within_limits(check_same: Check) -> None:
    def ask(device: torch.device) -> Values:
        scm = pc.SCM(time_to_event).to(device)
        scm._core.replays.patience = INF  # a slow machine would start to capture
        limits = {"visits": pc.between(1.0, [2.0, INF]), "time": pc.between([0.5, 3.0], INF)}
        known = scm.counterfactual({"arm": 0.0, **limits}, {"arm": 1.0}, num_draws=4, seed=0)
        inferred = scm.abduct(limits, num_draws=4, seed=0)
        return {**known, ("inferred", "time"): inferred.factual["time"]}

    check_same(ask)
