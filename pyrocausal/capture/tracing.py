"""Tracing a function into a graph, and what of it is input, state and constant."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch._guards import TracingContext, tracing
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributions import Distribution
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_map_only

from pyrocausal.capture.locating import Place, words_of
from pyrocausal.capture.traps import traps
from pyrocausal.errors import NotCapturable

__all__ = ["Graph", "trace"]


@dataclass
class Graph:
    """A traced function.

    Attributes:
        module: The graph.
        operations: What each node does, and the constant that it reads, if it does.
        places: Where in the program each operator was called.
        state: The tensors that it takes after the arguments, once they are lifted.
    """

    module: GraphModule
    operations: list[tuple[Any, Tensor | None]]
    places: list[Place | None]
    state: tuple[Tensor, ...] = ()

    def compare(self, other: Graph, known: Container[int]) -> None:
        """Compare with the same function, traced at another point.

        A tensor that both traces share is state; what each makes anew is a constant, and has to
        be the same in both.

        Args:
            other: The other trace.
            known: Ids of the tensors that are watched.

        Raises:
            NotCapturable: They differ.
        """
        pairs = zip(self.operations, other.operations, strict=False)
        for place, ((one, constant), (two, another)) in zip(self.places, pairs, strict=False):
            if one != two:
                raise NotCapturable(
                    f"The program does other operations in other runs: {_words(one)}, then "
                    f"{_words(two)}. Something in it changes out of sight, or depends on the data.",
                    words_of(place),
                )
            if constant is not None and another is not None:
                _check_constant(constant, another, known, words_of(place))
        if len(self.operations) != len(other.operations):
            raise NotCapturable(
                f"The program does {len(self.operations)} operations in one run and "
                f"{len(other.operations)} in another."
            )

    def lifted(self, known: Container[int]) -> Graph:
        """Return the graph with the watched tensors that it reads as further arguments."""
        graph = self.module.graph
        inputs: dict[int, Node] = {}
        state: list[Tensor] = []
        last = [node for node in graph.nodes if node.op == "placeholder"]
        for node in [node for node in graph.nodes if node.op == "get_attr"]:
            value = getattr(self.module, str(node.target))
            if id(value) not in known:
                continue
            if id(value) not in inputs:
                before = last[-1].next if last else next(iter(graph.nodes))
                with graph.inserting_before(before):
                    inputs[id(value)] = graph.placeholder(f"state_{len(state)}")
                last.append(inputs[id(value)])
                state.append(value)
            node.replace_all_uses_with(inputs[id(value)])
            graph.erase_node(node)
        module = GraphModule(self.module, graph)
        return Graph(module, self.operations, self.places, tuple(state))


def trace(function: Callable[..., Any], arguments: Sequence[Tensor]) -> Graph:
    """Trace a function at a point, where it really runs.

    Raises:
        NotCapturable: The function falls into one of the traps.
    """
    places: list[Place | None] = []

    def trapped(*tensors: Tensor) -> Any:
        nonlocal places
        with traps() as places:
            results = function(*tensors)
        for result in results:
            if not isinstance(result, Tensor):
                raise NotCapturable(
                    f"The function returns a {type(result).__name__} beside tensors, which a "
                    "graph would return forever."
                )
        return results

    # Objects that were made before may still validate, with a truth value; eager runs did so.
    # One mode for the shapes of all operations: torch would make one for each, slowly.
    shapes = TracingContext(FakeTensorMode(allow_fallback_kernels=True))
    with patch.object(Distribution, "_validate_sample", lambda *_: None), tracing(shapes):
        module = make_fx(trapped, tracing_mode="real")(*arguments)
    return Graph(module, _operations(module), _spread(module, places))


def _operations(module: GraphModule) -> list[tuple[Any, Tensor | None]]:
    place = {node: i for i, node in enumerate(module.graph.nodes)}
    operations: list[tuple[Any, Tensor | None]] = []
    for node in place:
        reads = node.op == "get_attr"
        arguments = repr(tree_map_only(Node, place.__getitem__, (node.args, node.kwargs)))
        # The name of a constant says nothing; its value is compared.
        form = (node.op, "a constant" if reads else str(node.target), arguments)
        operations.append((form, getattr(module, str(node.target)) if reads else None))
    return operations


def _spread(module: GraphModule, places: list[Place | None]) -> list[Place | None]:
    """Give each node a place: those of the operators, and of what uses the others."""
    left = iter(places)
    found = {
        node: next(left, None) if isinstance(node.target, OpOverload) else None
        for node in module.graph.nodes
    }
    return [
        place or next((found[user] for user in node.users), None) for node, place in found.items()
    ]


def _check_constant(one: Tensor, two: Tensor, known: Container[int], line: str | None) -> None:
    if one is two:
        if id(one) not in known:
            raise NotCapturable(
                f"The program reaches a tensor of shape {tuple(one.shape)} on a way that can't be "
                "watched. Make it an argument, an attribute or a global.",
                line,
            )
        return
    same = (
        one.shape == two.shape
        and one.dtype == two.dtype
        and one.device == two.device
        and bool(torch.isclose(one, two, rtol=0, atol=0, equal_nan=True).all())
    )
    if not same or id(one) in known or id(two) in known:
        raise NotCapturable(
            f"The program takes in a tensor of shape {tuple(one.shape)} that was another one in "
            "the next run and did not come from tensors that it was given. Make it of tensors.",
            line,
        )


def _words(form: tuple[str, str, str]) -> str:
    _, target, arguments = form
    name = target.removeprefix("aten.").removesuffix(".default")
    return f"{name} of {arguments}" if len(arguments) < 60 else name
