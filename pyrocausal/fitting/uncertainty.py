r"""What data leave open about the parameters: sandwich, Laplace, bootstrap, posterior.

With the log likelihood :math:`\ell(\theta) = \sum_i \ell_i(\theta)` of complete data, its maximum
:math:`\hat\theta`, :math:`H = -\ell''(\hat\theta)` and :math:`S = \sum_i \ell_i' \ell_i'^T`, the
parameters are about normal with covariance :math:`H^{-1}` (Laplace) where the model is right, and
:math:`H^{-1} S H^{-1}` (sandwich) also where it is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import torch
from torch import Tensor

from pyrocausal.verbs.core import Core
from pyrocausal.verbs.density import log_density
from pyrocausal.verbs.posterior import shared_sites
from pyrocausal.verbs.standing import Standing

__all__ = [
    "MOST_PARAMETERS",
    "ParameterLaw",
    "Uncertainty",
    "number_of_parameters",
    "parameter_law",
    "read_uncertainty",
]

Uncertainty = Literal["sandwich", "laplace", "bootstrap", "posterior"]

DRAWS: Final = 200
MOST_PARAMETERS: Final = 500
AT_ONCE: Final = 256  # gradients that are taken together
STEPS: Final = 20  # of Newton's method, to the maximum
CLOSE: Final = 1e-3  # a step in units of the standard error, at which it is there


@dataclass(frozen=True, eq=False)
class ParameterLaw:
    """Draws of the parameters, from what the data leave open.

    Attributes:
        method: How it was had.
        draws: Shape ``(draw, parameter)``, unconstrained; for a posterior of shared variables,
            which the guide draws, shape ``(draw, 0)``.
    """

    method: Uncertainty
    draws: Tensor

    @classmethod
    def of(cls, core: Core, method: str, by_name: Mapping[str, Tensor]) -> ParameterLaw:
        """Join what `by_name` has parted.

        Raises:
            KeyError: A parameter without draws.
            ValueError: An unknown method.
        """
        known = read_uncertainty(method)
        if known is None:
            raise ValueError("no method")
        parts = [by_name[n].reshape(len(by_name[n]), p.numel()) for n, p in _named(core).items()]
        return cls(known, torch.cat(parts, 1))

    def by_name(self, core: Core) -> dict[str, Tensor]:
        """Return each parameter's draws, shape ``(draw, ...)``."""
        named = _named(core)
        parts = self.draws.split([parameter.numel() for parameter in named.values()], 1)
        return {
            name: part.reshape(-1, *parameter.shape)
            for (name, parameter), part in zip(named.items(), parts, strict=True)
        }

    @contextmanager
    def varying(self, core: Core) -> Iterator[Callable[[int], None]]:
        """Yield what puts a draw in the place of the parameters; put these back afterwards."""
        if self.method == "posterior":

            def pick(draw: int) -> None:
                core.posterior_seed = draw

            try:
                yield pick
            finally:
                core.posterior_seed = None
            return
        parameters = _parameters(core)
        before = [parameter.detach().clone() for parameter in parameters]

        def put(draw: int) -> None:
            _write(parameters, self.draws[draw])

        try:
            yield put
        finally:
            for parameter, value in zip(parameters, before, strict=True):
                parameter.data.copy_(value)


def read_uncertainty(uncertainty: str | None) -> Uncertainty | None:
    """Check the name of a method.

    Raises:
        ValueError: An unknown name.
    """
    for known in get_args(Uncertainty):
        if uncertainty == known:
            return known  # type: ignore[no-any-return]
    if uncertainty is None:
        return None
    raise ValueError(
        f"uncertainty got {uncertainty!r}; expected None or one of "
        f"{', '.join(get_args(Uncertainty))}."
    )


def number_of_parameters(core: Core) -> int:
    """Return how many numbers a fit has to find."""
    return sum(parameter.numel() for parameter in _parameters(core))


def parameter_law(
    core: Core,
    data: Any,
    inputs: Mapping[str, Any] | None,
    method: Uncertainty,
    seed: int,
) -> ParameterLaw:
    """Go to the maximum of the likelihood, and say how far the data let the parameters stray.

    Args:
        core: The fitted SCM.
        data: What it was fitted to.
        inputs: The program's arguments.
        method: ``"sandwich"``, ``"laplace"``, ``"bootstrap"``, or ``"posterior"`` for a program
            with variables that all units share.
        seed: Of the draws.

    Raises:
        ValueError: Incomplete data; too many parameters; no maximum; a posterior that is not there.
    """
    if method == "posterior":
        return _posterior(core)
    likelihood = _Likelihood(core, data, inputs)
    ones = torch.ones(likelihood.units, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed % 2**63)
    center = likelihood.flat()
    try:
        information = _climb(likelihood, ones)
        center = likelihood.flat()
        return ParameterLaw(method, _drawn(likelihood, information, method, center, generator))
    finally:
        likelihood.put(center)


def _drawn(
    likelihood: _Likelihood,
    information: Tensor,
    method: Uncertainty,
    center: Tensor,
    generator: torch.Generator,
) -> Tensor:
    if method == "bootstrap":
        return _resampled(likelihood, center, generator)
    inverse = torch.linalg.inv(information)
    scores = likelihood.scores()
    middle = scores.T @ scores if method == "sandwich" else information
    root = torch.linalg.cholesky(_symmetric(inverse @ middle @ inverse))
    noise = torch.randn(DRAWS, len(center), dtype=torch.float64, generator=generator)
    draws: Tensor = center + noise @ root.T
    return draws


