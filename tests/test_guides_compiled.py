"""Training of a guide with loss and gradient compiled: the same guide, and when it is chosen."""

import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc
from pyrocausal.errors import CaptureWarning
from pyrocausal.guides import Amortized, stepping
from pyrocausal.guides.stepping import Steps


# cause -> effect
def pair() -> None:
    cause = pyro.sample("cause", dist.Normal(0.0, 1.0))
    pyro.sample("effect", dist.Normal(cause, 0.5))


# code -> size -> visits
def mixed() -> None:
    code = pyro.sample("code", dist.Categorical(torch.tensor([0.2, 0.3, 0.5])))
    size = pyro.sample("size", dist.LogNormal(0.5 * code, 0.5))
    pyro.sample("visits", dist.Poisson(size))


@pytest.mark.slow
def test_a_compiled_training_gives_the_guide_of_an_eager_one() -> None:
    trained = []
    for compile in (True, False):
        scm = pc.scm(mixed)
        report = scm.amortize(
            steps=30, hidden=8, layers=1, batch_size=64, compile=compile, seed=0, progress=False
        )
        assert report.path == ("compiled" if compile else "eager")
        trained.append((report, scm.amortized))
    (report, guide), (other, plain) = trained
    torch.testing.assert_close(report.losses, other.losses, rtol=1e-3, atol=1e-3)
    assert guide is not None
    assert plain is not None
    for one, two in zip(guide.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    ("head", "encoder"),
    [("mixture", "mlp"), pytest.param("flow", "transformer", marks=pytest.mark.slow)],
)
def test_the_graph_of_a_step_is_that_of_any_units(
    head: str, encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyrocausal.capture.Captured.compile", lambda *_, **__: None)
    losses = []
    for compile in (True, False):
        report = pc.scm(mixed).amortize(
            steps=4,
            hidden=8,
            layers=1,
            batch_size=32,
            head=head,
            encoder=encoder,
            compile=compile,
            seed=0,
            progress=False,
        )
        losses.append(report.losses)
    torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("seconds", "compiled"), [(0.001, False), (1.0, True)])
def test_slow_steps_are_compiled_and_fast_ones_are_not(
    seconds: float, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyrocausal.capture.Captured.compile", lambda *_, **__: None)
    clock = iter(range(1000))
    monkeypatch.setattr("time.process_time", lambda: seconds * next(clock))
    report = pc.scm(pair).amortize(steps=100, hidden=8, layers=1, seed=0, progress=False)
    assert report.path == ("compiled" if compiled else "eager")


def test_where_there_is_no_compiler_the_steps_are_taken_as_they_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("There is no compiler.")

    monkeypatch.setattr("pyrocausal.capture.Captured.compile", fails)
    guide = Amortized.of(pc.scm(pair), hidden=8, layers=1, seed=0)
    steps = Steps(guide, 1e-3, "auto")
    known = torch.tensor([[False, True]]).expand(16, 2)
    features, targets = guide.encoded(dict(pc.scm(pair).sample(16, seed=0)))
    steps.times = [1.0] * stepping.TRIED
    with pytest.warns(CaptureWarning, match=r"without being compiled\. There is no compiler"):
        steps.take((features, targets, known.to(features), ~known), 1.0, 10_000)
    assert steps.path == "eager"
    with pytest.raises(RuntimeError, match="no compiler"):
        pc.scm(pair).amortize(steps=1, hidden=8, layers=1, compile=True, seed=0)
