"""Networks in TF32 or bfloat16, while densities, sums and decompositions stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Final, Literal

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

__all__ = ["current_precision", "precision"]

Precision = Literal["float32", "tf32", "bfloat16"]

_CHOICES: Final = ("float32", "tf32", "bfloat16")
_LAYERS: Final[frozenset[Callable[..., Any]]] = frozenset(
    {
        functional.linear,
        functional.multi_head_attention_forward,
        functional.bilinear,
        functional.conv1d,
        functional.conv2d,
        functional.conv3d,
        functional.conv_transpose1d,
        functional.conv_transpose2d,
        functional.conv_transpose3d,
        functional.scaled_dot_product_attention,
    }
)
_current: ContextVar[Precision] = ContextVar("precision", default="float32")


@contextmanager
def precision(name: Precision) -> Iterator[None]:
    """Compute the layers of networks in lower precision within a block.

    ``"bfloat16"`` rounds what enters linear layers, convolutions and attention of float32 networks
    to 8 significant bits and brings the result back to float32, so that densities, their sums,
    matrix decompositions and the optimizer's steps stay in float32; gradients of these layers are
    rounded alike. ``"tf32"`` lets a GPU round the factors of float32 products to 11 bits; elsewhere it
    changes nothing. Fits, questions and models within the block follow it. An answer
    of a fitted SCM needs no particular precision, whatever its fit had.

    Args:
        name: ``"float32"``, ``"tf32"`` or ``"bfloat16"``.

    Returns:
        A context manager.

    Raises:
        ValueError: Another name.

    Example:
        >>> layer = torch.nn.Linear(1, 1)
        >>> _ = layer.weight.data.fill_(1.001), layer.bias.data.fill_(0.0)
        >>> with pc.precision("bfloat16"):
        ...     layer(torch.ones(1)).item()
        1.0
    """
    if name not in _CHOICES:
        raise ValueError(f"precision() got {name!r}; expected one of {', '.join(_CHOICES)}.")
    before = torch.get_float32_matmul_precision()
    token = _current.set(name)
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    try:
        with _Layers() if name == "bfloat16" else nullcontext():
            yield
    finally:
        _current.reset(token)
        torch.set_float32_matmul_precision(before)


def current_precision() -> Precision:
    """Return the precision of the block that is open, ``"float32"`` outside of any."""
    return _current.get()


class _Layers(TorchFunctionMode):
    """Rounds what enters the layers of networks."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        inside = func in _LAYERS and _current.get() == "bfloat16"
        if not inside or not _is_float32((args, kwargs)):
            return func(*args, **kwargs)
        args, kwargs = tree_map_only(Tensor, _rounded, (args, kwargs))
        return tree_map_only(Tensor, Tensor.float, func(*args, **kwargs))


def _is_float32(values: Any) -> bool:
    found = [leaf.dtype for leaf in tree_leaves(values) if _is_float(leaf)]
    return bool(found) and all(dtype == torch.float32 for dtype in found)


def _is_float(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point()


def _rounded(tensor: Tensor) -> Tensor:
    return tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor
