"""Reading the small parts of a question: names, numbers, the treated and the control value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

from torch import Tensor

from pyrocausal.engine.casting import holds_words

__all__ = ["action_on", "name_of", "names_of", "number_of", "pair"]


def name_of(name: Any, where: str) -> str:
    """Check that there is the name of one variable.

    Raises:
        TypeError: Something else.

    Example:
        >>> name_of("dose", "treatment")
        'dose'
    """
    if not isinstance(name, str):
        raise TypeError(f"{where} got {name!r}; expected the name of one variable.")
    return name


def names_of(names: Any, where: str) -> list[str]:
    """Return names as a list, where a single one may stand for itself.

    Raises:
        TypeError: Something else.

    Example:
        >>> names_of("dose", "treatment"), names_of(("dose", "age"), "treatment")
        (['dose'], ['dose', 'age'])
    """
    if isinstance(names, str):
        return [names]
    listed = isinstance(names, Iterable) and not isinstance(names, Mapping)
    if not listed or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{where} got {names!r}; expected the name of a variable, or several.")
    return list(names)


def number_of(value: Any, where: str) -> float:
    """Return a number, which may be one of torch or NumPy.

    Raises:
        TypeError: Something else.

    Example:
        >>> number_of(True, "given['sick']")
        1.0
    """
    if isinstance(value, Tensor) and value.ndim == 0:
        value = value.item()
    if isinstance(value, str):
        raise holds_words(where, value)
    # NumPy's boolean is no Real.
    if not isinstance(value, Real) and type(value).__name__ not in ("bool", "bool_"):
        raise TypeError(f"{where} got {value!r}; expected a number.")
    return float(value)


def pair(values: tuple[Any, Any]) -> tuple[Any, Any]:
    """Check that there are a treated and a control value.

    Raises:
        ValueError: Not two of them.

    Example:
        >>> pair([1.0, 0.0])
        (1.0, 0.0)
    """
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != 2:
        raise ValueError(
            f"values got {values!r}; expected the treated and the control value, such as (1.0, 0.0)."
        )
    return values[0], values[1]


def action_on(treatment: str | Sequence[str], value: Any) -> Mapping[str, Any]:
    """Return the intervention that sets one treatment, or several to a value each.

    Raises:
        TypeError: A treatment that is no name.
        ValueError: Not as many values as treatments.

    Example:
        >>> action_on(["A", "B"], (1.0, 0.0))
        {'A': 1.0, 'B': 0.0}
    """
    names = names_of(treatment, "treatment")
    if isinstance(treatment, str):
        return {treatment: value}
    if not names or not isinstance(value, Sequence) or len(value) != len(names):
        raise ValueError(
            f"Got {len(names)} treatments and the value {value!r}; expected one value for each, "
            "such as values=((1.0, 1.0), (0.0, 0.0))."
        )
    return dict(zip(names, value, strict=True))
