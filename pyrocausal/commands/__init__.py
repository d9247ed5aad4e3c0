"""The commands about a model in a file: ``pyrocausal graph``, ``query`` and ``explore``."""

from pyrocausal.commands.failing import CommandError

__all__ = ["CommandError"]
