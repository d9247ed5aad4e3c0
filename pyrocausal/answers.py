"""What a question returns: a number with its error, and what it rests on, as a card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Real
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from pyrocausal.cards import as_html, as_text
from pyrocausal.naming import grouped
from pyrocausal.results import RUNGS

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

__all__ = ["Answer", "Effect", "Estimate", "Interval", "check_level", "normal_interval"]

MOST_ROWS: Final = 10
ROUNDING: Final = 1e-8  # in parts of the value, what an error of arithmetic alone comes to

Number = float | Tensor


@dataclass(frozen=True, eq=False)
class Interval:
    """A lower and an upper limit, and whose errors they join.

    Attributes:
        lower: Lower limit, a number or one for each entry of the answer.
        upper: Upper limit.
        level: Probability that the limits are made for.
        sources: Source of error to its standard deviation, as far as they are known apart.
        note: Under what they hold.
        outer: Of bounds that were estimated, limits that hold the truth with probability 95 %
            or what level was asked for.

    Example:
        >>> lower, upper = Interval(1.0, 2.0)
        >>> print(Interval(1.0, 2.0))
        [1, 2]
    """

    lower: Number
    upper: Number
    level: float = 0.95
    sources: Mapping[str, Number] = field(default_factory=dict)
    note: str = ""
    outer: tuple[float, float] | None = None

    def __iter__(self) -> Iterator[Number]:
        return iter((self.lower, self.upper))

    def __contains__(self, value: float) -> bool:
        inside = (torch.as_tensor(self.lower) <= value) & (value <= torch.as_tensor(self.upper))
        return bool(inside.all())

    def __str__(self) -> str:
        if isinstance(self.lower, Tensor) and self.lower.ndim:
            return f"one for each of {len(self.lower)}"
        return f"[{float(self.lower):.4g}, {float(self.upper):.4g}]"


def check_level(level: Any) -> None:
    """Check that the level of an interval is a probability.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(level, Real) or not 0 < float(level) < 1:
        raise ValueError(f"level got {level!r}; expected a probability such as 0.95.")


def normal_interval(value: Number, sources: Mapping[str, Number], level: float = 0.95) -> Interval:
    r"""Join independent errors: ``value ± z sqrt(sum of squares)``.

    Args:
        value: The estimate.
        sources: Source of error to its standard deviation.
        level: Probability that the limits hold the truth, between 0 and 1.

    Raises:
        ValueError: A level that is no probability.

    Example:
        >>> print(normal_interval(0.0, {"Monte Carlo": 3.0, "parameters": 4.0}))
        [-9.8, 9.8]
    """
    check_level(level)
    squares = [torch.as_tensor(sd, dtype=torch.float64).square() for sd in sources.values()]
    reach: Number = NormalDist().inv_cdf((1 + level) / 2) * torch.stack(squares).sum(0).sqrt()
    if not isinstance(value, Tensor):
        reach = float(reach)
    return Interval(value - reach, value + reach, level, dict(sources))


