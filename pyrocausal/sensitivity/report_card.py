"""What `report` returns: an effect beside the confounders that would overturn it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isinf
from typing import TYPE_CHECKING, Literal

from pyrocausal.answers import Answer
from pyrocausal.cards import as_html, as_text
from pyrocausal.sensitivity.evalues import EValue
from pyrocausal.sensitivity.marginal_model import MarginalBounds
from pyrocausal.sensitivity.no_assumptions import ManskiBounds
from pyrocausal.sensitivity.omitted_variables import AdjustedEstimate, RobustnessValue

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["Benchmark", "Regression", "SensitivityReport"]

_SHOWN = 3  # benchmark covariates on the card


@dataclass(frozen=True)
class Regression:
    """The linear regression of the outcome on the treatment and the covariates.

    Attributes:
        estimate: Coefficient of the treatment.
        se: Its classical standard error.
        df: Residual degrees of freedom.

    Example:
        >>> print(Regression(3.0, 0.5, 100))
        3 (se 0.5, t 6, df 100)
    """

    estimate: float
    se: float
    df: int

    @property
    def t(self) -> float:
        """The t statistic."""
        return self.estimate / self.se

    def __str__(self) -> str:
        return f"{self.estimate:.4g} (se {self.se:.2g}, t {self.t:.3g}, df {self.df})"


@dataclass(frozen=True)
class Benchmark:
    """What a confounder would do that is so many times as strong as a covariate.

    Attributes:
        covariate: Its name.
        times: How many times as strong.
        adjusted: The regression with such a confounder; None where it would explain all of the
            treatment.

    Example:
        >>> Benchmark("age", 1.0, None).overturns
        True
    """

    covariate: str
    times: float
    adjusted: AdjustedEstimate | None

    @property
    def overturns(self) -> bool:
        """Whether the adjusted interval holds zero, or the estimate changed its sign."""
        if self.adjusted is None:
            return True
        found = self.adjusted
        return found.lower <= 0 <= found.upper or found.estimate * found.away < 0


@dataclass(frozen=True, repr=False, eq=False)
class SensitivityReport:
    """How strong an unmeasured confounder must be to overturn an effect, by four yardsticks.

    Attributes:
        effect: The effect that was asked about.
        treatment: Name of the treatment.
        outcome: Name of the outcome.
        regression: The linear regression that ``robustness`` and ``benchmarks`` are about.
        robustness: Its robustness value.
        benchmarks: Confounders as strong as covariates, the most harmful covariate first.
        evalue: E-value of the effect; None where it makes no risk ratio.
        marginal: Bounds for some factors on the odds of treatment; none unless it is 0 or 1.
        tipping: Least such factor at which a zero effect is within the bounds.
        manski: Bounds without assumptions, where the range of the outcome is known.
        warnings: What may be wrong.

    Example:
        >>> from pyrocausal.answers import Estimate
        >>> data = {"t": [0, 1, 0, 1, 0, 1], "y": [0.0, 2.0, 1.0, 3.0, 0.5, 2.0]}
        >>> effect = Estimate(1.8, None, None, "ATE", rung=2)
        >>> found = pc.sensitivity.report(
        ...     effect, data, treatment="t", outcome="y", covariates=[], factors=[2.0]
        ... )
        >>> print(found)
        sensitivity to an unmeasured confounder of ATE = 1.8
        ...
    """

    effect: Answer
    treatment: str
    outcome: str
    regression: Regression
    robustness: RobustnessValue
    benchmarks: tuple[Benchmark, ...]
    evalue: EValue | None
    marginal: tuple[MarginalBounds, ...]
    tipping: float | None
    manski: ManskiBounds | None
    warnings: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """What the benchmarks say, in a sentence."""
        overturning = [found for found in self.benchmarks if found.overturns]
        if not self.benchmarks:
            return "no benchmark covariates: nothing says how strong a confounder can be"
        if self.robustness.limit == 0:
            return "the regression's interval holds zero as it is, without any confounder"
        if not overturning:
            most = max(found.times for found in self.benchmarks)
            return (
                f"a confounder {most:g} times as strong as any of the covariates that were "
                "compared would leave an effect of this sign"
            )
        least = min(overturning, key=lambda found: found.times)
        return (
            f"a confounder {least.times:g} times as strong as {least.covariate} could explain "
            "the effect away"
        )

    def to_frame(self) -> pd.DataFrame:
        """Return the benchmarks as a table, a row for each covariate and multiple.

        A confounder that would explain all of the treatment has no row.
        """
        import pandas as pd

        rows = {
            (found.covariate, found.times): {
                "R2 treatment": found.adjusted.r2_treatment,
                "R2 outcome": found.adjusted.r2_outcome,
                "estimate": found.adjusted.estimate,
                "lower": found.adjusted.lower,
                "upper": found.adjusted.upper,
            }
            for found in self.benchmarks
            if found.adjusted is not None
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["covariate", "times"])

    def plot(
        self, of: Literal["estimate", "t", "odds"] = "estimate", ax: Axes | None = None
    ) -> Axes:
        """Draw the effect against the strength of a confounder.

        Args:
            of: ``"estimate"`` or ``"t"``: contours of the adjusted coefficient, or of its t
                statistic, over the confounder's two partial R2s, with the benchmarks; ``"odds"``:
                the range of the effect over the factor on the odds of treatment.
            ax: Axes to draw into; without, those of a new figure.

        Raises:
            ModuleNotFoundError: matplotlib is not installed.
            ValueError: Another ``of``, or ``"odds"`` of a treatment that isn't 0 or 1.
        """
        from pyrocausal.plot.confounding import sensitivity_contours, sensitivity_odds

        if of == "odds":
            return sensitivity_odds(self, ax)
        return sensitivity_contours(self, of, ax)

    def card(self) -> list[tuple[str, str]]:
        """Return the lines of the card, each a label and its text."""
        return list(self._lines())

    def _lines(self) -> Iterator[tuple[str, str]]:
        effect = f"{self.effect.query} = {float(self.effect.value):.4g}"
        yield "", f"sensitivity to an unmeasured confounder of {effect}"
        yield "verdict", self.verdict
        yield "linear regression", str(self.regression)
        yield from self._robustness()
        if self.evalue is not None:
            limit = self.evalue.limit
            near = "" if limit is None else f", of the interval's limit {limit:.3g}"
            yield "E-value", f"{self.evalue.point:.3g}{near}"
        yield from self._odds()
        if self.manski is not None:
            yield "no assumption", f"effect in [{self.manski.lower:.4g}, {self.manski.upper:.4g}]"
        yield from (("warning", text) for text in self.warnings)

    def _robustness(self) -> Iterator[tuple[str, str]]:
        found = self.robustness
        yield (
            "robustness value",
            f"{100 * found.point:.3g} % of what is left of both treatment and outcome takes it "
            f"to zero, {100 * found.limit:.3g} % to insignificance",
        )
        shown = dict.fromkeys(found.covariate for found in self.benchmarks)
        for name in list(shown)[:_SHOWN]:
            lines = [_adjusted(found) for found in self.benchmarks if found.covariate == name]
            yield f"as strong as {name}", "; ".join(lines)

    def _odds(self) -> Iterator[tuple[str, str]]:
        if self.tipping is None:
            return
        ranges = [
            f"Lambda {found.factor:g}: {_range(found)}"
            for found in self.marginal
            if found.factor > 1
        ]
        beyond = "beyond any that was tried" if isinf(self.tipping) else f"{self.tipping:.3g}"
        yield "odds of treatment", "; ".join([*ranges, f"zero is inside from Lambda {beyond}"])

    def __repr__(self) -> str:
        return as_text(self.card())

    def _repr_html_(self) -> str:
        return as_html(self.card())


def _range(found: MarginalBounds) -> str:
    bounds = f"[{found.lower:.4g}, {found.upper:.4g}]"
    if found.interval is None:
        return bounds
    lower, upper = found.interval
    return f"{bounds} ({100 * found.level:g} % interval [{lower:.4g}, {upper:.4g}])"


def _adjusted(found: Benchmark) -> str:
    if found.adjusted is None:
        return f"{found.times:g} x: would explain all of the treatment"
    new = found.adjusted
    return f"{found.times:g} x: {new.estimate:.4g} [{new.lower:.4g}, {new.upper:.4g}]"
