"""What must hold of the values in a query, checked at once or after a captured run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import get_proxy_mode

__all__ = ["all_finite", "deferred", "is_captured", "require", "require_finite"]

# A captured graph can't ask for a truth value: it hands out what it would have asked.
_pending: ContextVar[list[Tensor] | None] = ContextVar("pending", default=None)


def require(holds: Tensor, error: Callable[[], Exception]) -> None:
    """Raise ``error()`` unless ``holds`` is true everywhere.

    A graph that is captured without ``deferred`` goes unchecked.

    Args:
        holds: Booleans of any shape.
        error: Makes the error, with its message; called only where it is raised.
    """
    pending = _pending.get()
    if pending is not None:
        pending.append(holds.all())
    elif not is_captured() and not bool(holds.all()):
        raise error()


def require_finite(value: Tensor, error: Callable[[], Exception]) -> None:
    """Raise ``error()`` where there is a NaN or an infinity."""
    if not value.is_floating_point():
        return
    if _pending.get() is not None or is_captured():
        # A sum that overflows is a false alarm: the eager run that follows looks again.
        require(value.sum().isfinite(), error)
    elif not all_finite(value):
        raise error()


def all_finite(value: Tensor) -> bool:
    """Say whether there is no NaN and no infinity."""
    # A sum is a quarter of the work of isfinite; one that overflows is looked at again.
    return bool(value.sum().isfinite()) or bool(value.isfinite().all())


def is_captured() -> bool:
    """Say whether a graph is being captured: then nothing may depend on the values of tensors."""
    return torch.compiler.is_compiling() or get_proxy_mode() is not None


@contextmanager
def deferred() -> Iterator[list[Tensor]]:
    """Collect what is required instead of checking it: a list of booleans without dimensions."""
    pending: list[Tensor] = []
    token = _pending.set(pending)
    try:
        yield pending
    finally:
        _pending.reset(token)
