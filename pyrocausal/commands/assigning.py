"""Values on a command line: ``treated=1``, ``dose+=2``."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pyrocausal.commands.failing import CommandError
from pyrocausal.interventions import shift
from pyrocausal.model import SCM

__all__ = ["actions", "arguments_of", "every_input", "inputs_of", "positive", "values"]


def values(given: Sequence[str], option: str) -> dict[str, float]:
    """Read ``name=number`` pairs.

    Raises:
        CommandError: Something else, or a name twice.

    Example:
        >>> values(["treated=1", "age=50"], "--evidence")
        {'treated': 1.0, 'age': 50.0}
    """
    found = dict[str, float]()
    for text in given:
        name, equals, number = text.partition("=")
        try:
            value = float(number)
        except ValueError:
            equals = ""
        if not equals or not name or name in found:
            raise CommandError(
                f"{option} got {text!r}; expected each variable once as name=number, such as "
                "treated=1."
            )
        found[name] = value
    return found


def actions(given: Sequence[str]) -> dict[str, Any]:
    """Read one action: ``name=number`` sets, ``name+=number`` shifts.

    Raises:
        CommandError: Something else, or a name twice.

    Example:
        >>> actions(["treated=1", "dose+=2"])
        {'treated': 1.0, 'dose': Shift(amount=2.0)}
    """
    signs = {text.partition("=")[0]: text for text in given}
    numbers = values(given, "--do")
    twice = [name for name in signs if name.endswith("+") and name[:-1] in signs]
    if twice:
        raise CommandError(f"--do both sets and shifts {twice[0][:-1]!r}; say one of them.")
    return {
        name.removesuffix("+"): shift(value) if name.endswith("+") else value
        for name, value in numbers.items()
    }


def inputs_of(given: Sequence[str]) -> dict[str, Tensor]:
    """Read a program's arguments, each one value for all units.

    Raises:
        CommandError: Something else than ``name=number``, or a name twice.

    Example:
        >>> inputs_of(["age=50"])
        {'age': tensor(50.)}
    """
    return {name: torch.tensor(value) for name, value in values(given, "--input").items()}


def arguments_of(model: SCM) -> list[str]:
    """Return the names of a program's arguments.

    Example:
        >>> arguments_of(SCM(lambda age: pyro.sample("x", dist.Normal(age, 1.0))))
        ['age']
    """
    program: Any = model.program
    call = program.forward if isinstance(program, torch.nn.Module) else program
    return list(inspect.signature(call).parameters)


def every_input(model: SCM, given: Sequence[str]) -> dict[str, Tensor]:
    """Read all arguments that a program takes, for what is found by running it.

    Raises:
        CommandError: One lacks, or something else than ``name=number``.

    Example:
        >>> every_input(SCM(lambda age: pyro.sample("x", dist.Normal(age, 1.0))), ["age=50"])
        {'age': tensor(50.)}
    """
    inputs = inputs_of(given)
    missing = [name for name in arguments_of(model) if name not in inputs]
    if missing:
        example = " ".join(f"{name}=1" for name in missing)
        raise CommandError(
            f"The program takes {', '.join(missing)}; its graph is found by running it. Give "
            f"typical values: --input {example}."
        )
    return inputs


def positive(text: str) -> int:
    """Read a number of units.

    Raises:
        ArgumentTypeError: It is none, or zero.

    Example:
        >>> positive("1000")
        1000
    """
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"got {text!r}; expected a positive whole number")
    return int(text)
