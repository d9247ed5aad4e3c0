"""Finding and reading the files of a data set."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["VARIABLE", "Source", "read_table", "shipped"]

VARIABLE: Final = "PYROCAUSAL_DATA"
"""The environment variable with the folder of the data sets that aren't shipped."""


@final
@dataclass(frozen=True)
class Source:
    """A data set that isn't shipped: where its files are looked for, and where they are had.

    Args:
        name: The sub-folder.
        origin: In words, where a user gets the files and what they must look like.

    Example:
        >>> source = Source("ihdp", "The files are in a public project.")
        >>> source.file("ihdp_npci_1.csv", folder="nowhere")
        Traceback (most recent call last):
        FileNotFoundError: No file nowhere/ihdp/ihdp_npci_1.csv. The files are in a public project.
    """

    name: str
    origin: str

    def file(self, file: str, folder: str | Path | None = None) -> Path:
        """Return the path of one file.

        Args:
            file: The name of the file.
            folder: The folder that holds the sub-folders of all data sets; by default the value of
                the environment variable ``PYROCAUSAL_DATA``.

        Returns:
            The path of a file that exists.

        Raises:
            FileNotFoundError: If no folder is known, or the file isn't there.
        """
        root = folder or os.environ.get(VARIABLE)
        if not root:
            raise FileNotFoundError(
                f"The data set {self.name!r} isn't shipped with pyrocausal. Set {VARIABLE}, or "
                f"pass folder=, to the folder that holds {self.name}/{file}. {self.origin}"
            )
        path = Path(root) / self.name / file
        if not path.is_file():
            raise FileNotFoundError(f"No file {path}. {self.origin}")
        return path


def read_table(path: Path, columns: Collection[str], **options: Any) -> pd.DataFrame:
    """Read a csv file, compressed or not, and make sure that it is the one that was meant.

    Args:
        path: The file.
        columns: Names that must be among its columns.
        options: Handed to `pandas.read_csv`.

    Returns:
        The table.

    Raises:
        ValueError: If a column is missing, as in a file without its header line, or all are.

    Example:
        >>> read_table(shipped("close_college.csv"), ["educ", "lwage"]).shape
        (3010, 8)
    """
    import pandas as pd

    try:
        table: pd.DataFrame = pd.read_csv(path, **options)
    except pd.errors.EmptyDataError as error:
        raise ValueError(
            f"{path} is empty; expected a table. Put the right file there."
        ) from error
    missing = sorted(set(columns) - set(table.columns))
    if missing:
        raise ValueError(
            f"{path} has no column {missing}; its first line names {list(table.columns[:5])} ... "
            "Add the header line, or put the right file there."
        )
    return table


def shipped(file: str) -> Path:
    """Return the path of a data file that is shipped with the package.

    Args:
        file: The name of the file.

    Returns:
        Its path.

    Example:
        >>> shipped("nhefs_complete.csv").is_file()
        True
    """
    return Path(str(files("pyrocausal") / "data" / file))
