"""Writing files at once or not at all, whatever kills the process or fills the disk."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["PART", "replacing"]

PART = ".part"  # what the name of a file that is being written ends with


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name beside a path; what is written there takes the path's place in the end.

    The bytes are on the disk before the name is: after a crash there is the old file or the new
    one, whole.

    Args:
        path: The file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with replacing(Path(folder, "a.txt")) as beside:
        ...         _ = beside.write_text("whole")
        ...     Path(folder, "a.txt").read_text()
        'whole'
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")
    try:
        yield beside
        _sync(beside, os.O_RDWR)
        os.replace(beside, path)
        if os.name == "posix":  # elsewhere a folder can't be opened
            _sync(path.parent, os.O_RDONLY)
    finally:
        beside.unlink(missing_ok=True)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
