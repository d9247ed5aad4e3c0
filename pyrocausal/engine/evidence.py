"""Reading what a user passes as data, evidence or inputs into tensors of the sites' type."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyrocausal.engine.casting import as_tensor, cast
from pyrocausal.engine.intervals import Between, Interval, read_interval
from pyrocausal.engine.tracing import Variable
from pyrocausal.engine.unit_names import counting_from, names_of_units
from pyrocausal.errors import UnknownVariable
from pyrocausal.requirements import all_finite

__all__ = [
    "Evidence",
    "as_sequence",
    "columns_of",
    "count_of",
    "counting_from",
    "names_of_units",
    "read_evidence",
    "read_inputs",
    "same_evidence",
    "selecting",
]


@dataclass(frozen=True)
class Evidence:
    """Values of variables of some units.

    Attributes:
        values: Name to values, shape ``(units, *inner, *event)``, of the site's dtype.
        observed: Name to mask, shape ``(units, *inner)``, for variables with missing values.
        units: How many units.
        scalar: Whether one unit was given without a unit dimension.
        labels: The labels of the units, a pandas index, where a table gave them.
        limits: Name to limits, of variables that were seen to lie within some.
    """

    values: Mapping[str, Tensor]
    observed: Mapping[str, Tensor]
    units: int
    scalar: bool
    labels: Any = None
    limits: Mapping[str, Interval] = field(default_factory=dict)

    @property
    def told(self) -> dict[str, Any]:
        """Name to what was seen: values, or limits where these are all."""
        return {**self.limits, **self.values}

    def seen(self, name: str, *, partly: bool = False) -> Tensor | bool:
        """Say for which units a variable is observed: a mask ``(units,)``, or all or none.

        Args:
            name: The variable.
            partly: Whether a unit counts that has some elements of its inner plates missing.
        """
        if name not in self.values:
            return False
        mask = self.observed.get(name)
        if mask is None:
            return True
        mask = mask.reshape(self.units, -1)
        return mask.any(1) if partly else mask.all(1)

    def known(self, name: str, variable: Variable) -> Tensor:
        """Say of which elements something was seen, a value or limits, ``(units, *inner)``."""
        value, limits = self.values.get(name), self.limits.get(name)
        device = (value if limits is None else limits.low).device  # type: ignore[union-attr]
        every = torch.ones(self.units, *variable.inner, dtype=torch.bool, device=device)
        mask = ~every if value is None else self.observed.get(name, every)
        return mask if limits is None else mask | limits.within

    def limited(self, name: str) -> Tensor | bool:
        """Say for which units some of a variable was seen to lie within limits."""
        limits = self.limits.get(name)
        return False if limits is None else limits.within.reshape(self.units, -1).any(1)


def read_evidence(
    given: Any,
    variables: Mapping[str, Variable],
    *,
    device: torch.device,
    where: str = "evidence",
    units: int | None = None,
) -> Evidence:
    """Read a mapping or DataFrame of variables.

    Args:
        given: Mapping from variable to tensor, array, list, number or ``pc.between``, or a
            DataFrame or a row of it.
        variables: The program's variables.
        device: Where the tensors go.
        where: What the data are called in messages.
        units: How many units there must be, when it is known.

    Raises:
        UnknownVariable: A name that is no variable.
        ValueError: Wrong shapes, no units, infinities, a cast that changes a value.
        TypeError: Not a mapping or DataFrame, or values that are no numbers.
    """
    columns = columns_of(given, where)
    for name in columns:
        if name not in variables:
            table = any(map(_is_series, columns.values()))
            raise UnknownVariable(name, variables, where, cure=selecting(variables, table))
    said = {name: value for name, value in columns.items() if isinstance(value, Between)}
    plain = {name: _values_of(value) for name, value in columns.items()}
    raw = {
        name: as_tensor(value, f"{where}[{name!r}]").to(device)
        for name, value in plain.items()
        if name not in said or value is not None
    }
    ends = [
        (name, as_tensor(end, f"{where}[{name!r}]"))
        for name, one in said.items()
        for end in (one.low, one.high)
    ]
    number, scalar = _number_of_units([*raw.items(), *ends], variables, where, units)
    values, observed = {}, {}
    for name, value in raw.items():
        values[name], mask = _read_variable(value, variables[name], number, f"{where}[{name!r}]")
        if mask is not None:
            observed[name] = mask
    limits = {
        name: read_interval(
            one,
            variables[name],
            number,
            device,
            f"{where}[{name!r}]",
            _known(name, values, observed),
        )
        for name, one in said.items()
    }
    return Evidence(values, observed, number, scalar, _labels(plain, number), limits)


def _values_of(given: Any) -> Any:
    return given.values if isinstance(given, Between) else given


def _known(
    name: str, values: Mapping[str, Tensor], observed: Mapping[str, Tensor]
) -> Tensor | bool:
    """Say which elements of a variable have a value."""
    return observed.get(name, True) if name in values else False


def read_inputs(
    given: Mapping[str, Any] | None, units: int, device: torch.device
) -> dict[str, Any]:
    """Read a program's arguments; tensors, arrays and lists have the units first.

    A tensor or array without dimensions is one value for all units.

    Raises:
        ValueError: An array whose first dimension is not the number of units, or that holds what
            is no finite number.
    """
    inputs: dict[str, Any] = {}
    for name, value in columns_of({} if given is None else given, "inputs").items():
        if not isinstance(value, Tensor | np.ndarray | list) and not hasattr(value, "to_numpy"):
            inputs[name] = value
            continue
        what = f"inputs[{name!r}]"
        tensor = as_tensor(value, what).to(device)
        if tensor.dtype == torch.float64 and not isinstance(value, Tensor):
            tensor = cast(tensor, torch.get_default_dtype(), what)
        inputs[name] = _of_all_units(tensor, units, what)
        _check_finite_inputs(inputs[name], what)
    return inputs


def _of_all_units(tensor: Tensor, units: int, what: str) -> Tensor:
    if tensor.dim() == 0:
        return tensor.expand(units)
    if len(tensor) != units:
        raise ValueError(
            f"{what} has the shape {tuple(tensor.shape)}; expected the {units} units first. Pass "
            "settings that are no data as Python numbers."
        )
    return tensor


def _check_finite_inputs(tensor: Tensor, what: str) -> None:
    if all_finite(tensor):
        return
    wrong = ~tensor.isfinite().flatten(1).all(1) if tensor.dim() > 1 else ~tensor.isfinite()
    kind = "NaN" if bool(tensor.isnan().any()) else "infinite"
    raise ValueError(
        f"{what} is {kind} for {names_of_units(wrong)}. An input has no mechanism that could fill "
        "it in: leave these units out, or make it a site."
    )


def columns_of(given: Any, where: str) -> dict[str, Any]:
    """Return by name the columns of a mapping or table, or the values of one row of it.

    Tables are those of pandas, polars and Arrow, and numpy's structured arrays.

    Raises:
        TypeError: Something else, such as one column.
        ValueError: Two columns of one name.

    Example:
        >>> columns_of(np.array([(1.0, 2)], dtype=[("x", float), ("y", int)]), "data")
        {'x': array([1.]), 'y': array([2])}
    """
    if isinstance(given, Mapping):
        return dict(given)
    names = _column_names(given)
    if names is not None:
        twice = [name for name, times in Counter(names).items() if times > 1]
        if twice:
            raise ValueError(f"{where} has two columns called {twice[0]!r}. Drop one of them.")
        return {str(name): given[name] for name in names}
    if _is_series(given) and all(isinstance(name, str) for name in given.index):
        return {name: np.asarray(value) for name, value in given.items()}
    raise TypeError(
        f"{where} is a {type(given).__name__}; expected a mapping from variable to values, "
        "or a DataFrame, or one row of it."
    )


def _column_names(given: Any) -> list[Any] | None:
    """Return the names of a table's columns, None for what is no table."""
    if isinstance(given, np.ndarray | np.void):
        return None if given.dtype.names is None else list(given.dtype.names)
    if hasattr(given, "column_names"):  # Arrow, where `columns` are the columns themselves
        return list(given.column_names)
    if hasattr(given, "columns") and hasattr(given, "to_numpy"):
        return list(given.columns)
    return None


