"""Proposals around the modes of the posterior: a mixture of Student's t at each, and the prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import lgamma, log, pi

import torch
from torch import Tensor

from pyrocausal.inference.coordinates import Coordinates, states_of
from pyrocausal.inference.inferred import Inferred, NoRoute
from pyrocausal.inference.problem import Problem
from pyrocausal.inference.proposals import DEFENCE, weighted
from pyrocausal.inference.walk import Walk
from pyrocausal.inference.weighting import smooth

__all__ = ["STATES", "Modes", "by_modes", "by_moments", "find_modes"]

STATES = 32
"""Joint states of discrete variables that get modes of their own."""
LONGEST = 40  # numbers a unit, up to which second derivatives are taken
_STARTS = 64  # draws from the prior among which to start
_MODES = 8  # places to climb from, in all states together, though at least 2 in each
_STEPS = 40
_STRIDE = 3.0  # prior deviations, the longest step
_FLOOR = 0.1  # of the others are spread over all modes alike
_INFLATED = 1.5  # the covariance that weighted proposals show: rather too wide than too narrow
_FREEDOM = 6  # degrees of freedom; even, so that uniforms give its chi-square


@dataclass(frozen=True)
class Modes:
    """Modes of the posterior of each unit, in standardised real numbers.

    Attributes:
        coordinates: How the missing continuous values lie in one vector.
        states: Discrete variable to the values at each mode, ``(modes, 1, *inner, *event)``.
        loc: Prior mean of the real numbers, ``(units, size)``.
        scale: Prior standard deviation, ``(units, size)``.
        place: The modes, ``(modes, units, size)``, in numbers standardised by these.
        factor: Lower Cholesky factor of the curvature there, ``(modes, units, size, size)``.
        height: Log joint density at the modes, in standardised numbers, ``(modes, units)``.
    """

    coordinates: Coordinates
    states: Mapping[str, Tensor]
    loc: Tensor
    scale: Tensor
    place: Tensor
    factor: Tensor
    height: Tensor

    @property
    def log_mass(self) -> Tensor:
        """Log weight of each mode by Laplace's approximation, ``(modes, units)``."""
        size = self.place.shape[-1]
        volume = self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        mass = self.height - volume + 0.5 * size * log(2 * pi)
        return mass.nan_to_num(nan=-torch.inf, posinf=-torch.inf)


