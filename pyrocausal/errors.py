"""What can go wrong, in words: every error says what was got, what was expected, what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyrocausal.identification.hedges import Hedge

__all__ = [
    "CaptureWarning",
    "IdentificationWarning",
    "IncompleteEvidence",
    "NotAbducible",
    "NotCapturable",
    "NotIdentified",
    "NotVectorized",
    "PyrocausalError",
    "RungWarning",
    "UnknownVariable",
    "UnreliableWarning",
]


class PyrocausalError(Exception):
    """The common ancestor of the errors that are particular to this library."""


class UnknownVariable(PyrocausalError, KeyError):
    """A name that is no variable of the program.

    Args:
        name: The name that was asked for.
        known: The variables there are; the nearest one is suggested.
        where: What the name was used for, such as ``"do"``.
        kind: What the names are names of, if not of variables.
        cure: What to do, where more is known than the nearest name.
    """

    def __init__(
        self,
        name: str,
        known: Iterable[str],
        where: str = "this query",
        *,
        kind: str = "variable",
        cure: str = "",
    ) -> None:
        names = sorted(known)
        near = _nearest(str(name), names)
        hint = f" Did you mean {near!r}?" if near else ""
        self.name, self.known = name, names
        super().__init__(
            f"{where}: there is no {kind} {name!r}.{hint} {kind.capitalize()}s: "
            f"{', '.join(names) or 'none'}.{cure}"
        )

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, which would quote the whole sentence.
        return str(self.args[0])


def _nearest(name: str, names: list[str]) -> str | None:
    """Return the name that is spelt most alike, or else alike up to capitals."""
    folded = {known.casefold(): known for known in names}
    near = get_close_matches(name, names, n=1)
    near += [folded[known] for known in get_close_matches(name.casefold(), folded, n=1)]
    return near[0] if near else None


class NotAbducible(PyrocausalError, NotImplementedError):
    """The exogenous noise of a site can't be recovered, nor its equation written down.

    Args:
        site: The site's name, or the name of its distribution where no site is known.
        reason: Why, and what to do instead.
    """

    def __init__(self, site: str, reason: str) -> None:
        self.site, self.reason = site, reason
        super().__init__(f"The exogenous noise of {site!r} is not available: {reason}")


class NotVectorized(PyrocausalError, RuntimeError):
    """A program that mixes rows, or that can't run on several rows at once.

    Args:
        site: The site at which it shows.
        hint: What in a program usually causes this, and the cure.
    """

    def __init__(self, site: str, hint: str) -> None:
        self.site, self.hint = site, hint
        super().__init__(f"The program is not vectorized over units at {site!r}: {hint}")


class IncompleteEvidence(PyrocausalError, ValueError):
    """Evidence that lacks a variable above what was observed, which there is no way to infer."""


class NotIdentified(PyrocausalError, ValueError):
    """A causal query that the known distributions and the graph don't determine.

    Args:
        reason: What is not identified, why, and what would help.
        hedge: The witness, a `pyrocausal.identification.Hedge`, where one is known.
    """

    def __init__(self, reason: str, hedge: Hedge | None = None) -> None:
        self.hedge = hedge
        super().__init__(reason)


class NotCapturable(PyrocausalError, RuntimeError):
    """A program that one graph of tensor operations can't stand for.

    Args:
        reason: What the program does, and what to write instead.
        line: Where it does it.
    """

    def __init__(self, reason: str, line: str | None = None) -> None:
        self.reason, self.line = reason, line
        super().__init__(f"{reason}{f' (at {line})' if line else ''}")


class CaptureWarning(UserWarning):
    """A program runs as it stands, step by step, because it can't be captured or compiled."""


class UnreliableWarning(UserWarning):
    """Draws of what is missing that can't be relied on, for some units."""


class IdentificationWarning(UserWarning):
    """An answer that the data don't determine: it rests on what the program assumes."""


class RungWarning(UserWarning):
    """An answer of a lower rung than someone may think: no counterfactual."""
