"""The report of a check: one table, a line for each finding, and what its ranks look like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Final

from pyrocausal.checking.findings import Finding
from pyrocausal.checking.goodness import Array

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["CheckReport"]

_PANELS: Final = 12
_HEADER: Final = ("check", "variable", "figure", "verdict")


@dataclass(frozen=True, repr=False, eq=False)
class CheckReport:
    """What the checks of an SCM found; its card says of each failure what to do next.

    Attributes:
        name: The SCM's name.
        findings: A line for each check and variable.
        level: Probability that a check rejects what is right.
        warnings: What else came up, in words.
        ranks: What was ranked to its ranks, ``(components, units)``, uniform if all is right:
            true values among their draws, and noise of the data among simulated noise.

    Example:
        >>> found = Finding("composition", "all", "largest deviation 0", "holds", failed=False)
        >>> print(CheckReport("clinic", (found,), 0.01))
        clinic: 1 line checked, nothing wrong
        check        variable  figure               verdict
        composition  all       largest deviation 0  holds
    """

    name: str
    findings: tuple[Finding, ...]
    level: float
    warnings: tuple[str, ...] = ()
    ranks: Mapping[str, Array] = field(default_factory=dict)

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The findings that say that something is wrong."""
        return tuple(found for found in self.findings if found.failed)

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong, as far as it was checked."""
        return not self.failures

    def to_frame(self) -> pd.DataFrame:
        """Return a table, a row for each finding."""
        import pandas as pd

        columns = ("check", "variable", "figure", "value", "p", "failed", "verdict")
        rows = [[getattr(found, column) for column in columns] for found in self.findings]
        return pd.DataFrame(rows, columns=list(columns))

    def plot(self) -> Figure:
        """Draw histograms of the ranks, which are flat where all is right.

        The band holds the height of each bar with probability 95 %; of noise, which is ranked
        among simulated values that vary as well, 83 %.

        Returns:
            The figure, a panel for each variable that was ranked, the first twelve.

        Raises:
            ModuleNotFoundError: matplotlib is not installed.
            ValueError: Nothing was ranked.
        """
        from pyrocausal.plot.checks import rank_histograms

        if not self.ranks:
            raise ValueError(
                "plot: nothing was ranked. Give data, or evidence= with something missing above."
            )
        return rank_histograms(dict(list(self.ranks.items())[:_PANELS]))

    def __repr__(self) -> str:
        rows = [_HEADER, *map(_cells, self.findings)]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [
            "  ".join([*(f"{c:<{w}}" for c, w in zip(row, widths, strict=False)), row[3]]).rstrip()
            for row in rows
        ]
        return "\n".join([self._title(), *lines, *self._notes()])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in _HEADER)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in _cells(found)) + "</tr>"
            for found in self.findings
        )
        notes = "".join(f"<p>{escape(text)}</p>" for text in self._notes())
        caption = f"<caption>{escape(self._title())}</caption>"
        return f"<table>{caption}<tr>{head}</tr>{rows}</table>{notes}"

    def _notes(self) -> list[str]:
        """Return a line for each failure with what to do next, and one for each warning."""
        steps = [
            f"next, {found.check}, {found.variable}: {found.next_step}"
            for found in self.failures
            if found.next_step
        ]
        return [*steps, *(f"warning: {text}" for text in self.warnings)]

    def _title(self) -> str:
        checked = sum(found.failed is not None for found in self.findings)
        wrong = len(self.failures)
        said = f"{wrong} WRONG" if wrong else "nothing wrong"
        return f"{self.name}: {checked} line{'s' * (checked != 1)} checked, {said}"


def _cells(found: Finding) -> tuple[str, str, str, str]:
    return found.check, found.variable, found.figure, found.verdict
