"""What a graph of tensor operations would get wrong without a word: refused while it is traced."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import get_proxy_mode, get_proxy_slot
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pyrocausal.capture.locating import Place, place_now, where_now
from pyrocausal.errors import NotCapturable

__all__ = ["python_generators", "traps"]

_NUMBER: Final = (
    "asks for one number or truth value of a tensor ({}), which a graph can't follow. Write "
    "torch.where instead of an `if` or a loop, and keep numbers as tensors."
)
_NUMPY: Final = (
    "takes the numbers out of a tensor ({}), so that what follows would be computed once and for "
    "all. Stay with tensors."
)
_SHOWN: Final = (
    "writes out a tensor ({}), which would happen once only. Leave it out, or log it outside."
)
_READERS: Final = {
    **dict.fromkeys(
        ("item", "__float__", "__int__", "__bool__", "__index__", "__complex__"), _NUMBER
    ),
    **dict.fromkeys(("is_nonzero", "equal", "allclose", "__contains__"), _NUMBER),
    **dict.fromkeys(("numpy", "__array__", "tolist", "data_ptr", "__dlpack__"), _NUMPY),
    **dict.fromkeys(("untyped_storage", "storage", "__reduce_ex__"), _NUMPY),
    **dict.fromkeys(("__repr__", "__format__"), _SHOWN),
}
_MASK: Final = (
    "selects by a boolean mask, so that the number of elements depends on the data. Use "
    "torch.where, or poutine.mask for densities."
)
_SHAPE: Final = (
    "calls {}, whose shape depends on the data. Use torch.where, or an operation of fixed shape."
)
_MOST: Final = 20_000  # operators: above, a graph takes minutes to make and to compile
_LONG: Final = (
    "does more than {:,} operations, too many for one graph. A loop over elements can often "
    "be one operation on all of them."
)
_DEPENDS: Final = {torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output}


@contextmanager
def traps() -> Iterator[list[Place | None]]:
    """Raise on what leaves the world of tensors; goes inside the trace, around the program.

    Yields:
        Where in the program each operator was called, filled as they are called.

    Raises:
        NotCapturable: The program does such a thing.
    """
    operators = _Operators()
    with operators, _Functions():
        yield operators.places


def python_generators() -> tuple[Any, ...]:
    """Return the states of Python's and NumPy's global random generators."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 (what the user's program may move)
    return random.getstate(), name, bytes(np.asarray(keys)), tuple(rest)


class _Functions(TorchFunctionMode):
    """Sees what Python asks of tensors, some of which no operator would show."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        reason = _READERS.get(name)
        if reason is not None and any(_unknown(arg) for arg in args):
            raise NotCapturable(f"The program {reason.format(name)}", where_now())
        if func is Tensor.data.__get__:  # type: ignore[attr-defined]
            return args[0].detach()  # the same, and seen by the trace
        if name == "__setitem__" and _masks(args[1]) and _sized(args[2]):
            raise NotCapturable(f"The program {_MASK}", where_now())
        return func(*args, **(kwargs or {}))


class _Operators(TorchDispatchMode):
    """Sees every operator, those of the backward pass too."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.places: list[Place | None] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten.index.Tensor:
            if _masks(args[1]):
                raise NotCapturable(f"The program {_MASK}", where_now())
        elif _DEPENDS & set(func.tags) and not _known(args):
            words = _NUMBER if torch.Tag.data_dependent_output in func.tags else _SHAPE
            raise NotCapturable(f"The program {words.format(_plain(func))}", where_now())
        if isinstance(kwargs.get("generator"), torch.Generator):
            raise NotCapturable(
                f"The program draws from a generator of its own ({_plain(func)}), which a graph "
                "can't advance. Use torch's global generator.",
                where_now(),
            )
        if len(self.places) == _MOST:
            raise NotCapturable(f"The program {_LONG.format(_MOST)}", where_now())
        self.places.append(place_now())
        return func(*args, **kwargs)


def _plain(func: Any) -> str:
    return str(func.overloadpacket.__name__).strip("_")


def _masks(index: Any) -> bool:
    return any(
        isinstance(part, Tensor) and part.dtype in (torch.bool, torch.uint8)
        for part in tree_leaves(index)
    )


def _sized(value: Any) -> bool:
    return isinstance(value, Tensor) and value.numel() > 1


def _known(args: Any) -> bool:
    return not any(_unknown(leaf) for leaf in tree_leaves(args))


def _unknown(value: Any) -> bool:
    """Say whether a value is a tensor that may be another one in the next run."""
    if not isinstance(value, Tensor):
        return False
    mode = get_proxy_mode()
    if mode is None:
        return True
    slot = get_proxy_slot(value, mode.tracer, None)
    return slot is None or getattr(slot, "constant", None) is None
