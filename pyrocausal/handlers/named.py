"""What ``do`` and ``condition`` have in common: they act on named sites."""

from collections.abc import Mapping, Sequence
from typing import Any

from pyro.poutine.broadcast_messenger import BroadcastMessenger
from pyro.poutine.indep_messenger import IndepMessenger
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import _PYRO_STACK
from torch import Tensor

from pyrocausal.errors import UnknownVariable

__all__ = ["NamedSites", "apply_handler", "broadcast_by_outer_plates"]


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


class NamedSites(Messenger):
    """Acts on named sites, and complains at the end about names it never met."""

    verb: str
    names: Sequence[str]

    def __enter__(self) -> Any:
        self.seen: dict[str, Tensor] = {}
        return super().__enter__()

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        super().__exit__(exc_type, exc_value, traceback)
        if exc_type is None:
            for name in self.names:
                if name not in self.seen:
                    raise UnknownVariable(name, self.seen, self.verb)

    def _pyro_post_sample(self, msg: Any) -> None:
        if type(msg["fn"]).__name__ != "_Subsample":
            self.seen[msg["name"]] = msg["value"]


def broadcast_by_outer_plates(handler: Messenger, msg: Any) -> None:
    """Expand a site's distribution by the plates that are open outside of a handler."""
    # Plates opened outside the handler act after it; their sizes are needed now. Seen a second
    # time, the frame is in the stack already, so the early expansion changes nothing.
    position = _PYRO_STACK.index(handler)
    outer = [frame for frame in _PYRO_STACK[:position] if isinstance(frame, IndepMessenger)]
    early = {"cond_indep_stack": msg["cond_indep_stack"], "scale": 1.0, "type": "sample"}
    for plate in reversed(outer):
        if plate.dim is not None:
            IndepMessenger._process_message(plate, early)  # type: ignore[arg-type]
    expanded = {**msg, "cond_indep_stack": early["cond_indep_stack"], "done": False}
    BroadcastMessenger._pyro_sample(expanded)  # type: ignore[arg-type]
    msg["fn"] = expanded["fn"]
