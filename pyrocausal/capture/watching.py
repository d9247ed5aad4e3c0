"""The Python state that a program can reach, and whether it has changed since."""

from __future__ import annotations

import dis
import functools
import operator
import random
import sys
import weakref
import zlib
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import (
    BuiltinMethodType,
    CellType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
)
from typing import Any, Final

import numpy as np
import torch
from pyro.infer.autoguide import AutoGuide
from torch import Tensor, nn
from torch.distributions.transforms import Transform

from pyrocausal.handlers.named import NamedSites

__all__ = ["Watch", "is_library"]

LIMIT: Final = 200_000  # objects; following more would cost more than it saves
MISSING: Final = object()
PLAIN: Final = (int, float, complex, str, bytes, bool, type(None), torch.Size)
CONTAINERS: Final = (dict, list, tuple, set, frozenset, deque)
# What changes without a sign that could be read: by type, and by the name that code reaches it by.
UNREADABLE: Final[tuple[type, ...]] = (
    MappingProxyType,
    array,
    bytearray,
    memoryview,
    type({}.keys()),
    type({}.values()),
    type({}.items()),
)
UNSEEN: Final = frozenset({"eval", "exec", "globals", "locals", "vars"})
OWN_CONTEXTS: Final = frozenset({"current_units", "pending"})  # of the library's runs themselves
ENVIRONMENT: Final = frozenset({"environ", "getenv"})
LIBRARIES: Final = frozenset(
    {*sys.stdlib_module_names, "numpy", "pandas", "pyro", "scipy", "torch", "tqdm"}
) - {"__main__"}
OWN: Final = tuple(f"pyrocausal.{room}" for room in ("capture", "engine", "fitting", "verbs"))

# Attributes that are written in each run before they are read, by how they begin.
OF_A_RUN: Final = ((AutoGuide, "plates"), (Transform, "_cached_"), (NamedSites, "seen"))

Read = Callable[[], tuple[Any, ...]]


