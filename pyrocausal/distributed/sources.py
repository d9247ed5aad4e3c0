"""Tables larger than memory: Parquet and Arrow files, read a piece at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Piece", "Source", "is_source", "open_source"]

_ARROW: Final = (".arrow", ".feather", ".ipc")


@dataclass(frozen=True)
class Piece:
    """Rows that lie together: a row group of a Parquet file, or a batch of an Arrow file.

    Attributes:
        file: Number of the file.
        number: Number of the row group or batch in it.
        first: Number of the first row among all.
        rows: How many.
    """

    file: int
    number: int
    first: int
    rows: int


def is_source(data: Any) -> bool:
    """Say whether data lie in files: a path, several, or an Arrow data set.

    Example:
        >>> is_source("units.parquet"), is_source({"x": [1.0]})
        (True, False)
    """
    if isinstance(data, list | tuple):
        return bool(data) and all(isinstance(part, str | os.PathLike) for part in data)
    kinds = type(data).__mro__
    arrow = any(k.__module__ == "pyarrow._dataset" and k.__name__ == "Dataset" for k in kinds)
    return arrow or isinstance(data, str | os.PathLike | Source)


def open_source(data: Any) -> Source:
    """Open the files of a data set; only their footers are read.

    Args:
        data: The path of a file or folder, a list of them, or a ``pyarrow.dataset.Dataset``.

    Raises:
        FileNotFoundError: No such file, or a folder without any.
        ModuleNotFoundError: pyarrow is not installed, the extra ``distributed``.
        OSError: A file that can't be read.
        TypeError: Something else.
    """
    if isinstance(data, Source):
        return data
    try:
        import pyarrow as pa
        import pyarrow.dataset as ds
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Reading data in files needs pyarrow: pip install 'pyrocausal[distributed]'."
        ) from error
    if isinstance(data, ds.Dataset):
        return Source(data)
    if not is_source(data):
        raise TypeError(
            f"The source is a {type(data).__name__}; expected the path of a Parquet or Arrow file "
            "or folder, a list of them, or a pyarrow.dataset.Dataset."
        )
    paths = [os.fspath(part) for part in (data if isinstance(data, list | tuple) else [data])]
    for path in paths:
        if not Path(path).exists():
            raise FileNotFoundError(f"There is no file or folder {path}.")
    given: Any = paths[0] if len(paths) == 1 else paths
    kind = "ipc" if _are_arrow(paths) else "parquet"
    try:
        return Source(ds.dataset(given, format=kind))
    except (pa.ArrowInvalid, OSError) as error:
        raise OSError(f"{', '.join(paths)} can't be read: {_first_line(error)}") from error


class Source:
    """Rows in files, by pieces.

    Args:
        dataset: A ``pyarrow.dataset.Dataset`` of Parquet or Arrow files.

    Attributes:
        schema: Names and types of the columns.
        pieces: In the order of their rows.
        rows: How many there are.

    Raises:
        OSError: A file that can't be read.
        ValueError: No rows.
    """

    def __init__(self, dataset: Any) -> None:
        self.schema: pa.Schema = dataset.schema
        self.fragments: list[Any] = list(dataset.get_fragments())
        self.pieces: tuple[Piece, ...] = ()
        self.rows, pieces = 0, list[Piece]()
        self._kept: tuple[Any, Any] = (None, None)  # which columns of which piece, and they
        for file, fragment in enumerate(self.fragments):
            for number, rows in enumerate(self._sizes(fragment)):
                if rows:
                    pieces.append(Piece(file, number, self.rows, rows))
                    self.rows += rows
        self.pieces = tuple(pieces)
        if not self.rows:
            raise ValueError("The source has no rows; expected at least one unit.")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": (None, None)}

    def name(self, file: int) -> str:
        """Return the path of a file."""
        return str(getattr(self.fragments[file], "path", f"part {file}"))

    def read(self, piece: Piece, columns: Sequence[str]) -> pa.Table:
        """Read some columns of a piece; the last piece that was read is kept.

        Raises:
            OSError: A file that can't be read.
        """
        import pyarrow as pa

        wanted = (piece, tuple(columns))
        if self._kept[0] != wanted:
            self._kept = (None, None)  # two at once would take twice the memory
            fragment = self.fragments[piece.file]
            try:
                table = self._read(fragment, piece.number, list(columns))
            except (pa.ArrowException, OSError) as error:
                raise OSError(
                    f"{self.name(piece.file)}, row group {piece.number}, can't be read: "
                    f"{_first_line(error)}"
                ) from error
            self._kept = (wanted, table)
        found: pa.Table = self._kept[1]
        return found

    def check(self, columns: Sequence[str]) -> None:
        """Check that every file has these columns, of the same types, and of numbers.

        Raises:
            TypeError: A column that holds no numbers, or another type in another file.
            ValueError: A column that a file lacks.
        """
        for file, fragment in enumerate(self.fragments):
            own = fragment.physical_schema
            for name in columns:
                kind = self.schema.field(name).type
                if name not in own.names:
                    if _is_partition(fragment, name):
                        continue
                    raise ValueError(
                        f"{self.name(file)} has no column {name!r}, which other files have. "
                        f"It has: {', '.join(own.names)}."
                    )
                if own.field(name).type != kind:
                    raise TypeError(
                        f"The column {name!r} of {self.name(file)} holds "
                        f"{own.field(name).type}, that of {self.name(0)} {kind}; expected one "
                        "type. Write the files again with one."
                    )
                if not _is_numeric(kind):
                    raise TypeError(
                        f"The column {name!r} of {self.name(file)} holds {kind}; expected "
                        "numbers, booleans or lists of them. Recode it as numbers."
                    )

    def fingerprint(self) -> dict[str, Any]:
        """Say what the data are, by the footers of the files: a hash of each."""
        return {
            "number of units": self.rows,
            **{f"file {i}": self._footer(fragment) for i, fragment in enumerate(self.fragments)},
        }

    def _sizes(self, fragment: Any) -> list[int]:
        import pyarrow as pa

        try:
            if hasattr(fragment, "row_groups"):
                return [group.num_rows for group in fragment.row_groups]
            reader = self._reader(fragment)
            return [reader.get_batch(i).num_rows for i in range(reader.num_record_batches)]
        except (pa.ArrowException, OSError) as error:
            name = getattr(fragment, "path", "A part of the source")
            raise OSError(f"{name} can't be read: {_first_line(error)}") from error

    def _read(self, fragment: Any, number: int, columns: list[str]) -> pa.Table:
        import pyarrow as pa

        if hasattr(fragment, "row_groups"):
            part = fragment.subset(row_group_ids=[number])
            return part.to_table(schema=self.schema, columns=columns)
        batch = self._reader(fragment).get_batch(number)
        return pa.Table.from_batches([batch]).select(columns)

    def _reader(self, fragment: Any) -> Any:
        import pyarrow as pa

        local = type(fragment.filesystem).__name__ == "LocalFileSystem"
        path = fragment.path
        file = pa.memory_map(path) if local else fragment.filesystem.open_input_file(path)
        return pa.ipc.open_file(file)

    def _footer(self, fragment: Any) -> str:
        if hasattr(fragment, "row_groups"):
            said = repr(fragment.metadata.to_dict())
        else:
            size = fragment.filesystem.get_file_info(fragment.path).size
            said = f"{size} {fragment.physical_schema}"
        return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()


def _is_partition(fragment: Any, name: str) -> bool:
    return f"({name} == " in str(fragment.partition_expression)


def _is_numeric(kind: Any) -> bool:
    from pyarrow import types

    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _is_numeric(kind.value_type)
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _are_arrow(paths: Sequence[str]) -> bool:
    first = Path(paths[0])
    if first.is_dir():
        files = sorted(f for f in first.rglob("*") if f.is_file() and f.name[0] not in "._")
        if not files:
            raise FileNotFoundError(f"There are no files in {first}.")
        first = files[0]
    return first.suffix.lower() in _ARROW


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
