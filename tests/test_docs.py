"""The documentation site builds without a warning, and no link inside it leads nowhere."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "tutorials"
for needed in ("furo", "jupytext", "myst_nb", "sphinx"):
    pytest.importorskip(needed, reason=f"{needed} is missing: pip install 'pyrocausal[docs]'")


class Page(HTMLParser):
    """The links of a page, and what links can lead to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the links and the names of an element."""
        for name, value in attrs:
            if name in {"href", "src"} and value and not urlsplit(value).scheme:
                self.links.add(value)
            if name == "id" and value:
                self.anchors.add(value)


def dead(folder: Path) -> Iterator[str]:
    """Yield each link inside a folder of pages that leads nowhere."""
    pages = {path: Page(path) for path in folder.rglob("*.html")}
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else {parts.fragment}
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in anchors):
                yield f"{path.relative_to(folder)}: {link}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, with tutorials that were read and not run."""
    folder = tmp_path_factory.mktemp("site").resolve()
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    build += ["-D", "nb_execution_mode=off", "-d", str(folder / "read"), str(SOURCES)]
    run = subprocess.run(
        [*build, str(folder / "html")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr
    return folder / "html"


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_shows_each_tutorial(site: Path) -> None:
    lessons = {lesson.stem for lesson in SOURCES.glob("[0-9][0-9]_*.py")}
    assert {page.stem for page in site.glob("[0-9][0-9]_*.html")} == lessons


@pytest.mark.slow
def test_links_inside_the_site_lead_somewhere(site: Path) -> None:
    assert sorted(dead(site)) == []


@pytest.mark.slow
def test_each_model_of_the_zoo_is_drawn(site: Path) -> None:
    gallery = (site / "pages" / "gallery.html").read_text(encoding="utf-8")
    drawn = set(re.findall(r'alt="The graph of (\w+)"', gallery))
    from pyrocausal import zoo

    assert drawn == {*zoo.MODELS, *zoo.CONFOUNDED}


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="b.html#here"/><a href="#no"/><a href="c.html"/>')
    (tmp_path / "b.html").write_text('<p id="here"/><a href="https://pyro.ai#x"/>')
    assert sorted(dead(tmp_path.resolve())) == ["a.html: #no", "a.html: c.html"]


def test_figures_of_the_page_on_scale_are_those_that_were_measured() -> None:
    table = (SOURCES / "pages" / "scale.md").read_text(encoding="utf-8")
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ")]
    said = [row[2].split()[0] for row in rows if len(row) == 7 and row[2].strip()[0].isdigit()]
    assert len(said) == 5
    assert [figure for figure in said if figure not in results] == []


def test_solutions_are_folded_and_checks_of_the_prose_left_out_where_scripts_are_read() -> None:
    import jupytext

    for lesson in SOURCES.glob("[0-9][0-9]_*.py"):
        cells = jupytext.read(lesson, fmt="py:percent").cells
        tags = [tag for cell in cells for tag in cell.metadata.get("tags", [])]
        assert tags.count("hide-cell") >= 3, lesson.name
        assert set(tags) <= {"hide-cell", "remove-cell"}, lesson.name