class Watch:
    """Remembers the numbers, containers and tensors that programs reach.

    Followed are closures, globals that the code names, defaults, attributes of objects and of the
    user's classes, modules (``torch.nn``) and containers, to any depth. Numbers count by value,
    tensors by identity: a tensor that is changed in place is an input of a captured graph.

    Args:
        roots: Programs, guides, or whatever holds them.

    Attributes:
        roots: As given.
        tensors: The tensors that were reached, by ``id``.
        hidden: What was reached and cannot be watched, such as an iterator.

    Example:
        >>> schedule = {"beta": 0.1}
        >>> watch = Watch(lambda x: schedule["beta"] * x)
        >>> watch.difference() is None
        True
        >>> schedule["beta"] = 0.2
        >>> watch.difference()
        "schedule['beta']"
    """

    def __init__(self, *roots: Any) -> None:
        self.roots = roots
        self.tensors: dict[int, Tensor] = {}
        self.hidden: list[str] = []
        self._guards: list[tuple[str, Read, tuple[Any, ...], bool]] = []
        self._kept: list[Any] = []  # so that no id is given to another object
        self._seen: set[int] = set()
        self._todo: deque[tuple[str, Any]] = deque(
            (getattr(root, "__name__", type(root).__name__), root) for root in roots
        )
        while self._todo:
            self._visit(*self._todo.popleft())
            if len(self._seen) > LIMIT:
                self.hidden.append(f"more than {LIMIT:,} Python objects")
                break
        self._todo.clear()

    def difference(self) -> str | None:
        """Return the name of something that has changed, ``None`` if nothing has."""
        for label, read, before, keyed in self._guards:
            now = read()
            if len(now) == len(before) and all(map(operator.is_, now, before)):
                continue
            if len(now) != len(before):
                return f"the length of {label}"
            for position, (new, old) in enumerate(zip(now, before, strict=True)):
                if not _same(new, old):
                    return _part(label, now, position, keyed=keyed)
        return None

    @contextmanager
    def values_kept(self) -> Iterator[None]:
        """Put back the values of all tensors that change inside, buffers for example."""
        kept = [(tensor, tensor.detach().clone()) for tensor in self.tensors.values()]
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, value in kept:
                    # Not by its version: batch normalization doesn't count its writing.
                    if not torch.equal(tensor, value):
                        tensor.copy_(value)

    def _visit(self, label: str, thing: Any) -> None:
        if type(thing) in PLAIN or id(thing) in self._seen:
            return
        self._seen.add(id(thing))
        self._kept.append(thing)
        if isinstance(thing, Tensor):
            self.tensors[id(thing)] = thing
        elif isinstance(thing, UNREADABLE):
            self.hidden.append(f"{label}, a {type(thing).__name__}, which may change unseen")
        elif isinstance(thing, ModuleType):
            self._visit_module(label, thing)
        elif isinstance(thing, ContextVar):
            if thing.name not in OWN_CONTEXTS:
                self._guard(label, lambda: (thing.get(MISSING),))
        elif isinstance(thing, weakref.ref):
            self._guard(label, lambda: (thing(),))
        elif isinstance(thing, PLAIN):
            self._visit_attributes(label, thing)
        elif isinstance(thing, dict | list | tuple | set | frozenset | deque):
            self._visit_container(label, thing)
        elif isinstance(thing, functools.partial):
            self._follow(label, (thing.func, thing.args, thing.keywords))
        elif isinstance(thing, MethodType):
            self._follow(label, (thing.__self__, thing.__func__))
        elif isinstance(thing, BuiltinMethodType):
            if not isinstance(thing.__self__, ModuleType):
                self._follow(label, (thing.__self__,))
        elif isinstance(thing, FunctionType):
            self._visit_function(label, thing)
        elif isinstance(thing, type):
            self._visit_class(label, thing)
        elif isinstance(thing, CellType):
            self._guard(label, lambda: (_content(thing),))
        elif not isinstance(thing, CodeType):
            self._visit_object(label, thing)

    def _visit_module(self, label: str, module: ModuleType) -> None:
        if not is_library(module.__name__) and not module.__name__.startswith("pyrocausal"):
            for name in [name for name in vars(module) if not name.startswith("__")]:
                self._guard(f"{label}.{name}", _reader(vars(module), name))

    def _visit_container(self, label: str, thing: Any) -> None:
        if type(thing) not in CONTAINERS:
            self._visit_attributes(label, thing)
        if isinstance(thing, dict):
            self._guard(label, lambda: (*thing, *thing.values()), keyed=True)
        elif isinstance(thing, set | frozenset):
            self._guard(label, lambda: tuple(sorted(thing, key=id)))
        else:
            self._guard(label, lambda: tuple(thing))

    def _visit_function(self, label: str, function: FunctionType) -> None:
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        for name, cell in cells.items():
            self._todo.append((name, cell))
        self._guard(label, lambda: (function.__code__, function.__defaults__))
        self._follow(label, (function.__kwdefaults__, function.__dict__))
        if is_library(function.__module__):
            return
        names = set(_names(function.__code__))
        for name in sorted(names & ENVIRONMENT | UNSEEN & set(_globals(function.__code__))):
            self.hidden.append(f"{name}, by which {label} may reach what can't be watched")
        self._follow(label, _imported(function.__code__))
        space = function.__globals__
        for name in sorted(names & space.keys()):
            self._guard(name, _reader(space, name))
            module = space[name]
            if isinstance(module, ModuleType) and not is_library(module.__name__):
                for part in sorted(names & vars(module).keys()):
                    self._guard(f"{name}.{part}", _reader(vars(module), part))

    def _visit_class(self, label: str, cls: type) -> None:
        if is_library(cls.__module__) or cls.__module__.startswith("pyrocausal."):
            return
        for name, value in list(vars(cls).items()):
            if not name.startswith("__") and not name.startswith("_abc_"):
                self._guard(f"{label}.{name}", _reader(vars(cls), name))
            elif isinstance(value, FunctionType):
                self._todo.append((f"{label}.{name}", value))
        self._follow(label, cls.__mro__[1:])

    def _visit_object(self, label: str, thing: Any) -> None:
        cls = type(thing)
        if isinstance(thing, random.Random):
            self._guard(label, lambda: (thing.getstate(),))
        elif isinstance(thing, np.random.Generator | np.random.RandomState):
            self._guard(label, lambda: (repr(_numpy_state(thing)),))
        elif hasattr(cls, "__array__"):
            self._guard(label, lambda: (_checksum(thing),))
        elif hasattr(cls, "__next__"):
            self.hidden.append(f"{label}, a {cls.__name__}, whose position can't be read")
        elif cls.__module__.startswith(OWN) and not isinstance(thing, nn.Module):
            self._follow(label, (getattr(thing, "program", None),))
        else:
            self._visit_attributes(label, thing)

    def _visit_attributes(self, label: str, thing: Any) -> None:
        cls = type(thing)
        if hasattr(thing, "cache_info"):  # functools.cache: what it computes anew each time
            self._guard(label, lambda: (thing.cache_info().misses,))
        for part in (getattr(thing, "__wrapped__", None), getattr(thing, "fget", None), cls):
            self._todo.append((label, part))
        if cls.__module__ == "pyrocausal.model":
            self._follow(label, (thing.program, thing._standing))
            return
        attributes = getattr(thing, "__dict__", None)
        if isinstance(attributes, dict) and id(attributes) not in self._seen:
            self._seen.add(id(attributes))
            own = next((rule for kind, rule in OF_A_RUN if isinstance(thing, kind)), "")
            if own:
                self._guard(f"{label}.", lambda: _without(attributes, own), keyed=True)
            else:
                self._guard(f"{label}.", lambda: (*attributes, *attributes.values()), keyed=True)
        slots = [slot for base in cls.__mro__ for slot in _slots(base)]
        if slots:
            self._guard(label, lambda: tuple(getattr(thing, slot, MISSING) for slot in slots))

    def _follow(self, label: str, things: Iterable[Any]) -> None:
        self._todo.extend((label, thing) for thing in things)

    def _guard(self, label: str, read: Read, *, keyed: bool = False) -> None:
        values = read()
        self._guards.append((label, read, values, keyed))
        self._kept.append(values)
        for position, value in enumerate(values):
            if not isinstance(value, PLAIN):
                self._todo.append((_part(label, values, position, keyed=keyed), value))


