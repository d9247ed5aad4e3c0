"""How much memory is free, and how much a row of a query takes."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["bytes_per_row", "free_memory"]

_UNKNOWN: Final = 4 * 2**30  # where a machine does not say what it has
_GROUP: Final = Path("/sys/fs/cgroup")
_FEW: Final = (4, 12)  # rows of two trial runs, whose difference leaves out what no row takes


def free_memory(device: torch.device) -> int:
    """Return how many bytes can still be had on a device.

    Example:
        >>> free_memory(torch.device("cpu")) > 0
        True
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return min([*_of_the_machine(), *_of_the_group()], default=_UNKNOWN)


def bytes_per_row(run: Callable[[int], object]) -> int:
    """Return how many bytes each row of a run takes when most are taken.

    Args:
        run: Runs on a number of rows.

    Example:
        >>> bytes_per_row(lambda rows: torch.zeros(rows, 3) + torch.ones(3) + 1)
        24
    """
    peaks: list[int] = []
    for rows in _FEW:
        with _Counting() as counting:
            run(rows)
        peaks.append(counting.peak)
    few, more = _FEW
    return max(1, -(-(peaks[1] - peaks[0]) // (more - few)))


class _Counting(TorchDispatchMode):
    """Counts the bytes that operations have taken and not given back."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.taken = self.peak = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view and not func._schema.is_mutable:
            for leaf in tree_leaves(result):
                if isinstance(leaf, Tensor):
                    self._take(leaf.untyped_storage())
        return result

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch would load its compiler, which takes seconds

    def _take(self, storage: torch.UntypedStorage) -> None:
        self.taken += storage.nbytes()
        self.peak = max(self.peak, self.taken)
        weakref.finalize(storage, self._give_back, storage.nbytes())

    def _give_back(self, count: int) -> None:
        self.taken -= count


def _of_the_machine() -> list[int]:
    lines = _text(Path("/proc/meminfo")).splitlines()
    return [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]


def _of_the_group() -> list[int]:
    """Return what the limit of a container leaves."""
    limit, used = _text(_GROUP / "memory.max").strip(), _text(_GROUP / "memory.current").strip()
    return [max(0, int(limit) - int(used))] if limit.isdigit() and used.isdigit() else []


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""
