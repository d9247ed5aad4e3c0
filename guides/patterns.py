"""Which variables are evidence: the patterns that a guide was made for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal, final

import torch
from torch import Tensor

from pyrocausal.errors import UnknownVariable

__all__ = ["Patterns"]

THINNED = 0.5  # of the rows lack some of the earlier missing variables too


@final
class Patterns:
    """The sets of observed variables that a guide stands for.

    Args:
        names: The random variables, in the order of execution.
        latent: Those that are never observed.
        sets: ``"all"``, or the sets that can be observed.

    Raises:
        UnknownVariable: A name that is no variable.
        ValueError: A latent variable in a set, or no set.

    Example:
        >>> Patterns(["x", "y"], [], [{"y"}]).covers({"y"}, {"x"})
        True
    """

    def __init__(
        self,
        names: Sequence[str],
        latent: Collection[str] = (),
        sets: Literal["all"] | Iterable[Collection[str]] = "all",
    ) -> None:
        self.names, self.latent = tuple(names), frozenset(latent)
        self.sets: frozenset[frozenset[str]] | None = None
        if sets != "all":
            self.sets = frozenset(self._read(given) for given in _listed(sets))
            if not self.sets:
                raise ValueError(
                    'patterns is empty; expected sets of observed variables, or "all".'
                )

    def _read(self, given: Any) -> frozenset[str]:
        if isinstance(given, str):
            raise ValueError(
                f"patterns holds the name {given!r}; expected sets of names: [[{given!r}]]."
            )
        observed = frozenset(given)
        for name in observed:
            if name not in self.names:
                raise UnknownVariable(name, self.names, "patterns", kind="random variable")
            if name in self.latent:
                raise ValueError(
                    f"patterns: {name!r} is latent, and never observed. Leave it out."
                )
        if observed == set(self.names):
            raise ValueError("patterns: with all variables observed there is nothing to infer.")
        return observed

    def covers(self, observed: Collection[str], missing: Collection[str]) -> bool:
        """Say whether the guide infers these missing variables from these observed ones."""
        seen, asked = frozenset(observed), frozenset(missing)
        known = asked <= set(self.names) and seen <= set(self.names) - self.latent
        return known and not seen & asked and (self.sets is None or seen in self.sets)

    def draw(self, rows: int, chained: bool, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw what is known and what is asked about, for training.

        To the network evidence and the missing variables inferred before are the same. With any
        evidence, all sets of known variables are met, of all sizes alike. From a list, a set of
        evidence is drawn, and the missing variables are known up to a random position, in half
        of the rows with gaps; those after it are asked about.

        Args:
            rows: How many.
            chained: Whether a variable is inferred from the missing ones before it.
            generator: The source of chance.

        Returns:
            Booleans of shape ``(rows, variables)``: known, asked.
        """
        if self.sets is None:
            free = [chained or name not in self.latent for name in self.names]
            known = _any(rows, torch.tensor(free), generator)
            return known, ~known
        seen = self._listed(rows, generator)
        if not chained:
            return seen, ~seen
        missing = ~seen
        rank = missing.cumsum(1) - 1
        cut = (torch.rand(rows, 1, generator=generator) * missing.sum(1, keepdim=True)).long()
        earlier = missing & (rank < cut)
        share = torch.rand(rows, 1, generator=generator)
        share = torch.where(share < THINNED, share / THINNED, 1.0)
        kept = earlier & (torch.rand(seen.shape, generator=generator) < share)
        return seen | kept, missing & ~earlier

    def _listed(self, rows: int, generator: torch.Generator) -> Tensor:
        listed = sorted(sorted(seen) for seen in self.sets or ())
        table = torch.tensor([[name in seen for name in self.names] for seen in listed])
        return table[torch.randint(len(listed), (rows,), generator=generator)]

    def to_data(self) -> Any:
        """Return the sets as data that JSON can hold."""
        return "all" if self.sets is None else sorted(sorted(seen) for seen in self.sets)


def _any(rows: int, free: Tensor, generator: torch.Generator) -> Tensor:
    """Draw sets of any size of the variables that are free, not all variables at once."""
    most = int(free.sum()) - int(free.all())
    size = torch.randint(0, most + 1, (rows, 1), generator=generator)
    order = torch.rand(rows, len(free), generator=generator)
    order[:, ~free] = torch.inf
    return order.argsort(1).argsort(1) < size


def _listed(sets: Any) -> Iterable[Any]:
    if isinstance(sets, str) or not isinstance(sets, Iterable):
        raise ValueError(
            f'Got patterns={sets!r}; expected "all", or a list of sets of observed variables, '
            'such as [["x", "y"], ["y"]].'
        )
    return sets
