"""Expressions in plain symbols and in LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from pyrocausal.identification.counterfactual_text import is_symbol
from pyrocausal.identification.expressions import (
    Difference,
    Expression,
    Probability,
    Product,
    Ratio,
    Sum,
    factors_of,
    variable_of,
)
from pyrocausal.identification.spelling import latex_of

__all__ = ["Printer", "printer_of"]


@dataclass(frozen=True)
class Printer:
    """Writes expressions, with one order and one spelling of the variables.

    A variable's value is its name in lower case, where this tells all variables apart.

    Attributes:
        order: The variables, causes first.
        actions: Those that the query sets; they come first among conditions.
        latex: Whether to write LaTeX.
        labels: Text for the names that stand for one value, such as ``x=1``.
    """

    order: tuple[str, ...]
    actions: frozenset[str] = frozenset()
    latex: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    spelling: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        lower = {name: name.lower() for name in self.order}
        unique = len(set(lower.values())) == len(lower)
        object.__setattr__(self, "spelling", lower if unique else {n: n for n in self.order})

    def write(self, expression: Expression, taken: Collection[str] = ()) -> str:
        """Return an expression as text.

        Args:
            expression: What to write.
            taken: Names that have a value already, such as those of the query; the sums over
                the same variables get a prime.
        """
        scope = {name: name for name in {*taken, *expression.free}}
        return self._write(expression, scope)

    def probability(
        self, of: Iterable[str], given: Iterable[str] = (), do: Iterable[str] = ()
    ) -> str:
        """Return ``P(of | do(do), given)`` as text."""
        acted = self.names(do)
        conditions = [part for part in (self._do(acted), self.names(given)) if part]
        bar = rf" {chr(92)}mid " if self.latex else " | "
        return f"P({self.names(of)}{bar if conditions else ''}{', '.join(conditions)})"

    def _write(self, expression: Expression, scope: Mapping[str, str]) -> str:
        match expression:
            case Probability(of, given, do):
                parts = ([scope[name] for name in names] for names in (of, given, do))
                return self.probability(*parts)
            case Sum(over, body):
                inner = dict(scope)
                for name in sorted(over):
                    inner[name] = _fresh(name, scope.values())
                names = self._listed([inner[name] for name in over], actions=frozenset())
                return f"{self._sum(names)} {self._write(body, inner)}"
            case Product():
                return self._product(expression, scope)
            case Ratio(numerator, denominator):
                if self.latex:
                    above = self._write(numerator, scope)
                    return rf"\frac{{{above}}}{{{self._write(denominator, scope)}}}"
                above = self._bracketed(numerator, scope)
                return f"{above} / {self._bracketed(denominator, scope)}"
            case Difference(first, second):
                return f"{self._term(first, scope)} - {self._term(second, scope, last=True)}"

    def _product(self, expression: Expression, scope: Mapping[str, str]) -> str:
        """Write factors side by side, sums last, each in brackets but the last one."""
        factors = sorted(factors_of(expression), key=lambda factor: isinstance(factor, Sum))
        texts = [self._factor(factor, scope) for factor in factors[:-1]]
        if factors:
            last = factors[-1]
            texts.append((self._write if isinstance(last, Sum) else self._factor)(last, scope))
        return " ".join(texts) or "1"

    def _factor(self, expression: Expression, scope: Mapping[str, str]) -> str:
        """Write a factor, in brackets unless it holds together by itself."""
        if isinstance(expression, Ratio) and self.latex:
            return self._write(expression, scope)
        return self._bracketed(expression, scope)

    def _bracketed(self, expression: Expression, scope: Mapping[str, str]) -> str:
        text = self._write(expression, scope)
        if isinstance(expression, Probability):
            return text
        return rf"\left[{text}\right]" if self.latex else f"[{text}]"

    def _term(self, expression: Expression, scope: Mapping[str, str], last: bool = False) -> str:
        """Write a term of a difference, in brackets where a sum would run on."""
        apart = Difference if last else Sum | Product | Difference
        write = self._bracketed if isinstance(expression, apart) else self._write
        return write(expression, scope)

    def _sum(self, names: str) -> str:
        if self.latex:
            return rf"\sum_{{{names}}}"
        return f"sum_{{{names.replace(' ', '')}}}" if "," in names else f"sum_{names}"

    def _do(self, names: str) -> str:
        if not names:
            return ""
        return rf"\mathrm{{do}}({names})" if self.latex else f"do({names})"

    def names(self, names: Iterable[str]) -> str:
        """Return names as text: actions first, then in the order of the graph."""
        return self._listed(names, self.actions)

    def _listed(self, names: Iterable[str], actions: frozenset[str]) -> str:
        rank = {name: i for i, name in enumerate(self.order)}

        def place(name: str) -> tuple[bool, int, str]:
            variable = variable_of(name)
            return variable not in actions, rank[variable], name

        return ", ".join(self._spell(name) for name in sorted(names, key=place))

    def _spell(self, name: str) -> str:
        if name in self.labels:
            return self.labels[name]
        variable = variable_of(name)
        word, primes = self.spelling[variable], name[len(variable) :]
        return (latex_of(word) if self.latex else word) + primes


def _fresh(name: str, taken: Iterable[str]) -> str:
    names = set(taken)
    while name in names:
        name += "'"
    return name


def printer_of(
    order: tuple[str, ...],
    actions: Iterable[str],
    labels: Mapping[str, str],
    *,
    latex: bool = False,
) -> Printer:
    """Return a printer that writes values of the query as it does: ``x'``, or ``x=1``.

    Args:
        order: The variables, causes first.
        actions: Those that the query sets.
        labels: Name of a value to its label.
        latex: Whether to write LaTeX.
    """
    spelling = Printer(order).spelling
    spell: Callable[[str], str] = latex_of if latex else str
    texts = {
        name: spell(label)
        if is_symbol(name, label)
        else f"{spell(spelling[variable_of(name)])}={spell(label)}"
        for name, label in labels.items()
    }
    return Printer(order, frozenset(actions), latex, texts)