@dataclass(frozen=True, repr=False, eq=False)
class Answer:
    """A number, or one for each unit, subgroup or dose, with what it rests on.

    Attributes:
        value: The number; a tensor, one for each entry of ``index``, where there are several.
        se: Standard error; see the kind of answer for whose.
        interval: Where the truth lies; None where that can't be told.
        query: The question in symbols.
        rung: 1 seeing, 2 doing, 3 imagining.
        routes: Variable to the way its noise was had.
        assumptions: What the answer rests on and the data can't check.
        warnings: What may be wrong with it.
        index: What the numbers belong to, a pandas index; None for a single number.
        bounds: What remains possible without the assumptions that the value needs.
        details: Further figures, name to text or number, shown on the card.

    Example:
        >>> effect = pc.ate(pc.zoo.homework(), "H", "Y", seed=0)
        >>> isinstance(effect, Answer), effect.rung
        (True, 2)
        >>> print(effect.query)
        E[Y | do(H=1)] - E[Y | do(H=0)]
    """

    value: Any  # a float, or a tensor where there is an index
    se: Any
    interval: Interval | None
    query: str
    rung: int
    routes: Mapping[str, str] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    index: Any = None
    bounds: Interval | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    error_of = "standard error"

    def __float__(self) -> float:
        return float(self.value)

    def to_frame(self) -> pd.DataFrame:
        """Return a table: a row for each number, with its error and limits.

        Example:
            >>> Effect(2.0, 0.5, Interval(1.0, 3.0), "E[Y]", rung=2).to_frame()
                   value   se  lower  upper
            query
            E[Y]     2.0  0.5    1.0    3.0
        """
        import pandas as pd

        columns: dict[str, Number | None] = {"value": self.value, "se": self.se}
        for interval, suffix in ((self.interval, ""), (self.bounds, " bound")):
            if interval is not None:
                columns |= {f"lower{suffix}": interval.lower, f"upper{suffix}": interval.upper}
        index = pd.Index([self.query], name="query") if self.index is None else self.index
        return pd.DataFrame({n: _column(v, len(index)) for n, v in columns.items()}, index=index)

    def to_datatree(self) -> xr.DataTree:
        """Return the numbers as labelled arrays over their index, with what they rest on.

        Raises:
            ModuleNotFoundError: xarray is not installed, the extra ``arviz``.

        Example:
            >>> tree = Effect(2.0, 0.5, Interval(1.0, 3.0), "E[Y]", rung=2).to_datatree()
            >>> tree["upper"].item(), tree.attrs["rung"]
            (3.0, 2)
        """
        from pyrocausal.trees import answer_tree

        return answer_tree(self)

    def plot(self, ax: Axes | None = None, *, unit: str = "") -> Axes:
        """Draw the answer: a curve over doses or numbers, else a forest of points.

        Args:
            ax: Where to draw; a new figure by default.
            unit: Of the numbers, such as ``"kg"``.

        Raises:
            ModuleNotFoundError: matplotlib is not installed, the extra ``plot``.
        """
        from pyrocausal.plot import dose_response, forest

        if self.index is not None and self.index.dtype.kind == "f" and self.index.name != "unit":
            return dose_response(self, ax, unit=unit)
        return forest(self, ax=ax, unit=unit)

    def card(self) -> list[tuple[str, str]]:
        """Return the lines of the card, each a label and its text."""
        value = "" if self.index is not None else f" = {float(self.value):.4g}"
        lines = [("", f"{self.query}{value}")]
        if self.index is None and self.se is not None:
            lines.append((self.error_of, f"{self._error(self.se):.2g}"))
        lines += self._limits()
        lines.append(("rung", RUNGS[self.rung]))
        if self.routes:
            lines.append(("routes", grouped(self.routes)))
        lines += [(name, _text(figure)) for name, figure in self.details.items()]
        lines += [("assumes", text) for text in self.assumptions]
        return [*lines, *(("warning", text) for text in self.warnings)]

    def _limits(self) -> list[tuple[str, str]]:
        lines = []
        if self.interval is not None:
            level = f"{100 * self.interval.level:g} % interval"
            named, joined = self.interval.sources, ""
            if named and self.index is None:
                sources = [f"{name} {_text(self._error(sd))}" for name, sd in named.items()]
                joined = f" (sd: {', '.join(sources)})"
            elif named:
                joined = f" (joins {', '.join(named)})"
            lines.append((level, f"{self.interval}{joined}"))
        if self.bounds is not None:
            note = f" ({self.bounds.note})" if self.bounds.note else ""
            lines.append(("bounds", f"{self.bounds}{note}"))
            if self.bounds.outer is not None:
                ends = "[{:.4g}, {:.4g}]".format(*self.bounds.outer)
                lines.append(("interval of the bounds", f"{ends} (parameters; Imbens-Manski)"))
        return lines

    def _error(self, error: Number) -> float:
        """Return an error as it is printed: 0 where it is the rounding of single precision."""
        error = float(error)
        return 0.0 if error < ROUNDING * abs(float(self.value)) else error

    def __repr__(self) -> str:
        return "\n".join([as_text(self.card()), *self._rows()])

    def _rows(self) -> list[str]:
        if self.index is None:
            return []
        frame = self.to_frame()
        shown = frame.head(MOST_ROWS).to_string(float_format="{:.4g}".format)
        more = [f"... {len(frame)} in all"] if len(frame) > MOST_ROWS else []
        return [*shown.splitlines(), *more]

    def _repr_html_(self) -> str:
        table = self.to_frame().to_html(max_rows=MOST_ROWS) if self.index is not None else ""
        return as_html(self.card()) + table


class Effect(Answer):
    """What a model says of a question; ``se`` is Monte Carlo error alone.

    ``interval`` joins Monte Carlo error and, of an SCM that was fitted with ``uncertainty=``, that
    of its parameters; its ``sources`` name both.

    Example:
        >>> print(Effect(2.0, 0.01, None, "E[Y | do(X=1)]", rung=2))
        E[Y | do(X=1)] = 2
        Monte Carlo error: 0.01
        rung: 2 (doing)
    """

    error_of = "Monte Carlo error"


class Estimate(Answer):
    """What data say of a question under a graph; ``se`` is sampling error.

    Example:
        >>> print(Estimate(2.0, 0.5, normal_interval(2.0, {"sampling": 0.5}), "ATE", rung=2))
        ATE = 2
        sampling error: 0.5
        95 % interval: [1.02, 2.98] (sd: sampling 0.5)
        rung: 2 (doing)
    """

    error_of = "sampling error"


def _column(value: Number | None, rows: int) -> Any:
    if isinstance(value, Tensor):
        return value.detach().cpu().expand(rows).numpy()
    return [value] * rows


def _text(figure: Any) -> str:
    if isinstance(figure, Tensor):
        figure = figure.item() if figure.numel() == 1 else figure.tolist()
    return f"{figure:.4g}" if isinstance(figure, float) else str(figure)
