"""Leaving out of a graph what costs time and changes nothing: constants and changes of shape."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node

__all__ = ["simplified"]

_ATEN: Final = torch.ops.aten
_SMALL: Final = 1024  # elements that a constant may keep in memory


def simplified(module: GraphModule, *, fold: bool = True) -> GraphModule:
    """Return a graph without operations that hand on what they get.

    Args:
        module: The graph; stays as it is.
        fold: Whether to compute what depends on constants alone, and to join changes of shape.
    """
    copy = Graph()
    copy.output(copy.graph_copy(module.graph, {}))
    module = GraphModule(module, copy)
    if fold:
        _fold_constants(module)
        _join_views(module)
    _drop_identities(module)
    module.graph.eliminate_dead_code()
    module.graph.lint()
    module.recompile()
    return module


def _fold_constants(module: GraphModule) -> None:
    known: dict[Node, Tensor] = {}
    writable = _writable(module)
    for node in list(module.graph.nodes):
        if node.op == "get_attr":
            known[node] = getattr(module, str(node.target))
        elif node in writable:
            continue
        elif _is_foldable(node) and all(source in known for source in node.all_input_nodes):
            args, kwargs = torch.fx.map_arg((node.args, node.kwargs), known.__getitem__)
            value = node.target(*args, **kwargs)
            if not isinstance(value, Tensor) or value.untyped_storage().nbytes() > 8 * _SMALL:
                continue
            known[node] = value
            name = f"_folded_{node.name}"
            module.register_buffer(name, value, persistent=False)
            with module.graph.inserting_before(node):
                constant = module.graph.get_attr(name)
            constant.meta, known[constant] = dict(node.meta), value
            node.replace_all_uses_with(constant)
            module.graph.erase_node(node)


def _writable(module: GraphModule) -> set[Node]:
    """Return what the graph or the receiver of its results may write into."""
    found: set[Node] = set()
    todo = [source for node in module.graph.nodes for source in _written(node)]
    while todo:
        node = todo.pop()
        if node not in found:
            found.add(node)
            todo += [source for source in node.all_input_nodes if _is_view(node)]
    return found


def _written(node: Node) -> list[Node]:
    if node.op == "output" or _writes(node):
        return list(node.all_input_nodes)
    return []


def _writes(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.is_mutable


def _is_view(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and any(result.alias_info for result in schema.returns)


def _is_foldable(node: Node) -> bool:
    if node.op != "call_function" or not node.all_input_nodes or _writes(node):
        return False
    return torch.Tag.nondeterministic_seeded not in getattr(node.target, "tags", ())


def _join_views(module: GraphModule) -> None:
    for node in list(module.graph.nodes):
        if node.target is not _ATEN.view.default:
            continue
        source: Any = node.args[0]
        # A view of a contiguous tensor can be taken in any shape.
        while source.target is _ATEN.view.default and _shape(source.args[0]) is not None:
            source = source.args[0]
        if _is_contiguous(source):
            node.update_arg(0, source)
        if _shape(node.args[0]) == _shape(node):
            node.replace_all_uses_with(node.args[0])
            module.graph.erase_node(node)


def _drop_identities(module: GraphModule) -> None:
    writable = _writable(module)
    for node in list(module.graph.nodes):
        source = _same_as(node)
        if source is not None and not {node, source} & writable and _alike(node, source):
            node.replace_all_uses_with(source)
            module.graph.erase_node(node)


def _same_as(node: Node) -> Node | None:
    """Return what a node hands on: expanded to its own shape, times one, plus zero, detached."""
    if node.target in (_ATEN.expand.default, _ATEN.detach.default):
        return node.args[0]  # type: ignore[return-value]
    neutral = {_ATEN.mul.Tensor: 1, _ATEN.div.Tensor: 1, _ATEN.add.Tensor: 0, _ATEN.sub.Tensor: 0}
    if node.target not in neutral or node.kwargs or len(node.args) != 2:
        return None
    source, number = node.args
    exact = isinstance(number, int | float) and number == neutral[node.target]
    return source if exact and isinstance(source, Node) else None


def _alike(one: Node, two: Node) -> bool:
    a, b = one.meta.get("val"), two.meta.get("val")
    return (
        isinstance(a, Tensor)
        and isinstance(b, Tensor)
        and (a.shape, a.stride(), a.dtype) == (b.shape, b.stride(), b.dtype)
    )


def _shape(node: Any) -> Any:
    value = node.meta.get("val")
    return tuple(value.shape) if isinstance(value, Tensor) else None


def _is_contiguous(node: Any) -> bool:
    value = node.meta.get("val")
    return isinstance(value, Tensor) and value.is_contiguous()