def is_library(name: str | None) -> bool:
    """Say whether a module belongs to Python, torch, Pyro and the like."""
    return (name or "").partition(".")[0] in LIBRARIES


def _reader(space: Mapping[str, Any], name: str) -> Read:
    return lambda: (space.get(name, MISSING),)


def _without(attributes: dict[str, Any], start: str) -> tuple[Any, ...]:
    rest = {key: value for key, value in attributes.items() if not key.startswith(start)}
    return (*rest, *rest.values())


def _same(new: Any, old: Any) -> bool:
    if new is old:
        return True
    if type(new) is not type(old):
        return False
    if isinstance(old, tuple):
        return len(new) == len(old) and all(map(_same, new, old))
    if isinstance(old, PLAIN):
        return bool(new == old) or (new != new and old != old)  # NaN
    return isinstance(old, MethodType | BuiltinMethodType) and bool(new == old)


def _part(label: str, values: tuple[Any, ...], position: int, *, keyed: bool) -> str:
    """Name one of the values of a guard; of a mapping first all keys were read."""
    half = len(values) // 2
    key = values[position - half] if keyed and position >= half else None
    if not isinstance(key, str):
        return label.removesuffix(".")
    return f"{label}{key}" if label.endswith(".") else f"{label}[{key!r}]"


def _globals(code: CodeType) -> Iterator[str]:
    """Return the names that code looks up among globals and builtins."""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield str(step.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _globals(constant)


def _imported(code: CodeType) -> Iterator[ModuleType]:
    """Return the modules that a function imports when it runs."""
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME" and step.argval in sys.modules:
            yield sys.modules[step.argval]
            top = str(step.argval).partition(".")[0]
            yield sys.modules[top]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _imported(constant)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING  # not filled yet


def _slots(cls: type) -> tuple[str, ...]:
    slots = vars(cls).get("__slots__", ())
    if is_library(cls.__module__) or isinstance(slots, Mapping):
        return ()
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if name not in ("__dict__", "__weakref__"))


def _checksum(array: Any) -> tuple[Any, ...]:
    values = np.ascontiguousarray(array)
    if values.dtype.hasobject:
        return (repr(values.tolist()),)
    return (str(values.dtype), values.shape, zlib.crc32(values.data.cast("B")))


def _numpy_state(generator: Any) -> Any:
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    return generator.bit_generator.state
