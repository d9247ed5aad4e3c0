"""Counterfactual queries, read from text such as ``P(Y_{X=1, M_{X=0}} | X=0)``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pyrocausal.errors import UnknownVariable
from pyrocausal.graph.mixed_graph import MixedGraph
from pyrocausal.identification.spelling import latex_of

__all__ = [
    "CounterfactualQuery",
    "Event",
    "Term",
    "is_counterfactual",
    "is_symbol",
    "read_counterfactual",
    "read_label",
]


@dataclass(frozen=True)
class Term:
    """A counterfactual variable ``Y_{X=x, M_{X=x'}}``.

    Attributes:
        variable: Y.
        subscripts: What is set: a variable and its value, or the value of a nested term.
    """

    variable: str
    subscripts: tuple[tuple[str, str] | Term, ...] = ()

    def actions(self) -> Iterator[str]:
        """Yield the variables in its subscripts."""
        for part in self.subscripts:
            yield part.variable if isinstance(part, Term) else part[0]
            if isinstance(part, Term):
                yield from part.actions()

    def is_effect(self) -> bool:
        """Tell whether it is a variable in one world, by values of other variables."""
        return not any(
            isinstance(part, Term) or part[0] == self.variable for part in self.subscripts
        )

    def write(self, spell: Callable[[str], str] = str) -> str:
        """Return it as text, each name and value in some spelling."""
        parts = [
            part.write(spell) if isinstance(part, Term) else "=".join(map(spell, part))
            for part in self.subscripts
        ]
        name = spell(self.variable)
        # A second subscript to one letter would be an error in LaTeX.
        base = f"{{{name}}}" if "_{" in name and parts else name
        return base + (f"_{{{', '.join(parts)}}}" if parts else "")

    def __str__(self) -> str:
        return self.write()


@dataclass(frozen=True)
class Event:
    """``term = value``; without a value the distribution is asked for."""

    term: Term
    value: str | None = None

    def write(self, spell: Callable[[str], str] = str) -> str:
        """Return it as text, each name and value in some spelling."""
        return self.term.write(spell) + (f"={spell(self.value)}" if self.value is not None else "")

    def __str__(self) -> str:
        return self.write()


@dataclass(frozen=True)
class CounterfactualQuery:
    """``P(events | given)``, each event in a world of its own; ``given`` is read in its world."""

    events: tuple[Event, ...]
    given: tuple[Event, ...] = ()

    def __str__(self) -> str:
        bar = " | " if self.given else ""
        return f"P({', '.join(map(str, self.events))}{bar}{', '.join(map(str, self.given))})"

    @property
    def latex(self) -> str:
        """The query in LaTeX."""
        events, given = (
            ", ".join(event.write(latex_of) for event in part)
            for part in (self.events, self.given)
        )
        return f"P({events}{rf' {chr(92)}mid ' if given else ''}{given})"

    def check(self, graph: MixedGraph) -> CounterfactualQuery:
        """Return the query, refusing variables that a graph lacks or hides."""
        for name in self.variables():
            if name not in graph:
                raise UnknownVariable(name, graph.observed, f"identify({self})")
            if name in graph.latent:
                raise ValueError(
                    f"identify: {name!r} in {self} is latent; expected observed variables."
                )
        for event in self.given:
            if event.value is None:
                raise ValueError(
                    f"identify: the condition {event} in {self} has no value; expected such as "
                    f"{event}=0, or {event}={event.term.variable.lower()} for any value."
                )
        return self

    def variables(self) -> Iterator[str]:
        """Yield the variables that are mentioned."""
        for event in (*self.events, *self.given):
            yield event.term.variable
            yield from event.term.actions()

    def actions(self) -> Iterator[str]:
        """Yield the variables that subscripts mention."""
        for event in (*self.events, *self.given):
            yield from event.term.actions()


def is_counterfactual(text: object) -> bool:
    """Tell whether a text is a counterfactual query, by its subscripts."""
    return isinstance(text, str) and "_{" in text


def is_symbol(name: str, label: str) -> bool:
    """Tell whether a label such as ``x'`` stands for any value of its variable.

    Example:
        >>> is_symbol("X'", "x'"), is_symbol("X", "0")
        (True, False)
    """
    return label.rstrip("'").lower() == name.rstrip("'").lower()


def read_label(label: str) -> float | str:
    """Return the value that a label writes out: a number if it is one."""
    try:
        number = float(label)
    except ValueError:
        return label
    return int(number) if number.is_integer() else number


def read_counterfactual(text: str) -> CounterfactualQuery:
    """Read a counterfactual query.

    Raises:
        ValueError: The text is none.

    Example:
        >>> print(read_counterfactual("P( Y_{X=1,M_{X=0}} = 1 | X=0 )"))
        P(Y_{X=1, M_{X=0}}=1 | X=0)
    """
    whole = re.fullmatch(r"\s*P\s*\((.*)\)\s*", text)
    if not whole:
        raise _unreadable(text, text)
    reader = Reader(text, re.findall(r"_\{|[\w.]+?(?=_\{)|[\w.+-]+'*|[=,|{}]|\S", whole[1]))
    events = reader.events()
    given = reader.events() if reader.take("|") else ()
    if reader.tokens:
        raise _unreadable(reader.tokens[0], text)
    return CounterfactualQuery(events, given)


@dataclass
class Reader:
    """Reads tokens from left to right.

    Attributes:
        text: The whole, for messages.
        tokens: What is left.
    """

    text: str
    tokens: list[str] = field(default_factory=list)

    def take(self, token: str) -> bool:
        """Take a token if it is the next one."""
        if self.tokens[:1] == [token]:
            self.tokens.pop(0)
            return True
        return False

    def word(self) -> str:
        """Take a name or a value."""
        if not self.tokens or not re.match(r"[\w.+-]", self.tokens[0]) or self.tokens[0] == "_{":
            raise _unreadable(self.tokens[0] if self.tokens else "the end", self.text)
        return self.tokens.pop(0)

    def label(self) -> str:
        """Take a value; a number is written in one way."""
        return str(read_label(self.word()))

    def events(self) -> tuple[Event, ...]:
        """Take events up to a bar or the end."""
        events = [self.event()]
        while self.take(","):
            events.append(self.event())
        return tuple(events)

    def event(self) -> Event:
        """Take ``term`` or ``term=value``."""
        term = self.term()
        return Event(term, self.label() if self.take("=") else None)

    def term(self) -> Term:
        """Take a variable with its subscripts."""
        variable = self.word()
        if not self.take("_{"):
            return Term(variable)
        subscripts = [self.subscript()]
        while self.take(","):
            subscripts.append(self.subscript())
        if not self.take("}"):
            raise _unreadable(self.tokens[0] if self.tokens else "the end", self.text)
        return Term(variable, tuple(subscripts))

    def subscript(self) -> tuple[str, str] | Term:
        """Take ``X=x``, or a nested term."""
        term = self.term()
        if self.take("="):
            return term.variable, self.label()
        if not term.subscripts:
            raise ValueError(
                f"identify: the subscript {term} in {self.text!r} has no value; expected such as "
                f"{term}=0, or {term}={term.variable.lower()} for any value."
            )
        return term


def _unreadable(token: str, text: str) -> ValueError:
    return ValueError(
        f"identify: can't read {token!r} in {text!r}; expected text such as "
        "'P(Y_{X=1, M_{X=0}} | X=0)'."
    )
