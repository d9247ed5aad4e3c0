"""Finding the model that a command is about: ``file.py:name`` or ``package.module:name``."""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from pyrocausal.commands.failing import CommandError
from pyrocausal.graph import CausalGraph
from pyrocausal.model import SCM

__all__ = ["add_model", "load"]


def add_model(parser: argparse.ArgumentParser) -> None:
    """Let a command take the model that ``load`` finds."""
    parser.add_argument("model", metavar="MODULE:scm", help="file.py:name or package.module:name")


def load(target: str) -> SCM | CausalGraph:
    """Return the SCM, or the graph, that a command names.

    Args:
        target: ``file.py:name`` or ``package.module:name``; the name may be left out where the
            module has one SCM. A Pyro program that is no SCM yet becomes one; a function that is
            annotated to return an SCM is called.

    Raises:
        CommandError: There is no such module or name, or the module fails.

    Example:
        >>> load("pyrocausal.zoo.nothing")
        Traceback (most recent call last):
        pyrocausal.commands.failing.CommandError: There is no module 'pyrocausal.zoo.nothing'...
    """
    place, _, name = target.rpartition(":") if ":" in target else (target, "", "")
    with _modules_here(place):
        module = _file(place) if place.endswith(".py") else _module(place)
    if not name:
        return _only(module, place)
    if not hasattr(module, name):
        raise CommandError(f"{place} has no {name!r}. It has: {_listed(module)}.")
    found = getattr(module, name)
    if isinstance(found, SCM | CausalGraph):
        return found
    if _builds(found):
        built: SCM = found()
        return built
    if callable(found) and not isinstance(found, type):
        return SCM(found, name=name)
    raise CommandError(
        f"{target} is a {type(found).__name__}; expected an SCM, a Pyro program or a CausalGraph. "
        f"{place} has: {_listed(module)}."
    )


@contextmanager
def _modules_here(place: str) -> Iterator[None]:
    """Let a module find its neighbours, as it would when run as a script."""
    here = str(Path(place).resolve().parent) if place.endswith(".py") else str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)


def _file(place: str) -> ModuleType:
    path = Path(place)
    if not path.is_file():
        raise CommandError(f"There is no file {place!r}, seen from {Path.cwd()}.")
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise _failed(place, error) from error
    return module


def _module(place: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except Exception as error:
        missing = (isinstance(error, ModuleNotFoundError) and error.name) or ""
        if missing and (place == missing or place.startswith(f"{missing}.")):
            raise CommandError(
                f"There is no module {place!r}, seen from {Path.cwd()}. Write file.py:name for a "
                "file."
            ) from error
        raise _failed(place, error) from error


def _failed(place: str, error: Exception) -> CommandError:
    """Tell where a module fails."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{last.filename}, line {last.lineno}"
    if isinstance(error, SyntaxError):
        where = f"{error.filename}, line {error.lineno}"
    return CommandError(f"Importing {place} fails: {type(error).__name__}: {error} ({where}).", 1)


def _models(module: ModuleType) -> dict[str, Any]:
    found = {n: v for n, v in vars(module).items() if isinstance(v, SCM | CausalGraph)}
    return {name: value for name, value in found.items() if not name.startswith("_")}


def _builds(found: Any) -> bool:
    """Tell whether a function returns an SCM, by its annotation."""
    try:
        returned = get_type_hints(found).get("return")
    except (NameError, TypeError):  # a name that isn't there at run time; no function
        return False
    return isinstance(returned, type) and issubclass(returned, SCM)


def _only(module: ModuleType, place: str) -> SCM | CausalGraph:
    models = _models(module)
    if len(models) != 1:
        raise CommandError(
            f"Which model of {place}? Write {place}:name. It has: {_listed(module)}."
        )
    (only,) = models.values()
    found: SCM | CausalGraph = only
    return found


def _listed(module: ModuleType) -> str:
    builders = [name for name, value in vars(module).items() if _builds(value)]
    return ", ".join([*_models(module), *builders]) or "no SCM and no CausalGraph"
