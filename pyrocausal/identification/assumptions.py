"""What is assumed beyond a graph, read from sentences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pyrocausal.errors import UnknownVariable
from pyrocausal.graph.mixed_graph import MixedGraph

__all__ = ["Assumptions", "read_assumptions"]


@dataclass(frozen=True)
class Assumptions:
    """What is assumed.

    Attributes:
        increasing: Pairs of an outcome and the binary cause in which it increases.
        binary: Variables with two values.
    """

    increasing: frozenset[tuple[str, str]] = frozenset()
    binary: frozenset[str] = frozenset()


def read_assumptions(sentences: Iterable[str], graph: MixedGraph) -> Assumptions:
    """Read sentences such as ``"Y increases in X"`` and ``"X is binary"``.

    Raises:
        ValueError: A sentence says nothing known.
        UnknownVariable: A name is no variable of the graph.

    Example:
        >>> read_assumptions(["X is binary"], MixedGraph([("X", "Y")])).binary
        frozenset({'X'})
    """
    if isinstance(sentences, str):
        sentences = [sentences]
    increasing, binary = set(), set()
    for sentence in sentences:
        match sentence.strip().rstrip(".").split():
            case [outcome, "increases", "in", cause]:
                increasing.add((outcome, cause))
            case [name, "is", "binary"]:
                binary.add(name)
            case _:
                raise ValueError(
                    f"assumptions: can't read {sentence!r}; expected such as 'Y increases in X' "
                    "or 'X is binary'."
                )
    for name in sorted(binary.union(*increasing)):
        if name not in graph:
            raise UnknownVariable(name, graph, "assumptions=")
    return Assumptions(frozenset(increasing), frozenset(binary))
