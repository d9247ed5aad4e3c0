"""Outcome, treatment and instruments, less what covariates explain of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import inf

import numpy as np

from pyrocausal.estimation.designs import Design
from pyrocausal.estimation.table import Array, Rows
from pyrocausal.estimation.weak_instruments import (
    AndersonRubin,
    solve_matrix_quadratic,
    solve_quadratic,
)

__all__ = ["Instrumented", "f_quantile"]

_NOTHING = 1e-9
"""A column of which covariates leave a smaller part than this doesn't vary."""


@dataclass(frozen=True, eq=False)
class Instrumented:
    """One linear equation with instruments, its covariates partialled out.

    Attributes:
        y: The outcome, shape ``(n,)``.
        x: The treatment, shape ``(n,)``.
        z: An orthonormal basis of the instruments, shape ``(n, k)``.
        controls: How many columns were partialled out, the intercept with them.
        robust: Whether variances may differ from row to row.
    """

    y: Array
    x: Array
    z: Array
    controls: int
    robust: bool

    @classmethod
    def of(
        cls,
        rows: Rows,
        outcome: str,
        treatment: str,
        instruments: Sequence[str],
        covariates: Sequence[str],
        robust: bool,
    ) -> Instrumented:
        """Partial the covariates out.

        Raises:
            ValueError: Too few rows; a treatment or an instrument that doesn't vary, or no more
                once covariates and other instruments are held fixed; a first stage of 0.
        """
        design = Design.of(rows, covariates, squares=False).matrix(rows.columns)
        controls = _basis(np.column_stack([np.ones(len(rows)), design]))
        number, used = len(rows), controls.shape[1] + len(instruments)
        if number <= used + 1:
            raise ValueError(
                f"instruments: {number} complete rows for {len(instruments)} instruments and "
                f"{controls.shape[1]} columns of covariates, the intercept with them; expected "
                f"more than {used + 1} rows. Name fewer."
            )

        def left(name: str, basis: Array, what: str) -> Array:
            column = np.asarray(rows.columns[name], dtype=np.float64)
            rest = column - basis @ (basis.T @ column)
            if np.linalg.norm(rest) <= _NOTHING * np.linalg.norm(column):
                raise ValueError(_constant(rows, name, what, covariates, instruments))
            return rest

        x = left(treatment, controls, "treatment")
        basis = controls
        for name in instruments:
            rest = left(name, basis, "instrument")
            basis = np.column_stack([basis, rest / np.linalg.norm(rest)])
        y = np.asarray(rows.columns[outcome], dtype=np.float64)
        y = y - controls @ (controls.T @ y)
        z = basis[:, controls.shape[1] :]
        if np.linalg.norm(z.T @ x) <= _NOTHING * np.linalg.norm(x):
            raise ValueError(
                f"instruments: {treatment!r} doesn't move with {', '.join(map(repr, instruments))} "
                "at all in these rows, so that they tell nothing of its effect. Take others, or "
                "more rows."
            )
        return cls(y, x, z, controls.shape[1], robust)

    @cached_property
    def effect(self) -> float:
        r"""The estimate, :math:`x' P y / x' P x` with P the projection on the instruments."""
        return float(self._zx @ (self.z.T @ self.y) / (self._zx @ self._zx))

    @cached_property
    def error(self) -> float:
        """Its standard error."""
        fitted, residual = self.z @ self._zx, self.y - self.effect * self.x
        information = float(fitted @ fitted)
        scatter = fitted * residual if self.robust else np.linalg.norm(fitted) * residual
        size = len(self.y) if self.robust else 1
        mean = scatter @ scatter * size / (len(self.y) - self.controls - 1)
        return float(np.sqrt(mean)) / information

    @cached_property
    def strength(self) -> float:
        r"""The F of the first stage, of robust variances the effective one.

        .. math:: F = \frac{|Z'x|^2}{\mathrm{tr} \, V}

        with V the variance of :math:`Z'x`; with equal variances the usual F.

        References:
            Montiel Olea, Pflueger (2013), A robust test for weak instruments.
        """
        noise = float(np.trace(self._scatter(self.z, self._rest(self.x), self._rest(self.x))))
        signal = float(self._zx @ self._zx)
        return signal / noise if noise > _NOTHING**2 * signal else inf

    def anderson_rubin(self, level: float) -> AndersonRubin:
        r"""Return the effects b for which the instruments may tell nothing of ``y - b x``.

        .. math:: \{b : g(b)' S(b)^{-1} g(b) \le k F_{k, n-k-p}\}, \quad g(b) = Z'(y - b x)

        with S the covariance of g by what the instruments leave of ``y - b x``.
        """
        several = self.z.shape[1] > 1
        limit = self.z.shape[1] * f_quantile(level, self.z.shape[1], self._freedom)
        return (
            self._robust_set(limit, level) if self.robust and several else self._set(limit, level)
        )

    def _set(self, limit: float, level: float) -> AndersonRubin:
        """Solve where S(b) is one number times the identity."""

        def form(a: Array, b: Array) -> float:
            noise = self._scatter(self.z, self._rest(a), self._rest(b))[0, 0]
            return float((self.z.T @ a) @ (self.z.T @ b) - limit * noise)

        x, y = self.x, self.y
        return solve_quadratic(form(x, x), form(x, y), form(y, y), level)

    def _robust_set(self, limit: float, level: float) -> AndersonRubin:
        """Solve where ``limit * S(b) - g(b) g(b)'`` has no negative eigenvalue."""

        def form(a: Array, b: Array) -> Array:
            noise = self._scatter(self.z, self._rest(a), self._rest(b))
            return np.asarray(limit * noise - np.outer(self.z.T @ a, self.z.T @ b))

        left = self.y - self.effect * self.x
        if np.linalg.norm(left) <= _NOTHING * np.linalg.norm(self.y):
            return AndersonRubin(self.effect, self.effect, level)
        # In units of what is left at the estimate all three matrices are of one size.
        unit = float(np.linalg.norm(left) / np.linalg.norm(self.x))
        step = unit * self.x
        cross = form(left, step)
        matrices = form(left, left), -(cross + cross.T), form(step, step)
        return solve_matrix_quadratic(matrices, self.effect, unit, level)

    @property
    def least_squares(self) -> float:
        """The slope of the outcome on the treatment, whatever confounds them."""
        return float(self.x @ self.y / (self.x @ self.x))

    @cached_property
    def _zx(self) -> Array:
        return np.asarray(self.z.T @ self.x)

    @property
    def _freedom(self) -> int:
        return len(self.y) - self.controls - int(self.z.shape[1])

    def _rest(self, column: Array) -> Array:
        """Return what the instruments leave of a column."""
        return column - self.z @ (self.z.T @ column)

    def _scatter(self, z: Array, a: Array, b: Array) -> Array:
        """Return the covariance of ``z'a`` and ``z'b`` by their residuals, shape ``(k, k)``."""
        if self.robust:
            return np.asarray((z * (a * b)[:, None]).T @ z * len(a) / self._freedom)
        return np.eye(z.shape[1]) * (a @ b) / self._freedom


