"""Rows in which some rule gave the treatment, as another rule would have given it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.distributions import Distribution

from pyrocausal.errors import UnknownVariable
from pyrocausal.estimation.designs import Design
from pyrocausal.estimation.study import shown
from pyrocausal.estimation.table import Array, Rows, Values, read_rows
from pyrocausal.interventions import Policy

__all__ = ["Logged", "read_logged"]

_SOME = 8  # levels that a message shows


@dataclass(frozen=True, eq=False)
class Logged:
    """Rows with an outcome, a treatment of few levels, and covariates.

    Attributes:
        rows: The table.
        outcome: Name of the outcome, or of an event its values by name.
        treatment: Name of the treatment.
        adjust: Names of the covariates.
        given: Level of the treatment to the column that holds its propensity, where it is known.
        squares: Whether numbers have their squares in regressions.
    """

    rows: Rows
    outcome: str | Mapping[str, Any]
    treatment: str
    adjust: Sequence[str]
    given: Mapping[Any, str]
    squares: bool

    @cached_property
    def y(self) -> Array:
        """The outcomes, shape ``(n,)``; of an event 1 where it happened."""
        if isinstance(self.outcome, str):
            y: Array = self.rows.columns[self.outcome]
            return y
        happened = [_is(self.rows.columns[name], value) for name, value in self.outcome.items()]
        together: Array = np.all(happened, axis=0).astype(np.float64)
        return together

    @cached_property
    def z(self) -> Array:
        """The design of the covariates, shape ``(n, p)``."""
        return Design.of(self.rows, self.adjust, squares=self.squares).matrix(self.rows.columns)

    @cached_property
    def levels(self) -> Values:
        """The treatments that were given, sorted."""
        return self.rows.levels(self.treatment)

    @cached_property
    def arms(self) -> npt.NDArray[np.bool_]:
        """Which rows had which treatment, shape ``(n, levels)``."""
        return np.asarray(self.rows.columns[self.treatment][:, None] == self.levels)

    @property
    def named(self) -> str:
        """The levels as messages show them."""
        more = ", ..." if len(self.levels) > _SOME else ""
        return ", ".join(shown(level) for level in self.levels[:_SOME]) + more

    def known_propensities(self) -> Array | None:
        """Return the propensities of the levels where columns hold them, shape ``(n, levels)``.

        Raises:
            ValueError: A level that no row has, one without a column, no probabilities.
        """
        if not self.given:
            return None
        held: dict[int, Array] = {}
        for value, name in self.given.items():
            (places,) = np.nonzero(_is(self.levels, value))
            held |= {int(place): self.rows.columns[name] for place in places}
        if len(self.levels) == 2 and len(held) == 1:
            ((place, column),) = held.items()
            held[1 - place] = 1 - column
        if len(held) < len(self.levels) or not all(
            ((column >= 0) & (column <= 1)).all() for column in held.values()
        ):
            raise ValueError(
                f"policy_value: got propensity={dict(self.given)!r}; expected the names of columns "
                f"of probabilities, by the values of {self.treatment!r}, which are {self.named}."
            )
        return np.column_stack([held[place] for place in range(len(self.levels))])

    def take(self, index: npt.NDArray[np.intp]) -> Logged:
        """Return some rows, again and again if need be."""
        return replace(self, rows=self.rows.take(index))

    def chosen(self, policy: Any) -> Array:
        """Return the probability with which a policy gives each level, shape ``(n, levels)``.

        Args:
            policy: A level for all, a distribution over the levels, or a rule that returns one of
                these, row by row, from the covariates.

        Raises:
            UnknownVariable: A rule reads what is not adjusted for.
            ValueError: A treatment that no row had; not one for each row.
        """
        rule = policy.function if isinstance(policy, Policy) else policy
        if callable(rule) and not isinstance(rule, Distribution):
            rule = rule(_Covariates(self))
        chances = self._chances(rule) if isinstance(rule, Distribution) else self._each(rule)
        impossible = ~np.isclose(chances.sum(1), 1, atol=1e-4)
        if impossible.any():
            raise ValueError(
                f"policy_value: positivity: in {int(impossible.sum())} rows the policy gives "
                f"{self.treatment!r} values that no row had; the rows have {self.named}."
            )
        return chances

    def _chances(self, rule: Distribution) -> Array:
        values = torch.as_tensor(np.asarray(self.levels, dtype=np.float64))
        logs = [rule.log_prob(v.to(torch.get_default_dtype())).detach().cpu() for v in values]
        columns = [np.broadcast_to(log.double().exp().numpy(), len(self.y)) for log in logs]
        return np.column_stack(columns)

    def _each(self, rule: Any) -> Array:
        values = np.asarray(rule.detach().cpu() if isinstance(rule, torch.Tensor) else rule)
        if values.shape not in ((), (len(self.y),)):
            raise ValueError(
                f"policy_value: the policy gives the shape {values.shape} for {len(self.y)} rows; "
                "expected one treatment a row, such as lambda v: v['age'] > 50."
            )
        values = np.broadcast_to(values, len(self.y))
        return np.column_stack([_is(values, level) for level in self.levels]).astype(np.float64)


class _Covariates(Mapping[str, Any]):
    """What a rule may read: numbers as tensors, words as arrays."""

    def __init__(self, logged: Logged) -> None:
        self.logged = logged

    def __getitem__(self, name: str) -> Any:
        if name not in self.logged.adjust:
            cure = " A policy may read what is adjusted for: add it to adjust=."
            raise UnknownVariable(name, self.logged.adjust, "policy_value: policy", cure=cure)
        values = self.logged.rows.columns[name]
        if values.dtype.kind == "U":
            return values
        return torch.tensor(values, dtype=torch.get_default_dtype())

    def __iter__(self) -> Iterator[str]:
        return iter(self.logged.adjust)

    def __len__(self) -> int:
        return len(self.logged.adjust)


def read_logged(
    data: Any,
    outcome: Any,
    treatment: str,
    adjust: Sequence[str],
    propensity: str | Mapping[Any, str] | None,
    *,
    squares: bool,
    factors: Collection[str],
) -> Logged:
    """Read the rows of a table that have a value in each column that is needed.

    Args:
        data: A DataFrame, or a mapping from name to values.
        outcome: A column, or an event such as ``{"Y": 1}``.
        treatment: A column of few levels.
        adjust: The covariates.
        propensity: The column of the probability of the larger one of two levels; or level to
            the column of its probability.
        squares: Whether numbers have their squares in regressions.
        factors: Columns whose numbers are codes.

    Raises:
        UnknownVariable: A column is not there.
        TypeError: No table, or no name where one is expected.
        ValueError: A treatment of many values, or of one.
    """
    if not isinstance(data, Mapping) and not hasattr(data, "columns"):
        raise TypeError(
            f"policy_value() got a {type(data).__name__}; expected an SCM, or data: a DataFrame or "
            "a mapping from name to column."
        )
    if not isinstance(outcome, str | Mapping):
        raise TypeError(
            f"policy_value: got outcome={outcome!r}; of data expected the name of a column, or an "
            "event such as {'Y': 1}."
        )
    outcomes = [outcome] if isinstance(outcome, str) else [*outcome]
    known: list[str]
    if isinstance(propensity, Mapping):
        known = [*propensity.values()]
    else:
        known = [] if propensity is None else [propensity]
    names = list(dict.fromkeys([*outcomes, treatment, *adjust, *known]))
    amounts = [*known, *([outcome] if isinstance(outcome, str) else [])]
    rows = read_rows(data, names, amounts=amounts, factors=factors)
    if treatment in {*outcomes, *adjust} or {*outcomes} & {*adjust}:
        raise ValueError(
            f"policy_value: outcome={outcome!r}, treatment={treatment!r} and adjust={[*adjust]!r} "
            "name a column twice; expected each in one role."
        )
    levels = rows.levels(treatment)
    if treatment not in rows.discrete or len(levels) < 2:
        raise ValueError(
            f"policy_value: the treatment {treatment!r} has {len(levels)} different values in the "
            "data; expected 2 to 10 levels. Cut a dose into classes, or fit an SCM and ask that."
        )
    given = {levels[-1]: propensity} if isinstance(propensity, str) else propensity or {}
    return Logged(rows, outcome, treatment, tuple(adjust), given, squares)


def _is(values: Any, value: Any) -> npt.NDArray[np.bool_]:
    """Say which values are this one; words are compared with words."""
    if np.asarray(values).dtype.kind == "U":
        value = str(value)
    elif isinstance(value, str):
        return np.zeros(np.shape(values), dtype=bool)
    return np.asarray(values == value)
