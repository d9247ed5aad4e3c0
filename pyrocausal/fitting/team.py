"""The processes that share a fit, as ``torchrun`` starts them: one batch, one gradient."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from pyrocausal.engine.tracing import seed_all
from pyrocausal.fitting.feeding import Feed
from pyrocausal.fitting.keyed_noise import KeyedNoise
from pyrocausal.noise import Stream

__all__ = ["SharedFeed", "Team", "find_team", "leads", "own_device"]


Number = TypeVar("Number", int, float)


def leads() -> bool:
    """Say whether this process shows and writes what all of them have: the first, or only one."""
    return int(os.environ.get("RANK", "0")) == 0 if _started() else True


def find_team(device: torch.device) -> Team | None:
    """Return the processes that share a fit; ``None`` where there is but this one."""
    if not _started():
        return None
    import torch.distributed as dist

    if not dist.is_initialized():
        import atexit

        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(_leave)
    return Team(dist.get_rank(), dist.get_world_size(), device)


def own_device(device: torch.device) -> torch.device:
    """Return this process's own of several devices of a kind."""
    if _started() and device.type == "cuda" and device.index is None:
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return device


class Team:
    """Processes that share a fit.

    Args:
        rank: The number of this one.
        size: How many there are.
        device: Where what they exchange lives.
    """

    def __init__(self, rank: int, size: int, device: torch.device) -> None:
        self.rank, self.size, self.device = rank, size, device

    def share(self, rows: Tensor) -> Tensor:
        """Return the part of some rows that is this process's.

        Raises:
            ValueError: Fewer rows than processes.
        """
        if len(rows) < self.size:
            raise ValueError(
                f"A step takes {len(rows)} units, which {self.size} processes can't share. Raise "
                "batch_size, or start fewer."
            )
        return rows.tensor_split(self.size)[self.rank]

    def reduce(self, loss: Tensor, parameters: Sequence[Tensor], part: float) -> Tensor:
        """Average loss and gradients over the processes.

        Args:
            loss: Of this process's units.
            parameters: Their gradients are replaced.
            part: The part of the batch that is this process's.

        Returns:
            The loss of the batch.
        """
        import torch.distributed as dist

        moved = [p for p in parameters if p.grad is not None]
        grads = [p.grad for p in moved if p.grad is not None]
        kinds = {g.dtype for g in grads} | {loss.dtype}
        whole = max(kinds, key=lambda kind: torch.finfo(kind).bits)
        flat = torch.cat([loss.reshape(1).to(whole), *(g.reshape(-1).to(whole) for g in grads)])
        flat *= part
        dist.all_reduce(flat)
        pieces = flat[1:].split([g.numel() for g in grads])
        for p, piece, grad in zip(moved, pieces, grads, strict=True):
            p.grad = piece.view(p.shape).to(grad.dtype)
        return flat[0].to(loss.dtype)

    def gather(self, part: Tensor) -> Tensor:
        """Join the processes' parts of something, one entry for each unit, in their order."""
        import torch.distributed as dist

        counts = [torch.zeros(1, dtype=torch.int64, device=self.device) for _ in range(self.size)]
        dist.all_gather(counts, torch.tensor([len(part)], device=self.device))
        most = max(int(count) for count in counts)
        padded = part.new_zeros(most, *part.shape[1:])
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        return torch.cat([each[: int(n)] for each, n in zip(parts, counts, strict=True)])

    def begin(self, state: Sequence[Tensor]) -> None:
        """Give all the state of the first."""
        import torch.distributed as dist

        for tensor in state:
            dist.broadcast(tensor.detach(), 0)

    def agree(self, number: Number) -> Number:
        """Return the number of the first."""
        import torch.distributed as dist

        dtype = torch.int64 if isinstance(number, int) else torch.float64
        box = torch.tensor([number], dtype=dtype, device=self.device)
        dist.broadcast(box, 0)
        return type(number)(box.item())

    def check_alike(self, number: int, what: str) -> None:
        """Check that all have the same.

        Raises:
            ValueError: They have not.
        """
        own = torch.tensor([number], dtype=torch.int64, device=self.device)
        every = self.gather(own)
        if bool((every != own).any()):
            raise ValueError(
                f"The {self.size} processes of a fit have {what} that differ: {every.tolist()}. "
                "Each takes its share of the same data by itself: give all of them the whole."
            )


class SharedFeed:
    """Takes of each step the share of this process, and moves the noise on.

    Args:
        feed: Takes the units of all.
        team: Those who share them.
        noise: The noise of a step; ``None`` where the loss draws none.
    """

    def __init__(self, feed: Feed, team: Team, noise: KeyedNoise | None, seed: int) -> None:
        self.feed, self.team, self.noise, self.seed, self.step = feed, team, noise, seed, 0

    def ahead(self, number: int) -> int:
        """Return how many steps may be taken at once."""
        return self.feed.ahead(number)

    def take(self, number: int) -> list[Tensor]:
        """Return this process's rows of the next steps."""
        rows = self.feed.take(number)
        if self.noise is not None:
            self.noise.at(self.step)
            # What can't be keyed by unit differs at least between processes.
            seed_all(Stream(self.seed, f"noise of process {self.team.rank}", 0).key(self.step))
        self.step += number
        return [self.team.share(each) for each in rows]

    def at(self) -> list[int]:
        """Return where it stands."""
        return [*self.feed.at(), self.step]

    def go_to(self, place: list[int]) -> None:
        """Go where it once stood."""
        self.step = place[2] if len(place) > 2 else 0
        self.feed.go_to(place)


def _started() -> bool:
    """Say whether torchrun, or the user, has started several processes."""
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ and "MASTER_ADDR" in os.environ:
        return True
    import torch.distributed as dist

    return dist.is_available() and dist.is_initialized()


def _leave() -> None:
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()
