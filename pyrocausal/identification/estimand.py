"""The estimand: a formula in known distributions that equals a causal query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Unpack

from pyrocausal.identification.counterfactual_text import (
    CounterfactualQuery,
    is_symbol,
    read_label,
)
from pyrocausal.identification.evaluating import evaluate
from pyrocausal.identification.expressions import Expression
from pyrocausal.identification.printing import Printer, printer_of
from pyrocausal.identification.query_text import PathQuery, Query

if TYPE_CHECKING:
    import pandas as pd

    from pyrocausal.answers import Estimate
    from pyrocausal.estimation.options import Options

__all__ = ["Estimand", "Step"]


@dataclass(frozen=True)
class Step:
    """One step of a derivation: the rule that was used, and what it gave.

    Attributes:
        rule: The rule that was used.
        result: What it gave.

    Example:
        >>> graph = pc.CausalGraph([("Z", "X"), ("Z", "Y"), ("X", "Y")])
        >>> isinstance(pc.identify(graph, "Y", do="X").steps[0], Step)
        True
    """

    rule: str
    result: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.result}"


@dataclass(frozen=True)
class Estimand:
    r"""A formula in known distributions that equals a causal query.

    Attributes:
        query: What it equals.
        expression: The formula.
        order: The observed variables of the graph, causes first.
        form: The formula's name, ``"adjustment"``, ``"front door"``, ...; else ``"c-factors"``.
        adjustment: The variables adjusted for, where that is the form.
        verdict: ``"observation"``, or ``"experiments"`` where these are needed.
        steps: The derivation.
        outcome: Names of the values that the answer is indexed by.
        labels: Name of a value to its label, in a counterfactual query.

    Example:
        >>> from pyrocausal import CausalGraph, identify
        >>> estimand = identify(CausalGraph([("Z", "X"), ("Z", "Y"), ("X", "Y")]), "Y", do="X")
        >>> print(estimand)
        P(y | do(x)) = sum_z P(y | x, z) P(z)
        >>> print(estimand.latex)
        P(y \mid \mathrm{do}(x)) = \sum_{z} P(y \mid x, z) P(z)
    """

    query: Query | CounterfactualQuery | PathQuery
    expression: Expression
    order: tuple[str, ...]
    form: str
    adjustment: tuple[str, ...] | None = None
    verdict: str = "observation"
    steps: tuple[Step, ...] = field(default=(), repr=False)
    outcome: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)

    @cached_property
    def free(self) -> tuple[str, ...]:
        """Variables that the formula mentions though the query doesn't; it holds for any value."""
        left = self.expression.free - {*self.outcome, *self.labels}
        if isinstance(self.query, Query):
            left -= {*self.query.do, *self.query.given}
        return tuple(name for name in self.order if name in left)

    @property
    def formula(self) -> str:
        """The right-hand side in plain symbols."""
        return self._printer(latex=False).write(self.expression, self._scope)

    @property
    def latex(self) -> str:
        """The whole equation in LaTeX."""
        return self._equation(self._printer(latex=True))

    def __str__(self) -> str:
        printer = self._printer(latex=False)
        values = ", ".join(printer.spelling[name] for name in self.free)
        return self._equation(printer) + (f", any {values}" if values else "")

    def derivation(self) -> str:
        """Return the derivation, one numbered line a step, each with the name of its rule."""
        steps = [*self.steps, Step("therefore", self.formula)]
        return "\n".join(f"{i}. {step}" for i, step in enumerate(steps, 1))

    def evaluate(
        self,
        source: Any,
        do: Mapping[str, Any] | None = None,
        given: Mapping[str, Any] | None = None,
        *,
        values: Mapping[str, Any] | None = None,
        weights: str | None = None,
    ) -> pd.Series[float]:
        """Return the probabilities of the outcome's values, from a table of discrete variables.

        Args:
            source: Rows of the observed variables, a DataFrame or a mapping from name to values;
                for an estimand in several experiments, a mapping from what each set (a name, a
                tuple of names, ``()`` for observation) to its rows.
            do: Value of each variable that the query sets.
            given: Value of each variable that the query is conditioned on.
            values: Value of each symbol of a counterfactual query, such as ``{"x": 1, "x'": 0}``.
            weights: Column with the weight of each row; without, all count alike. They must sum
                to 1, as the probabilities of states do.

        Returns:
            Probabilities, indexed by the values of the outcome. Where the formula holds for any
            value of some variable, they are averaged over this variable's distribution, and the
            spread, greatest minus least, is in the series' name and in ``attrs["spread"]``: far
            from 0 it says that the graph is wrong. ``attrs["spread p"]`` is how often sampling
            alone spreads them as far, by bootstrap of rows that all count alike; it takes several
            rows in each cell.

        Raises:
            ValueError: A cell that the formula conditions on is empty (positivity); values are
                missing, unknown or left out; weights that don't sum to 1; a continuous column.
            UnknownVariable: A column that the formula needs is not there.

        Example:
            >>> import pandas as pd
            >>> from pyrocausal import CausalGraph, identify
            >>> rows = pd.DataFrame({"X": [0, 0, 1, 1], "Y": [0, 1, 1, 1]})
            >>> print(identify(CausalGraph([("X", "Y")]), "Y", do="X").evaluate(rows, {"X": 0}))
            Y
            0    0.5
            1    0.5
            Name: P(Y | do(X=0)), dtype: float64
        """
        if isinstance(self.query, Query):
            _check_given("do", self.query.do, do)
            _check_given("given", self.query.given, given)
            _check_given("values", (), values)
            fixed = {**(do or {}), **(given or {})}
            title = self.query.describe(fixed)
        else:
            symbols = {label for name, label in self.labels.items() if is_symbol(name, label)}
            _check_given("do", (), do)
            _check_given("given", (), given)
            _check_given("values", sorted(symbols), values)
            chosen = values or {}
            fixed = {n: chosen.get(label, read_label(label)) for n, label in self.labels.items()}
            title = str(self.query)
        return evaluate(self.expression, self.outcome, fixed, source, weights, title)

    def estimate(
        self, data: Any, values: tuple[Any, Any] = (1.0, 0.0), **options: Unpack[Options]
    ) -> Estimate:
        r"""Return the effect of one value of a treatment against another, with its interval.

        ``E[Y | do(X=a)] - E[Y | do(X=b)]``, from rows of variables of any kind, and beside it the
        difference without adjustment. A treatment of up to ten whole numbers, or of words, has
        levels: the two named ones are compared, each with a regression and a propensity of its
        own, this one against all other levels. Any other treatment is a dose, which
        ``"regression"`` and ``"plug-in"`` take.

        ================  ============================================  =======================
        ``method``        what must be right                            interval
        ================  ============================================  =======================
        ``"aipw"``        the outcome model or the treatment model      influence function
        ``"regression"``  the outcome model                             influence function
        ``"weighting"``   the treatment model                           influence function
        ``"plug-in"``     a model of each factor of the formula; for    bootstrap
                          front door and others too
        ================  ============================================  =======================

        Rows that lack a value that is needed are left out, and counted on the card.

        Args:
            data: A DataFrame, or a mapping from name to values.
            values: The value of the treatment, and the one it is compared with.
            options: See `pyrocausal.estimation.Options`: ``method``, ``population``, ``level``,
                ``splits``, ``folds``, ``trim``, ``outcome_model``, ``treatment_model``,
                ``squares``, ``factors``, ``models``, ``replicates`` and ``seed``.

        Returns:
            The effect; its ``details`` hold the naive difference, what adjusting changes, and
            the interval of this change. An effect that the graph says is nil is 0.

        Raises:
            ValueError: An estimand that the method can't take; a value that no row has; an option
                that makes no sense.
            TypeError: An outcome of words, or a model without ``fit`` or ``predict``.
            UnknownVariable: A column that the formula needs is not there.

        Example:
            >>> from pyrocausal import CausalGraph, datasets, identify
            >>> z = ["sex", "race", "age", "education", "smokeintensity", "smokeyrs", "exercise"]
            >>> z += ["active", "wt71"]
            >>> graph = CausalGraph(
            ...     [("qsmk", "wt82_71"), *((c, to) for c in z for to in ("qsmk", "wt82_71"))]
            ... )
            >>> codes = ["sex", "race", "education", "exercise", "active"]
            >>> effect = identify(graph, "wt82_71", do="qsmk").estimate(
            ...     datasets.nhefs(), factors=codes, seed=0
            ... )
            >>> 3.2 < effect.value < 3.7, 0.45 < effect.se < 0.60
            (True, True)

        References:
            Robins, Rotnitzky, Zhao (1994), Estimation of regression coefficients when some
            regressors are not always observed.
            Chernozhukov et al. (2018), Double/debiased machine learning for treatment and
            structural parameters.
        """
        from pyrocausal.estimation import estimate

        return estimate(self, data, values, **options)

    @property
    def _scope(self) -> tuple[str, ...]:
        """The names that have a value outside the formula."""
        acted = self.query.do + self.query.given if isinstance(self.query, Query) else ()
        return (*self.outcome, *self.labels, *acted, *self.free)

    def _printer(self, latex: bool) -> Printer:
        actions = self.query.do if isinstance(self.query, Query) else self.query.actions()
        return printer_of(self.order, actions, self.labels, latex=latex)

    def _equation(self, printer: Printer) -> str:
        if isinstance(self.query, Query):
            query = printer.probability(self.query.outcome, self.query.given, self.query.do)
        else:
            query = self.query.latex if printer.latex else str(self.query)
        return f"{query} = {printer.write(self.expression, self._scope)}"


def _check_given(role: str, names: Sequence[str], got: Mapping[str, Any] | None) -> None:
    """Refuse values that are missing, or given to what the query doesn't fix."""
    if set(names) != set(got or {}):
        raise ValueError(
            f"evaluate: got {role}={dict(got or {})}; expected a value for each of "
            f"{list(names)} and no other."
        )
