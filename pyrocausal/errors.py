"""What can go wrong, in words: every error says what was got, what was expected, what to do next."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "IncompleteEvidence",
    "NotAbducible",
    "NotIdentified",
    "NotVectorized",
    "PyrocausalError",
    "UnknownVariable",
]


class PyrocausalError(Exception):
    """The common ancestor of the errors that are particular to this library."""


class UnknownVariable(PyrocausalError, KeyError):
    """A name that is no variable of the program.

    Args:
        name: The name that was asked for.
        known: The variables there are; the nearest one is suggested.
        where: What the name was used for, such as ``"do"``.
    """

    def __init__(self, name: str, known: Iterable[str], where: str = "this query") -> None:
        names = sorted(known)
        near = get_close_matches(str(name), names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        self.name, self.known = name, names
        super().__init__(
            f"{where}: there is no variable {name!r}.{hint} Variables: {', '.join(names) or 'none'}."
        )

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, which would quote the whole sentence.
        return str(self.args[0])


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
    """Evidence that needs inference: a variable above what was observed is missing."""


class NotIdentified(PyrocausalError, ValueError):
    """A causal query that the observed distribution and the graph don't determine."""
