"""Queries about effects: their names checked, and read from text such as ``P(Y | do(X), Z)``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pyrocausal.errors import UnknownVariable
from pyrocausal.graph.mixed_graph import MixedGraph, Names
from pyrocausal.identification.spelling import latex_of

__all__ = ["PathQuery", "Query", "query_of", "read_query"]


@dataclass(frozen=True)
class Query:
    """``P(outcome | do(do), given)``, with ``given`` read after the action.

    Attributes:
        outcome: Variables whose distribution is asked for.
        do: Variables that are set.
        given: Variables that are then observed.
    """

    outcome: tuple[str, ...]
    do: tuple[str, ...] = ()
    given: tuple[str, ...] = ()

    def describe(self, values: Mapping[str, object]) -> str:
        """Return the query as text, with values, such as ``P(Y | do(X=1))``.

        Example:
            >>> Query(("Y",), ("X",), ("Z",)).describe({"X": 1, "Z": 0})
            'P(Y | do(X=1), Z=0)'
        """
        acted = ", ".join(f"{name}={values[name]}" for name in self.do)
        conditions = [f"do({acted})"] if acted else []
        conditions += [f"{name}={values[name]}" for name in self.given]
        bar = " | " if conditions else ""
        return f"P({', '.join(self.outcome)}{bar}{', '.join(conditions)})"

    def check(self, graph: MixedGraph, where: str = "identify") -> Query:
        """Return the query, refusing one that makes no sense in a graph; ``where`` is who asks.

        Raises:
            UnknownVariable: A name is no node.
            ValueError: A latent variable; a name in two places; no outcome.
        """
        roles = {"outcome": self.outcome, "do": self.do, "given": self.given}
        seen: dict[str, str] = {}
        for role, names in roles.items():
            for name in names:
                if name not in graph:
                    raise UnknownVariable(name, graph.observed, f"{where}({role}=)")
                if name in graph.latent:
                    raise ValueError(
                        f"{where}: {role}={name!r} is latent; expected observed variables. Take "
                        "it out of latent=, or ask about an observed variable."
                    )
                if seen.get(name, role) != role:
                    raise ValueError(
                        f"{where}: {name!r} is in {seen[name]} and in {role}; expected each "
                        "variable in one of outcome, do and given. Drop it from one."
                    )
                seen[name] = role
        if not self.outcome:
            raise ValueError(f"{where}: there is no outcome; name the variables asked about.")
        return self


@dataclass(frozen=True)
class PathQuery:
    """The distribution of an outcome where an action is felt along some paths only.

    Attributes:
        outcome: Y.
        do: X.
        paths: The active paths.
    """

    outcome: str
    do: str
    paths: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        x = self.do.lower()
        paths = ", ".join(" -> ".join(path) for path in self.paths)
        return f"P({self.outcome} | do({self.do}={x} along {paths}; {x}' elsewhere))"

    @property
    def latex(self) -> str:
        """The query in LaTeX."""
        x, action = latex_of(self.do.lower()), latex_of(self.do)
        paths = ", ".join(r" \to ".join(map(latex_of, path)) for path in self.paths)
        worlds = rf"{action}={x} \text{{ along }} {paths}; {x}' \text{{ elsewhere}}"
        return rf"P({latex_of(self.outcome)} \mid \mathrm{{do}}({worlds}))"

    def actions(self) -> tuple[str, ...]:
        """Return the variables that are set."""
        return (self.do,)


def query_of(outcome: Names, do: Names = (), given: Names = ()) -> Query:
    """Return a query from names, or from its text as ``outcome``."""
    if isinstance(outcome, str) and "(" in outcome:
        if do or given:
            raise ValueError(
                f"identify: got the query {outcome!r} and do= or given= beside it; expected one "
                "of the two. Put all into the text, or give the outcome by its name."
            )
        return read_query(outcome)
    return Query(
        *(tuple(dict.fromkeys([n] if isinstance(n, str) else n)) for n in (outcome, do, given))
    )


def read_query(text: str) -> Query:
    """Read ``P(Y | do(X), Z)``.

    Raises:
        ValueError: The text is no such query.

    Example:
        >>> read_query("P(Y | do(X1, X2), Z)")
        Query(outcome=('Y',), do=('X1', 'X2'), given=('Z',))
    """
    whole = re.fullmatch(r"\s*P\s*\((.*)\)\s*", text)
    if not whole or whole[1].count("|") > 1:
        raise ValueError(
            f"identify: can't read the query {text!r}; expected text such as 'P(Y | do(X), Z)'."
        )
    outcome, _, conditions = whole[1].partition("|")
    actions = re.findall(r"do\s*\(([^()]*)\)", conditions)
    seen = re.sub(r"do\s*\([^()]*\)", "", conditions)
    return Query(_names(outcome, text), _names(",".join(actions), text), _names(seen, text))


def _names(part: str, text: str) -> tuple[str, ...]:
    names = [name.strip() for name in part.split(",") if name.strip()]
    for name in names:
        if re.search(r"[()|=]", name):
            raise ValueError(
                f"identify: can't read {name!r} in the query {text!r}; expected names of variables, "
                "as in 'P(Y | do(X), Z)'. Values are given to evaluate()."
            )
    return tuple(dict.fromkeys(names))
