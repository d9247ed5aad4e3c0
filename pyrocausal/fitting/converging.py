"""Whether a fit that ran all its steps had got where it was going."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Final

from torch import Tensor

from pyrocausal.engine.parameters import put_back
from pyrocausal.fitting.judging import HeldOut

__all__ = ["CLEAR", "LEAST_STEPS", "still_falling"]

LEAST_STEPS: Final = 100  # fewer are a trial, of which nobody expects that it has converged
WORTH: Final = 0.01  # part of what a fit has gained, below which more is not worth a word
CLEAR: Final = 5.0  # standard errors
AHEAD: Final = tuple(0.5 * 3**k for k in range(6))
"""Parts of the way that the parameters last went, by which to look ahead."""


def still_falling(
    trained: HeldOut,
    held_out: HeldOut,
    parameters: Sequence[Tensor],
    before: Sequence[Tensor],
    gained: float,
) -> float:
    r"""Return by how many standard errors the loss would still fall along the way it last went.

    With :math:`d` from the parameters half-way to the last ones, each unit's log-likelihood grows
    by :math:`g_i` where the parameters go on along :math:`d`. At a maximum the mean of these is 0;
    :math:`z = \sqrt n\, \bar g / s_g` is by how many of its standard errors the parameter along
    :math:`d` is off, however small the last steps were. Where the likelihood flattens towards a
    maximum at infinity, that says too much: then it is :math:`\sqrt{2 G}`, with the most
    :math:`G = \sum_i g_i` that is found farther along :math:`d`; about a maximum both are one.
    What the units held out don't gain is not counted: networks go on learning their units by
    heart.

    Args:
        trained: Scores units that were trained on.
        held_out: Scores those that were not, perhaps none.
        parameters: The parameters, where the fit stopped.
        before: The same half-way.
        gained: What the whole fit has gained, for each unit.

    Returns:
        How many; 0 where the units held out gain nothing, or all units together less than 1 % of
        what the fit has gained.
    """
    here = [parameter.detach().clone() for parameter in parameters]

    def gains(units: HeldOut, far: float) -> Tensor:
        now = units.total().double()
        put_back(parameters, [p + far * (p - q) for p, q in zip(here, before, strict=True)])
        try:
            return units.total().double() - now
        finally:
            put_back(parameters, here)

    gain = gains(trained, AHEAD[0])
    spread = float(gain.std()) if len(gain) > 1 else 0.0
    z = float(gain.mean()) / spread * sqrt(len(gain)) if spread > 0 else 0.0
    if not z > 0 or (len(held_out) and not float(gains(held_out, AHEAD[0]).mean()) > 0):
        return 0.0
    if z < CLEAR:
        return z
    most = float(gain.sum())
    for far in AHEAD[1:]:
        found = float(gains(trained, far).sum())
        if not found > most:
            break
        most = found
    return min(z, sqrt(2 * most)) if most > WORTH * gained * len(gain) else 0.0
