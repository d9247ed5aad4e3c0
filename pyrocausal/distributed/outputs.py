"""A folder of results: a file for each chunk, whole or not there, and what was asked."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyrocausal.differing import differences, listed
from pyrocausal.writing import PART, replacing

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Output", "Written"]

MANIFEST: Final = "_manifest.json"  # readers of Parquet folders pass by what begins with _
FORMAT: Final = 1
_WORDS: Final = {
    "query": "the question's",
    "program": "the program's",
    "answers": "the answer at the first units for",
    "source": "of the source,",
}


@dataclass(frozen=True)
class Written:
    """What a query has written.

    Attributes:
        path: The folder of Parquet files.
        query: The question in symbols.
        units: How many units it was asked for.
        rows: How many rows were written, also by earlier runs.
        chunks: How many files there are.
        skipped: How many of them were there before.
        seconds: How long it took.
        seed: Gives the same answer again.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = pc.distributed.sample(pc.zoo.chain(), 1000, folder, seed=0)
        >>> written.units, written.rows, written.skipped
        (1000, 1000, 0)
    """

    path: Path
    query: str
    units: int
    rows: int
    chunks: int
    skipped: int
    seconds: float
    seed: int

    def dataset(self) -> Any:
        """Return the files as one ``pyarrow.dataset.Dataset``."""
        import pyarrow.dataset as ds

        return ds.dataset(self.path, format="parquet")

    def __str__(self) -> str:
        before = f", {self.skipped} of them before" if self.skipped else ""
        fresh = self.units * (self.chunks - self.skipped) / self.chunks
        return "\n".join(
            [
                self.query,
                f"written: {self.rows} rows for {self.units} units, {self.chunks} chunks{before}",
                f"in: {self.path}",
                f"took: {self.seconds:.1f} s, {fresh / max(self.seconds, 1e-9):.0f} units a second",
                f"seed: {self.seed}",
            ]
        )


class Output:
    """The folder of a query's results.

    Args:
        path: The folder; made where it is not there.

    Raises:
        ValueError: A folder with other files in it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise NotADirectoryError(f"{self.path} is a file; expected a folder for the results.")
        self.manifest = self._read()

    def seed(self, seed: int | None) -> int | None:
        """Return the seed of the results that are here, where none is asked for."""
        return self.manifest["query"]["seed"] if self.manifest and seed is None else seed

    def begin(self, identity: dict[str, dict[str, Any]]) -> None:
        """Say what is going to be written, or check that it is what was begun.

        Raises:
            ValueError: The folder has the results of another query.
        """
        if not self.manifest:
            self.path.mkdir(parents=True, exist_ok=True)
            with replacing(self.path / MANIFEST) as beside:
                beside.write_text(json.dumps({"format": FORMAT, **identity}, indent=1))
            return
        self.sweep()
        found = differences(self.manifest, identity, _WORDS)
        if found:
            raise ValueError(
                f"{self.path} holds the results of another query: {listed(found)}. Give another "
                "folder, or delete this one."
            )

    def sweep(self) -> None:
        """Remove what processes that were killed had begun to write."""
        for stale in self.path.glob(f".*{PART}"):
            stale.unlink(missing_ok=True)

    def has(self, chunk: int, suffix: str = "parquet") -> bool:
        """Say whether a chunk is finished."""
        return self.file(chunk, suffix).exists()

    def file(self, chunk: int, suffix: str = "parquet") -> Path:
        """Return the path of a chunk."""
        return self.path / f"chunk-{chunk:07d}.{suffix}"

    def write(self, chunk: int, table: pa.Table) -> None:
        """Write the results of a chunk, at once or not at all.

        Raises:
            OSError: There is no room; finished chunks are kept.
        """
        import pyarrow.parquet as pq

        few = [name for name in ("draw", "world") if name in table.column_names]
        try:
            with replacing(self.file(chunk)) as beside:
                pq.write_table(table, beside, use_dictionary=few)
        except OSError as error:
            raise OSError(
                f"Chunk {chunk} can't be written to {self.path}: {error}. Finished chunks are kept: "
                "make room, and ask the same query again to go on."
            ) from error

    def _read(self) -> dict[str, Any]:
        file = self.path / MANIFEST
        if not file.is_file():
            if self.path.is_dir() and any(f.name[0] != "." for f in self.path.iterdir()):
                raise ValueError(
                    f"{self.path} holds other files, and none that says what they are. Give a "
                    "folder that is empty or not there."
                )
            return {}
        try:
            found: dict[str, Any] = json.loads(file.read_text())
        except json.JSONDecodeError as error:
            raise ValueError(f"{file} can't be read ({error}). Give another folder.") from error
        if found.get("format") != FORMAT:
            raise ValueError(f"{file} is of another version. Give another folder.")
        return found
