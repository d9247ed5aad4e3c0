"""Run a peer's cells and store them with what they print: ``python run.py dowhy``.

It is run in the peer's own environment, where pyrocausal is not installed.
"""

import io
import platform
import sys
import warnings
from contextlib import redirect_stdout
from datetime import date
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).parent


def main(peer: str) -> None:
    """Write PEER.txt: versions and date, then each cell of PEER_tasks.py and its output."""
    warnings.simplefilter("ignore")  # a peer's warnings go with its versions, not with the task
    _, *cells = (FOLDER / f"{peer}_tasks.py").read_text().split("\n# %% ")
    today = f"{date.today():%d %B %Y}".lstrip("0")
    text = f"{peer} {version(peer)}, Python {platform.python_version()}, {today}\n"
    namespace = {"__name__": "__main__"}
    for cell in cells:
        name, code = cell.split("\n", 1)
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(code, f"{peer}: {name}", "exec"), namespace)
        text += f"\n# %% {name}\n{code.strip()}\n# printed:\n{printed.getvalue()}"
    (FOLDER / f"{peer}.txt").write_text(text)
    print(text)


if __name__ == "__main__":
    main(sys.argv[1])
