"""Counterfactual events as a product of counterfactual factors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pyrocausal.identification.admg import Admg, Nodes
from pyrocausal.identification.counterfactual_text import Event, Term
from pyrocausal.identification.expressions import variable_of

__all__ = ["Factor", "Impossible", "Joint", "Values"]


class Impossible(Exception):
    """Events that contradict one another: their probability is 0 in every model."""


@dataclass(frozen=True)
class Potential:
    """``W_x``: what a variable is where others are set; the values are names."""

    variable: str
    setting: frozenset[tuple[str, str]] = frozenset()


Written = tuple[str, Mapping[str, str], str]
"""A variable, what is set to the name of its value, and the name of the variable's own value."""


@dataclass(frozen=True)
class Factor:
    """A probability of potentials whose causes are all set, in one district.

    Attributes:
        values: Variable to the names of its values in the events.
        settings: Parent to the names of its values in the subscripts.
        events: The variables, each with the causes that are set and the name of its value.
    """

    values: Mapping[str, Nodes]
    settings: Mapping[str, Nodes]
    events: Sequence[Written]

    @property
    def conflicts(self) -> tuple[str, ...]:
        """Variables with two values, so that no experiment shows them together."""
        every = {**self.settings, **self.values}
        merged = {v: self.values.get(v, Nodes()) | self.settings.get(v, Nodes()) for v in every}
        return tuple(sorted(v for v, names in merged.items() if len(names) > 1))

    @property
    def names(self) -> dict[str, str]:
        """Variable to the name of its value, without conflicts."""
        return {v: min(names) for v, names in {**self.settings, **self.values}.items()}

    def describe(self, labels: Mapping[str, str]) -> str:
        """Return the factor as text, such as ``P(Y_{X=0} = 1, X = 1)``."""
        return _written(self.events, labels)

    @property
    def free(self) -> Nodes:
        """The names of all values."""
        return Nodes().union(*self.values.values(), *self.settings.values())


@dataclass
class Values:
    """Names for values: a label of the query has one for each variable, as ``X`` and ``X'``.

    Attributes:
        labels: Name to the variable's label in the query.
    """

    labels: dict[str, str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)

    def of(self, variable: str, label: str) -> str:
        """Return the name for a label of a variable."""
        for name, known in self.labels.items():
            if known == label and variable_of(name) == variable:
                return name
        primes = "'" * label.count("'")
        name = variable + primes
        if label.lower() != name.lower() or name in self._taken:
            name = self.fresh(variable)
        self._taken.add(name)
        self.labels[name] = label
        return name

    def fresh(self, variable: str) -> str:
        """Return a new name for a value of a variable."""
        name = variable
        while name in self._taken:
            name += "'"
        self._taken.add(name)
        return name


