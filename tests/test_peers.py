"""What the tutorials show of other libraries is what was run: cells, versions and outputs agree."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[1] / "tutorials"
PEERS = ["dowhy", "pymc"]


@pytest.fixture(scope="module")
def peer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("peer", FOLDER / "peer.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", PEERS)
def test_the_stored_cells_are_those_of_the_tasks(name: str, peer: ModuleType) -> None:
    stored = peer.Peer(name).cells
    _, *cells = (FOLDER / "peers" / f"{name}_tasks.py").read_text().split("\n# %% ")
    tasks = dict(cell.split("\n", 1) for cell in cells)
    assert list(stored) == list(tasks)
    for title, code in tasks.items():
        assert stored[title][0].strip() == code.strip(), f"{title}: run `make peers`"


@pytest.mark.parametrize("name", PEERS)
def test_the_stored_version_is_the_pinned_one(name: str, peer: ModuleType) -> None:
    pinned = (FOLDER / "peers" / "versions.txt").read_text().splitlines()
    library, version = peer.Peer(name).version.split(",")[0].split()
    assert f"{library}=={version}" in pinned


@pytest.mark.parametrize("name", PEERS)
def test_a_tutorial_shows_each_task_that_was_run(name: str, peer: ModuleType) -> None:
    (page,) = FOLDER.glob(f"[0-9][0-9]_for_{name}_users.py")
    text = page.read_text()
    for title in peer.Peer(name).cells:
        assert f'"{title}"' in text, title


def test_figures_are_read_from_what_was_printed(peer: ModuleType) -> None:
    figures = peer.Peer("dowhy").figures("estimate")
    assert set(figures) == {"linear_regression", "propensity_score_weighting"}
    assert figures["linear_regression"] == pytest.approx(3.34, abs=0.01)
