"""The parameters an SCM owns: its scope of Pyro's parameter store, and its modules."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from types import ModuleType
from typing import Any

import pyro
import torch
from pyro.nn.module import PyroModule
from torch import Tensor, nn

__all__ = ["ParameterScope", "evaluating", "modules_of", "put_back", "random_weights"]

_PARTS = "$$$"  # what Pyro puts between the name of a module and that of its parameter


def modules_of(program: Callable[..., Any]) -> dict[str, nn.Module]:
    """Find the modules a program can reach: itself, its closure, globals it names, attributes.

    Args:
        program: A function, method, partial or module.

    Returns:
        Name to module, outermost modules only. An attribute has the name of its owner before its
        own (``helper.net``), and of two modules of one name in different functions the second
        has that of its function.

    Example:
        >>> net = torch.nn.Linear(1, 1)
        >>> modules_of(lambda x: net(x))
        {'net': Linear(in_features=1, out_features=1, bias=True)}
    """
    found: dict[str, nn.Module] = {}
    _search(program, "program", "program", found, set(), 0)
    inside = {id(m) for module in found.values() for m in list(module.modules())[1:]}
    return {name: module for name, module in found.items() if id(module) not in inside}


def _search(
    thing: Any, name: str, owner: str, found: dict[str, nn.Module], seen: set[int], depth: int
) -> None:
    """Note the modules that ``thing`` is or reaches; ``owner`` is the function that names it."""
    if id(thing) in seen or depth > 4 or isinstance(thing, ModuleType | type | str | Tensor):
        return
    seen.add(id(thing))
    if isinstance(thing, nn.Module):
        while name in found:
            name = f"{owner}.{name}"
        found[name] = thing
    for key, part, namer in _parts(thing, name, owner):
        _search(part, key, namer, found, seen, depth + 1)


def _parts(thing: Any, name: str, owner: str) -> Iterator[tuple[str, Any, str]]:
    """Yield what a thing reaches, with its name and the function that names it."""
    if isinstance(thing, dict | list | tuple):
        for key, part in thing.items() if isinstance(thing, dict) else enumerate(thing):
            yield f"{name}[{key!r}]", part, owner
    elif isinstance(thing, partial):
        for part in (thing.func, thing.args, thing.keywords):
            yield name, part, owner
    elif inspect.ismethod(thing):
        yield name, thing.__func__, owner
        yield name, thing.__self__, owner
    elif inspect.isfunction(thing):
        # Code that is run by exec may have no module.
        if not (thing.__module__ or "").startswith(("torch.", "pyro.")):
            reached = inspect.getclosurevars(thing)
            for key, part in {**reached.globals, **reached.nonlocals}.items():
                yield key, part, name
        yield name, getattr(thing, "__wrapped__", None), owner
    elif isinstance(thing, nn.Module):
        for path, module in thing.named_modules(prefix=name):
            for key, part in vars(module).items():
                if key != "_modules" and _holds_modules(part):
                    yield f"{path}.{key}", part, owner
    elif hasattr(thing, "__dict__") and not callable(getattr(thing, "log_prob", None)):
        here = "self" if name == "program" else name  # as the program's own method calls it
        for key, part in vars(thing).items():
            if isinstance(part, nn.Module | dict | list | tuple) or inspect.isfunction(part):
                yield f"{here}.{key}", part, owner


def _holds_modules(thing: Any) -> bool:
    """Say whether a plain container holds modules, which its owner knows nothing of then."""
    if not isinstance(thing, dict | list | tuple):
        return False
    parts = thing.values() if isinstance(thing, dict) else thing
    return any(isinstance(part, nn.Module) for part in parts)


def random_weights(modules: Iterable[nn.Module]) -> set[str]:
    """Return the site names of the ``PyroSample`` attributes of modules."""
    return {
        f"{part._pyro_name}.{name}" if part._pyro_name else name
        for module in modules
        for part in module.modules()
        if isinstance(part, PyroModule)
        for name in getattr(part, "_pyro_samples", ())
    }


@contextmanager
def evaluating(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Put modules into evaluation mode, and every submodule back into the mode it had."""
    training = [m for module in modules for m in module.modules() if m.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


class ParameterScope:
    """An SCM's own scope of Pyro's parameter store.

    Two programs may both call a parameter ``"w"``: inside the scope each sees its own.
    """

    def __init__(self, program: Callable[..., Any]) -> None:
        self.modules = modules_of(program)
        self._state: Any = None
        self._entered = False

    @contextmanager
    def open(self) -> Iterator[None]:
        """Work on this SCM's parameters; re-entrant."""
        if self._entered:
            yield
            return
        store = pyro.get_param_store()
        if self._state is None:
            self._state = self._adopted(store.get_state())
        self._entered = True
        try:
            with store.scope(self._state):
                yield
        finally:
            self._entered = False

    def keep_only(self, names: Sequence[str]) -> None:
        """Forget what was adopted from the global store and is not the program's."""
        store = pyro.get_param_store()
        for name in [name for name in list(store) if name not in names]:
            del store[name]

    def named(self) -> dict[str, Tensor]:
        """Return all parameters, unconstrained: those of the store and those of the modules."""
        with self.open():
            state = pyro.get_param_store().get_state()
        tensors = dict(state["params"])
        known = {id(tensor) for tensor in tensors.values()}
        for name, module in self.modules.items():
            for key, tensor in module.named_parameters():
                if id(tensor) not in known:
                    tensors[f"{name}.{key}"] = tensor
        return tensors

    def constraints(self) -> dict[str, str]:
        """Return the constraint of each parameter of the store, in words."""
        with self.open():
            constraints = pyro.get_param_store().get_state()["constraints"]
        return {name: str(constraint) for name, constraint in constraints.items()}

    def buffers(self) -> dict[str, Tensor]:
        """Return the modules' buffers."""
        return {
            f"{name}.{key}": buffer
            for name, module in self.modules.items()
            for key, buffer in module.named_buffers()
        }

    def device(self) -> torch.device | None:
        """Return where the parameters live, if there are any."""
        for module in self.modules.values():
            for tensor in chain(module.parameters(), module.buffers()):
                return tensor.device
        state = self._state or {"params": {}}
        return next((tensor.device for tensor in state["params"].values()), None)

    def to(self, device: torch.device) -> None:
        """Move everything to a device, in place."""
        for module in self.modules.values():
            module.to(device)
        for tensor in self.named().values():
            tensor.data = tensor.data.to(device)

    def _adopted(self, state: Any) -> Any:
        # A module brings its own parameters: taking another module's of the same name from the
        # global store would make two SCMs share or starve each other.
        own = {id(p) for module in self.modules.values() for p in module.parameters()}
        prefixes = tuple(
            f"{module._pyro_name}."
            for module in self.modules.values()
            if isinstance(module, PyroModule) and module._pyro_name
        )
        params = {
            # A copy: fitting an SCM changes its own values, neither the global nor another's.
            name: tensor if id(tensor) in own else tensor.detach().clone().requires_grad_()
            for name, tensor in state["params"].items()
            if id(tensor) in own
            or not (_PARTS in name or (prefixes and name.startswith(prefixes)))
        }
        constraints = {name: c for name, c in state["constraints"].items() if name in params}
        return {"params": params, "constraints": constraints}


def put_back(tensors: Iterable[Tensor], values: Iterable[Tensor]) -> None:
    """Write values that were kept into parameters and buffers, in place.

    Example:
        >>> weight = torch.nn.Parameter(torch.zeros(2))
        >>> put_back([weight], [torch.ones(2)])
        >>> weight.tolist()
        [1.0, 1.0]
    """
    with torch.no_grad():
        for tensor, value in zip(tensors, values, strict=True):
            tensor.copy_(value)
