"""pyrocausal doctor: what it tells, and its exit status."""

import pytest
import torch

from pyrocausal import doctor
from pyrocausal.__main__ import main
from pyrocausal.capture import Captured


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SECONDS", 0.01)
    monkeypatch.setattr(doctor, "UNITS", 800)


def test_the_doctor_tells_versions_devices_and_speeds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Captured, "compile", lambda _: None)
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert torch.__version__.partition("+")[0] in told
    assert "cpu, 1 threads" in told
    assert "works" in told
    for job in ("sample", "do, 8 worlds", "counterfactual", "fit"):
        assert job in told


def test_the_doctor_says_what_keeps_it_from_compiling(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: Captured) -> None:
        raise RuntimeError("no header files")

    monkeypatch.setattr(Captured, "compile", broken)
    assert main(["doctor"]) == 1
    told = capsys.readouterr().out
    assert "does not work" in told
    assert "no header files" in told
