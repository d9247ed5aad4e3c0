"""The command line: ``pyrocausal demo``."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="pyrocausal", description="Pyro programs as causal models."
    )
    parser.add_argument("--version", action="version", version=version("pyrocausal"))
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="quitting smoking and weight, on all three rungs")
    demo.add_argument("--folder", default="pyrocausal-demo", help="where the picture goes")
    arguments = parser.parse_args(argv)

    from pyrocausal.demo import main as run  # after parsing: --help should not load torch

    return run(arguments.folder)


if __name__ == "__main__":
    sys.exit(main())
