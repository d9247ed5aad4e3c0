"""The page of ``pyrocausal explore`` in a real Chromium, held against the verbs."""

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np
import pyro
import pyro.distributions as dist
import pytest

import pyrocausal as pc

pytest.importorskip("bokeh", reason="no Bokeh, the extra explore")
pytest.importorskip("selenium", reason="no selenium, the extra dev")

from browsing import asked_for, chromium, column, deep, missing, words
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
SEED, UNITS = 3, 1000
CLINIC = """
import pyro, pyro.distributions as dist
import pyrocausal as pc

@pc.scm
def clinic():
    severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
    treated = pyro.sample("treated", dist.Bernoulli(logits=1.5 * severity))
    pyro.sample("recovery", dist.Normal(2.0 * treated - severity, 0.5))
"""
T = TypeVar("T")

pytestmark = pytest.mark.slow


@pc.scm
def clinic() -> None:
    severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
    treated = pyro.sample("treated", dist.Bernoulli(logits=1.5 * severity))
    pyro.sample("recovery", dist.Normal(2.0 * treated - severity, 0.5))


def served(*arguments: str, folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Start the command; return its process and where it says that the page is."""
    (folder / "clinic.py").write_text(CLINIC)
    process = subprocess.Popen(
        [sys.executable, "-m", "pyrocausal", "explore", "clinic.py", "--no-browser", *arguments],
        cwd=folder,
        env={**ENVIRONMENT, "BOKEH_RESOURCES": "cdn"},  # which would ask another machine
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"clinic is at (http://localhost:\d+/) \(Ctrl-C ends it\)", line)
    if not found:
        process.kill()
        pytest.fail(f"{line!r} {process.communicate()}")
    return process, found[1]


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Press Ctrl-C; return the exit status and what was complained of."""
    process.send_signal(signal.SIGINT)
    try:
        _, complaints = process.communicate(timeout=90)
    finally:
        process.kill()
    return process.returncode, complaints


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser at the page, as it is when it has been opened."""
    if missing():
        pytest.skip(missing())
    process, url = served(
        "--seed", str(SEED), "--n", str(UNITS), folder=tmp_path_factory.mktemp("page")
    )
    try:
        with chromium() as driver:
            driver.get(url)
            until(lambda: deep(driver, ".doing", ".words"), driver)
            yield driver
    finally:
        assert ended(process) == (0, "")


@pytest.fixture(autouse=True)
def as_it_is(page: Any) -> None:
    """Open the page anew."""
    page.refresh()
    until(lambda: deep(page, ".doing", ".words"), page)


def until(check: Callable[[], T], driver: Any, seconds: float = 15.0) -> T:
    """Wait until something holds; else show what stands on the page."""
    end = time.monotonic() + seconds
    while not (found := check()):
        if time.monotonic() > end:
            shown = [words(driver, name) for name in ("graph", "doing", "twin")]
            pytest.fail(f"waited {seconds} s in vain; the page says {shown}")
        time.sleep(0.02)
    return found


def choose(driver: Any, css: str, text: str) -> None:
    Select(deep(driver, css, "select")).select_by_visible_text(text)


def pick(driver: Any, unit: int) -> None:
    field = deep(driver, ".unit", "input")
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(str(unit), Keys.ENTER)


def twin_table(driver: Any) -> dict[str, list[str]]:
    lines = words(driver, "twin").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("variable"))
    return {cells[0]: cells[1:] for cells in (line.split("\t") for line in lines[start + 1 :])}


def test_nothing_is_done_before_something_is_moved(page: Any) -> None:
    seen = clinic.sample(UNITS, seed=SEED)["recovery"].double()
    for rung in ("seeing", "doing"):
        assert f"mean {seen.mean():.4g}, sd {seen.std(correction=0):.3g}" in words(page, rung)
    assert "severity -> treated, recovery; treated -> recovery" in words(page, "graph")
    assert "cut" not in words(page, "graph")
    assert {cells[-1] for cells in twin_table(page).values()} == {"kept"}


def test_each_picture_says_on_which_rung_it_stands(page: Any) -> None:
    choose(page, ".do-1", "1")
    until(lambda: "do(treated=1)" in words(page, "doing"), page)
    for part, rung, query in (
        ("seeing", "rung 1 (seeing)", "P(recovery | treated=1)"),
        ("doing", "rung 2 (doing)", "P(recovery | do(treated=1))"),
        (
            "imagining",
            "rung 3 (imagining)",
            "P(recovery(treated=1) | all that was seen of unit 0)",
        ),
    ):
        assert words(page, part).splitlines()[:2] == [rung, query]
    labels = page.execute_script(
        "return [...Bokeh.documents[0]._all_models.values()].flatMap((m) => m.axis_label ?? [])"
    )
    assert (labels.count("recovery"), labels.count("share of units")) == (3, 2)
    assert {"recovery in fact", "recovery after the action"} <= set(labels)


def test_a_choice_mutilates_the_graph_and_moves_what_is_seen_and_done(page: Any) -> None:
    before = column(page, "doing bars", "top")
    choose(page, ".do-1", "1")
    until(lambda: "do(treated=1)" in words(page, "doing"), page)
    done = clinic.do(treated=1.0).sample(UNITS, seed=SEED)["recovery"].double().numpy()
    assert f"mean {done.mean():.4g}, sd {done.std():.3g}" in words(page, "doing")
    seen = clinic.sample(UNITS, seed=SEED)
    chosen = seen["recovery"][seen["treated"] == 1].double()
    assert f"mean {chosen.mean():.4g}" in words(page, "seeing")
    assert f"{len(chosen)} of 1000 units were seen so" in words(page, "seeing")
    # The bars themselves, counted anew.
    tops = column(page, "doing bars", "top")
    edges = [*column(page, "doing bars", "left"), column(page, "doing bars", "right")[-1]]
    np.testing.assert_allclose(tops, np.histogram(done, edges)[0] / UNITS, atol=1e-9)
    assert tops != before
    # The graph: the arrow into the treatment is cut, in words and in the picture.
    assert "cut: severity -> treated" in words(page, "graph")
    assert "✂" in deep(page, ".graph", "svg").text
    choose(page, ".do-1", "as it is")
    until(lambda: "no action" in words(page, "doing"), page)
    assert "cut" not in words(page, "graph")
    assert "✂" not in deep(page, ".graph", "svg").text


def test_a_slider_that_is_dragged_acts_and_its_box_lets_go(page: Any) -> None:
    handle = deep(page, ".do-0", ".noUi-handle")
    ActionChains(page).drag_and_drop_by_offset(handle, 25, 0).perform()
    told = until(lambda: re.search(r"do\(severity=([-.\d]+)\)", words(page, "doing")), page)
    time.sleep(0.5)  # the last of the moves
    told = re.search(r"do\(severity=([-.\d]+)\)", words(page, "doing"))
    assert told
    value = float(told[1])
    assert value > 0.2
    done = clinic.do(severity=value).sample(UNITS, seed=SEED)["recovery"].double()
    assert f"mean {done.mean():.4g}, sd {done.std(correction=0):.3g}" in words(page, "doing")
    assert deep(page, ".do-0-on", "input").is_selected()
    deep(page, ".do-0-on", "input").click()
    until(lambda: "no action" in words(page, "doing"), page)
    handle.send_keys(Keys.ARROW_RIGHT)  # by keyboard too
    until(lambda: "do(severity=" in words(page, "doing"), page)


def test_a_unit_that_is_picked_has_the_twin_that_counterfactual_says(page: Any) -> None:
    seen = clinic.sample(UNITS, seed=SEED)
    unit = int((seen["treated"] == 0).nonzero()[5])
    choose(page, ".do-1", "1")
    pick(page, unit)
    until(lambda: f"unit {unit} and its twin" in words(page, "twin"), page)
    until(lambda: "do(treated=1)" in words(page, "twin"), page)
    row = {name: values[unit] for name, values in seen.items()}
    answer = clinic.counterfactual(row, {"treated": 1.0}, seed=SEED)
    shown = twin_table(page)
    for name, role in (("severity", "kept"), ("treated", "set"), ("recovery", "moved")):
        assert shown[name] == [f"{row[name]:.4g}", f"{answer[name].item():.4g}", role]
    # Rung 3 knows this unit: one value, where rung 2 has a distribution.
    assert sorted(column(page, "imagining bars", "top"))[-2:] == [0.0, 1.0]
    assert max(column(page, "doing bars", "top")) < 0.5


def test_another_variable_is_shown_where_it_is_chosen(page: Any) -> None:
    choose(page, ".outcome", "severity")
    until(lambda: "P(severity)" in words(page, "doing"), page)
    choose(page, ".do-1", "0")
    until(lambda: "P(severity | do(treated=0))" in words(page, "doing"), page)
    seen = clinic.sample(UNITS, seed=SEED)["severity"].double()
    assert f"mean {seen.mean():.4g}" in words(page, "doing")  # an effect's causes don't move


def test_nothing_is_asked_of_another_machine_and_nothing_fails(page: Any) -> None:
    choose(page, ".do-1", "1")
    until(lambda: "do(treated=1)" in words(page, "doing"), page)
    addresses = asked_for(page)
    assert any(address.startswith("ws://localhost:") for address in addresses)
    foreign = {address for address in addresses if urlsplit(address).hostname != "localhost"}
    assert {address for address in foreign if not address.startswith(("data:", "blob:"))} == set()
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_the_server_listens_to_this_machine_alone_and_a_port_is_used_once(
    page: Any, tmp_path: Path
) -> None:
    port = urlsplit(page.current_url).port
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), port)}
    for host in (host for host in others if not str(host).startswith(("127.", "::1"))):
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((str(host), int(port or 0)), timeout=2)
    (tmp_path / "clinic.py").write_text(CLINIC)
    run = subprocess.run(
        [sys.executable, "-m", "pyrocausal", "explore", "clinic.py", "--port", str(port)],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert re.fullmatch(rf"pyrocausal explore: --port {port} can't be used: .*\n", run.stderr)
