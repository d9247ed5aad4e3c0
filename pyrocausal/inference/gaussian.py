"""Closed form: what is missing is Gaussian where it enters normal mechanisms linearly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from pyro import distributions as dist
from torch import Tensor

from pyrocausal.engine.rows import unmasked
from pyrocausal.inference.coordinates import Coordinates
from pyrocausal.inference.inferred import Inferred, NoRoute
from pyrocausal.inference.problem import Problem
from pyrocausal.inference.walk import Walk

__all__ = ["GaussianPosterior", "gaussian_posterior", "is_normal"]

_STEP = 64.0  # a power of two: what is linear is read off without rounding
_CHECKS = 6  # points at which what was read off has to hold
_CLOSE = 2e-4


@dataclass(frozen=True)
class GaussianPosterior:
    """The normal distribution of what is missing given what was seen, for each unit.

    Attributes:
        coordinates: How the missing values lie in one vector.
        mean: Shape ``(units, size)``, float64.
        factor: Lower Cholesky factor of the precision, ``(units, size, size)``.
        holds: The units at which the mechanisms were found linear, ``(units,)``.
    """

    coordinates: Coordinates
    mean: Tensor
    factor: Tensor
    holds: Tensor

    @property
    def covariance(self) -> Tensor:
        """The covariance, shape ``(units, size, size)``."""
        return torch.cholesky_inverse(self.factor)

    def at(self, normals: Tensor) -> Tensor:
        """Turn standard normals, ``(draws, units, size)``, into draws."""
        scaled: Tensor = torch.linalg.solve_triangular(
            self.factor.mT, normals.permute(1, 2, 0), upper=True
        )
        return self.mean + scaled.permute(2, 0, 1)

    def draw(self, problem: Problem, draws: int) -> Inferred:
        """Draw the missing values."""
        normals = problem.stream("gaussian", draws).normals(
            (self.coordinates.size,), torch.float64
        )
        vectors = self.at(normals.reshape(draws, problem.size, -1))
        walk = Walk(problem, draws, free=self.coordinates.split(vectors))
        return Inferred.exact({name: walk.found[name] for name in problem.missing})


def is_normal(law: Any) -> bool:
    """Say whether a distribution is normal, univariate or multivariate."""
    law, _ = unmasked(law)
    while hasattr(law, "reinterpreted_batch_ndims"):
        law = law.base_dist
    return isinstance(law, dist.Normal | dist.MultivariateNormal | dist.LowRankMultivariateNormal)


def gaussian_posterior(problem: Problem, walk: Walk) -> GaussianPosterior:
    """Condition in closed form.

    Each mechanism's error ``r = L^-1 (x - mean)`` is a linear function ``c + R m`` of the missing
    values m where the mean is linear and ``L`` constant in them; then
    ``m | seen ~ Normal(-P^-1 R^T c, P^-1)`` with ``P = R^T R``. ``c`` and ``R`` are read off at
    ``1 + size`` points, and tested at others: at draws from the result, and further out.

    Args:
        problem: The problem.
        walk: A walk that has met its variables.

    Raises:
        NoRoute: A mechanism that is not normal.
    """
    for name in (*problem.missing, *problem.factors):
        if name in problem.limits:
            raise NoRoute(f"{name!r} is known up to limits")
        if not is_normal(walk.laws[name]):
            raise NoRoute(f"{name!r} is not normal")
        if name in walk.masked:
            raise NoRoute(f"{name!r} is masked")
    coordinates = Coordinates.of(problem, walk)
    size = coordinates.size
    steps = torch.cat((torch.zeros(1, size), _STEP * torch.eye(size))).double()
    steps = steps.to(problem.query.device)[:, None].expand(-1, problem.size, -1)
    errors, scales = _errors(problem, coordinates, steps)
    constant = errors[0]
    slopes = ((errors[1:] - constant) / _STEP).permute(1, 2, 0)
    slopes = slopes.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    precision = slopes.mT @ slopes
    factor, failed = torch.linalg.cholesky_ex(precision)
    eye = torch.eye(size, dtype=factor.dtype, device=factor.device)
    factor = torch.where((failed == 0)[:, None, None], factor, eye)
    target = -(slopes.mT @ constant.nan_to_num()[..., None])
    mean = torch.cholesky_solve(target, factor)[..., 0]
    found = GaussianPosterior(coordinates, mean, factor, failed == 0)
    normals = problem.stream("checks", _CHECKS).normals((size,), torch.float64)
    spread = torch.tensor([1.0, 1.0, 3.0, 3.0, 10.0, 10.0]).to(normals)[:, None, None]
    points = found.at(normals.reshape(_CHECKS, problem.size, size) * spread)
    again, new_scales = _errors(problem, coordinates, points)
    expected = constant + torch.einsum("nrd,knd->knr", slopes, points)
    # What rounding leaves of a difference is told by the size of what is subtracted.
    size_of = 1 + constant.abs() + torch.einsum("nrd,knd->knr", slopes.abs(), points.abs())
    linear = ((again - expected).abs() <= _CLOSE * size_of).flatten(2).all(2).all(0)
    steady = torch.cat((scales[1:], new_scales)).sub(scales[0]).abs() <= _CLOSE
    holds = found.holds & linear & steady.all(0)
    return GaussianPosterior(coordinates, mean, factor, holds)


def _errors(problem: Problem, coordinates: Coordinates, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return standardised errors ``(count, units, errors)`` and log scales ``(count, units)``."""
    walk = Walk(problem, len(points), free=coordinates.split(points))
    errors, scales = [], []
    for name in (*problem.missing, *problem.factors):
        error, scale = _standardised(walk.laws[name], walk, name)
        seen = problem.seen.get(name)
        if seen is not None and name not in problem.missing:
            error, scale = error[:, :, seen], scale[:, :, seen]
        errors.append(error.reshape(*error.shape[:2], -1))
        scales.append(scale.reshape(*scale.shape[:2], -1).sum(2))
    return torch.cat(errors, 2), torch.stack(scales).sum(0)


def _standardised(law: Any, walk: Walk, name: str) -> tuple[Tensor, Tensor]:
    """Return ``L^-1 (x - mean)`` and ``log |L|``, ``(count, units, *inner, ...)``."""
    law, _ = unmasked(law)
    events = len(law.event_shape)
    value = walk.found[name].double()
    base = law
    while hasattr(base, "reinterpreted_batch_ndims"):
        base = base.base_dist

    def placed(parameter: Tensor, event_dim: int) -> Tensor:
        return walk.layout.from_rows(parameter, event_dim)[:, 0].double()

    shape = law.batch_shape + law.event_shape
    mean = placed(base.loc.expand(shape), events)
    if isinstance(base, dist.Normal):
        scale = placed(base.scale.expand(shape), events)
        log_scale = scale.log().flatten(scale.dim() - events).sum(-1) if events else scale.log()
        return (value - mean) / scale, log_scale
    if isinstance(base, dist.LowRankMultivariateNormal):
        tril = torch.linalg.cholesky(base.covariance_matrix.double())
    else:
        tril = base.scale_tril.double()
    tril = placed(tril.expand(*shape, shape[-1]), events + 1)
    error = torch.linalg.solve_triangular(tril, (value - mean)[..., None], upper=False)[..., 0]
    log_scale = tril.diagonal(dim1=-2, dim2=-1).log()
    return error, log_scale.flatten(log_scale.dim() - events).sum(-1)