def selecting(names: Iterable[str], table: bool) -> str:
    """Return the cure for a table that has other columns too."""
    return f" Leave out the other columns of a table: df[{sorted(names)}]." if table else ""


def _labels(columns: Mapping[str, Any], units: int) -> Any:
    """Return the index of the columns, where it is one and more than a count of the rows."""
    every = [value.index for value in columns.values() if _is_series(value)]
    every = [index for index in every if len(index) == units]
    if not every or any(not index.equals(every[0]) for index in every):
        return None
    import pandas as pd

    counts = every[0].name is None and every[0].equals(pd.RangeIndex(units))
    return None if counts else every[0]


def _is_series(given: Any) -> bool:
    # Arrow's columns have a method of this name, which searches.
    labelled = hasattr(given, "index") and not callable(given.index)
    return hasattr(given, "to_numpy") and labelled and not hasattr(given, "columns")


def _number_of_units(
    raw: Iterable[tuple[str, Tensor]],
    variables: Mapping[str, Variable],
    where: str,
    units: int | None,
) -> tuple[int, bool]:
    lengths: dict[str, int] = {}
    for name, value in raw:
        variable = variables[name]
        extra = value.dim() - len(variable.unit_shape)
        if extra > 1 or (variable.shared and extra > 0):
            expected = variable.unit_shape if variable.shared else ("units", *variable.unit_shape)
            raise ValueError(
                f"{where}[{name!r}] has the shape {tuple(value.shape)}; expected "
                + str(expected).replace("'", "")
                + "."
            )
        if extra == 1:
            lengths[name] = max(value.shape[0], lengths.get(name, 0))
    empty = [name for name, length in lengths.items() if length == 0]
    if empty:
        raise ValueError(f"{where}[{empty[0]!r}] is empty; expected at least one unit.")
    number = max(lengths.values(), default=1) if units is None else units
    if any(length not in (1, number) for length in lengths.values()):
        lengths |= {} if units is None else {"the query": units}
        raise ValueError(
            f"{where} has differing numbers of units: {lengths}. Give each variable one value for "
            "each unit, or a single one for all."
        )
    return number, units is None and not lengths


