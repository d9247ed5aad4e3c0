"""VLUCI and its neighbours: ``python -m benchmarks.vluci``; restartable, writes RESULTS.md.

Each result is a line of JSON in ``--folder``; what is there is not done again. ``--only PART``
does one part (controls, ihdp, twins) and may run beside another; ``--table`` only writes. IHDP and
Twins need ``PYROCAUSAL_DATA``, the boosted trees need scikit-learn.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd  # noqa: TID253 - a benchmark may be slow to import
import torch

from benchmarks import vluci_controls, vluci_data

HEADING = "## Hidden confounders"
INTRO = """\
`python -m benchmarks.vluci` fills this section, and goes on where it was stopped. Controls of 2,000
units; processor time on one thread of two cores that other programs used too."""
PARTS: dict[str, tuple[Callable[[], Iterator[Any]], Callable[[pd.DataFrame], Iterator[str]]]] = {
    "controls": (vluci_controls.jobs, vluci_controls.rows),
    "ihdp": (vluci_data.ihdp_jobs, vluci_data.ihdp_rows),
    "twins": (vluci_data.twins_jobs, vluci_data.twins_rows),
}
TITLES = {"controls": "Controls S1 to S8", "ihdp": "IHDP", "twins": "Twins"}


def main() -> None:
    """Do what is left to do, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/vluci"))
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--method", help="of the controls, this method alone")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    for part, (jobs, _) in PARTS.items():
        if not options.table and options.only in (None, part):
            _do(options.folder / f"{part}.jsonl", jobs(), options.method)
    _write(options.folder)


def _do(path: Path, jobs: Iterator[Any], method: str | None) -> None:
    done = {(line["control"], line["method"], line["seed"]) for line in _lines(path)}
    for key, run in jobs:
        if key in done or (method and key[1] != method):
            continue
        result = run()
        with path.open("a") as file:
            file.write(json.dumps(result) + "\n")
        print(*key, flush=True)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _write(folder: Path) -> None:
    lines = [HEADING, "", INTRO]
    for part, (_, rows) in PARTS.items():
        # Two that ran beside each other may have done the same.
        results = pd.DataFrame(_lines(folder / f"{part}.jsonl"))
        results = (
            results.drop_duplicates(["control", "method", "seed"]) if len(results) else results
        )
        if not results.empty:
            lines += ["", f"### {TITLES[part]}", "", *rows(results)]
    path = Path(__file__).with_name("RESULTS.md")
    before, _, after = path.read_text().partition(f"{HEADING}\n")
    _, found, rest = after.partition("\n## ")
    text = "\n".join([before.rstrip(), "", *lines]) + "\n" + (f"\n## {rest}" if found else "")
    # Another program may read it meanwhile.
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


if __name__ == "__main__":
    main()
