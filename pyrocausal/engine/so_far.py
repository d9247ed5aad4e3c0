"""What a rule for a site sees: the values of the sites that ran before it."""

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from pyrocausal.errors import UnknownVariable

__all__ = ["RunSoFar"]


class RunSoFar(Mapping[str, Tensor]):
    """The values of the sites run before X, as a policy or mechanism for X sees them."""

    def __init__(self, values: Mapping[str, Tensor], site: str, variables: Sequence[str]) -> None:
        self._values, self._site, self._variables = values, site, variables

    def __getitem__(self, name: str) -> Tensor:
        if name in self._values:
            return self._values[name]
        if name == self._site:
            raise ValueError(
                f"The rule for {name!r} reads {name!r}, the value that it is to give. For a "
                f"function of the variable's own value write pc.edit(f). It may read: "
                f"{', '.join(self._values) or 'nothing'}."
            )
        if name in self._variables:
            raise ValueError(
                f"The rule for {self._site!r} reads {name!r}, which the program runs after "
                f"{self._site!r}. It may read: {', '.join(self._values) or 'nothing'}."
            )
        where = f"the rule for {self._site!r}"
        if not self._variables:  # a bare handler doesn't know what is still to come
            where += f", which sees what runs before {self._site!r}"
        raise UnknownVariable(name, self._variables or self._values, where)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
