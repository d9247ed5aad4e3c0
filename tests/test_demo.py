"""The demo as a user runs it, its figures, and the command line."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pyrocausal import datasets, demo
from pyrocausal.__main__ import main


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run ``pyrocausal`` in a folder, as a user does."""
    command = [sys.executable, "-m", "pyrocausal", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)


def figures(text: str) -> tuple[float, float, float]:
    """Return a figure in kg and the ends of its interval."""
    number = r"([+-]?\d+\.\d+)"
    match = re.search(rf"{number} kg\D*95% in \[{number}, {number}\]", text)
    assert match, text
    value, low, high = map(float, match.groups())
    return value, low, high


@pytest.mark.slow
def test_the_demo_finds_the_known_effect_of_quitting_smoking(tmp_path: Path) -> None:
    done = run("demo", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "refitting on resampled people: 100%" in done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80

    intro, *rungs = re.split(r"^RUNG \d", done.stdout, flags=re.MULTILINE)
    assert len(rungs) == 3
    for rung in rungs:
        assert re.search(r"^  route: +\w", rung, flags=re.MULTILINE)
        assert re.search(r"^  assumes: \w", rung, flags=re.MULTILINE)
    naive, low, high = figures(rungs[0])
    assert naive == pytest.approx(2.54, abs=0.005)
    # The t interval of the naive difference, from any textbook.
    assert (low, high) == pytest.approx((1.59, 3.50), abs=0.02)
    effect, low, high = figures(rungs[1])
    assert 2.5 < effect < 4.5
    # The published interval is 2.4 to 4.5.
    assert 0.5 * (4.5 - 2.4) < high - low < 1.5 * (4.5 - 2.4)
    change, low, high = figures(rungs[2])
    assert low < change < high

    picture = tmp_path / "pyrocausal-demo" / "graph.svg"
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")
    written = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {picture}
    assert str(picture.relative_to(tmp_path)) in intro


def test_one_fit_tells_what_would_have_been() -> None:
    people = datasets.nhefs()
    model = demo.fitted(people, seed=0)
    effect, answer = demo.doing(model, people)
    assert answer.rung == 2
    assert 2.0 < effect < 5.0
    # The average over people of what each would have gained by quitting is the effect.
    observed = people[["qsmk", "wt82_71"]]
    worlds = model.counterfactual(
        observed, [{"qsmk": 0.0}, {"qsmk": 1.0}], inputs=demo.inputs_of(people), seed=0
    )
    gains = worlds["wt82_71"][1] - worlds["wt82_71"][0]
    assert float(gains.mean()) == pytest.approx(effect, abs=1e-4)
    # And each person's own is what the fact and that gain add up to.
    stayed = people[people["qsmk"] == 0].iloc[[3]]
    change, answer = demo.imagining(model, stayed)
    assert answer.rung == 3
    position = people.index.get_loc(stayed.index[0])
    expected = stayed["wt82_71"].iloc[0] + float(gains[position])
    assert change == pytest.approx(expected, abs=1e-4)


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "--folder", str(tmp_path / "file" / "below")])
    assert stopped.value.code == 2
    assert "--folder" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["dmo"]])
def test_a_command_that_is_none_is_told_in_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pyrocausal --help" in line


def test_the_command_line_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert re.match(r"pyrocausal \S+", capsys.readouterr().out)
