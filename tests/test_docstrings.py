"""Each public name says what it takes and returns, shows an example, and is on a page."""

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pyrocausal as pc

PAGES = Path(__file__).parents[1] / "tutorials" / "pages"
REFERENCE = re.compile(r"^```\{reference\} (\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ZOO = re.compile(r"^```\{zoo\}\n(.*?)^```", re.MULTILINE | re.DOTALL)
PUBLIC = [
    *pc._MODULES,
    *("bounding", "checking", "estimation", "identification", "noise", "refuting", "results"),
]


def documented() -> set[str]:
    """Return the dotted names that the pages document."""
    names = set()
    for page in sorted(PAGES.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        for module, body in REFERENCE.findall(text):
            names |= {f"{module}.{name}" for name in body.split()}
        for body in ZOO.findall(text):
            names |= {f"pyrocausal.zoo.{name}" for name in body.split()}
    return names


def public() -> dict[str, Any]:
    """Return all that is public by its dotted name; what has several names by its first."""
    found: dict[str, Any] = {f"pyrocausal.{name}": getattr(pc, name) for name in pc.__all__}
    seen = {id(value) for value in found.values()}
    for room in PUBLIC:
        module = importlib.import_module(f"pyrocausal.{room}")
        new = {name: getattr(module, name) for name in module.__all__}
        new = {name: value for name, value in new.items() if id(value) not in seen}
        found |= {f"pyrocausal.{room}.{name}": value for name, value in new.items()}
        seen |= {id(value) for value in new.values()}
    return found


def says_what_it_returns(function: Any) -> bool:
    """Say whether a docstring tells the result, in a section or in its first words."""
    if inspect.signature(function).return_annotation in {None, "None"}:
        return True
    text = inspect.cleandoc(function.__doc__ or "")
    return bool(re.search(r"^Returns:$|\A(Return|Draw|Make|Read|Tell)\b", text, re.MULTILINE))


SPOKEN: dict[str, Any] = {
    n: o for n, o in public().items() if inspect.isclass(o) or inspect.isroutine(o)
}
VERBS: dict[str, Any] = {
    f"pyrocausal.SCM.{name}": verb
    for name, verb in inspect.getmembers(pc.SCM, inspect.isroutine)
    if not name.startswith("_")
}


def takes(something: Any) -> list[str]:
    """Return the names of the parameters."""
    try:
        parameters = inspect.signature(something).parameters
    except ValueError:  # a builtin exception's constructor
        return []
    return [n for n in parameters if not n.startswith("_") and n not in {"self", "args", "kwargs"}]


def told(something: Any) -> set[str]:
    """Return the names that docstrings explain: the thing's own, and those of its bases."""
    own = something.__mro__ if inspect.isclass(something) else (something,)
    text = "\n".join(inspect.cleandoc(part.__doc__ or "") for part in own)
    names = set(re.findall(r"^    \*{0,2}(\w+): ", text, re.MULTILINE))
    for part in own:
        if inspect.isclass(part) and part.__module__.startswith("pyrocausal"):
            source = inspect.getsource(part)  # a field may have a docstring of its own
            names |= set(re.findall(r'^    (\w+):[^\n]*\n    r?"""', source, re.MULTILINE))
    return names


def test_every_public_name_is_on_a_page_of_the_reference() -> None:
    assert SPOKEN.keys() - documented() == set()


def test_every_public_name_shows_an_example_which_runs_with_the_tests() -> None:
    assert [
        name for name, it in (SPOKEN | VERBS).items() if ">>> " not in (it.__doc__ or "")
    ] == []


def test_every_public_name_says_what_it_takes() -> None:
    lacks = {name: set(takes(it)) - told(it) for name, it in (SPOKEN | VERBS).items()}
    assert {name: left for name, left in lacks.items() if left} == {}


def test_every_public_function_says_what_it_returns() -> None:
    functions = {name: it for name, it in (SPOKEN | VERBS).items() if inspect.isroutine(it)}
    assert [name for name, it in functions.items() if not says_what_it_returns(it)] == []


def test_a_gap_in_a_docstring_is_found() -> None:
    def work(given: int) -> int:
        """Work.

        ``given`` is a number.
        """
        return given

    assert set(takes(work)) - told(work) == {"given"}
    assert not says_what_it_returns(work)
