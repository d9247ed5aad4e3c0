"""Refuters: what an estimator should say when the truth is known, and whether it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np
import torch

from pyrocausal.answers import Answer
from pyrocausal.cards import as_html, as_text
from pyrocausal.engine.evidence import columns_of
from pyrocausal.errors import UnknownVariable
from pyrocausal.estimation.options import Options
from pyrocausal.graph import CausalGraph
from pyrocausal.graph.mixed_graph import MixedGraph, fresh_name
from pyrocausal.identification import identify
from pyrocausal.model import SCM
from pyrocausal.noise.student import StudentTEquation

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Estimator", "Refutation", "RefutationReport", "Refuter", "refute"]

Estimator = Callable[["pd.DataFrame"], Answer | float]
"""From rows to an estimate of the effect."""

Refuter = Literal["placebo treatment", "random common cause", "data subset"]

_CAUSE: Final = "random common cause"
_MATERIAL: Final = 0.1
"""Shifts of less than this share of the estimate's own error are let pass: no estimator is free of
a bias that vanishes as 1/n, which enough repeats would detect."""


@dataclass(frozen=True, eq=False)
class Refutation:
    """One refuter's verdict.

    Attributes:
        refuter: Its name.
        expected: What the estimates should be on average.
        estimates: The estimates under it, one a repeat, shape ``(repeats,)``.
        spread: Their standard deviation under a placebo: the scale of what matters.
        level: Probability that a right estimator is rejected.

    Example:
        >>> found = Refutation("data subset", 2.0, np.array([2.1, 1.9, 2.0, 2.05]), 0.3, 0.05)
        >>> print(found.rejected, f"{found.p_value:.2f}")
        False 0.79
    """

    refuter: str
    expected: float
    estimates: np.typing.NDArray[np.float64]
    spread: float
    level: float

    @property
    def mean(self) -> float:
        """Mean of the estimates."""
        return float(self.estimates.mean())

    @property
    def unmoved(self) -> bool:
        """Whether no repeat changed the estimate at all."""
        return bool((self.estimates == self.expected).all())

    @property
    def p_value(self) -> float:
        """Probability of a mean so far from what is expected, if that is right (t test)."""
        shift, sd = self.mean - self.expected, float(self.estimates.std(ddof=1))
        if sd == 0:
            return 1.0 if shift == 0 else 0.0
        repeats = len(self.estimates)
        return _two_sided(abs(shift) / sd * sqrt(repeats), repeats - 1)

    @property
    def rejected(self) -> bool:
        """Whether the mean is off, by chance hardly and by more than a tenth of the error."""
        material = abs(self.mean - self.expected) > _MATERIAL * self.spread
        return material and self.p_value < self.level

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        if self.unmoved and self.refuter == _CAUSE:
            return (
                "no test: the estimator doesn't look at the new column (adjust for all columns, "
                "or give a graph)"
            )
        numbers = (
            f"{self.mean:.3g} on average, {self.expected:.3g} expected, p = {self.p_value:.2g}"
        )
        return f"{'REJECTED' if self.rejected else 'passed'}: {_SAYS[self.refuter]} ({numbers})"


_SAYS: Final = {
    "placebo treatment": "the effect of a shuffled treatment",
    _CAUSE: "the effect when adjusted for noise too",
    "data subset": "the effect in random parts of the data",
}


@dataclass(frozen=True, repr=False, eq=False)
class RefutationReport:
    """What the refuters say of one estimator.

    Attributes:
        estimate: The estimate on all rows.
        beyond: Share of the placebo estimates that are as far from zero as the estimate; None
            without placebos.
        refutations: A verdict for each refuter.

    Example:
        >>> rows = {"t": [0.0, 1.0] * 20, "y": [0.0, 2.0, 1.0, 3.0] * 10}
        >>> def difference(data):
        ...     means = data.groupby("t")["y"].mean()
        ...     return means[1] - means[0]
        >>> found = refute(difference, rows, "t", "y", seed=0)
        >>> print(found.rejected)
        False
    """

    estimate: float
    beyond: float | None
    refutations: tuple[Refutation, ...]

    @property
    def rejected(self) -> bool:
        """Whether any refuter rejects the estimator."""
        return any(found.rejected for found in self.refutations)

    def to_frame(self) -> pd.DataFrame:
        """Return a table, a row for each refuter."""
        import pandas as pd

        rows = [
            {
                "refuter": found.refuter,
                "expected": found.expected,
                "mean": found.mean,
                "p": found.p_value,
                "rejected": found.rejected,
            }
            for found in self.refutations
        ]
        return pd.DataFrame(rows).set_index("refuter")

    def card(self) -> list[tuple[str, str]]:
        """Return the lines of the card, each a label and its text."""
        lines = [("", f"estimate {self.estimate:.4g}, refuted by what it says of changed data")]
        lines += [(found.refuter, found.verdict) for found in self.refutations]
        if self.beyond is not None:
            share = (
                f"{100 * self.beyond:.3g} % of the placebos are as far from zero as the estimate"
            )
            lines.append(("effect", share))
        checks = "these can show an estimator wrong, never right: no hidden confounding is seen"
        return [*lines, ("note", checks)]

    def __repr__(self) -> str:
        return as_text(self.card())

    def _repr_html_(self) -> str:
        return as_html(self.card())


def refute(
    estimator: Estimator | SCM | MixedGraph,
    data: Any,
    treatment: str,
    outcome: str,
    *,
    refuters: Sequence[Refuter] = get_args(Refuter),
    repeats: int = 100,
    share: float = 0.8,
    level: float = 0.05,
    seed: int | None = None,
    options: Options | None = None,
) -> RefutationReport:
    r"""Try an estimator on data for which it is known what it should say.

    =======================  =====================================  ============================
    refuter                  what is changed                        what should come out
    =======================  =====================================  ============================
    ``placebo treatment``    the treatment is shuffled              0 on average
    ``random common cause``  a column of noise is adjusted for too  the estimate, on average
    ``data subset``          a random part of the rows is taken     the estimate, on average
    =======================  =====================================  ============================

    Each is a t test over the repeats, which rejects a right estimator with probability ``level``
    at most. Shifts below a tenth of the placebo estimates' standard deviation are let pass: the
    small-sample bias of a consistent estimator is of that kind.

    Args:
        estimator: A function from rows (a DataFrame) to an answer or a number. To see the random
            common cause it must adjust for every column it is given. Of a graph, or of an SCM by
            its graph, the estimand is identified and estimated anew each time (by regression,
            unless ``options`` say otherwise); an SCM's mechanisms are not refitted: for that
            give a function that fits an SCM to the rows and asks it.
        data: Rows of the variables, a DataFrame or a mapping from name to values.
        treatment: Name of the treatment.
        outcome: Name of the outcome.
        refuters: Which to try.
        repeats: Changed data sets for each.
        share: Share of the rows in a subset.
        level: Probability that a right estimator is rejected, for each refuter.
        seed: Gives the same changes again.
        options: Of a graph's estimate, such as ``{"method": "aipw"}``, see
            `pyrocausal.estimation.Options`.

    Returns:
        A report that prints as a card.

    Raises:
        UnknownVariable: A name is no column, or no variable of the graph.
        TypeError: The estimator is neither function nor graph; options for a function.
        ValueError: Too few repeats, a share or level out of its range, an unknown refuter, an
            estimate that isn't finite, or is several numbers.

    Example:
        >>> graph = pc.CausalGraph([("x", "t"), ("x", "y"), ("t", "y")])
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=300)
        >>> t = (x + rng.normal(size=300) > 0) * 1.0
        >>> rows = {"x": x, "t": t, "y": t + x + rng.normal(size=300)}
        >>> print(refute(graph, rows, "t", "y", repeats=20, seed=0).rejected)
        False

    References:
        Sharma and Kiciman (2020), "DoWhy: an end-to-end library for causal inference", whose
        refuters these are, with a null distribution for each.
    """
    _check_options(refuters, repeats, share, level)
    rows = _table(data, treatment, outcome)
    ask = _asking(estimator, treatment, outcome, options)
    estimate = ask(rows, None)
    rng = np.random.default_rng(seed)
    # The placebos' spread is the scale of all verdicts, so they always run.
    placebos = _repeat(lambda: ask(_shuffled(rows, treatment, rng), None), repeats)
    spread = float(placebos.std(ddof=1))

    def noisy() -> float:
        name = fresh_name(_CAUSE, rows.columns)
        return ask(rows.assign(**{name: rng.normal(size=len(rows))}), name)

    def part() -> float:
        chosen = rng.permutation(len(rows))[: max(1, round(share * len(rows)))]
        return ask(rows.iloc[np.sort(chosen)], None)

    found = []
    for refuter in refuters:
        if refuter == "placebo treatment":
            found.append(Refutation(refuter, 0.0, placebos, spread, level))
        else:
            estimates = _repeat(noisy if refuter == _CAUSE else part, repeats)
            found.append(Refutation(refuter, estimate, estimates, spread, level))
    beyond = float((np.abs(placebos) >= abs(estimate)).mean())
    return RefutationReport(
        estimate, beyond if "placebo treatment" in refuters else None, tuple(found)
    )


def _asking(
    estimator: Estimator | SCM | MixedGraph, treatment: str, outcome: str, options: Options | None
) -> Callable[[pd.DataFrame, str | None], float]:
    """Return the function from rows, and the name of a further cause, to an estimate."""
    graph = estimator.graph if isinstance(estimator, SCM) else estimator
    if isinstance(graph, MixedGraph):
        method: Options = {"method": "regression", **(options or {})}
        plain = identify(graph, outcome, do=treatment)

        def from_graph(rows: pd.DataFrame, cause: str | None) -> float:
            estimand = plain
            if cause is not None:
                estimand = identify(
                    _caused(graph, cause, treatment, outcome), outcome, do=treatment
                )
            return _number(estimand.estimate(rows, **method))

        return from_graph
    if not callable(graph):
        raise TypeError(
            f"refute got a {type(estimator).__name__}; expected a function from rows to an "
            "estimate, a graph, or an SCM."
        )
    if options:
        raise TypeError(
            f"refute got options={options!r}, which are for the estimates of a graph; a function "
            "has its own."
        )
    return lambda rows, cause: _number(graph(rows))


def _caused(graph: MixedGraph, cause: str, treatment: str, outcome: str) -> CausalGraph:
    """Return the graph with one more observed cause of treatment and outcome."""
    edges = [*graph.edges, (cause, treatment), (cause, outcome)]
    return CausalGraph(edges, graph.latent, graph.bidirected, nodes=list(graph))


def _shuffled(rows: pd.DataFrame, treatment: str, rng: np.random.Generator) -> pd.DataFrame:
    return rows.assign(**{treatment: rng.permutation(rows[treatment].to_numpy())})


def _repeat(ask: Callable[[], float], repeats: int) -> np.typing.NDArray[np.float64]:
    return np.array([ask() for _ in range(repeats)])


def _number(answer: Answer | float) -> float:
    if isinstance(answer, Answer) and answer.index is not None:
        raise ValueError(f"refute: {answer.query} is several numbers; expected one.")
    value = float(answer)
    if not isfinite(value):
        raise ValueError(f"refute: the estimator gave {value!r}; expected a finite number.")
    return value


def _two_sided(t: float, df: int) -> float:
    """Return P(|T| > t) of Student's distribution."""
    df_, zero, one = (torch.tensor(x, dtype=torch.float64) for x in (float(df), 0.0, 1.0))
    student = torch.distributions.StudentT(df_, zero, one, validate_args=False)
    logit = StudentTEquation(student, df_, zero, one).posterior(torch.tensor(t).double())
    return float(2 * torch.sigmoid(-logit))


def _table(data: Any, treatment: str, outcome: str) -> pd.DataFrame:
    import pandas as pd

    rows = pd.DataFrame({n: np.asarray(v) for n, v in columns_of(data, "data").items()})
    for name in (treatment, outcome):
        if name not in rows:
            raise UnknownVariable(name, rows.columns, "refute", kind="column")
    return rows


def _check_options(refuters: Sequence[str], repeats: int, share: float, level: float) -> None:
    known = get_args(Refuter)
    if isinstance(refuters, str) or not refuters or not set(refuters) <= set(known):
        raise ValueError(f"refute got refuters={refuters!r}; expected some of {list(known)}.")
    if repeats < 10:
        raise ValueError(f"refute got repeats={repeats!r}; expected 10 or more, for a null.")
    if not (0 < share < 1 and 0 < level < 1):
        raise ValueError(
            f"refute got share={share!r}, level={level!r}; expected both between 0 and 1."
        )
