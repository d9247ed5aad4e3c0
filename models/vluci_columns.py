"""What a fit of VLUCI is given: covariates by role, treatment, outcome, checked and named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from pyrocausal.errors import UnknownVariable

__all__ = ["Columns", "read_columns", "read_matrix", "read_vector"]

Names = Sequence[str | int] | str | int
ROLES: Final = ("instruments", "outcome_only", "proxies")


@dataclass(frozen=True)
class Columns:
    """The data of a fit, float64, and the role of each covariate.

    Attributes:
        x: Covariates, shape ``(n, d)``; NaN where missing.
        t: Treatment, shape ``(n,)``.
        y: Outcome, shape ``(n,)``.
        names: Names of the covariates.
        roles: Role to the positions of its covariates.
        notes: What was done to the data, and what looks wrong with them.
    """

    x: Tensor
    t: Tensor
    y: Tensor
    names: tuple[str, ...]
    roles: dict[str, tuple[int, ...]]
    notes: tuple[str, ...] = ()

    def positions(self, *without: str) -> list[int]:
        """Return the covariates that have none of the roles."""
        barred = {place for role in without for place in self.roles[role]}
        return [place for place in range(len(self.names)) if place not in barred]

    @property
    def treatment_side(self) -> list[int]:
        """The covariates of the treatment: all but outcome-only ones and proxies."""
        return self.positions("outcome_only", "proxies")

    @property
    def outcome_side(self) -> list[int]:
        """The covariates of the outcome: all but instruments and proxies."""
        return self.positions("instruments", "proxies")

    @property
    def common(self) -> list[int]:
        """The covariates of both."""
        return self.positions(*ROLES)


def read_columns(
    x: Any,
    t: Any,
    y: Any,
    *,
    instruments: Names = (),
    outcome_only: Names = (),
    proxies: Names = (),
) -> Columns:
    """Read arrays or DataFrames; units whose outcome or treatment is missing are dropped.

    Raises:
        UnknownVariable: A role names no covariate.
        ValueError: Lengths that differ, a covariate in two roles, nothing left.
    """
    x, names = read_matrix(x)
    t, y = read_vector(t, "t"), read_vector(y, "y")
    if not len(x) == len(t) == len(y):
        raise ValueError(
            f"fit() got x of {len(x)}, t of {len(t)} and y of {len(y)} rows; expected one row of "
            "each for each unit. Align them first."
        )
    roles = {
        role: _places(given, names, role)
        for role, given in zip(ROLES, (instruments, outcome_only, proxies), strict=True)
    }
    _check_disjoint(roles, names)
    kept = y.isfinite() & t.isfinite()
    notes: tuple[str, ...] = ()
    if not bool(kept.all()):
        notes = (f"{int((~kept).sum())} of {len(y)} units were dropped: t or y is not finite",)
        x, t, y = x[kept], t[kept], y[kept]
    _check_outcome(y)
    if bool(x.isinf().any()):
        raise ValueError("fit() got infinite covariates; expected finite ones. Clean x first.")
    return Columns(x, t, y, names, roles, notes)


def read_matrix(x: Any, names: Sequence[str] | None = None) -> tuple[Tensor, tuple[str, ...]]:
    """Return covariates as a float64 matrix, with their names.

    Args:
        x: DataFrame, array or tensor, shape ``(n, d)`` or ``(n,)``.
        names: Those of an earlier fit; the columns are brought into their order.

    Raises:
        UnknownVariable: A column of the earlier fit is not there.
        ValueError: No matrix, or another number of columns.

    Example:
        >>> read_matrix([[1.0, 2.0]])
        (tensor([[1., 2.]], dtype=torch.float64), ('x0', 'x1'))
    """
    if hasattr(x, "columns"):
        given = [str(name) for name in x.columns]
        for name in names or ():
            if name not in given:
                raise UnknownVariable(name, given, "x", kind="column")
        order = [given.index(name) for name in names or given]
        table = x.iloc[:, order].to_numpy(dtype=np.float64, na_value=np.nan)
        return torch.from_numpy(np.array(table)), tuple(names or given)
    matrix = x if isinstance(x, Tensor) else torch.from_numpy(np.array(x))
    matrix = matrix.detach().cpu().to(torch.float64)
    if matrix.dim() == 1:
        matrix = matrix[:, None]
    if matrix.dim() != 2:
        raise ValueError(
            f"Got covariates of shape {tuple(matrix.shape)}; expected a row for each unit."
        )
    found = tuple(names or (f"x{place}" for place in range(matrix.shape[1])))
    if len(found) != matrix.shape[1]:
        raise ValueError(
            f"Got {matrix.shape[1]} covariates; expected the {len(found)} of the fit: "
            f"{', '.join(found)}."
        )
    return matrix, found


def read_vector(values: Any, what: str) -> Tensor:
    """Return a column as a float64 vector.

    Raises:
        ValueError: Not one number for each unit.

    Example:
        >>> read_vector([0, 1], "t")
        tensor([0., 1.], dtype=torch.float64)
    """
    if hasattr(values, "to_numpy"):
        values = values.to_numpy(dtype=np.float64, na_value=np.nan)
    vector = values if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
    vector = vector.detach().cpu().to(torch.float64)
    vector = vector.squeeze(-1) if vector.dim() == 2 and vector.shape[1] == 1 else vector
    if vector.dim() != 1:
        raise ValueError(
            f"Got {what} of shape {tuple(vector.shape)}; expected one number for each unit."
        )
    return vector


def _places(given: Names, names: Sequence[str], role: str) -> tuple[int, ...]:
    places = []
    for name in [given] if isinstance(given, str | int) else given:
        if isinstance(name, int) and 0 <= name < len(names):
            places.append(name)
        elif str(name) in names:
            places.append(names.index(str(name)))
        else:
            raise UnknownVariable(str(name), names, f"fit({role}=)", kind="column")
    return tuple(dict.fromkeys(places))


def _check_disjoint(roles: dict[str, tuple[int, ...]], names: Sequence[str]) -> None:
    seen: dict[int, str] = {}
    for role, places in roles.items():
        for place in places:
            if place in seen:
                raise ValueError(
                    f"fit() got {names[place]!r} in {seen[place]}= and in {role}=; expected each "
                    "covariate in one role. An instrument reaches the outcome through the "
                    "treatment alone; drop it from one."
                )
            seen[place] = role


def _check_outcome(y: Tensor) -> None:
    if len(y) < 20:
        raise ValueError(f"fit() got {len(y)} units with t and y; expected at least 20.")
    if bool((y == y[0]).all()):
        raise ValueError(
            f"fit() got an outcome that is {y[0].item():g} for every unit; expected one that "
            "varies. Nothing can be learned from a constant."
        )
