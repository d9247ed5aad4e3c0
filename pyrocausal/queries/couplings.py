"""What an outcome's coupling leaves open: how likely it is in each world, and any joint of these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.distributions import constraints

from pyrocausal.engine.rows import support_of

if TYPE_CHECKING:
    from pyrocausal.model import SCM

__all__ = ["Joint", "coupling_of", "couplings_between", "joint", "once_seen", "probability"]


def probability(
    scm: SCM,
    worlds: Sequence[Mapping[str, Tensor]],
    name: str,
    value: float,
    inputs: Mapping[str, Any] | None = None,
    shared: Mapping[str, Tensor] | None = None,
) -> list[Tensor]:
    """Return how likely a variable is to take a value, given its causes in each world.

    Args:
        scm: The model.
        worlds: The values of all variables in each, shape ``(unit,)`` or ``(draw, unit)``.
        name: The variable.
        value: The value.
        inputs: The program's arguments, as a `Question` has read them.
        shared: The values of the variables that all units share.

    Returns:
        A probability for each unit (and draw) of each world, float64.

    Example:
        >>> def trial():
        ...     drug = pyro.sample("drug", dist.Bernoulli(0.5))
        ...     pyro.sample("cured", dist.Bernoulli(0.25 + 0.5 * drug))
        >>> world = {"drug": torch.tensor([0.0, 1.0]), "cured": torch.tensor([0.0, 0.0])}
        >>> probability(pc.SCM(trial), [world], "cured", 1.0)
        [tensor([0.2500, 0.7500], dtype=torch.float64)]
    """
    variables = scm.variables
    if variables[name].deterministic:
        return [(world[name] == value).to(torch.float64) for world in worlds]
    shape = worlds[0][name].shape
    # Setting all others leaves one term of the density: that of the outcome.
    drawn = {
        other: torch.stack([world[other] for world in worlds]).flatten(0, len(shape))
        for other in worlds[0]
        if other != name and not variables[other].deterministic
    } | {n: v for n, v in (shared or {}).items() if not variables[n].deterministic}
    outcome = torch.full_like(torch.stack([world[name] for world in worlds]).flatten(), value)
    alone = scm.do(drawn) if drawn else scm
    again = _repeated(inputs, shape[-1], len(outcome))
    density = alone.log_prob({**drawn, name: outcome}, inputs=again)
    return list(density.to(torch.float64).exp().reshape(len(worlds), *shape))


def _repeated(inputs: Mapping[str, Any] | None, units: int, rows: int) -> Mapping[str, Any] | None:
    """Repeat the inputs of the units for each draw and world."""
    if inputs is None or units == rows:
        return inputs
    return {
        name: v.repeat(rows // units, *[1] * (v.ndim - 1)) if isinstance(v, Tensor) else v
        for name, v in inputs.items()
    }


@dataclass(frozen=True)
class Joint:
    """``P(Y(x)=1, Y(x')=0)`` of each unit, given its causes in the two worlds.

    Attributes:
        lower: The least that any coupling allows, ``max(0, p - q)``.
        upper: The greatest, ``min(p, 1 - q)``.
        value: That of the model's own coupling, where a formula gives it.

    References:
        Tian, Pearl (2000), Probabilities of Causation: Bounds and Identification.
    """

    lower: Tensor
    upper: Tensor
    value: Tensor | None

    def map(self, change: Callable[[Tensor], Tensor]) -> Joint:
        """Return all three changed."""
        value = None if self.value is None else change(self.value)
        return Joint(change(self.lower), change(self.upper), value)


def joint(treated: Tensor, control: Tensor, coupling: str | None) -> Joint:
    """Say what the chances of an outcome in two worlds tell of having it in the first alone.

    Args:
        treated: Chance ``p`` of the outcome in the first world.
        control: Chance ``q`` in the second.
        coupling: ``"monotone"``, ``"independent"``, or None for another.

    Example:
        >>> joint(torch.tensor(0.7), torch.tensor(0.3), "independent").value
        tensor(0.4900)
    """
    lower = (treated - control).clamp(min=0)
    values = {"monotone": lower, "independent": treated * (1 - control), None: None}
    return Joint(lower, torch.minimum(treated, 1 - control), values[coupling])


def once_seen(
    joint: Joint, treated: Tensor, control: Tensor, seen: Sequence[Tensor], outcome: Tensor
) -> Joint:
    """Condition a joint probability on the outcome in the world where it was seen.

    Args:
        joint: The probabilities before.
        treated: Chance of the outcome in the first world.
        control: The same in the second.
        seen: Whether the unit was seen in the first world, and in the second.
        outcome: What it was there.

    Example:
        >>> p, q = torch.tensor([0.7]), torch.tensor([0.3])
        >>> at = torch.tensor([True]), torch.tensor([False])
        >>> once_seen(joint(p, q, None), p, q, at, torch.tensor([1.0])).lower
        tensor([0.5714])
    """
    came, stayed = outcome == 1, outcome == 0
    first, second = seen
    chance = torch.where(first & came, treated, torch.ones_like(treated))
    chance = torch.where(second & stayed, 1 - control, chance)
    possible = ~((first & stayed) | (second & came))
    return joint.map(lambda share: (share / chance).clamp(max=1) * possible)


def couplings_between(scm: SCM, names: Sequence[str]) -> tuple[str, ...]:
    """Say which couplings an answer rests on: those of the discrete ones of some variables."""
    coupled = [coupling_of(scm, name)[0] for name in names if scm.variables[name].discrete]
    return (f"the coupling of {', '.join(coupled)}",) if coupled else ()


def coupling_of(scm: SCM, name: str) -> tuple[str, str | None]:
    """Name the coupling of a variable's noise, and say which formula it has.

    For two values, Gumbel-max and the quantile coupling are one and the same, the monotone one.

    Example:
        >>> coupling_of(pc.zoo.simpson(), "recovery")
        ('recovery (gumbel-max, monotone)', 'monotone')
    """
    route = scm.plan([name]).routes[name]
    fn = scm._core.distributions().get(name)
    two = isinstance(support_of(fn), type(constraints.boolean)) if fn is not None else False
    formula = {"gumbel-max": "monotone", "quantile": "monotone", "independent": "independent"}
    kind = formula.get(route) if two else None
    return f"{name} ({route}{', monotone' if kind == 'monotone' else ''})", kind
