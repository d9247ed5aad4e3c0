"""Passing a site's message on: what a handler must know of the handlers around it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyro.poutine.block_messenger import BlockMessenger
from pyro.poutine.broadcast_messenger import BroadcastMessenger
from pyro.poutine.condition_messenger import ConditionMessenger
from pyro.poutine.indep_messenger import IndepMessenger
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import _PYRO_STACK, apply_stack
from torch import Tensor

from pyrocausal.engine.casting import as_tensor, cast
from pyrocausal.engine.tracing import quiet_seed
from pyrocausal.handlers.named import NamedSites

__all__ = ["as_drawn", "broadcast_by_outer_plates", "emit", "finish", "foreseen", "given_inside"]


def as_drawn(value: Any, msg: Any, what: str) -> Tensor:
    """Cast a user's value to the dtype and device of what the site draws."""
    like = msg["value"]
    if like is None:
        with quiet_seed(0):
            like = msg["fn"].sample()
    return cast(as_tensor(value, what).to(like.device), like.dtype, what)


def broadcast_by_outer_plates(handler: Messenger, msg: Any) -> None:
    """Expand a site's distribution by the plates that are open outside of a handler."""
    # Plates opened outside the handler act after it; their sizes are needed now. Seen a second
    # time, the frame is in the stack already, so the early expansion changes nothing.
    outer = [frame for frame in _outside(handler) if isinstance(frame, IndepMessenger)]
    early = {"cond_indep_stack": msg["cond_indep_stack"], "scale": 1.0, "type": "sample"}
    for plate in reversed(outer):
        if plate.dim is not None:
            IndepMessenger._process_message(plate, early)  # type: ignore[arg-type]
    expanded = {**msg, "cond_indep_stack": early["cond_indep_stack"], "done": False}
    BroadcastMessenger._pyro_sample(expanded)  # type: ignore[arg-type]
    msg["fn"] = expanded["fn"]


def foreseen(
    handler: Messenger, msg: Any, kinds: tuple[type, ...] = (ConditionMessenger, NamedSites)
) -> Any:
    """Return the value that conditions outside of a handler will give a site, else ``None``.

    They are applied early, to a copy, as Pyro's ``ReparamMessenger`` does with initial values.
    Evidence of ``pc.condition`` outside of a ``pc.do`` is about the value that was set: it does
    not count. What ``poutine.condition`` holds is about the site itself.

    Args:
        handler: The handler that acts on the site.
        msg: The site's message.
        kinds: Which conditions count, Pyro's or ours.
    """
    early, was_set = {**msg}, False
    for frame in reversed(_outside(handler)):
        if isinstance(frame, BlockMessenger) and frame.hide_fn(msg):
            break
        was_set |= _acts(frame, msg, "do")
        ours = _acts(frame, msg, "condition") and not was_set
        if isinstance(frame, kinds) and (ours or isinstance(frame, ConditionMessenger)):
            frame._pyro_sample(early)  # type: ignore[attr-defined]
    value = early["value"]
    return None if value is msg["value"] else value


def given_inside(handler: Messenger, msg: Any) -> bool:
    """Say whether a condition inside of a handler has given a site its value."""
    inner = _PYRO_STACK[_PYRO_STACK.index(handler) + 1 :]
    return any(
        _acts(frame, msg, "condition")
        or (isinstance(frame, ConditionMessenger) and msg["name"] in frame.data)
        for frame in inner
    )


def emit(handler: Messenger, msg: Any, name: str, **changed: Any) -> Tensor:
    """Make a site of its own for what a handler draws, and return its value.

    Args:
        handler: The handler.
        msg: The message of the site that it acts on, whose plates, mask and scale are kept.
        name: The name of the new site.
        changed: The other fields of the new message that differ.
    """
    new = {**msg, "value": None, "is_observed": False, "done": False, "stop": False, "infer": {}}
    new.update(continuation=None, name=name, **changed)
    with _only(_outside(handler)):
        apply_stack(new)  # type: ignore[arg-type]
    value: Tensor = new["value"]
    return value


def finish(handler: Messenger, msg: Any) -> None:
    """Show a site to the handlers outside at once, but to no ``poutine.condition``.

    Those would overwrite a value that was set: they act by name, after the handler.
    """
    keep = [frame for frame in _outside(handler) if not isinstance(frame, ConditionMessenger)]
    with _only(keep):
        apply_stack(msg)
    msg["stop"], msg["continuation"] = True, None


def _outside(handler: Messenger) -> list[Messenger]:
    return _PYRO_STACK[: _PYRO_STACK.index(handler)]


def _acts(frame: Messenger, msg: Any, verb: str) -> bool:
    return isinstance(frame, NamedSites) and frame.verb == verb and msg["name"] in frame.names


@contextmanager
def _only(frames: list[Messenger]) -> Iterator[None]:
    # In place, and put back before Pyro's own walk over the stack goes on.
    whole = _PYRO_STACK[:]
    _PYRO_STACK[:] = frames
    try:
        yield
    finally:
        _PYRO_STACK[:] = whole
