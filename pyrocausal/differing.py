"""What is not the same in two descriptions of a piece of work, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["BYTES", "differences", "listed"]

BYTES: Final = 16  # of a hash
_CLOSE: Final = 1e-4  # relative: another processor may round otherwise
_MOST: Final = 6

Identity = Mapping[str, Mapping[str, Any]]


def differences(saved: Identity, own: Identity, words: Mapping[str, str]) -> list[str]:
    """Say in words what differs between two descriptions, what was before and what is now.

    Args:
        saved: Group to name to number, text or hash, as it was.
        own: The same as it is.
        words: Group to the words before a name.

    Example:
        >>> differences({"s": {"steps": 5}}, {"s": {"steps": 6}}, {"s": "the setting"})
        ["the setting 'steps' is 6 and was 5"]
    """
    return [
        f"{said} {name!r} {how}"
        for group, said in words.items()
        for name, how in _differing(saved.get(group, {}), own.get(group, {}))
    ]


def listed(found: list[str]) -> str:
    """Join some differences, and count the rest."""
    more = f"; and {len(found) - _MOST} more" if len(found) > _MOST else ""
    return "; ".join(found[:_MOST]) + more


def _differing(saved: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in saved:
        if name in own and not _same(saved[name], own[name]):
            hashes = isinstance(saved[name], str) and len(saved[name]) == 2 * BYTES
            was = f"is {own[name]} and was {saved[name]}"
            yield name, "is not the same" if hashes else was
    yield from ((name, "was there and is not") for name in saved if name not in own)
    yield from ((name, "is there and was not") for name in own if name not in saved)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        # What went through JSON has lists for tuples.
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        alike = math.isclose(one, other, rel_tol=_CLOSE, abs_tol=_CLOSE)
        return alike or (math.isnan(one) and math.isnan(other))
    return bool(one == other)
