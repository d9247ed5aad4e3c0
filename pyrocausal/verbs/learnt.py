"""What a fit has made of the parameters of an SCM."""

from dataclasses import dataclass

__all__ = ["Learnt"]


@dataclass(frozen=True, eq=False)
class Learnt:
    """Where the parameters come from.

    Attributes:
        observed: The variables that the fit had data of.
    """

    observed: frozenset[str]
