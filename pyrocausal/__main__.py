"""The command line: ``pyrocausal demo``, ``doctor``, ``graph``, ``query``, ``explore``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, NoReturn

__all__ = ["main"]

MODELS: Final = {"graph": "drawing", "query": "asking", "explore": "exploring"}
"""Command about a model to its module in `pyrocausal.commands`."""


class _Parser(argparse.ArgumentParser):
    """Tells what is wrong with a command line in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}. {self.prog} --help says more.\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status.

    Args:
        argv: The arguments after the program's name; those of the process by default.
    """
    parser = _Parser(
        prog="pyrocausal",
        description="Structural causal models as Pyro programs.",
        epilog="pyrocausal COMMAND --help says more, with examples.",
    )
    parser.add_argument("--version", action="version", version=f"pyrocausal {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    demo = commands.add_parser(
        "demo",
        help="does quitting smoking change body weight? a tour of the three rungs",
        description="Ask one question of 1566 people on all three rungs: seeing, doing, imagining. "
        "It fits a small model and resamples, which takes a minute; the picture of the graph "
        "goes into a folder.",
    )
    demo.add_argument(
        "--folder", default="pyrocausal-demo", help="where the picture goes (%(default)s)"
    )
    commands.add_parser(
        "doctor",
        help="what is installed, whether compiling works here, and a speed check",
        description="Tell what is installed, whether compiling works here, and how fast it is. "
        "Exit status: 0, all is well; 1, something needs care, and the words say what.",
    )
    arguments = list(sys.argv[1:] if argv is None else argv)
    for name, words in (
        ("graph", "the causal graph of a model in a file: words or a picture"),
        ("query", "ask a model in a file: what is seen, what if we act, what would have been"),
        ("explore", "a page in the browser: move actions, and see what is seen, done, imagined"),
    ):
        command = commands.add_parser(
            name, help=words, description=words, formatter_class=argparse.RawTextHelpFormatter
        )
        if arguments[:1] == [name]:  # it loads torch, which --help and the others need not
            module = _module(name)
            module.add_arguments(command)
            command.epilog = module.EXAMPLES
    return _run(parser, parser.parse_args(arguments))


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    """Run the command that was parsed."""
    if arguments.command == "doctor":
        from pyrocausal import doctor

        return doctor.main()
    if arguments.command in MODELS:
        return _about_model(parser, arguments)

    from pyrocausal import demo as tour

    try:
        return tour.main(arguments.folder)
    except OSError as error:
        parser.exit(2, f"pyrocausal demo: {error}. Name another place with --folder.\n")


def _about_model(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    """Run a command about a model; what the library refuses is told in its words."""
    from pyrocausal.commands import CommandError
    from pyrocausal.errors import PyrocausalError, UnknownVariable

    try:
        status: int = _module(arguments.command).run(arguments)
    except CommandError as error:
        parser.exit(error.status, f"pyrocausal {arguments.command}: {error}\n")
    except (PyrocausalError, ValueError, TypeError) as error:
        # A name, a number or a file that doesn't fit stands on the command line.
        unanswered = isinstance(error, PyrocausalError) and not isinstance(error, UnknownVariable)
        words = " ".join(str(error).split())
        parser.exit(1 if unanswered else 2, f"pyrocausal {arguments.command}: {words}\n")
    return status


def _module(command: str) -> Any:
    return import_module(f"pyrocausal.commands.{MODELS[command]}")


def _version() -> str:
    try:
        return version("pyrocausal")
    except PackageNotFoundError:
        return "(not installed)"  # run from a checkout


if __name__ == "__main__":
    sys.exit(main())
