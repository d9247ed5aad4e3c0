"""What a peer was asked and what it answered, from the file that ``make peers`` writes."""

import re
from pathlib import Path

__all__ = ["Peer"]

FIGURE = re.compile(r"^(.*\S) = (-?[0-9.]+)$", re.MULTILINE)


class Peer:
    """A library of others: its cells, what they printed, and the figures in it.

    Args:
        name: Such as ``"dowhy"``: the file is ``peers/dowhy.txt``.
    """

    def __init__(self, name: str) -> None:
        text = (Path(__file__).parent / "peers" / f"{name}.txt").read_text()
        self.version, *cells = text.split("\n# %% ")
        parts = (cell.split("\n", 1) for cell in cells)
        self.cells = {title: tuple(cell.split("# printed:\n")) for title, cell in parts}

    def show(self, title: str) -> None:
        """Print a cell as it was run, and below it what it printed."""
        code, printed = self.cells[title]
        print(f"# {self.version.strip()}\n{code}")
        print(printed.strip().replace("\t", "    "))

    def figures(self, title: str) -> dict[str, float]:
        """Return the figures that a cell printed, each a line ``name = number``."""
        return {name: float(value) for name, value in FIGURE.findall(self.cells[title][1])}
