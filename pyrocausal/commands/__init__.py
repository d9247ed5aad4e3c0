"""The commands that ask a model in a file: ``pyrocausal graph``, ``pyrocausal query``."""

from pyrocausal.commands.failing import CommandError

__all__ = ["CommandError"]
