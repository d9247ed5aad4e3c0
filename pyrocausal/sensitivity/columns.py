"""What comes in: outcomes, treatments and propensities, checked and as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pyrocausal.engine.casting import holds_words

__all__ = ["Array", "numbers", "outcome_and_treatment"]

Array = npt.NDArray[np.float64]


def numbers(given: Any, name: str, rows: int | None = None) -> Array:
    """Return one finite number a unit, float64.

    Args:
        given: A list, array, tensor or column of a table.
        name: What an error calls it.
        rows: How many there must be, if that is known.

    Raises:
        ValueError: Another shape or length, no units, or a value that is missing or infinite.
        TypeError: Values that are no numbers.

    Example:
        >>> numbers([1, 2], "y")
        array([1., 2.])
    """
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        example = next((one for one in np.ravel(given) if isinstance(one, str)), None)
        if example is not None:
            raise holds_words(name, str(example), given) from error
        raise TypeError(f"{name} holds values that are no numbers: {error}.") from error
    if values.ndim != 1 or not len(values):
        raise ValueError(f"{name} has shape {values.shape}; expected one number for each unit.")
    if rows is not None and len(values) != rows:
        raise ValueError(f"{name} has {len(values)} units, the outcome {rows}; expected as many.")
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise ValueError(
            f"{name} has {bad} missing or infinite values of {len(values)}. Drop these units from "
            "all columns, or impute the values."
        )
    return values


def outcome_and_treatment(y: Any, t: Any) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return outcomes, and which units are treated.

    Raises:
        ValueError: Wrong lengths, missing values, a treatment that isn't 0 or 1, or an arm
            without units.
        TypeError: Values that are no numbers.

    Example:
        >>> outcome_and_treatment([2.0, 3.0], [0, 1])
        (array([2., 3.]), array([False,  True]))
    """
    outcome = numbers(y, "the outcome y")
    treatment = numbers(t, "the treatment t", len(outcome))
    levels = np.unique(treatment)
    if not np.array_equal(levels, [0.0, 1.0]):
        shown = ", ".join(f"{level:g}" for level in levels[:5])
        raise ValueError(
            f"the treatment t has the values {shown}{', ...' if len(levels) > 5 else ''}; "
            "expected 0 (control) and 1 (treated), both of them."
        )
    return outcome, treatment == 1