def find_modes(problem: Problem) -> Modes:
    """Climb to the modes of the posterior from the best of some prior draws.

    Raises:
        NoRoute: Nothing continuous is missing, or too much; too many states of what is discrete.
    """
    walk = Walk(problem.with_noise("starts"), _STARTS)
    coordinates = Coordinates.of(problem, walk)
    states = states_of(problem, walk, STATES)
    if not 0 < coordinates.size <= LONGEST:
        raise NoRoute(
            f"{coordinates.size} missing real numbers; modes are found for 1 to {LONGEST}"
        )
    real = coordinates.join(walk.real)
    # A draw beyond its limits stands for no place.
    anywhere = problem.stream("starts", _STARTS).normals((coordinates.size,), torch.float64)
    real = torch.where(real.isfinite(), real, anywhere.reshape(real.shape))
    low, loc, high = real.quantile(torch.tensor([0.16, 0.5, 0.84]).to(real), 0)
    scale = ((high - low) / 2).clamp(min=1e-9)
    number = max((len(value) for value in states.values()), default=1)
    each = max(2, _MODES // number)
    start = _spread(((real - loc) / scale), walk.log_likelihood, each).repeat(number, 1, 1)
    states = {n: v.repeat_interleave(each, 0) for n, v in states.items()}
    found = Modes(coordinates, states, loc, scale, start, start.new_zeros(0), start.new_zeros(0))
    return _climbed(problem, found)


def by_modes(problem: Problem, draws: int, count: int) -> Inferred:
    """Weigh proposals from a mixture of Student's t at the modes, and from the prior.

    Raises:
        NoRoute: See ``find_modes``.
    """
    _, found, log_weights = _weighed(problem, find_modes(problem), count)
    return weighted(problem, found, log_weights, draws)


def by_moments(problem: Problem, draws: int, count: int) -> Inferred:
    """Weigh proposals as ``by_modes`` does, and again with what these told of the moments.

    Raises:
        NoRoute: See ``find_modes``; or variables with discrete states are missing too.
    """
    modes = find_modes(problem)
    if modes.states:
        raise NoRoute("moments are not taken over discrete states")
    vectors, _, log_weights = _weighed(problem, modes, count)
    weights = smooth(log_weights).log_weights.nan_to_num(nan=-torch.inf).exp()
    mean = torch.einsum("kn,knd->nd", weights, vectors)
    centred = vectors - mean
    spread = _INFLATED * torch.einsum("kn,kni,knj->nij", weights, centred, centred)
    spread = spread + 1e-6 * torch.eye(vectors.shape[-1]).to(spread)
    factor = torch.linalg.cholesky(torch.linalg.inv(spread))
    volume = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    # It gets the share of the best mode.
    constant = 0.5 * vectors.shape[-1] * log(2 * pi)
    height = modes.log_mass.amax(0).nan_to_num(neginf=0.0) + volume - constant
    wider = replace(
        modes,
        place=torch.cat((modes.place, mean[None])),
        factor=torch.cat((modes.factor, factor[None])),
        height=torch.cat((modes.height, height[None])),
    )
    _, found, log_weights = _weighed(problem.with_noise("moments"), wider, count)
    return weighted(problem, found, log_weights, draws)


def _weighed(
    problem: Problem, modes: Modes, count: int
) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """Return proposals as standardised numbers, their values, and their log weights."""
    share = round(count * DEFENCE)
    vectors, which = _proposed(problem, modes, count - share)
    states = {n: v[which, 0] for n, v in modes.states.items()}
    near = Walk(problem, count - share, values=states, free=_numbers(modes, vectors))
    prior = Walk(problem.with_noise("defence"), share)
    log_joint = torch.cat((near.log_joint + near.log_slope, prior.log_joint + prior.log_slope))
    log_prior = torch.cat((near.log_prior + near.log_slope, prior.log_prior + prior.log_slope))
    far = (modes.coordinates.join(prior.real) - modes.loc) / modes.scale
    far = far.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)  # beyond limits, where no weight is
    vectors = torch.cat((vectors, far))
    log_near = _log_density(modes, vectors)
    log_near = log_near + _matching(problem, modes, near, prior)
    log_near = _mixed(modes, log_near) - modes.scale.log().sum(-1)
    log_q = torch.logaddexp(log(1 - DEFENCE) + log_near, log(DEFENCE) + log_prior)
    found = {n: torch.cat((near.found[n], prior.found[n])) for n in problem.missing}
    return vectors, found, log_joint - log_q


