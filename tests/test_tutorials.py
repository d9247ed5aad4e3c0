"""Every tutorial runs, with its figures asserted and its exercises solved."""

import os
import runpy
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "tutorials"
LESSONS = sorted(FOLDER.glob("[0-9][0-9]_*.py"))


@pytest.fixture
def as_a_reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand in the folder of the tutorials, with few units unless ``TUTORIALS`` says otherwise."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    monkeypatch.chdir(FOLDER)
    monkeypatch.syspath_prepend(FOLDER)
    with warnings.catch_warnings(), pyplot.rc_context():
        yield
    pyplot.close("all")


@pytest.mark.tutorial
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_a_tutorial_runs(lesson: Path, as_a_reader: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTORIALS", os.environ.get("TUTORIALS", "fast"))
    runpy.run_path(str(lesson), run_name="__main__")


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_a_tutorial_has_three_exercises_with_solutions_that_are_folded(lesson: Path) -> None:
    text = lesson.read_text()
    exercises = text.count("**Exercise ")
    assert exercises >= 3
    assert text.count('# %% tags=["hide-cell"]') == exercises


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_a_tutorial_asserts_what_it_states(lesson: Path) -> None:
    outside = [cell for cell in lesson.read_text().split("# %%") if "hide-cell" not in cell]
    assert sum(cell.count("\nassert ") for cell in outside) >= 3
