"""What ``do`` and ``condition`` have in common: they act on named sites."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import update_wrapper
from typing import Any

from pyro.poutine.messenger import Messenger
from torch import Tensor

from pyrocausal.engine.rows import is_subsample
from pyrocausal.errors import UnknownVariable
from pyrocausal.interventions import Action, Edge

__all__ = [
    "NamedSites",
    "Wrapping",
    "apply_handler",
    "check_met",
    "without_edges",
]


def apply_handler(kind: Any, program: Any, given: Any, by_name: Mapping[str, Any]) -> Any:
    """Make a handler of a program, or a decorator where no program is given."""
    if callable(program):
        return kind(given, by_name)(program)
    if given is not None:
        raise TypeError(
            f"{kind.verb}() got {type(program).__name__} as program; expected a "
            "callable, or the mapping alone."
        )
    return kind(program, by_name)


def check_met(names: Iterable[str], seen: Iterable[str], where: str) -> None:
    """Raise ``UnknownVariable`` for a name that a run of the program did not meet."""
    known = set(seen)
    for name in names:
        if name not in known:
            raise UnknownVariable(name, known, where)


def without_edges(item: tuple[str, Action] | Edge) -> tuple[str, Action]:
    """Return an intervention on a site, and refuse one on an edge."""
    if isinstance(item, Edge):
        raise ValueError(
            "pc.edge() runs the program a second time, which a bare handler can't. Use SCM.do() "
            "or SCM.counterfactual()."
        )
    return item


class Wrapping(Messenger):
    """A handler that leaves a program its name and signature."""

    def __call__(self, fn: Callable[..., Any]) -> Any:
        return update_wrapper(super().__call__(fn), fn, updated=())


class NamedSites(Wrapping):
    """Acts on named sites, and complains at the end about names it never met."""

    verb: str
    names: Sequence[str]

    def __enter__(self) -> Any:
        self.seen: dict[str, Tensor] = {}
        return super().__enter__()

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        super().__exit__(exc_type, exc_value, traceback)
        if exc_type is None:
            check_met(self.names, self.seen, self.verb)

    def _pyro_post_sample(self, msg: Any) -> None:
        if not is_subsample(msg["fn"]):
            self.seen[msg["name"]] = msg["value"]
