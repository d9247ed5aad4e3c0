"""What the tests of a page in a browser share: Chromium, and what stands on a page of Bokeh."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

__all__ = ["asked_for", "chromium", "column", "deep", "missing", "words"]

# Bokeh puts each widget into a shadow tree of its own.
DEEP = """
const find = (root, css) => [...root.querySelectorAll(css), ...[...root.querySelectorAll("*")]
  .flatMap((element) => element.shadowRoot ? find(element.shadowRoot, css) : [])];
"""


def missing() -> str:
    """Say what lacks for a test in a browser; empty where nothing does."""
    lacks = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"no {' and no '.join(lacks)}: tests/install_chromium.sh gets them" if lacks else ""


@contextmanager
def chromium(width: int = 1360, height: int = 860) -> Iterator[Any]:
    """Start a Chromium without a window, which notes what it asks for."""
    options = Options()
    options.binary_location = str(shutil.which("chromium"))
    for argument in (
        "--headless=new",
        "--no-proxy-server",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--hide-scrollbars",
        f"--window-size={width},{height}",
        *(["--no-sandbox"] if os.getuid() == 0 else []),  # Chromium refuses root without it
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def deep(driver: Any, *path: str) -> Any:
    """Return the first element that a selector finds, inside what those before it found."""
    script = f"""{DEEP}
        let found = document;
        for (const css of arguments) {{
          found = find(found?.shadowRoot ?? found ?? document.head, css)[0];
        }}
        return found ?? null;
    """
    return driver.execute_script(script, *path)


def words(driver: Any, name: str) -> str:
    """Return the words that a reader sees in a part of the page."""
    script = f"{DEEP} return find(find(document, arguments[0])[0].shadowRoot, 'div')[0].innerText"
    told: str = driver.execute_script(script, f".{name}")
    return told


def column(driver: Any, source: str, name: str) -> list[float]:
    """Return a column of the data that a picture draws."""
    script = (
        "return [...Bokeh.documents[0].get_model_by_name(arguments[0]).get_column(arguments[1])]"
    )
    values: list[float] = driver.execute_script(script, source, name)
    return values


def asked_for(driver: Any) -> set[str]:
    """Return all addresses that the page asked for since this was last asked."""
    events = (json.loads(entry["message"])["message"] for entry in driver.get_log("performance"))
    found = set[str]()
    for event in events:
        if event["method"] == "Network.requestWillBeSent":
            found.add(event["params"]["request"]["url"])
        elif event["method"] == "Network.webSocketCreated":
            found.add(event["params"]["url"])
    return found
