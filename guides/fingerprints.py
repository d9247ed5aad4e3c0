"""What tells the parameters of an SCM from other ones."""

from __future__ import annotations

import hashlib

import torch

from pyrocausal.verbs.core import Core

__all__ = ["fingerprint"]


def fingerprint(core: Core) -> str:
    """Return a hash of the parameters and buffers of an SCM, those of a guide left out."""
    digest = hashlib.sha256()
    named = {**core.scope.named(), **core.scope.buffers()}
    others = () if core.guide is None else core.guide.parameters
    for name in sorted(named.keys() - set(others)):
        tensor = named[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
