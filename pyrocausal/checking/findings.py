"""What a check found of a variable: a figure, tests, and a verdict in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyrocausal.checking.next_steps import next_step

__all__ = ["Finding", "Measured", "judged"]


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        check: What was checked.
        variable: Of which variable, pair or effect.
        figure: What was measured, in words.
        verdict: What it says, in words.
        failed: Whether something is wrong; None where it could not be checked.
        value: The number in the figure.
        p_values: Test to p-value, after Bonferroni's correction for all tests of the check.

    Example:
        >>> found = Finding("composition", "x", "deviation 0", "kept", failed=False, value=0.0)
        >>> found.failed
        False
    """

    check: str
    variable: str
    figure: str
    verdict: str
    failed: bool | None
    value: float | None = None
    p_values: Mapping[str, float] = field(default_factory=dict)

    @property
    def p(self) -> float | None:
        """The smallest p-value; None without tests."""
        return min(self.p_values.values(), default=None)

    @property
    def next_step(self) -> str:
        """What to do about it, in words, where it failed; else empty."""
        return next_step(self.check, self.variable) if self.failed else ""


@dataclass(frozen=True)
class Measured:
    """A figure with its tests, before they are corrected for each other.

    Attributes:
        variable: Of what.
        figure: What was measured, in words.
        value: The number in the figure.
        p_values: Test to p-value.
        right: The verdict if no test rejects.
        wrong: The verdict if one does.
    """

    variable: str
    figure: str
    value: float
    right: str
    wrong: str
    p_values: Mapping[str, float] = field(default_factory=dict)


def judged(check: str, measured: Sequence[Measured], level: float) -> list[Finding]:
    """Return findings; any test of a check rejects what is right with probability ``level``.

    Args:
        check: The check.
        measured: Its figures.
        level: That probability, shared out by Bonferroni's correction.

    Example:
        >>> one = Measured("x", "KS distance 0.1", 0.1, "fits", "DOES NOT FIT", {"KS": 0.006})
        >>> other = Measured("y", "KS distance 0.2", 0.2, "fits", "DOES NOT FIT", {"KS": 1e-6})
        >>> for found in judged("marginal", [one, other], 0.01):
        ...     print(found.variable, found.verdict)
        x fits (KS p = 0.012)
        y DOES NOT FIT (KS p = 2e-06)
    """
    tests = sum(len(one.p_values) for one in measured)
    findings = []
    for one in measured:
        corrected = {name: min(1.0, tests * p) for name, p in one.p_values.items()}
        test = min(corrected, key=corrected.__getitem__)
        failed = corrected[test] < level
        verdict = f"{one.wrong if failed else one.right} ({test} p = {corrected[test]:.2g})"
        findings.append(
            Finding(check, one.variable, one.figure, verdict, failed, one.value, corrected)
        )
    return findings