def _posterior(core: Core) -> ParameterLaw:
    if core.guide is None or not shared_sites(core):
        raise ValueError(
            'uncertainty="posterior" is for a program with variables that all units share, fitted '
            'with a guide for them. Ask for "sandwich" or "bootstrap".'
        )
    return ParameterLaw("posterior", torch.empty(DRAWS, 0))


class _Likelihood:
    """The log likelihood of complete data as a function of one vector of parameters."""

    def __init__(self, core: Core, data: Any, inputs: Mapping[str, Any] | None) -> None:
        self.core, self.data, self.inputs = core, data, inputs
        self.parameters = _parameters(core)
        number = number_of_parameters(core)
        if not number:
            raise ValueError(
                "uncertainty: the program has no parameters that data could leave open; expected "
                "one or more. Leave uncertainty out."
            )
        if number > MOST_PARAMETERS:
            raise ValueError(
                f'uncertainty="sandwich" and "laplace" take second derivatives of the likelihood by '
                f"all parameters; the program has {number}, expected at most {MOST_PARAMETERS}. Ask "
                'for uncertainty="bootstrap", which fits a network again to halves of the rows, or '
                "name smaller mechanisms: from_graph(..., mechanisms={...})."
            )
        self.units = len(self.of_units())

    def of_units(self) -> Tensor:
        """Return each unit's log likelihood, float64."""
        with self.core.session(grad=True), torch.enable_grad():
            return log_density(self.core, Standing(), self.data, self.inputs).double().cpu()

    def flat(self) -> Tensor:
        """Return the parameters as one vector, float64."""
        parts = [parameter.detach().reshape(-1).double().cpu() for parameter in self.parameters]
        return torch.cat(parts)

    def put(self, vector: Tensor) -> None:
        """Set the parameters."""
        _write(self.parameters, vector)

    def slope_and_curvature(self, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the weighted log likelihood, its gradient and minus its second derivatives."""
        value = (weights * self.of_units()).sum()
        slope = self._derivatives(value[None], create_graph=True)[0]
        curvature = self._derivatives(slope)
        return value.detach(), slope.detach(), -_symmetric(curvature)

    def scores(self) -> Tensor:
        """Return each unit's gradient, shape ``(unit, parameter)``."""
        return self._derivatives(self.of_units())

    def _derivatives(self, values: Tensor, *, create_graph: bool = False) -> Tensor:
        """Return the gradient of each value, shape ``(value, parameter)``."""
        number = sum(parameter.numel() for parameter in self.parameters)
        if not values.requires_grad:
            return torch.zeros(len(values), number, dtype=torch.float64)
        rows = torch.eye(len(values), dtype=values.dtype).split(AT_ONCE)
        parts = [self._batch(values, row, create_graph) for row in rows]
        return torch.cat(parts)

    def _batch(self, values: Tensor, rows: Tensor, create_graph: bool) -> Tensor:
        found = torch.autograd.grad(
            values,
            self.parameters,
            rows,
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
            is_grads_batched=True,
        )
        filled = [
            torch.zeros(len(rows), *parameter.shape) if part is None else part
            for part, parameter in zip(found, self.parameters, strict=True)
        ]
        return torch.cat([part.reshape(len(rows), -1).double().cpu() for part in filled], 1)


def _climb(likelihood: _Likelihood, weights: Tensor) -> Tensor:
    """Go to the maximum by Newton's method with halved steps; return the information there."""
    for _ in range(STEPS):
        value, slope, information = likelihood.slope_and_curvature(weights)
        root, flaw = torch.linalg.cholesky_ex(information)
        if int(flaw):
            raise ValueError(
                "uncertainty: the likelihood has no sharp maximum in all parameters where fit() "
                "stopped: some are not told by the data, or more steps are needed. Fit longer, or "
                "drop parameters that do the same."
            )
        step = torch.cholesky_solve(slope[:, None], root).squeeze(1)
        if float((step * slope).sum()) < CLOSE**2:
            break
        start, size = likelihood.flat(), 1.0
        while size > 1e-3:
            likelihood.put(start + size * step)
            if float((weights * likelihood.of_units().detach()).sum()) >= float(value):
                break
            size /= 2
        else:
            likelihood.put(start)
            break
    return information


def _resampled(likelihood: _Likelihood, center: Tensor, generator: torch.Generator) -> Tensor:
    """Fit again to rows drawn with replacement."""
    even = torch.ones(likelihood.units, dtype=torch.float64)
    rows = []
    for _ in range(DRAWS):
        drawn = torch.multinomial(even, likelihood.units, replacement=True, generator=generator)
        likelihood.put(center)
        _climb(likelihood, torch.bincount(drawn, minlength=likelihood.units).double())
        rows.append(likelihood.flat())
    return torch.stack(rows)


def _named(core: Core) -> dict[str, Tensor]:
    return {name: p for name, p in core.scope.named().items() if p.requires_grad}


def _parameters(core: Core) -> list[Tensor]:
    return list(_named(core).values())


def _write(parameters: list[Tensor], vector: Tensor) -> None:
    parts = vector.split([parameter.numel() for parameter in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.data.copy_(part.reshape(parameter.shape))


def _symmetric(matrix: Tensor) -> Tensor:
    return (matrix + matrix.T) / 2
