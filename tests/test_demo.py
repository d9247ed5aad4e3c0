"""The demo as a user runs it, and its figures."""

import re
import subprocess
import sys
from pathlib import Path

import pytest


def run(*arguments: str, cwd: Path) -> str:
    """Run the command line and return what it prints."""
    command = [sys.executable, "-m", "pyrocausal", *arguments]
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=600, check=True
    )
    return done.stdout


@pytest.mark.slow
def test_the_demo_finds_the_known_effect_of_quitting_smoking(tmp_path: Path) -> None:
    said = run("demo", cwd=tmp_path)
    figures = [float(figure) for figure in re.findall(r"(-?\d+\.\d+) kg", said)]
    assert any(2.2 < figure < 2.9 for figure in figures)
    assert any(3.0 < figure < 4.2 for figure in figures)
    for rung in ("RUNG 1", "RUNG 2", "RUNG 3"):
        assert rung in said
    assert said.count("assumes:") >= 3
    assert said.count("route:") >= 3
    assert (tmp_path / "pyrocausal-demo" / "graph.svg").read_text().count("<svg") == 1


def test_the_command_line_tells_its_version(tmp_path: Path) -> None:
    assert re.match(r"pyrocausal \d+\.\d+", run("--version", cwd=tmp_path))
