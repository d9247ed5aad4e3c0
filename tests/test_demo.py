"""The demo as a user runs it, and its figures."""

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_demo_finds_the_known_effect_of_quitting_smoking(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pyrocausal", "demo"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    naive = float(re.search(r"quitters gained (\S+) kg", run.stdout)[1])  # type: ignore[index]
    effect = float(re.search(r"makes (\S+) kg", run.stdout)[1])  # type: ignore[index]
    assert 2.2 < naive < 2.9
    assert 2.5 < effect < 4.5
    for rung in ("Rung 1", "Rung 2", "Rung 3"):
        assert rung in run.stdout
    assert run.stdout.count("assumes:") == 3
    assert run.stdout.count("route:") == 3
    assert (tmp_path / "pyrocausal-demo" / "graph.svg").read_text().count("<svg") == 1


def test_the_command_line_tells_its_version() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pyrocausal", "--version"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert re.match(r"\d+\.\d+", run.stdout)
