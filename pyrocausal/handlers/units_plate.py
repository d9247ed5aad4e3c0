"""The handler ``units``."""

from contextlib import ContextDecorator
from typing import Any

import pyro

from pyrocausal.engine.evidence import count_of
from pyrocausal.engine.rows import UNITS, current_units

__all__ = ["units"]


class units(ContextDecorator):
    """Open the plate over the units, in a program that also has sites shared by all units.

    Inside a query the size is the query's; outside one it is ``size``, and without it the plate
    is left out. Usable as ``with pc.units():``, ``@pc.units(100)`` and ``pc.units(program, 100)``.

    Args:
        program: A program to run inside the plate; leave it out for a context manager.
        size: Number of units outside of queries.

    Example:
        >>> def program():
        ...     loc = pyro.sample("loc", dist.Normal(0.0, 1.0))
        ...     with units(5):
        ...         return pyro.sample("x", dist.Normal(loc, 1.0))
        >>> program().shape
        torch.Size([5])
    """

    size: Any

    def __new__(cls, program: Any = None, /, size: int | None = None) -> Any:
        if callable(program):
            return cls(size)(program)
        instance = super().__new__(cls)
        size = program if size is None else size
        instance.size = None if size is None else count_of(size, "the size of pc.units()")
        return instance

    def _recreate_cm(self) -> "units":
        again: units = type(self)(self.size)
        return again

    def __enter__(self) -> Any:
        frame: Any = current_units.get()
        if frame is None and self.size is not None:
            frame = pyro.plate(UNITS, self.size, dim=-1)
        self._frame = frame
        return None if frame is None else frame.__enter__()

    def __exit__(self, *args: Any) -> None:
        if self._frame is not None:
            self._frame.__exit__(*args)
