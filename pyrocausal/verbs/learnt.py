"""What a fit has made of the parameters of an SCM."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Learnt"]


@dataclass(frozen=True, eq=False)
class Learnt:
    """Where the parameters come from.

    Attributes:
        observed: The variables that the fit had data of.
        ranges: Variable to the least and the greatest value in these data, as far as is known.
    """

    observed: frozenset[str]
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
