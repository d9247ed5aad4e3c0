"""Turning what a user passes into tensors, and tensors into the type of a site."""

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyrocausal.requirements import require

__all__ = ["as_tensor", "cast", "holds_words"]


def as_tensor(value: Any, what: str) -> Tensor:
    """Turn a number, list, array, Series or tensor into a tensor.

    Raises:
        TypeError: What is no number.
        ValueError: A nested list that is no array.
    """
    if isinstance(value, Tensor):
        return value
    if value is None:
        raise TypeError(
            f"{what} is None; expected numbers. Leave it out, or give NaN for missing."
        )
    if isinstance(value, np.ma.MaskedArray):  # numpy would give what lies under the mask
        value = np.ma.filled(value.astype(np.float64), np.nan)
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(
            f"{what} has rows of differing lengths; expected numbers of one shape."
        ) from None
    if array.dtype == object:
        array = _from_objects(array, what, value)
    if array.dtype.kind not in "biuf":
        raise _no_number(what, array.ravel()[0], value)
    # A table's columns may be read-only, or strided backwards: torch takes neither.
    return torch.from_numpy(np.array(array, copy=True)).reshape(array.shape)


def cast(value: Tensor, dtype: torch.dtype, what: str) -> Tensor:
    """Cast to a site's dtype; to an integer type only where that changes no value.

    Raises:
        ValueError: A value would change, or be infinite.
    """
    if value.dtype == dtype:
        return value
    if value.is_complex():
        raise TypeError(f"{what} is complex; expected real numbers.")
    result = value.to(dtype)
    if not dtype.is_floating_point:
        same = (result.to(value.dtype) == value).flatten()
        require(
            same,
            lambda: ValueError(
                f"{what} holds {value.flatten()[~same][0].item():g}, but the site takes whole "
                f"numbers ({dtype})."
            ),
        )
    elif value.dtype == torch.float64:
        fits = (result.isfinite() == value.isfinite()).flatten()
        require(
            fits,
            lambda: ValueError(
                f"{what} holds {value.flatten()[~fits][0].item():g}, which is too large for the "
                f"site's {dtype}. Measure it in other units, or write the program in float64."
            ),
        )
    return result


def holds_words(what: str, example: str, given: Any = None) -> TypeError:
    """Return the error for words where numbers are expected, which says how to code them.

    Categories are not coded here: their codes depend on the table, and all verbs speak in codes.

    Args:
        what: What holds them, such as ``"data['sex']"``.
        example: One of them.
        given: The column.

    Example:
        >>> print(holds_words("data['sex']", "male"))
        data['sex'] holds words, such as 'male'; expected numbers. Code them 0, 1, 2, ..., such ...
    """
    if str(getattr(given, "dtype", "")) == "category":
        how = f"{what}.cat.codes" if hasattr(given, "cat") else f"{what}.codes"
    elif hasattr(given, "to_frame"):
        how = f"{what}.astype('category').cat.codes"
    else:
        how = "pandas.Categorical(...).codes"
    return TypeError(
        f"{what} holds words, such as {example!r}; expected numbers. Code them 0, 1, 2, ..., such "
        f"as by {how}, with NaN in place of -1 where a value is missing: data, evidence, "
        "interventions and answers are in codes."
    )


def _from_objects(array: Any, what: str, given: Any) -> Any:
    # pandas marks what is missing by None or, in its nullable columns, by pandas.NA.
    values = [np.nan if v is None or type(v).__name__ == "NAType" else v for v in array.ravel()]
    numbers = []
    for value in values:
        try:
            if isinstance(value, str):
                raise TypeError  # float() would read "1.5"
            numbers.append(float(value))
        except (TypeError, ValueError):
            raise _no_number(what, value, given) from None
    return np.array(numbers).reshape(array.shape)


def _no_number(what: str, example: Any, given: Any) -> TypeError:
    if isinstance(example, str):
        return holds_words(what, str(example), given)
    if isinstance(example, datetime | date | np.datetime64):
        cure = "Pass the time since some date, such as (column - column.min()).dt.days."
    elif isinstance(example, timedelta | np.timedelta64):
        cure = "Pass the time in some unit, such as column.dt.total_seconds()."
    else:
        cure = "Give numbers, and NaN where a value is missing."
    return TypeError(
        f"{what} holds {str(example)!r} of type {type(example).__name__}; expected numbers. {cure}"
    )
