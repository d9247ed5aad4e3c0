"""Reading a file of tensors whose header says in JSON what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open
from torch import Tensor

__all__ = ["DAMAGED", "read_tensors"]

DAMAGED: Final = (SafetensorError, json.JSONDecodeError)
"""What reading raises of a file that is damaged."""


def read_tensors(path: Path, header: str) -> tuple[Any, dict[str, Tensor]]:
    """Read the JSON under a name of the header, ``None`` where there is none, and the tensors.

    Args:
        path: The file, which is there.
        header: The name in the file's metadata.
    """
    with safe_open(path, framework="pt") as file:
        text = (file.metadata() or {}).get(header)
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no dict
    return None if text is None else json.loads(text), tensors