@dataclass
class Joint:
    """Conjunctions of counterfactual events, written as sums of products of factors.

    Attributes:
        g: The graph.
        values: The names in use.
        known: Potential to the name of its value.
        hidden: Names that are summed over.
    """

    g: Admg
    values: Values
    known: dict[Potential, str] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)

    def describe(self, labels: Mapping[str, str]) -> str:
        """Return the events so far as text."""
        return _written(
            [(p.variable, dict(p.setting), name) for p, name in self.known.items()], labels
        )

    def add(self, event: Event, name: str | None = None) -> str:
        """Add an event, unnested: ``P(Y_{M_x'} = y) = sum_m P(Y_m = y, M_x' = m)``.

        Args:
            event: The event.
            name: The name of its value; by default that of its label, or a new one.

        Returns:
            The name of its value.
        """
        term = event.term
        if name is None:
            name = self._name(term.variable, event.value)
        potential = self._potential(term)
        setting = dict(potential.setting)
        if term.variable in setting:
            self._equate(setting[term.variable], name)
        elif potential in self.known:
            self._equate(self.known[potential], name)
        else:
            self.known[potential] = name
        return name

    def _name(self, variable: str, label: str | None) -> str:
        return self.values.fresh(variable) if label is None else self.values.of(variable, label)

    def _potential(self, term: Term) -> Potential:
        """Return a term's potential; the value of what is nested is a name that is summed."""
        setting = {}
        for part in term.subscripts:
            if isinstance(part, Term):
                setting[part.variable] = self._value(self._potential(part))
            else:
                setting[part[0]] = self.values.of(*part)
        return self._reduced(term.variable, setting)

    def _reduced(self, variable: str, setting: Mapping[str, str]) -> Potential:
        """Return ``W_x`` without what is no ancestor of W where edges into x are cut."""
        above = self.g.cut(into=setting).ancestors([variable])
        return Potential(variable, frozenset((v, x) for v, x in setting.items() if v in above))

    def _value(self, potential: Potential) -> str:
        """Return the name of a potential's value, a new one to sum over if it has none."""
        setting = dict(potential.setting)
        if potential.variable in setting:
            return setting[potential.variable]
        if potential not in self.known:
            self.known[potential] = self.values.fresh(potential.variable)
            self.hidden.add(self.known[potential])
        return self.known[potential]

    def _equate(self, first: str, second: str) -> None:
        """Make two names one, since they stand for one potential's value."""
        if first == second:
            return
        if first not in self.hidden and second not in self.hidden:
            raise Impossible(f"{variable_of(first)} would have two values in one world")
        gone, stays = (first, second) if first in self.hidden else (second, first)
        self.hidden.discard(gone)
        old, self.known = self.known, {}
        clashes = []
        for p, name in old.items():
            setting = frozenset((v, stays if x == gone else x) for v, x in p.setting)
            new = stays if name == gone else name
            clashes.append((self.known.setdefault(Potential(p.variable, setting), new), new))
        for one, other in clashes:
            self._equate(one, other)

    def factors(self) -> list[Factor]:
        """Return the factors of the events, after each potential is written by its parents."""
        while self._merged():
            pass
        # Two potentials with the same causes are one.
        written = {
            Potential(p.variable, frozenset(self._parents(p).items())): name
            for p, name in self.known.items()
        }
        groups = self.g.induced({p.variable for p in written}).districts
        return [
            _factor({p: name for p, name in written.items() if p.variable in group})
            for group in groups
        ]

    def _parents(self, potential: Potential) -> dict[str, str]:
        """Return parent to the name of its value: what is set, or what it is in that world."""
        setting = dict(potential.setting)
        return {
            parent: self._value(self._reduced(parent, setting))
            for parent in self.g.sorted(self.g.parents[potential.variable])
        }

    def _merged(self) -> bool:
        """Add the parents of all potentials, and join two that have the same ones."""
        before = len(self.known), len(self.hidden)
        seen: dict[Potential, Potential] = {}
        for potential in list(self.known):
            parents = frozenset(self._parents(potential).items())
            twin = seen.setdefault(Potential(potential.variable, parents), potential)
            if self.known[twin] != self.known[potential]:
                self._equate(self.known[twin], self.known[potential])
                return True
        return before != (len(self.known), len(self.hidden))


def _written(events: Iterable[Written], labels: Mapping[str, str]) -> str:
    """Return events in several worlds as text."""

    def write(name: str) -> str:
        return labels.get(name, name.lower())

    texts = []
    for variable, causes, name in events:
        world = ", ".join(f"{cause}={write(causes[cause])}" for cause in sorted(causes))
        texts.append(f"{variable}{f'_{{{world}}}' if world else ''}={write(name)}")
    return f"P({', '.join(texts)})"


def _factor(written: Mapping[Potential, str]) -> Factor:
    """Return the factor of potentials of one district, each in the world of its causes."""
    values: dict[str, Nodes] = {}
    settings: dict[str, Nodes] = {}
    events = []
    for potential, value in written.items():
        values[potential.variable] = values.get(potential.variable, Nodes()) | {value}
        for parent, name in potential.setting:
            settings[parent] = settings.get(parent, Nodes()) | {name}
        events.append((potential.variable, dict(sorted(potential.setting)), value))
    return Factor(values, settings, events)
