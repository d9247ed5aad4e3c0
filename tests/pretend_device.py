"""A device that the CPU pretends to have, to find what would fail on a real one.

What was asked for there lives there, and so does what is computed from it. Numbers come from the
CPU and its generator. Not covered: streams, memory, and the numerics of a real device.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, Final
from unittest.mock import patch

import torch
from torch import Tensor
from torch.fx.experimental import proxy_tensor
from torch.library import Library
from torch.overrides import TorchFunctionMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

__all__ = ["DevicesMixed", "PretendTensor", "pretend_device", "registered"]

NAME: Final = "pretend"
# Torch would make these empty and then resize them, which a tensor that holds another can't follow.
RESIZED: Final = (
    "arange",
    "arange.start",
    "arange.start_step",
    "eye",
    "eye.m",
    "linspace",
    "randperm",
)
ANY: Final = Library("_", "IMPL")
ATEN: Final = Library("aten", "IMPL")
# As on CUDA: a copy goes from one device to another, and an index may lie on the CPU.
COPIES: Final = {"copy_", "_to_copy"}
INDEXED: Final = {"index", "index_put", "index_put_", "_index_put_impl_"}
# As on CUDA: one number of the CPU may stand beside the device's tensors, but not here.
STRICT: Final = {"cat", "stack"}


class DevicesMixed(RuntimeError):
    """An operation got tensors of two devices."""


class PretendTensor(Tensor):
    """A tensor that says it is on the pretended device, and holds a tensor of the CPU."""

    held: Tensor

    def __new__(cls, held: Tensor) -> "PretendTensor":
        self: PretendTensor = Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=torch.device(NAME, 0),
        )
        self.held = held
        return self

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"pretend({self.held})"

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return run(func, args, kwargs or {})


def run(func: Any, args: Any, kwargs: Any) -> Any:
    """Run an operation on what its tensors hold; on the device, wrap what comes out."""
    name = func.overloadpacket.__name__
    operands = [*args, *kwargs.values()]
    there = any(isinstance(tensor, PretendTensor) for tensor in tensors_in(operands))
    if there and name not in COPIES:
        check_operands(name, [args[0], *args[2:]] if name in INDEXED else operands)
    if kwargs.get("device") is not None:
        there = kwargs["device"].type == NAME
        kwargs = {**kwargs, "device": torch.device("cpu")}
    result = func(*map(held, args), **{key: held(value) for key, value in kwargs.items()})
    if func._schema.is_mutable:
        return args[0] if func._schema.returns else None
    return wrapped(result) if there else result


def held(operand: Any) -> Any:
    """Return what an operand holds on the CPU."""
    if isinstance(operand, list | tuple):
        return type(operand)(map(held, operand))
    return operand.held if isinstance(operand, PretendTensor) else operand


def wrapped(result: Any) -> Any:
    """Return a result of the CPU as one of the device."""
    if isinstance(result, list | tuple):
        return type(result)(map(wrapped, result))
    return PretendTensor(result) if isinstance(result, Tensor) else result


def tensors_in(operands: Any) -> Iterator[Tensor]:
    """Yield the tensors among the operands; some operands are lists of them."""
    for operand in operands:
        if isinstance(operand, Tensor):
            yield operand
        elif isinstance(operand, list | tuple):
            yield from tensors_in(operand)


def check_operands(name: str, operands: Any) -> None:
    """Raise where a tensor of the CPU stands among the operands."""
    for tensor in tensors_in(operands):
        if not isinstance(tensor, PretendTensor) and (tensor.dim() or name in STRICT):
            shape = tuple(tensor.shape)
            raise DevicesMixed(f"{name} got a tensor of shape {shape} on the CPU.")


class Functions(TorchFunctionMode):
    """Serves what is no operation: tensors from and to Python's numbers, and ``x.data = y``."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func == Tensor.data.__set__:  # type: ignore[attr-defined]
            return set_data(*args)
        if func in (Tensor.tolist, Tensor.__format__):
            return func(args[0].cpu(), *args[1:])
        if func is Tensor.new_tensor and isinstance(args[0], PretendTensor):
            kwargs = {"dtype": args[0].dtype, "device": args[0].device, **kwargs}
            func, args = torch.tensor, args[1:]
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            return func(*args, **{**kwargs, "device": "cpu"}).to(kwargs["device"])
        return func(*args, **kwargs)


def set_data(tensor: Tensor, data: Tensor) -> None:
    """Take other data, perhaps on another device; ``tensor`` stays the object that it is."""
    if isinstance(tensor, PretendTensor) == isinstance(data, PretendTensor):
        Tensor.data.__set__(tensor, data)  # type: ignore[attr-defined]
        return
    other = data.detach().requires_grad_(tensor.requires_grad)
    other.grad = None if tensor.grad is None else tensor.grad.to(data.device)
    other.__dict__.update({k: v for k, v in tensor.__dict__.items() if k != "held"})
    other._is_param = isinstance(tensor, torch.nn.Parameter)
    tensor.__class__, other.__class__ = other.__class__, tensor.__class__
    tensor.__dict__, other.__dict__ = other.__dict__, tensor.__dict__
    torch._C._swap_tensor_impl(tensor, other)


class Backend:
    """What torch asks of a device's module; no generator of its own, so that numbers agree."""

    def is_available(self) -> bool:
        """Say that the device can be used."""
        return True

    def device_count(self) -> int:
        """Return how many there are that have a generator."""
        return 0

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        """Leave the seeding to the CPU's generator."""


def kernel(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Run an operation, as torch calls for it."""
    return run(func, args, kwargs)


@cache
def registered() -> torch.device:
    """Give the device its name, and a place in autograd: once, for the whole process."""
    _setup_privateuseone_for_python_backend(NAME, backend_module=Backend())
    # What has no tensor of the device among its operands comes here: factories.
    ANY.fallback(kernel, "PrivateUse1")
    for name in RESIZED:
        packet, _, overload = name.partition(".")
        func = getattr(getattr(torch.ops.aten, packet), overload or "default")
        ATEN.impl(name, partial(kernel, func), "PrivateUse1")
    return torch.device(NAME, 0)


@contextmanager
def pretend_device() -> Iterator[torch.device]:
    """Make the device usable inside.

    Operations refuse CPU tensors of one or more dimensions beside those of the device, and numpy
    refuses those of the device.

    Yields:
        The device.
    """
    device = registered()
    # Modules then move their parameters in place, as they do on CUDA, and graphs are captured.
    alike = patch.object(torch, "_has_compatible_shallow_copy_type", lambda *_: True)
    kinds = (*proxy_tensor.HANDLED_TYPES, PretendTensor)
    handled = patch.object(proxy_tensor, "HANDLED_TYPES", kinds)
    with alike, handled, Functions():
        yield device
