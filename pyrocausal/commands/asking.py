"""``pyrocausal query``: one question to a model, on any of the three rungs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyrocausal.commands.assigning import actions, arguments_of, inputs_of, positive, values
from pyrocausal.commands.failing import CommandError
from pyrocausal.commands.loading import add_model, load
from pyrocausal.model import SCM
from pyrocausal.results import Samples

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES: Final = """\
examples, one for each rung:
  pyrocausal query clinic.py:scm --outcome recovery
      seeing: what do we expect?
  pyrocausal query clinic.py:scm --do treated=1 --outcome recovery
      doing: what happens if all are treated?
  pyrocausal query clinic.py:scm --do treated=1 --evidence patients.csv
      imagining: what would these patients have had, had they been treated?

and more:
  --do treated=0 --do treated=1           two worlds of the same units, side by side
  --do treated=1 dose=2                   one world in which both are set
  --do dose+=1                            one more of it than there would have been
  --evidence severity=0.3 treated=0 recovery=-0.1       one unit, without a file
  -o answer.csv                           a row for each unit; -o answer.png: a picture

Columns of a file that are no variable of the program are inputs of it, or are left out. An empty
cell is missing: it is drawn from what its causes say of it.

exit status: 0, answered; 1, the question has no answer, and the words say why; 2, the command
line is wrong.
"""

TABLES: Final = (".csv", ".tsv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add_model(parser)
    parser.add_argument(
        "--do",
        action="append",
        nargs="+",
        metavar="NAME=VALUE",
        default=[],
        help="an action, in all its parts; say --do again for another world",
    )
    parser.add_argument(
        "--evidence",
        nargs="+",
        metavar="FILE|NAME=VALUE",
        default=[],
        help="what was seen of the units asked about, before the action",
    )
    parser.add_argument(
        "--index", metavar="COLUMN", help="the column of a file that names the units"
    )
    parser.add_argument(
        "--outcome", nargs="+", metavar="NAME", help="tell of these variables only"
    )
    parser.add_argument(
        "--input", nargs="+", metavar="NAME=VALUE", default=[], help="arguments of the program"
    )
    parser.add_argument(
        "--n", type=positive, help="units to draw (1000), or draws of each unit's noise"
    )
    parser.add_argument("--seed", type=int, default=0, help="one seed is one set of units (0)")
    parser.add_argument("-o", "--output", metavar="FILE", help="a table (.csv), or a picture")


def run(arguments: argparse.Namespace) -> int:
    """Ask, print the card, and write what is to be written; return the exit status."""
    model = load(arguments.model)
    if not isinstance(model, SCM):
        raise CommandError(
            f"{arguments.model} is a graph; expected a model, which has mechanisms. `pyrocausal "
            "graph` draws it."
        )
    worlds = [actions(world) for world in arguments.do]
    answer = _answer(model, worlds[0] if len(worlds) == 1 else worlds, arguments)
    print(answer)
    if arguments.output is not None:
        _write(answer, Path(arguments.output))
    return 0


def _answer(model: SCM, worlds: Any, arguments: argparse.Namespace) -> Samples:
    """Ask on the rung that the options say."""
    inputs = inputs_of(arguments.input)
    shared: dict[str, Any] = {"variables": arguments.outcome, "seed": arguments.seed}
    if arguments.evidence:
        evidence, more = _evidence(model, arguments.evidence, arguments.index)
        given = {**more, **inputs} or None
        draws = arguments.n
        return model.counterfactual(
            evidence, worlds or {}, inputs=given, num_draws=draws, **shared
        )
    number = 1000 if arguments.n is None else arguments.n
    acted = model.do(worlds) if worlds else model
    return acted.sample(number, inputs=inputs or None, **shared)


def _evidence(model: SCM, given: list[str], index: str | None) -> tuple[Any, dict[str, Any]]:
    """Return the evidence, and the inputs that stand beside it in a file."""
    if len(given) > 1 or "=" in given[0]:
        return values(given, "--evidence"), {}
    table = _table(Path(given[0]), index)
    inputs = {name: table[name] for name in arguments_of(model) if name in table}
    if inputs:  # a program with arguments has no variables that are known before it was run
        model.sample(len(table), inputs=inputs, seed=0)
    seen = [name for name in table if name in model.variables]
    rest = [str(name) for name in table if name not in seen and name not in inputs]
    if rest:
        print(f"left out, as no variable: {', '.join(rest)}", file=sys.stderr)
    if not seen:
        raise CommandError(
            f"{given[0]} has no column that is a variable. Variables: {', '.join(model.variables)}."
        )
    return table[seen], inputs


def _table(path: Path, index: str | None) -> pd.DataFrame:
    import pandas as pd

    if path.suffix.lower() not in TABLES:
        raise CommandError(
            f"--evidence got {str(path)!r}; expected a file that ends in {' or '.join(TABLES)}, or "
            "name=number."
        )
    try:
        separator = "\t" if path.suffix.lower() == ".tsv" else ","
        return pd.read_csv(path, sep=separator, index_col=index)
    except (OSError, ValueError) as error:
        raise CommandError(f"--evidence: {path} can't be read: {error}") from error


def _write(answer: Samples, path: Path) -> None:
    """Write the answer as a table or as a picture."""
    try:
        if path.suffix.lower() in TABLES:
            separator = "\t" if path.suffix.lower() == ".tsv" else ","
            answer.to_frame().to_csv(path, sep=separator)
        else:
            answer.plot().savefig(path)
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} can't be written: {error}") from error
    except ModuleNotFoundError as error:
        raise CommandError(f"{path} can't be written: {error}", 1) from error
    print(f"written to {path}", file=sys.stderr)
