"""The command line: ``pyrocausal demo``, ``pyrocausal doctor``."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status.

    Args:
        argv: The arguments after the program's name; those of the process by default.
    """
    parser = argparse.ArgumentParser(
        prog="pyrocausal", description="Structural causal models as Pyro programs."
    )
    parser.add_argument("--version", action="version", version=f"pyrocausal {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    demo = commands.add_parser(
        "demo", help="does quitting smoking change body weight? a tour of the three rungs"
    )
    demo.add_argument(
        "--folder", default="pyrocausal-demo", help="where the picture goes (%(default)s)"
    )
    commands.add_parser(
        "doctor", help="what is installed, whether compiling works here, and a speed check"
    )
    arguments = parser.parse_args(argv)
    if arguments.command == "doctor":
        from pyrocausal import doctor

        return doctor.main()

    from pyrocausal import demo as tour  # after parsing: --help need not load torch

    try:
        return tour.main(arguments.folder)
    except OSError as error:
        parser.exit(1, f"pyrocausal demo: {error}. Name another place with --folder.\n")


def _version() -> str:
    try:
        return version("pyrocausal")
    except PackageNotFoundError:
        return "(not installed)"  # run from a checkout


if __name__ == "__main__":
    sys.exit(main())
