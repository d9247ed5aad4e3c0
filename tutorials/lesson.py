"""What the tutorials share: one look for their pictures, and a size for each machine."""

import os

from matplotlib import pyplot

from pyrocausal.plot.style import PALETTE

__all__ = ["PALETTE", "size"]

pyplot.rcParams.update(
    {
        "figure.dpi": 100,
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": pyplot.cycler(color=PALETTE),
        "axes.titlelocation": "left",
        "axes.titlesize": "medium",
        "legend.frameon": False,
    }
)


def size(full: int, fast: int) -> int:
    """Return a number of units, steps or draws: the full one, or the one of a quick run.

    A quick run is what the tests do: ``TUTORIALS=fast`` in the environment.
    """
    return fast if os.environ.get("TUTORIALS") == "fast" else full
