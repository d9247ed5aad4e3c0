"""Keeping a fit in a folder while it runs, and going on with it after a crash."""

from __future__ import annotations

import json
import os
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from pyrocausal.differing import differences, listed
from pyrocausal.fitting.headers import DAMAGED, read_tensors
from pyrocausal.fitting.identity import WORDS, identity_of, probe
from pyrocausal.fitting.snapshots import restore, snapshot
from pyrocausal.fitting.team import leads
from pyrocausal.writing import PART, replacing

if TYPE_CHECKING:
    from pyrocausal.fitting.training import Training

__all__ = ["Checkpoint", "open_checkpoint"]

FILE: Final = "fit.safetensors"
HEADER: Final = "pyrocausal checkpoint"  # the key of the header in the file's metadata
FORMAT: Final = 1
OFTEN: Final = 100  # steps between two checkpoints, unless ``every`` says otherwise


def open_checkpoint(folder: Any, every: Any) -> Checkpoint | None:
    """Open the folder of a fit's checkpoint; ``None`` where none is asked for.

    Raises:
        TypeError: No path.
        ValueError: ``every`` is no positive whole number, or there is nothing for it to say; a
            file that is no checkpoint.
    """
    if folder is None:
        if every is not None:
            raise ValueError(
                f"fit() got every={every!r} but no checkpoint; expected both. Say where to keep "
                'the fit, such as checkpoint="fit1".'
            )
        return None
    if not isinstance(folder, str | os.PathLike):
        raise TypeError(f"fit() got checkpoint={folder!r}; expected the path of a folder.")
    if every is not None and (
        isinstance(every, bool) or not isinstance(every, Integral) or every < 1
    ):
        raise ValueError(f"fit() got every={every!r}; expected a positive whole number of steps.")
    return Checkpoint(Path(folder), OFTEN if every is None else int(every))


class Checkpoint:
    """The state of a fit in one file, which is replaced as a whole.

    Args:
        folder: Where it lies; made where it is not there.
        every: Steps between two writings.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self.path, self.every = folder / FILE, every
        self.header, self.tensors = _read(self.path)
        self.kept = 0  # the step of what is in the file
        self.resumed = 0  # the step that the fit went on from

    def seed(self, seed: int | None) -> int | None:
        """Return the seed of the fit that is kept here, where another one is not asked for.

        Raises:
            ValueError: Another one is asked for.
        """
        if not self.header:
            return seed
        own: int = self.header["seed"]
        if seed is not None and int(seed) != own:
            raise self._other([f"the seed is {seed} and was {own}"])
        return own

    def resume(self, training: Training) -> bool:
        """Go on from the file, if there is one.

        Raises:
            ValueError: It is of another program, other data or other settings.
        """
        if not self.header:
            return False
        found = differences(self.header["identity"], identity_of(training), WORDS)
        if found:
            raise self._other(found)
        restore(training, self.tensors, self.header["numbers"])
        was, now = ({"densities": one} for one in (self.header["probe"], probe(training)))
        found = differences(was, now, WORDS)
        if found:
            raise self._other(found)
        self.tensors = {}
        self.kept = self.resumed = len(training.losses)
        return True

    def due(self, step: int) -> bool:
        """Say whether a step is one to write at."""
        return step // self.every > self.kept // self.every

    def write(self, training: Training) -> None:
        """Replace the file by the state that a fit has now.

        Raises:
            OSError: The folder can't be written to, or is full; the last file stands.
        """
        if not leads():
            self.kept = len(training.losses)
            return
        tensors, numbers = snapshot(training)
        header = {
            "format": FORMAT,
            "seed": training.settings.seed,
            "identity": identity_of(training),
            "probe": probe(training),
            "numbers": numbers,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for stale in self.path.parent.glob(f".{FILE}.*{PART}"):
            stale.unlink(missing_ok=True)  # of a process that was killed
        try:
            with replacing(self.path) as beside:
                save_file(tensors, beside, {HEADER: json.dumps(header)})
        except (SafetensorError, OSError) as error:
            raise OSError(
                f"{self.path} can't be written at step {len(training.losses)}: {error} The "
                f"checkpoint of step {self.kept} stands; make room and run the fit again to go on "
                "from there."
            ) from error
        self.kept = len(training.losses)

    def _other(self, found: list[str]) -> ValueError:
        return ValueError(
            f"{self.path} is the checkpoint of another fit: {listed(found)}. Give the "
            "fit a folder of its own, or delete this one to start afresh."
        )


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        return {}, {}
    try:
        header, tensors = read_tensors(path, HEADER)
    except DAMAGED as error:
        raise ValueError(
            f"{path} is damaged and can't be read ({error}). Delete it to start afresh."
        ) from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(
            f"{path} is no checkpoint that this version of fit() wrote. Give another folder."
        )
    return header, tensors
