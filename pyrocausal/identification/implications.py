"""Testable implications: the independences that a graph claims, held against data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations
from typing import TYPE_CHECKING, Any, overload

from pyrocausal.engine.evidence import columns_of
from pyrocausal.graph.mixed_graph import MixedGraph
from pyrocausal.identification.admg import Admg
from pyrocausal.identification.independence import IndependenceTest, independence, read_column
from pyrocausal.identification.roles import graph_of
from pyrocausal.identification.separators import Separators
from pyrocausal.model import SCM

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CheckedIndependence",
    "CheckedIndependences",
    "Independence",
    "Independences",
    "implied_independences",
]

_SHOWN = 20


def implied_independences(graph_or_scm: MixedGraph | SCM) -> Independences:
    """Return the conditional independences that a graph claims of observed variables.

    One for each pair that any set of observed variables separates, with a minimal such set. A
    graph with latent variables can imply more than independences (Verma's constraints); these are
    not listed.

    Args:
        graph_or_scm: A graph, whose latent nodes are projected out, or an SCM, by its graph.

    Returns:
        The independences; ``check`` tests them on data.

    Example:
        >>> graph = pc.CausalGraph([("A", "X"), ("A", "C"), ("C", "Y"), ("X", "Y")])
        >>> print(implied_independences(graph))
        A _||_ Y | X, C
        X _||_ C | A

    References:
        Pearl (2009), Causality, 2nd edition, section 1.2.3.
        van der Zander, Liskiewicz, Textor (2019), Separators and adjustment sets in causal
        graphs.
    """
    g = Admg.from_graph(graph_of(graph_or_scm, "implied_independences"))
    pairs = (_independence(g, x, y) for x, y in combinations(g.order, 2))
    return Independences(tuple(pair for pair in pairs if pair is not None))


@dataclass(frozen=True)
class Independence:
    """``x _||_ y | given``.

    Attributes:
        x: A variable.
        y: Another.
        given: What makes them independent, causes first.
    """

    x: str
    y: str
    given: tuple[str, ...] = ()

    def __str__(self) -> str:
        bar = f" | {', '.join(self.given)}" if self.given else ""
        return f"{self.x} _||_ {self.y}{bar}"


@dataclass(frozen=True)
class Independences(Sequence[Independence]):
    """The conditional independences that a graph claims.

    Attributes:
        claims: One for each pair of variables that can be separated.

    Example:
        >>> claims = pc.implied_independences(pc.CausalGraph([("X", "Z"), ("Z", "Y")])).claims
        >>> print(claims[0])
        X _||_ Y | Z
    """

    claims: tuple[Independence, ...]

    @overload
    def __getitem__(self, index: int) -> Independence: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Independence, ...]: ...
    def __getitem__(self, index: int | slice) -> Independence | tuple[Independence, ...]:
        return self.claims[index]

    def __len__(self) -> int:
        return len(self.claims)

    def __iter__(self) -> Iterator[Independence]:
        return iter(self.claims)

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or "no independences: no data can contradict the graph so"

    def check(self, data: Any, *, level: float = 0.05) -> CheckedIndependences:
        """Test each independence on data.

        Discrete variables by the G-test, all others by the covariance of residuals; see
        `pyrocausal.identification.independence.independence`. Holm's correction holds the
        probability of any false rejection below ``level``.

        Args:
            data: Independent rows, a table or a mapping from name to values.
            level: The level of all tests together.

        Returns:
            The tests, the least likely first.

        Raises:
            UnknownVariable: A variable has no column.
            TypeError: The data are no table.
            ValueError: Missing values, columns of different lengths, a level outside (0, 1).

        Example:
            >>> import pandas as pd
            >>> rows = pd.DataFrame({"A": [0, 0, 1, 1] * 50, "B": [0, 1, 0, 1] * 50})
            >>> print(implied_independences(pc.CausalGraph(nodes=["A", "B"])).check(rows))
            0 of 1 independences rejected (level 0.05, all tests together, 200 rows)
              A _||_ B  p 1, Holm 1 (G-test)
              what is not rejected may still be wrong: too few rows, or a test that can't see it

        References:
            Holm (1979), A simple sequentially rejective multiple test procedure.
        """
        if not 0 < level < 1:
            raise ValueError(f"check: level={level}; expected a probability such as 0.05.")
        names = dict.fromkeys(name for c in self for name in (c.x, c.y, *c.given))
        given = columns_of(data, "data")
        columns = {name: read_column(given, name) for name in names}
        lengths = {name: len(column.values) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"check: the columns have different lengths: {lengths}.")
        tests = [
            independence(columns[c.x], columns[c.y], [columns[name] for name in c.given])
            for c in self
        ]
        pairs = sorted(zip(self, tests, strict=True), key=lambda pair: pair[1].p)
        adjusted = _holm([test.p for _, test in pairs])
        checked = [CheckedIndependence(*pair, h) for pair, h in zip(pairs, adjusted, strict=True)]
        return CheckedIndependences(tuple(checked), level, next(iter(lengths.values()), 0))


@dataclass(frozen=True)
class CheckedIndependence:
    """An independence and its test.

    Attributes:
        claim: The independence.
        test: The test.
        p_holm: Its p-value after Holm's correction for all tests.
    """

    claim: Independence
    test: IndependenceTest
    p_holm: float

    def __str__(self) -> str:
        return f"{self.claim}  p {self.test.p:.3g}, Holm {self.p_holm:.3g} ({self.test.method})"


@dataclass(frozen=True)
class CheckedIndependences:
    """The independences that a graph claims, each tested on data.

    Attributes:
        tests: The tests, the least likely first.
        level: The probability of any false rejection, at most.
        rows: Number of rows.
    """

    tests: tuple[CheckedIndependence, ...]
    level: float
    rows: int

    @property
    def rejected(self) -> tuple[Independence, ...]:
        """The independences that the data contradict."""
        return tuple(test.claim for test in self.tests if test.p_holm <= self.level)

    def to_frame(self) -> pd.DataFrame:
        """Return a table with a row for each independence."""
        import pandas as pd

        names = ["x", "y", "given", "method", "statistic", "dof", "p", "p_holm", "rejected"]
        rows = [
            (*_fields(t.claim), *_fields(t.test), t.p_holm, t.p_holm <= self.level)
            for t in self.tests
        ]
        return pd.DataFrame(rows, columns=names)

    def __str__(self) -> str:
        if not self.tests:
            return "the graph claims no independences: there is nothing to test"
        lines = [
            f"{len(self.rejected)} of {len(self.tests)} independences rejected (level "
            f"{self.level:g}, all tests together, {self.rows} rows)"
        ]
        lines += [f"  {test}" for test in self.tests[:_SHOWN]]
        if len(self.tests) > _SHOWN:
            lines.append(f"  ... and {len(self.tests) - _SHOWN} likelier ones: see to_frame()")
        if any(test.test.method == "partial covariance" for test in self.tests):
            lines.append("  partial covariance: assumes means linear in continuous conditions")
        lines.append(
            "  what is not rejected may still be wrong: too few rows, or a test that can't see it"
        )
        return "\n".join(lines)


def _fields(record: Independence | IndependenceTest) -> tuple[Any, ...]:
    return tuple(vars(record).values())


def _independence(g: Admg, x: str, y: str) -> Independence | None:
    """Return the independence of a pair given the smaller of two minimal sets, or None."""
    if x in g.parents[y] or y in g.parents[x] or x in g.spouses[y]:
        return None
    sets = Separators(g, frozenset({x}), frozenset({y}), g.nodes - {x, y})
    near_x, near_y = sets.nearest("x"), sets.nearest("y")
    if near_x is None or near_y is None:
        return None
    return Independence(x, y, g.sorted(near_x if len(near_x) < len(near_y) else near_y))


def _holm(p: Sequence[float]) -> list[float]:
    """Return sorted p-values after Holm's correction."""
    raised = (min(1.0, (len(p) - i) * value) for i, value in enumerate(p))
    return list(accumulate(raised, max))
