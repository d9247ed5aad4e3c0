"""``pyrocausal explore``: a page on which actions are moved, and what follows is seen."""

from __future__ import annotations

import argparse
from typing import Final

from pyrocausal.commands.assigning import every_input, positive
from pyrocausal.commands.failing import CommandError
from pyrocausal.commands.loading import add_model, load
from pyrocausal.exploring import Explorer
from pyrocausal.model import SCM

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES: Final = """\
examples:
  pyrocausal explore clinic.py:scm                a page at a free port; the browser opens
  pyrocausal explore pyrocausal.zoo:simpson       a model of the zoo
  pyrocausal explore clinic.py:scm --port 5006 --no-browser

Each variable that is one number a unit has a slider, or a choice; off, it is as it is. The page
shows the graph that the action leaves, one variable as it is seen, done and imagined, and a unit
beside its twin. It is served to this machine alone and needs no network. Ctrl-C ends it.

exit status: 0, ended by Ctrl-C; 1, the module fails, or Bokeh is not installed; 2, the command
line is wrong.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add_model(parser)
    parser.add_argument(
        "--input",
        nargs="+",
        metavar="NAME=VALUE",
        default=[],
        help="arguments of the program, the same for all units",
    )
    parser.add_argument("--n", type=positive, default=1000, help="units to simulate (1000)")
    parser.add_argument("--seed", type=int, default=0, help="one seed is one set of units (0)")
    parser.add_argument("--port", type=_port, default=0, help="where to listen (any free port)")
    parser.add_argument("--no-browser", action="store_true", help="only say where the page is")


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"got {text!r}; expected a number from 1 to 65535")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C; return the exit status."""
    model = load(arguments.model)
    if not isinstance(model, SCM):
        raise CommandError(
            f"{arguments.model} is a graph; expected a model, which has mechanisms. `pyrocausal "
            "graph` draws it."
        )
    inputs = every_input(model, arguments.input) or None
    explorer = Explorer(model, units=arguments.n, seed=arguments.seed, inputs=inputs)
    try:
        from pyrocausal.exploring import serving
    except ModuleNotFoundError as error:
        raise CommandError(
            f"The page needs Bokeh: pip install 'pyrocausal[explore]' ({error}).", 1
        ) from error
    try:
        server = serving.start(explorer, arguments.port)
    except OSError as error:
        raise CommandError(
            f"--port {arguments.port} can't be used: {error}. Leave --port out for a free one."
        ) from error
    print(f"{model.name} is at {serving.address(server)} (Ctrl-C ends it)", flush=True)
    serving.serve(server, browser=not arguments.no_browser)
    return 0
