"""Sharing a total fairly among its causes: Shapley values, exact for few and sampled for many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Final

import torch
from torch import Tensor

__all__ = ["EXACT", "Shares", "shapley"]

EXACT: Final = 8  # players up to which all coalitions are asked
ORDERS: Final = 200  # random orders of more players

Game = Callable[[frozenset[str]], Tensor]


@dataclass(frozen=True)
class Shares:
    """What each player adds.

    Attributes:
        value: One number for each player.
        se: Their Monte Carlo errors.
        total: What all together add to none; the shares sum to it.
    """

    value: Tensor
    se: Tensor
    total: Tensor


def shapley(players: Sequence[str], game: Game, seed: int, orders: int = ORDERS) -> Shares:
    """Return the Shapley values of a game that is played on draws.

    Args:
        players: Their names.
        game: From a coalition to what it is worth, one number for each draw of chance.
        seed: Of the random orders, where there are more than 8 players.
        orders: Number of these.

    Example:
        >>> worth = {"a": 1.0, "b": 2.0}
        >>> game = lambda coalition: torch.full((2,), sum((worth[n] for n in coalition), 0.0))
        >>> shapley(["a", "b"], game, seed=0).value
        tensor([1., 2.])

    References:
        Shapley (1953), A Value for n-Person Games.
    """
    known: dict[frozenset[str], Tensor] = {}

    def worth(coalition: frozenset[str]) -> Tensor:
        if coalition not in known:
            known[coalition] = game(coalition)
        return known[coalition]

    if len(players) <= EXACT:
        gains = _all_coalitions(players, worth)
    else:  # too many coalitions to ask all
        gains = _random_orders(players, worth, seed, orders)
    total = worth(frozenset(players)).mean() - worth(frozenset()).mean()
    return Shares(gains.mean(1), gains.std(1) / gains.shape[1] ** 0.5, total)


def _all_coalitions(players: Sequence[str], worth: Game) -> Tensor:
    """Return each player's weighted gains, shape ``(player, draw)``."""
    rows = []
    for player in players:
        others = [name for name in players if name != player]
        row = torch.zeros_like(worth(frozenset()))
        for size in range(len(players)):
            weight = 1 / (len(players) * comb(len(others), size))
            for chosen in combinations(others, size):
                without = frozenset(chosen)
                row = row + weight * (worth(without | {player}) - worth(without))
        rows.append(row)
    return torch.stack(rows)


def _random_orders(players: Sequence[str], worth: Game, seed: int, orders: int) -> Tensor:
    """Return each player's mean gain in each of many orders, shape ``(player, order)``."""
    generator = torch.Generator().manual_seed(seed % 2**63)
    gains = torch.zeros(len(players), orders, dtype=worth(frozenset()).dtype)
    for column in range(orders):
        before = frozenset[str]()
        for place in torch.randperm(len(players), generator=generator).tolist():
            after = before | {players[place]}
            gains[place, column] = (worth(after) - worth(before)).mean()
            before = after
    return gains
