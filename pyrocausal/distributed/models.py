"""The SCM of a query, as something that can be sent to another process."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pyrocausal.fitting.options import read_device
from pyrocausal.verbs.posterior import shared_sites
from pyrocausal.verbs.standing import Standing

if TYPE_CHECKING:
    from pyrocausal.model import SCM

__all__ = ["Model"]


class Model:
    """An SCM, or the file that one was saved to.

    Sent to another process it is the program and the bytes of a saved file.

    Args:
        scm: The SCM, or the path of a file that tells its program too.
        device: Where to work; ``None`` for where the parameters are.
    """

    def __init__(self, scm: SCM | str | os.PathLike[str], device: Any = None) -> None:
        from pyrocausal.model import SCM

        if not isinstance(scm, SCM | str | os.PathLike):
            raise TypeError(
                f"The model is a {type(scm).__name__}; expected an SCM, or the path of a saved one."
            )
        self.device = device
        self._scm = scm if isinstance(scm, SCM) else SCM.load(scm)
        if device is not None:
            self._scm.to(read_device(device, "The query"))

    @property
    def scm(self) -> SCM:
        """The SCM."""
        return self._scm

    def check_sendable(self) -> None:
        """Check that another process will have the same SCM.

        Raises:
            ValueError: One under interventions, or with a guide that is no part of its file.
        """
        scm, core = self._scm, self._scm._core
        if scm._standing != Standing():
            raise ValueError(
                f"{scm!r} can't be sent to a cluster: it is no plain SCM. Give that, and the "
                "interventions as do=."
            )
        if core.guide is not None and shared_sites(core):
            raise ValueError(
                "The SCM's fitted guide draws variables that all units share, and can't be sent to "
                "a cluster. Leave cluster= out: one machine can answer, chunk by chunk."
            )

    def __getstate__(self) -> dict[str, Any]:
        scm, core = self._scm, self._scm._core
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "scm.safetensors")
            scm.save(file)
            content = file.read_bytes()
        own = {k: v for k, v in core.couplings.items() if not isinstance(v, str)}
        examples = {k: v.cpu() if torch.is_tensor(v) else v for k, v in core.examples.items()}
        return {
            "file": content,
            "program": core.program,
            "noise": own,
            "examples": examples,
            "device": self.device,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        from pyrocausal.model import SCM

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "scm.safetensors")
            file.write_bytes(state["file"])
            self._scm = SCM.load(
                file, state["program"], inputs=state["examples"] or None, noise=state["noise"]
            )
        self.device = state["device"]
        if self.device is not None:
            self._scm.to(self.device)
