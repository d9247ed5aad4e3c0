"""Paths between two variables: which are open, which are blocked, and by what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import overload

from pyrocausal.graph.mixed_graph import MixedGraph

__all__ = ["Path", "Paths", "paths_between"]


@dataclass(frozen=True)
class Path:
    """A path, which visits no variable twice.

    Attributes:
        nodes: The variables, from one end to the other.
        arrows: The edges between them: ``"->"``, ``"<-"`` or ``"<->"``.
        held: The variables along it that are held fixed and are no colliders: each blocks it.
        closed: The colliders along it that nothing opens: each blocks it.
    """

    nodes: tuple[str, ...]
    arrows: tuple[str, ...]
    held: tuple[str, ...]
    closed: tuple[str, ...]

    @property
    def blocked_by(self) -> tuple[str, ...]:
        """The variables that block it, in the order in which they are met."""
        return tuple(node for node in self.nodes if node in self.held or node in self.closed)

    @property
    def is_open(self) -> bool:
        """Whether nothing blocks it, so that it carries dependence."""
        return not self.blocked_by

    @property
    def kind(self) -> str:
        """``causal`` (all arrows forward), ``back-door`` (one into its start) or ``non-causal``."""
        if set(self.arrows) == {"->"}:
            return "causal"
        return "non-causal" if self.arrows[0] == "->" else "back-door"

    def __str__(self) -> str:
        steps = zip(self.arrows, self.nodes[1:], strict=True)
        text = " ".join([self.nodes[0], *(part for step in steps for part in step)])
        why = [f"{', '.join(self.held)} held fixed"] if self.held else []
        why += [f"{', '.join(self.closed)} a collider"] if len(self.closed) == 1 else []
        why += [f"{', '.join(self.closed)} colliders"] if len(self.closed) > 1 else []
        state = f"blocked: {', '.join(why)}" if why else "open"
        return f"{text}  ({self.kind}, {state})"


@dataclass(frozen=True)
class Paths(Sequence[Path]):
    """The paths between two variables, the shortest first.

    Attributes:
        found: The paths.
        given: The variables that are held fixed.
        complete: Whether these are all; False where a limit cut the list short.
    """

    found: tuple[Path, ...]
    given: tuple[str, ...]
    complete: bool

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Path, ...]: ...
    def __getitem__(self, index: int | slice) -> Path | tuple[Path, ...]:
        return self.found[index]

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[Path]:
        return iter(self.found)

    @property
    def open(self) -> tuple[Path, ...]:
        """Those that nothing blocks."""
        return tuple(path for path in self if path.is_open)

    def __str__(self) -> str:
        more = [] if self.complete else [f"the first {len(self)} paths; there are more"]
        return "\n".join([*map(str, self), *more]) or "no path"


def paths_between(
    graph: MixedGraph, x: str, y: str, given: Sequence[str], limit: int | None
) -> Paths:
    """Return the paths between two different nodes, none of them held fixed."""
    opened = {*given, *graph.ancestors(given)}
    found = list(islice(_walks(graph, x, y), None if limit is None else limit + 1))
    paths = [_path(nodes, arrows, set(given), opened) for nodes, arrows in found[:limit]]
    paths.sort(key=lambda path: len(path.nodes))
    return Paths(tuple(paths), tuple(given), len(paths) == len(found))


def _path(
    nodes: tuple[str, ...], arrows: tuple[str, ...], given: set[str], opened: set[str]
) -> Path:
    """Return a path with what blocks it."""
    inner = list(zip(nodes[1:], arrows, arrows[1:], strict=False))
    colliders = [n for n, before, after in inner if before[-1] == ">" and after[0] == "<"]
    held = tuple(n for n, _, _ in inner if n in given and n not in colliders)
    return Path(nodes, arrows, held, tuple(n for n in colliders if n not in opened))


def _walks(graph: MixedGraph, x: str, y: str) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield the nodes and arrows of each path, never entering where the goal is out of reach."""
    steps: dict[str, list[tuple[str, str]]] = {node: [] for node in graph}
    for a, b in graph.edges:
        steps[a].append(("->", b))
        steps[b].append(("<-", a))
    for a, b in graph.bidirected_pairs():
        steps[a].append(("<->", b))
        steps[b].append(("<->", a))
    nodes, arrows, waiting = [x], [""], [iter(steps[x])]
    while waiting:
        arrow, node = next(waiting[-1], ("", ""))
        if not node:
            waiting.pop()
            nodes.pop()
            arrows.pop()
        elif node == y:
            yield (*nodes, y), (*arrows[1:], arrow)
        elif node not in nodes and _reaches(steps, node, y, nodes):
            nodes.append(node)
            arrows.append(arrow)
            waiting.append(iter(steps[node]))


def _reaches(
    steps: dict[str, list[tuple[str, str]]], start: str, goal: str, without: list[str]
) -> bool:
    """Tell whether a node can be reached without others."""
    seen, waiting = {start, *without}, [start]
    while waiting:
        for _, node in steps[waiting.pop()]:
            if node == goal:
                return True
            if node not in seen:
                seen.add(node)
                waiting.append(node)
    return False
