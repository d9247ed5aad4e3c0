"""From a function of tensors to compiled code."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

__all__ = ["lower"]

OPEN = 1 << 20  # multiplications; a larger product is a library's work


def lower(
    function: Callable[..., Any], arguments: Sequence[Tensor], *, small: bool = False
) -> Callable[..., Any]:
    """Compile a function for arguments of the shapes given.

    Inductor is called directly: the guards and wrappers of ``torch.compile`` would cost half of a
    small step, and our own guards stand around the graph already.

    Args:
        function: A graph, or what calls graphs; returns a list. May change its arguments in place.
        arguments: An example of them.
        small: Compile in less time to slower code: the sequence of calls stays in Python, and
            matrix products remain calls.

    Returns:
        A function of the same arguments that returns the same list.

    Raises:
        RuntimeError: Compiling does not work here.
    """
    table: dict[Any, Callable[..., Any]] = (
        {} if small else {torch.ops.aten.mm.default: _mm, torch.ops.aten.addmm.default: _addmm}
    )
    with torch.no_grad(), torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's about itself
        plain = make_fx(function, table, tracing_mode="fake")(*arguments)
        try:
            return _compiled(plain, list(arguments), small=small)
        except ImportError:
            return torch.compile(plain)  # another torch: its private parts have moved
        except Exception as error:  # of whatever kind: the graph still runs as it stands
            first = (str(error) or type(error).__name__).strip().splitlines()[0]
            raise RuntimeError(f"Compiling does not work here: {first}") from error


def _compiled(plain: GraphModule, arguments: list[Tensor], *, small: bool) -> Callable[..., Any]:
    from torch._inductor import config
    from torch._inductor.compile_fx import compile_fx

    # One random stream for both, so that one seed gives the same numbers, compiled or not.
    with config.patch(fallback_random=True, cpp_wrapper=not small):
        run: Any = compile_fx(plain, arguments)
    return run  # type: ignore[no-any-return]


def _mm(a: Tensor, b: Tensor) -> Any:
    """Open a product with a dimension of one: multiplied and summed, it fuses with the rest."""
    (m, k), n = a.shape, b.shape[1]
    if m * k * n > OPEN:
        return NotImplemented
    if k == 1:
        return a * b
    if n == 1:
        return (a * b.t()).sum(1, keepdim=True)
    if m == 1:
        return (a.t() * b).sum(0, keepdim=True)
    return NotImplemented


def _addmm(bias: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Any:
    product = _mm(a, b) if beta == 1 and alpha == 1 else NotImplemented
    return product if product is NotImplemented else bias + product