@cache
def f_quantile(level: float, numerator: int, denominator: int) -> float:
    """Return a quantile of the F distribution.

    Example:
        >>> print(f"{f_quantile(0.95, 1, 2996):.3f}")
        3.845
    """
    import torch

    from pyrocausal.noise.beta import LogitBeta

    u, a, b = torch.tensor([level, numerator / 2, denominator / 2], dtype=torch.float64)
    return float(LogitBeta().quantile(u.logit(), a, b).exp()) * denominator / numerator


def _basis(columns: Array) -> Array:
    """Return an orthonormal basis of some columns, of those alone that others don't make up."""
    u, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(u[:, sizes > _NOTHING * sizes[0]])


def _constant(
    rows: Rows, name: str, what: str, covariates: Sequence[str], instruments: Sequence[str]
) -> str:
    if len(rows.levels(name)) == 1:
        value = rows.levels(name)[0]
        return (
            f"instruments: the {what} {name!r} is {value:g} in all {len(rows)} complete rows; "
            "expected one that varies. Take another, or more rows."
        )
    others = [*covariates, *(instruments if what == "instrument" else ())]
    fixed = ", ".join(repr(other) for other in others if other != name)
    return (
        f"instruments: the {what} {name!r} doesn't vary any more once {fixed} are held fixed. Drop "
        "it, or the covariate that says the same."
    )