def _read_variable(
    value: Tensor, variable: Variable, units: int, what: str
) -> tuple[Tensor, Tensor | None]:
    shape = variable.unit_shape if variable.shared else (units, *variable.unit_shape)
    try:
        value = value.expand(shape)
    except RuntimeError:
        raise ValueError(
            f"{what} has the shape {tuple(value.shape)}; expected {tuple(shape)}: "
            "units, inner plates, then the dimensions of one value."
        ) from None
    mask = None
    if value.is_floating_point():
        value, mask = _split_missing(value, len(variable.event_shape), what)
    return cast(value, variable.dtype, what), mask


def _split_missing(value: Tensor, event_dim: int, what: str) -> tuple[Tensor, Tensor | None]:
    if all_finite(value):
        return value, None
    finite = value.isfinite()
    if bool(value.isinf().any()):
        raise ValueError(
            f"{what} holds an infinity. Give finite numbers, or NaN for missing ones."
        )
    batch = value.shape[: value.dim() - event_dim]
    entries = finite.reshape(*batch, -1)
    if bool((entries.any(-1) != entries.all(-1)).any()):
        raise ValueError(
            f"{what} is missing in part of a vector. A value is observed whole or not at all: "
            "set all its entries to NaN, or give the parts sites of their own."
        )
    return torch.where(finite, value, torch.zeros_like(value)), entries.all(-1)


def same_evidence(first: Evidence, second: Evidence) -> bool:
    """Say whether the same values were seen of the same units."""
    if first.units != second.units or first.limits.keys() != second.limits.keys():
        return False
    if not all(first.limits[name].same(second.limits[name]) for name in first.limits):
        return False
    return all(
        one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
        for one, other in (
            (first.values, second.values),
            (first.observed, second.observed),
        )
    )


def as_sequence(names: Sequence[str] | str | None, what: str) -> tuple[str, ...] | None:
    """Read one name or several."""
    if names is None:
        return None
    if not isinstance(names, Iterable):
        raise TypeError(f"{what}={names!r}: expected a name or a list of names.")
    return (names,) if isinstance(names, str) else tuple(names)


def count_of(number: Any, what: str) -> int:
    """Read a number of units or draws.

    Raises:
        ValueError: No positive whole number.
    """
    if isinstance(number, bool) or not isinstance(number, Integral) or number < 1:
        raise ValueError(f"{what} is {number!r}; expected a positive whole number.")
    return int(number)
