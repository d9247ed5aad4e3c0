"""Features: what the heads of VLUCI are linear in, scaled so that an optimizer has it easy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import torch
from torch import Tensor, nn

__all__ = ["Basis", "Expansion"]

Expansion = Literal["linear", "hinges"]
KNOTS: Final = 5
FEW: Final = 10
"""A column with no more distinct values than this has no hinges."""


class Basis(nn.Module):
    r"""Functions ``phi(x)`` of mean 0, variance 1 and no correlation over the units of the fit.

    ``phi(x) = (f(x) - mean) R`` with ``f`` the standardised columns, and their hinges
    ``max(0, x - knot)`` where asked for, or what a network makes of them.

    Args:
        x: Covariates of the fit, shape ``(n, d)``.
        places: The columns that enter.
        expansion: Whether columns of more than a few values get hinges, at five quantiles.
        trunk: A network of the standardised columns to use instead; it is left as it is.

    Example:
        >>> x = torch.tensor([[0.0, 1.0], [2.0, 1.0]])
        >>> Basis(x, [0, 1])(x)
        tensor([[-1.], [ 1.]])
    """

    loc: Tensor
    scale: Tensor
    knots: Tensor
    center: Tensor
    rotation: Tensor

    def __init__(
        self,
        x: Tensor,
        places: Sequence[int],
        expansion: Expansion = "linear",
        trunk: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.places, self.trunk = list(places), trunk
        columns = x[:, self.places]
        scale = columns.std(0, unbiased=False)
        self.register_buffer("loc", columns.mean(0))
        self.register_buffer("scale", torch.where(scale > 0, scale, torch.ones_like(scale)))
        z = self.standardised(x)
        self.bent = _bent(z) if expansion == "hinges" else []
        at = torch.linspace(0, 1, KNOTS + 2, dtype=z.dtype)[1:-1]
        self.register_buffer("knots", z[:, self.bent].quantile(at, 0) if self.bent else at[:0])
        with torch.no_grad():
            raw = self.raw(x)
            self.register_buffer("center", raw.mean(0))
            self.register_buffer("rotation", _rotation(raw - self.center))

    @property
    def size(self) -> int:
        """Number of functions."""
        return self.rotation.shape[1]

    def standardised(self, x: Tensor) -> Tensor:
        """Return the columns, standardised, shape ``(..., d)``."""
        return (x[..., self.places] - self.loc) / self.scale

    def raw(self, x: Tensor) -> Tensor:
        """Return ``f(x)``, shape ``(..., p)``."""
        z = self.standardised(x)
        if self.trunk is not None:
            return self.trunk(z)  # type: ignore[no-any-return]
        if not self.bent:
            return z
        hinges = (z[..., self.bent, None] - self.knots.mT).clamp_min(0.0)
        return torch.cat([z, hinges.flatten(-2)], -1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``phi(x)``, shape ``(..., size)``."""
        return (self.raw(x) - self.center) @ self.rotation


def _bent(z: Tensor) -> list[int]:
    return [column for column in range(z.shape[1]) if len(z[:, column].unique()) > FEW]


def _rotation(centred: Tensor) -> Tensor:
    # Through the eigenvectors of the covariance: columns that repeat others are left out.
    values, vectors = torch.linalg.eigh(centred.mT @ centred / len(centred))
    kept = values > 1e-8 * values.max().clamp_min(1e-300) if len(values) else values > 0
    return vectors[:, kept] / values[kept].sqrt()  # type: ignore[no-any-return]
