"""The regressions that estimators lean on: least squares, the logit, and anyone's own models."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt

from pyrocausal.estimation.table import Array, Values

__all__ = ["LeastSquares", "Logistic", "fitted_mean", "fitted_probability", "with_intercept"]

_RIDGE = 1e-8
"""Penalty a row on the squared coefficients of a logit, so that separated arms have one too."""

_MOST_STEPS = 50
_EXACT = 1e-10


class LeastSquares:
    r"""A linear regression with an intercept: :math:`\hat\beta = (X'X)^+ X'y`.

    Example:
        >>> x = np.array([[0.0], [1.0], [2.0]])
        >>> LeastSquares().fit(x, np.array([1.0, 3.0, 5.0])).predict(x).round(6)
        array([1., 3., 5.])
    """

    coefficients: Array

    def fit(self, x: Array, y: Array) -> LeastSquares:
        """Fit to rows ``x``, shape ``(n, p)``, and a target ``y``, shape ``(n,)``."""
        self.coefficients = np.asarray(np.linalg.lstsq(with_intercept(x), y, rcond=None)[0])
        return self

    def predict(self, x: Array) -> Array:
        """Return the fitted means, shape ``(n,)``."""
        return with_intercept(x) @ self.coefficients

    def __repr__(self) -> str:
        return "least squares"


class Logistic:
    r"""A logistic regression with an intercept, by Newton's method.

    .. math:: P(T = 1 \mid x) = 1 / (1 + e^{-\beta' x})

    A penalty of 1e-8 a row keeps the coefficients finite where the arms are separated.

    Example:
        >>> x = np.array([[0.0], [0.0], [1.0], [1.0]])
        >>> Logistic().fit(x, np.array([0, 1, 1, 1])).predict_proba(x)[:1].round(3)
        array([[0.5, 0.5]])
    """

    coefficients: Array

    def fit(self, x: Array, t: Values) -> Logistic:
        """Fit to rows ``x``, shape ``(n, p)``, and whether ``t`` each is one of those meant."""
        x, t = with_intercept(x), np.asarray(t, dtype=np.float64)
        self.coefficients = np.zeros(x.shape[1])
        loss = self._loss(x, t, self.coefficients)
        for _ in range(_MOST_STEPS):
            gradient = self._scores(x, t).sum(0)
            step = np.linalg.solve(self._information(x), gradient)
            size = 1.0
            while (
                new := self._loss(x, t, self.coefficients + size * step)
            ) > loss and size > 1e-6:
                size /= 2
            self.coefficients = self.coefficients + size * step
            if loss - new <= _EXACT * (1 + abs(loss)):
                break
            loss = new
        return self

    def predict_proba(self, x: Array) -> Array:
        """Return the probabilities of 0 and of 1, shape ``(n, 2)``."""
        p = _expit(with_intercept(x) @ self.coefficients)
        return np.column_stack([1 - p, p])

    def influence(self, x: Array, t: Values) -> Array:
        """Return what each row adds to the coefficients, times n, shape ``(n, p + 1)``."""
        x, t = with_intercept(x), np.asarray(t, dtype=np.float64)
        return self._scores(x, t) @ np.linalg.inv(self._information(x) / len(x))

    def _scores(self, x: Array, t: Array) -> Array:
        return x * (t - _expit(x @ self.coefficients))[:, None] - _RIDGE * self.coefficients

    def _information(self, x: Array) -> Array:
        p = _expit(x @ self.coefficients)
        return (x.T * (p * (1 - p))) @ x + _RIDGE * len(x) * np.eye(x.shape[1])

    def _loss(self, x: Array, t: Array, beta: Array) -> float:
        z = x @ beta
        return float((np.logaddexp(0, z) - t * z).sum() + _RIDGE * len(x) * (beta @ beta) / 2)

    def __repr__(self) -> str:
        return "logistic regression"


def fitted_mean(model: Any, x: Array, y: Array, at: Array) -> Array:
    """Return the means at some rows by a fresh copy of a model that is fitted to others.

    Args:
        model: What has ``fit`` and ``predict``, or for outcomes of 0 and 1 ``predict_proba``.
        x: Rows to fit to, shape ``(n, p)``.
        y: Their targets.
        at: Rows to predict at, shape ``(m, p)``.

    Example:
        >>> x, at = np.array([[0.0], [1.0]]), np.array([[2.0]])
        >>> fitted_mean(LeastSquares(), x, np.array([1.0, 2.0]), at).round(6)
        array([3.])
    """
    model = _fresh(model, "outcome_model", "predict", "predict_proba")
    if not hasattr(model, "predict_proba"):
        model.fit(x, y)
        return _shaped(model.predict(at), len(at), "outcome_model")
    if not np.isin(y, (0, 1)).all():
        raise ValueError(
            f"estimate: outcome_model is a classifier ({type(model).__name__}) but the outcome is "
            "not 0 or 1. Give a regression."
        )
    return _probability(model, x, y, at, "outcome_model")


def fitted_probability(model: Any, x: Array, t: npt.NDArray[np.bool_], at: Array) -> Array:
    """Return the probabilities of an arm at some rows by a fresh copy of a model.

    Args:
        model: What has ``fit`` and ``predict_proba``.
        x: Rows to fit to, shape ``(n, p)``.
        t: Whether each is in the arm.
        at: Rows to predict at, shape ``(m, p)``.

    Example:
        >>> x = np.array([[0.0], [0.0], [1.0], [1.0]])
        >>> t = np.array([False, True, True, True])
        >>> fitted_probability(Logistic(), x, t, x[:1]).round(3)
        array([0.5])
    """
    model = _fresh(model, "treatment_model", "predict_proba")
    return _probability(model, x, t.astype(np.float64), at, "treatment_model")


def with_intercept(x: Array) -> Array:
    """Return rows with a first column of ones."""
    return np.column_stack([np.ones(len(x)), x])


def _fresh(model: Any, role: str, *verbs: str) -> Any:
    able = hasattr(model, "fit") and any(hasattr(model, verb) for verb in verbs)
    if isinstance(model, type) or not able:
        raise TypeError(
            f"estimate: {role} is {model!r}; expected an object with fit and {verbs[0]}, such as a "
            "scikit-learn estimator."
        )
    return deepcopy(model)


def _probability(model: Any, x: Array, y: Array, at: Array, role: str) -> Array:
    if len(np.unique(y)) < 2:
        return np.full(len(at), y[0])  # a classifier of one class has one column
    model.fit(x, y)
    return _shaped(np.asarray(model.predict_proba(at))[:, -1], len(at), role)


def _shaped(values: Any, number: int, role: str) -> Array:
    array = np.asarray(values, dtype=np.float64).reshape(-1)
    if len(array) != number or not np.isfinite(array).all():
        raise ValueError(
            f"estimate: {role} gave {len(array)} values for {number} rows, "
            f"{int((~np.isfinite(array)).sum())} of them not finite; expected a number a row."
        )
    return array


def _expit(z: Array) -> Array:
    return np.exp(-np.logaddexp(0, -z))
