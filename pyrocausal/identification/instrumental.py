"""Instruments: variables that move the treatment and reach the outcome through it alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from pyrocausal.errors import UnknownVariable
from pyrocausal.graph.mixed_graph import MixedGraph, Names
from pyrocausal.identification.adjustment import backdoor_graph, on_causal_paths
from pyrocausal.identification.admg import Admg, Nodes
from pyrocausal.identification.roles import ask, listed
from pyrocausal.identification.separators import Separators
from pyrocausal.model import SCM

__all__ = ["Instrument", "Instruments", "instruments"]


def instruments(
    graph_or_scm: MixedGraph | SCM, outcome: str, do: str, *, forbidden: Names = ()
) -> Instruments:
    r"""Return the instruments for the effect of one variable on another.

    Z is an instrument given W if, with the first edges of the causal paths from X to Y cut, W
    separates Z from Y; W doesn't separate Z from X; and neither lies on, or below, a causal path.
    In linear models

    .. math:: \frac{\mathrm{cov}(Z, Y \mid W)}{\mathrm{cov}(Z, X \mid W)}

    is then the effect, whatever confounds X and Y.

    Args:
        graph_or_scm: A graph, whose latent nodes are projected out, or an SCM, by its graph.
        outcome: One name.
        do: The treatment, one name.
        forbidden: Variables that may be neither instrument nor held fixed.

    Returns:
        Each variable that is an instrument given some set above it and the outcome, with the set
        nearest to the outcome. If there is any instrument, there is one of these; that no other
        variable is one, given some other set, can't be told quickly (the question is NP-hard).

    Raises:
        UnknownVariable: A name is no variable of the graph.
        ValueError: A latent variable, a name in two places, several treatments or outcomes.

    Example:
        >>> graph = pc.CausalGraph(
        ...     [("C", "Z"), ("C", "Y"), ("Z", "X"), ("X", "Y")], bidirected=[("X", "Y")]
        ... )
        >>> print(instruments(graph, outcome="Y", do="X"))
        Instruments for the effect of X on Y
          Z given {C}
          assumes: the graph; a linear model, or an effect that is the same for all units.
            Otherwise, if Z moves X one way only, the ratio is the effect on those whom it moves

    References:
        Brito, Pearl (2002), Generalized instrumental variables.
        van der Zander, Textor, Liskiewicz (2015), Efficiently finding conditional instruments
        for causal inference.
    """
    g, usable, (y, x) = ask(graph_or_scm, "instruments", forbidden, outcome=outcome, do=do)
    for role, names in (("outcome", y), ("do", x)):
        if len(names) > 1:
            raise ValueError(
                f"instruments: {role}={sorted(names)} are several variables; expected one. Ask "
                "about one at a time."
            )
    causal = on_causal_paths(g, x, y)
    allowed = usable - g.descendants(causal)
    cut = backdoor_graph(g, x, causal)
    found = [_instrument(cut, node, x, y, allowed) for node in g.order if node in allowed]
    return Instruments(outcome, do, tuple(i for i in found if i is not None), cut, allowed)


@dataclass(frozen=True)
class Instrument:
    """A variable that is an instrument when others are held fixed.

    Attributes:
        name: The instrument.
        given: The variables to hold fixed, causes first.
    """

    name: str
    given: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} given {{{', '.join(self.given)}}}" if self.given else self.name


@dataclass(frozen=True, eq=False)
class Instruments(Sequence[Instrument]):
    """The instruments for one effect, causes first.

    Attributes:
        outcome: The variable that the effect is on.
        do: The treatment.
        found: Each with what is to be held fixed.

    Example:
        >>> graph = pc.CausalGraph([("Z", "X"), ("X", "Y")], bidirected=[("X", "Y")])
        >>> pc.instruments(graph, "Y", do="X").found[0].name
        'Z'
    """

    outcome: str
    do: str
    found: tuple[Instrument, ...]
    _cut: Admg
    _allowed: Nodes

    @overload
    def __getitem__(self, index: int) -> Instrument: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Instrument, ...]: ...
    def __getitem__(self, index: int | slice) -> Instrument | tuple[Instrument, ...]:
        return self.found[index]

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self.found)

    def is_valid(self, name: str, given: Names = ()) -> bool:
        """Tell whether a variable is an instrument when some others are held fixed.

        Example:
            >>> graph = pc.CausalGraph([("Z", "X"), ("X", "Y")], bidirected=[("X", "Y")])
            >>> instruments(graph, "Y", "X").is_valid("Z")
            True
        """
        return self.why_not(name, given) is None

    def why_not(self, name: str, given: Names = ()) -> str | None:
        """Say why a variable is no instrument when some others are held fixed; None if it is one.

        Raises:
            UnknownVariable: A name is no observed variable of the graph.

        Example:
            >>> graph = pc.CausalGraph([("Z", "X"), ("X", "Y"), ("Z", "Y")])
            >>> print(instruments(graph, "Y", "X").why_not("Z"))
            Z reaches Y, or shares a cause with it, other than through X
        """
        z, w = frozenset({name}), frozenset(listed(given))
        for unknown in sorted((z | w) - self._cut.nodes):
            raise UnknownVariable(unknown, self._cut.nodes, "instruments")
        if z & w:
            return f"{name} can't be held fixed, since it is to vary"
        barred = sorted((z | w) - self._allowed)
        if barred:
            return f"{', '.join(barred)} lies on, or below, a causal path, or is forbidden"
        held = f" while {', '.join(sorted(w))} is held fixed" if w else ""
        if not self._cut.separated(z, {self.outcome}, w):
            return (
                f"{name} reaches {self.outcome}, or shares a cause with it, other than through "
                f"{self.do}{held}"
            )
        if self._cut.separated(z, {self.do}, w):
            return f"{name} tells nothing of {self.do}{held}"
        return None

    def __str__(self) -> str:
        lines = [f"Instruments for the effect of {self.do} on {self.outcome}"]
        if not self:
            return f"{lines[0]}\n  none: pc.bounds gives what the graph and data still tell"
        lines += [f"  {instrument}" for instrument in self]
        lines.append(
            "  assumes: the graph; a linear model, or an effect that is the same for all units.\n"
            f"    Otherwise, if {self[0].name} moves {self.do} one way only, the ratio is the "
            "effect on those whom it moves"
        )
        return "\n".join(lines)


def _instrument(g: Admg, name: str, x: Nodes, y: Nodes, allowed: Nodes) -> Instrument | None:
    """Return a node with the separator nearest to the outcome, if that makes it an instrument."""
    z = frozenset({name})
    given = Separators(g, z, y, allowed - z).nearest()
    if given is None or g.separated(z, x, given):
        return None
    return Instrument(name, g.sorted(given))
