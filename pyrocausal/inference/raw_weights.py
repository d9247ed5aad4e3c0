"""Raw weights of units, of which some have more proposals than others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["RawWeights"]


@dataclass(frozen=True, eq=False, repr=False)
class RawWeights:
    """Log weights of the proposals that each unit's draws were chosen from.

    Units that a few proposals did not suffice for got more of them, so that this is no table;
    ``to_tensor()`` makes it one. Units whose draws have no weights, being exact or of chains, have
    none here.

    Attributes:
        units: How many units there are.
        blocks: Numbers of units with as many proposals each, ``(some,)``, and the log weights of
            these, up to a constant of each unit, ``(proposals, some)``.

    Example:
        >>> few, many = torch.zeros(2, 1), torch.zeros(3, 1)
        >>> weights = RawWeights(3, ((torch.tensor([0]), few), (torch.tensor([2]), many)))
        >>> weights.counts
        tensor([2, 0, 3])
        >>> weights.to_tensor()
        tensor([[0., nan, 0.],
                [0., nan, 0.],
                [nan, nan, 0.]])
    """

    units: int
    blocks: tuple[tuple[Tensor, Tensor], ...] = ()

    def of(self, unit: int) -> Tensor:
        """Return the log weights of one unit, shape ``(proposals,)``.

        Raises:
            IndexError: There is no such unit.
        """
        place = range(self.units)[unit]
        parts = [weights[:, units == place].flatten() for units, weights in self.blocks]
        return torch.cat(parts) if parts else torch.zeros(0)

    @property
    def counts(self) -> Tensor:
        """How many proposals each unit has, shape ``(units,)``."""
        counts = torch.zeros(self.units, dtype=torch.long, device="cpu")
        for units, weights in self.blocks:
            counts[units] += len(weights)
        return counts

    def to_tensor(self) -> Tensor:
        """Return log weights of shape ``(proposals, units)``, NaN below those that a unit has."""
        filled = torch.zeros(self.units, dtype=torch.long, device="cpu")
        some = self.blocks[0][1] if self.blocks else torch.zeros(0)
        rows = int(self.counts.max()) if self.units else 0
        whole = some.new_full((rows, self.units), torch.nan)
        for units, weights in self.blocks:
            row = filled[units] + torch.arange(len(weights), device="cpu")[:, None]
            place = units.to(whole.device)
            whole[row.to(whole.device), place.expand(row.shape)] = weights
            filled[units] += len(weights)
        return whole

    def where(self, kept: Tensor) -> RawWeights:
        """Return the weights of some units only, by a mask of shape ``(units,)`` on the CPU."""
        pairs = ((u, w, kept[u]) for u, w in self.blocks)
        blocks = tuple(
            (u[keep], w[:, keep.to(w.device)]) for u, w, keep in pairs if bool(keep.any())
        )
        return RawWeights(self.units, blocks)

    def at(self, places: Tensor, units: int) -> RawWeights:
        """Return them as the weights of some units among more.

        Args:
            places: The number of each unit there, ``(units,)``, on the CPU.
            units: How many units there are then.
        """
        return RawWeights(units, tuple((places[u], w) for u, w in self.blocks))

    def __add__(self, other: RawWeights) -> RawWeights:
        """Return both; where a unit is in both, it has the proposals of both."""
        return RawWeights(self.units, self.blocks + other.blocks)

    def __repr__(self) -> str:
        some = self.counts[self.counts > 0]
        if not len(some):
            return f"raw weights of {self.units} units: none"
        least, most = int(some.min()), int(some.max())
        each = f"{least}" if least == most else f"{least} to {most}"
        return f"raw weights of {len(some)} of {self.units} units, {each} proposals each"
