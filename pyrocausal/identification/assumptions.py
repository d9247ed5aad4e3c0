"""What is assumed beyond a graph, read from sentences."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from pyrocausal.errors import UnknownVariable

__all__ = ["Assumptions", "Monotone", "read_assumptions"]

_SIGNS = {"increases": 1, "decreases": -1}
_MONOTONE = re.compile(r"(.+?)\s+(increases|decreases)\s+in\s+(.+)")
_BINARY = re.compile(r"(.+?)\s+is\s+binary")


@dataclass(frozen=True)
class Monotone:
    """No unit's ``effect`` moves against the sign when ``cause`` grows and all else stays."""

    effect: str
    cause: str
    sign: int

    def __str__(self) -> str:
        word = "increases" if self.sign > 0 else "decreases"
        return f"{self.effect} {word} in {self.cause}"


@dataclass(frozen=True)
class Assumptions:
    """What is assumed.

    Attributes:
        monotone: Which variables move one way only when a cause of theirs grows.
        binary: Variables with two values.
    """

    monotone: tuple[Monotone, ...] = ()
    binary: frozenset[str] = frozenset()


def read_assumptions(
    sentences: Iterable[str], names: Collection[str], where: str = "identify"
) -> Assumptions:
    """Read sentences such as ``"Y increases in X"`` and ``"X is binary"``.

    Args:
        sentences: One or several.
        names: The variables of the graph.
        where: What asks.

    Raises:
        ValueError: A sentence says nothing known.
        UnknownVariable: A name is no variable of the graph.

    Example:
        >>> found = read_assumptions(["X is binary", "Y decreases in X"], ["X", "Y"])
        >>> found.binary, *found.monotone
        (frozenset({'X'}), Monotone(effect='Y', cause='X', sign=-1))
    """
    monotone, binary = [], set()
    for sentence in [sentences] if isinstance(sentences, str) else sentences:
        text = str(sentence).strip().rstrip(".")
        if match := _MONOTONE.fullmatch(text):
            effect, word, cause = match.groups()
            monotone.append(Monotone(effect, cause, _SIGNS[word]))
            named = [effect, cause]
        elif match := _BINARY.fullmatch(text):
            named = [match[1]]
            binary.add(match[1])
        else:
            raise ValueError(
                f"{where}: can't read the assumption {sentence!r}; expected such as 'Y increases in "
                "X', 'Y decreases in X' or 'X is binary'."
            )
        for name in named:
            if name not in names:
                raise UnknownVariable(name, names, f"{where}(assumptions=)")
    return Assumptions(tuple(monotone), frozenset(binary))
