"""A distribution whose value was seen, of some units, to lie within limits only."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions.constraints import Constraint

from pyrocausal.engine.intervals import Interval
from pyrocausal.engine.rows import unmasked
from pyrocausal.engine.within import no_cdf
from pyrocausal.noise import Coupling, structural_equation
from pyrocausal.noise.interval_mass import log_mass

__all__ = ["LimitedDistribution"]


class LimitedDistribution(TorchDistribution):
    """The law of what was seen of a site: its value, or limits that it lies within.

    Its density is ``log p(x)`` where the value was seen and ``log P(low <= x <= high)`` where
    limits were.

    Args:
        base: The site's distribution.
        limits: The limits, in program shape.
        name: The site.
        coupling: The coupling of its noise, if one was chosen.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}

    def __init__(
        self, base: Any, limits: Interval, name: str, coupling: Coupling | None = None
    ) -> None:
        self.base_dist, self.limits, self.name, self.coupling = base, limits, name, coupling
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    @property
    def support(self) -> Any:
        """The support of the distribution without limits."""
        return self.base_dist.support

    def mass(self) -> Tensor:
        """Return ``log P(low <= x <= high)``, float64, shape ``batch_shape``.

        Raises:
            ValueError: No CDF of the distribution is known.
            NotAbducible: It has no structural equation.
        """
        equation = structural_equation(self.base_dist, self.coupling, self.name)
        mass = log_mass(equation, self.limits.low, self.limits.high)
        if mass is None:
            raise no_cdf(self.name, self.base_dist)
        return mass

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density, or the log probability of the limits."""
        density: Tensor = self.base_dist.log_prob(value)
        counts = unmasked(self.base_dist, None)[1]
        mass = self.mass().to(density.dtype)
        if counts is not None:
            mass = torch.where(torch.as_tensor(counts, device=mass.device), mass, 0.0)
        return torch.where(self.limits.within, mass, density)
