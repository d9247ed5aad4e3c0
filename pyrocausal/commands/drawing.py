"""``pyrocausal graph``: the causal graph of a model, as words or as a picture."""

from __future__ import annotations

import argparse
from typing import Final

from pyrocausal.commands.assigning import actions, every_input
from pyrocausal.commands.failing import CommandError
from pyrocausal.commands.loading import add_model, load
from pyrocausal.graph import CausalGraph
from pyrocausal.model import SCM

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES: Final = """\
examples:
  pyrocausal graph clinic.py:scm                          the edges, as words
  pyrocausal graph clinic.py:scm -o clinic.svg            a picture: svg, png, pdf, ...
  pyrocausal graph clinic.py:scm -o clinic.dot            the source for Graphviz
  pyrocausal graph clinic.py:scm --do treated -o do.svg   what an action cuts
  pyrocausal graph clinic.py:scm --twin treated           seen and imagined on shared noise
  pyrocausal graph clinic.py:scm --swig treated           split nodes: potential outcomes

exit status: 0, drawn; 1, the module fails; 2, the command line is wrong.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add_model(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="where to draw; the suffix decides the format"
    )
    parser.add_argument(
        "--input", nargs="+", metavar="NAME=VALUE", default=[], help="arguments of the program"
    )
    change = parser.add_mutually_exclusive_group()
    for option, words in (
        ("--do", "draw the graph under an action on these variables"),
        ("--twin", "the twin network of a counterfactual that sets these variables"),
        ("--swig", "the single-world intervention graph that sets these variables"),
    ):
        change.add_argument(option, nargs="+", metavar="NAME[=VALUE]", help=words)


def run(arguments: argparse.Namespace) -> int:
    """Print or draw the graph; return the exit status."""
    found = load(arguments.model)
    graph = _graph(found, arguments.input)
    if arguments.do:
        graph = graph.do(*_names(arguments.do))
    elif arguments.twin:
        graph = graph.twin(_names(arguments.twin))
    elif arguments.swig:
        valued = all("=" in text for text in arguments.swig)
        graph = graph.swig(actions(arguments.swig) if valued else _names(arguments.swig))
    if arguments.output is None:
        print(str(graph).replace("; ", "\n"))
        return 0
    try:
        graph.render(arguments.output)
    except OSError as error:
        raise CommandError(str(error)) from error
    except ModuleNotFoundError as error:
        raise CommandError(str(error), 1) from error
    print(f"drawn in {arguments.output}")
    return 0


def _graph(found: SCM | CausalGraph, given: list[str]) -> CausalGraph:
    """Return the graph; that of a program with arguments is found by running it."""
    if isinstance(found, CausalGraph):
        return found
    inputs = every_input(found, given)
    if inputs:
        found.sample(2, inputs=inputs, seed=0)
    return found.graph


def _names(given: list[str]) -> list[str]:
    return [text.partition("=")[0].removesuffix("+") for text in given]