def _spread(points: Tensor, height: Tensor, number: int) -> Tensor:
    """Choose the best point, and others among the better half that lie far from those chosen."""
    better = height.nan_to_num(nan=-torch.inf).topk(len(points) // 2, 0).indices
    points = points.gather(0, better[..., None].expand(-1, -1, points.shape[-1]))
    chosen = [points[0]]
    distance = (points - chosen[0]).square().sum(-1)
    while len(chosen) < number:
        farthest = distance.argmax(0)
        chosen.append(points[farthest, torch.arange(len(farthest), device=points.device)])
        distance = torch.minimum(distance, (points - chosen[-1]).square().sum(-1))
    return torch.stack(chosen)


def _climbed(problem: Problem, modes: Modes) -> Modes:
    """Climb by damped Newton steps, whose damping each unit and mode finds for itself."""
    place = modes.place
    height, gradient = _gradient(problem, modes, place)
    damping, moved = torch.full_like(height, 0.1), True
    active = torch.ones_like(height, dtype=torch.bool)
    for _ in range(_STEPS):
        if moved:
            values, axes = torch.linalg.eigh(_curvature(problem, modes, place))
        safe = values.abs().clamp(min=1e-3) + damping[..., None]
        step = (axes @ ((axes.mT @ gradient[..., None]) / safe[..., None]))[..., 0]
        # Each stops by itself, so that no unit's modes depend on who is with it.
        active = active & ((gradient * step).sum(-1) > 1e-3) & (damping < 1e6)
        if not bool(active.any()):
            break
        step = step * (_STRIDE / step.norm(dim=-1, keepdim=True).clamp(min=_STRIDE))
        new_height, new_gradient = _gradient(problem, modes, place + step)
        better = active & (new_height > height)
        place = torch.where(better[..., None], place + step, place)
        gradient = torch.where(better[..., None], new_gradient, gradient)
        height = torch.where(better, new_height, height)
        damping = torch.where(better, damping / 10, damping * 10).clamp(min=1e-6)
        moved = bool(better.any())
    values, axes = torch.linalg.eigh(_curvature(problem, modes, place))
    # Never wider than ten prior deviations, where a mode is flat or no maximum.
    curvature = axes @ (values.abs().clamp(min=1e-2)[..., None] * axes.mT)
    factor = torch.linalg.cholesky(curvature)
    return replace(modes, place=place, factor=factor, height=height)


def _gradient(problem: Problem, modes: Modes, place: Tensor) -> tuple[Tensor, Tensor]:
    """Return the log joint density and its gradient in standardised numbers."""
    copies = len(place) // len(modes.place)
    states = {n: v.repeat_interleave(copies, 0) for n, v in modes.states.items()}
    with torch.enable_grad():
        place = place.detach().requires_grad_()
        walk = Walk(problem, len(place), values=states, free=_numbers(modes, place))
        height = walk.log_joint + walk.log_slope + modes.scale.log().sum(-1)
        (gradient,) = torch.autograd.grad(height.sum(), place)
    height = height.detach().nan_to_num(nan=-torch.inf)
    return height, gradient.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


def _curvature(problem: Problem, modes: Modes, place: Tensor) -> Tensor:
    """Return minus the second derivatives, by differences of gradients, symmetric."""
    size, step = place.shape[-1], 2e-2
    shifts = step * torch.eye(size).to(place)
    around = torch.stack((place[:, None] + shifts[:, None], place[:, None] - shifts[:, None]), 1)
    _, gradients = _gradient(problem, modes, around.flatten(0, 2))
    gradients = gradients.reshape(len(place), 2, size, problem.size, size)
    curvature = (gradients[:, 1] - gradients[:, 0]).movedim(1, 2) / (2 * step)
    return (curvature + curvature.mT) / 2


def _numbers(modes: Modes, place: Tensor) -> dict[str, Tensor]:
    return modes.coordinates.split(modes.loc + modes.scale * place)


def _mixture(modes: Modes) -> Tensor:
    """Return the log shares of the modes, ``(modes, units)``."""
    mass = modes.log_mass
    mass = torch.where(mass.amax(0) == -torch.inf, 0.0, mass)
    shares: Tensor = (1 - _FLOOR) * mass.softmax(0) + _FLOOR / len(mass)
    return shares.log()


def _mixed(modes: Modes, log_densities: Tensor) -> Tensor:
    return (log_densities + _mixture(modes)).logsumexp(1)


def _proposed(problem: Problem, modes: Modes, count: int) -> tuple[Tensor, Tensor]:
    """Draw standardised numbers, ``(count, units, size)``, and the modes they belong to."""
    size, units = modes.place.shape[-1], problem.size
    u = problem.stream("modes", count).uniforms((1 + _FREEDOM // 2 + size,))
    u = u.reshape(count, units, -1)
    shares = _mixture(modes).exp().cumsum(0)
    which = (u[..., :1] > (shares / shares[-1]).T).sum(-1)
    chi_square = -2 * u[..., 1 : 1 + _FREEDOM // 2].log().sum(-1)
    normals = torch.special.ndtri(u[..., 1 + _FREEDOM // 2 :])
    unit = torch.arange(units, device=u.device)
    factor, place = modes.factor[which, unit], modes.place[which, unit]
    step = torch.linalg.solve_triangular(factor.mT, normals[..., None], upper=True)[..., 0]
    return place + step * (_FREEDOM / chi_square).sqrt()[..., None], which


def _log_density(modes: Modes, points: Tensor) -> Tensor:
    """Return the log density of Student's t at each mode, ``(count, modes, units)``."""
    size = points.shape[-1]
    constant = lgamma((_FREEDOM + size) / 2) - lgamma(_FREEDOM / 2) - size / 2 * log(_FREEDOM * pi)
    volume = modes.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    columns = []
    for place, factor in zip(modes.place, modes.factor, strict=True):
        scaled = torch.einsum("nji,knj->kni", factor, points - place)
        columns.append(scaled.square().sum(-1))
    distance = torch.stack(columns, 1)
    return constant + volume - (_FREEDOM + size) / 2 * torch.log1p(distance / _FREEDOM)


def _matching(problem: Problem, modes: Modes, near: Walk, prior: Walk) -> Tensor:
    """Return 0 where a mode is of a proposal's discrete state, else minus infinity."""
    same = torch.ones((), dtype=torch.bool, device=modes.place.device)
    for name, states in modes.states.items():
        found = torch.cat((near.found[name], prior.found[name]))[:, None]
        absent = problem.absent(name)
        equal = found == states[None]
        event = equal.dim() - 3 - absent.dim()
        equal = equal.flatten(equal.dim() - event).all(-1) if event else equal
        equal = (equal | ~absent).flatten(3).all(-1) if absent.dim() else equal
        same = same & equal
    return torch.zeros(same.shape, device=same.device).masked_fill(~same, -torch.inf)
