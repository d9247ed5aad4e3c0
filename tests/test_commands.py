"""The commands about a model in a file, run as the terminal runs them, in this process."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from pyrocausal.__main__ import main

CLINIC = """
import pyro, pyro.distributions as dist, torch
import pyrocausal as pc

@pc.scm
def scm():
    severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
    treated = pyro.sample("treated", dist.Bernoulli(logits=1.5 * severity))
    pyro.sample("recovery", dist.Normal(2.0 * treated - severity, 0.5))

def program():
    pyro.sample("x", dist.Normal(0.0, 1.0))

def cohort(age):
    risk = pyro.sample("risk", dist.Normal(torch.log(age), 1.0))
    pyro.sample("event", dist.Normal(risk, 1.0))

NUMBER = 3
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "clinic.py").write_text(CLINIC)
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    yield tmp_path
    sys.modules.pop("clinic", None)
    assert sys.path == path


def refused(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run a command that fails; return its exit status and its words."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert isinstance(stopped.value.code, int)
    return stopped.value.code, capsys.readouterr().err


@pytest.mark.parametrize("model", ["clinic.py:scm", "clinic:scm", "clinic.py", "clinic"])
def test_the_graph_is_told_in_words(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", model]) == 0
    assert capsys.readouterr().out == "severity -> treated, recovery\ntreated -> recovery\n"


def test_the_graph_is_drawn_under_an_action_as_twin_and_as_single_world(folder: Path) -> None:
    for options, drawn in (
        (["--do", "treated"], "✂"),
        (["--twin", "treated=1"], "recovery*"),
        (["--swig", "treated=1"], "recovery(treated=1)"),
        (["--swig", "treated"], "recovery(treated')"),
    ):
        assert main(["graph", "clinic.py:scm", "-o", "a.dot", *options]) == 0
        assert drawn in (folder / "a.dot").read_text(encoding="utf-8")
    assert main(["graph", "clinic.py:scm", "-o", "a.svg"]) == 0
    assert "<svg" in (folder / "a.svg").read_text()


def test_a_function_that_is_annotated_to_return_an_scm_is_called(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["graph", "pyrocausal.zoo:triangle"]) == 0
    assert capsys.readouterr().out == "Z -> X, Y\nX -> Y\n"
    (folder / "built.py").write_text(
        f"from __future__ import annotations\n{CLINIC}\ndef build() -> pc.SCM:\n    return scm\n"
    )
    assert main(["graph", "built.py:build"]) == 0
    assert capsys.readouterr().out.startswith("severity -> treated")


def test_a_program_with_arguments_is_run_on_those_that_are_given(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["graph", "clinic.py:cohort", "--input", "age=50"]) == 0
    assert capsys.readouterr().out == "age -> risk\nrisk -> event\n"
    status, words = refused("graph", "clinic.py:cohort", capsys=capsys)
    assert (status, "--input age=1" in words) == (2, True)


def test_each_rung_is_asked_by_what_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    unit = ["severity=0.3", "treated=0", "recovery=-0.1"]
    for options, rung, told in (
        ([], "1 (seeing)", "recovery  mean"),
        (["--do", "treated=1", "--n", "50"], "2 (doing)", "unit 50"),
        (["--do", "treated=1", "--evidence", *unit], "3 (imagining)", "recovery  1.9"),
        (["--do", "treated=0", "--do", "treated=1"], "2 (doing)", "world 1"),
        (
            ["--do", "severity+=1", "treated=0", "--evidence", *unit],
            "3 (imagining)",
            "recovery  -1.1",
        ),
    ):
        assert main(["query", "clinic.py:scm", "--outcome", "recovery", *options]) == 0
        card = capsys.readouterr().out
        assert f"rung: {rung}" in card
        assert told in card
        assert "severity  " not in card


def test_a_file_of_units_gives_a_file_of_answers(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pd.DataFrame(
        {"who": ["Ann", "Bob"], "ward": [1, 2], "severity": [0.3, 1.0], "treated": [0, 1]}
    )
    rows.assign(recovery=[-0.1, float("nan")]).to_csv("rows.csv", index=False)
    command = ["query", "clinic.py:scm", "--do", "treated=1", "--evidence", "rows.csv"]
    assert main([*command, "--index", "who", "-o", "answer.csv"]) == 0
    told = capsys.readouterr()
    assert "left out, as no variable: ward" in told.err
    assert "recovery is random given the evidence" in told.out
    answer = pd.read_csv(folder / "answer.csv", index_col="who")
    assert list(answer.index) == ["Ann", "Bob"]
    assert answer.loc["Ann", "recovery"] == pytest.approx(1.9)
    assert main([*command, "--n", "3", "-o", "picture.png"]) == 0
    assert (folder / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert "draw 3" in capsys.readouterr().out


def test_columns_that_are_arguments_of_the_program_are_its_inputs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "rows.tsv").write_text("age\trisk\tevent\n50\t1.0\t0.0\n60\t2.0\t0.5\n")
    command = ["query", "clinic.py:cohort", "--do", "risk=3", "--evidence", "rows.tsv"]
    assert main([*command, "-o", "answer.tsv"]) == 0
    assert pd.read_csv(folder / "answer.tsv", sep="\t")["event"].tolist() == [2.0, 1.5]
    assert "left out" not in capsys.readouterr().err


def test_a_program_that_is_no_scm_yet_becomes_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "clinic.py:program", "--n", "10"]) == 0
    assert "unit 10" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["graph", "nowhere.py:scm"], 2, "There is no file 'nowhere.py'"),
        (["graph", "no.where:scm"], 2, "There is no module 'no.where'.*file.py:name"),
        (["graph", "clinic.py:smc"], 2, "clinic.py has no 'smc'. It has: scm."),
        (["graph", "clinic.py:NUMBER"], 2, "is a int; expected an SCM"),
        (["graph", "broken.py:scm"], 1, r"Importing broken.py fails: ZeroDivisionError: .*line 2"),
        (["graph", "torn.py:scm"], 1, r"Importing torn.py fails: SyntaxError.*line 1"),
        (["graph", "lost.py:scm"], 1, "Importing lost.py fails: ModuleNotFoundError"),
        (["graph", "two.py"], 2, "Which model of two.py.*It has: a, b"),
        (["graph", "clinic.py:scm", "-o", "a.xyz"], 2, "is no format of pictures"),
        (["graph", "clinic.py:scm", "-o", "no/a.svg"], 2, "No such file or directory"),
        (["graph", "clinic.py:scm", "--do", "trated"], 2, "no variable 'trated'.*'treated'"),
        (["query", "two.py:a"], 2, "is a graph; expected a model"),
        (["query", "clinic.py:scm", "--do", "trated=1"], 2, "no variable 'trated'.*'treated'"),
        (["query", "clinic.py:scm", "--do", "treated"], 2, "--do got 'treated'; expected"),
        (["query", "clinic.py:scm", "--do", "treated=x"], 2, "--do got 'treated=x'"),
        (
            ["query", "clinic.py:scm", "--do", "severity=1", "severity+=1"],
            2,
            "both sets and shifts",
        ),
        (["query", "clinic.py:scm", "--outcome", "y"], 2, "no variable 'y'"),
        (["query", "clinic.py:scm", "--evidence", "no.csv"], 2, "no.csv can't be read"),
        (["query", "clinic.py:scm", "--evidence", "a.xls"], 2, "ends in .csv or .tsv"),
        (["query", "clinic.py:scm", "--evidence", "other.csv"], 2, "no column that is a variable"),
        (["query", "clinic.py:scm", "-o", "a.xyz"], 2, "a.xyz can't be written"),
        (["query", "clinic.py:scm", "--n", "0"], 2, "expected a positive whole number"),
        (["query", "clinic.py:scm", "--do", "treated=2"], 2, "'treated'. got 2"),
        (["query", "clinic.py:scm", "--do", "treated=nan"], 2, "NaN or infinite"),
        (["query", "clinic.py:scm", "--n", "many"], 2, "got 'many'; expected a positive"),
        (["query", "clinic.py:scm", "--seed", "x"], 2, "invalid int value"),
        (["query", "clinic.py:scm", "-o", "no/a.csv"], 2, "no/a.csv can't be written"),
        (["fly"], 2, "invalid choice: 'fly'"),
        ([], 2, "required: command"),
        (["query"], 2, "required: MODULE:scm"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_goes_wrong_is_told_in_words(
    arguments: list[str], status: int, words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.py").write_text("x = 1\nx / 0\n")
    (folder / "torn.py").write_text("def (:\n")
    (folder / "lost.py").write_text("import nothing_of_that_name\n")
    (folder / "two.py").write_text("from pyrocausal import CausalGraph\na = b = CausalGraph()\n")
    (folder / "other.csv").write_text("height\n1\n")
    found, told = refused(*arguments, capsys=capsys)
    assert found == status
    assert re.search(words, told.replace("\n", " ")), told
    assert "Traceback" not in told
    assert len([line for line in told.splitlines() if line.startswith("pyrocausal")]) == 1


@pytest.mark.parametrize("command", ["graph", "query"])
def test_help_teaches_by_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    told = capsys.readouterr().out
    assert told.count(f"pyrocausal {command} clinic.py:scm") >= 3
    assert max(map(len, told.splitlines())) <= 100


def test_the_list_of_commands_needs_no_torch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyrocausal.commands.asking", None)
    with pytest.raises(SystemExit):
        main(["--help"])
    assert {"demo", "doctor", "graph", "query"} <= set(capsys.readouterr().out.split())
