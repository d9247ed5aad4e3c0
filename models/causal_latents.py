"""Causes of an image: neural mechanisms that follow a graph, learned from images and labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, final

import torch
from torch import Tensor, nn

from pyrocausal.graph import CausalGraph
from pyrocausal.guides.image_encoder import LEAST_VARIANCE

__all__ = ["CausalLatents", "Order"]

Order = Literal["topological", "released"]
HIDDEN: Final = 64


@final
class CausalLatents(nn.Module):
    """Causal variables in standardised units, ``z_i = f_i(z of its parents) + u_i``.

    Each ``f_i`` sees the other variables through a row of the adjacency matrix, and the variables
    are computed causes first. A root is its noise, ``z_i = u_i``.

    Args:
        graph: The causal graph of the variables.
        order: ``"topological"``; or ``"released"``, for comparison only: the mechanisms of the
            code that was released with the paper, ``z_i = f_i(sum of u of its parents) + u_i``,
            in which an intervention reaches children and no further.

    Attributes:
        names: The variables, causes first.
        parents: ``parents[i, j]`` is 1 where variable j is a parent of i.
        loc: Mean of each label.
        scale: Standard deviation of each label.
        low: Least value of each label.
        high: Largest value of each label.
        residual: Standard deviation of each ``u_i``; 1 for a root.

    Example:
        >>> latents = CausalLatents(CausalGraph([("angle", "length")]))
        >>> latents.settle(torch.zeros(5, 2), {}).shape
        torch.Size([5, 2])

    References:
        Komanduri, Zhao, Chen, Wu (2024), Causal diffusion autoencoders. ECAI.
    """

    parents: Tensor
    loc: Tensor
    scale: Tensor
    low: Tensor
    high: Tensor
    residual: Tensor

    def __init__(self, graph: CausalGraph, order: Order = "topological") -> None:
        super().__init__()
        self.names: tuple[str, ...] = tuple(graph.topological_order())
        self.order = order
        size = len(self.names)
        edges = torch.tensor(
            [[float(graph.has_edge(j, i)) for j in self.names] for i in self.names]
        )
        self.register_buffer("parents", edges)
        for name, value in (
            ("loc", 0.0),
            ("scale", 1.0),
            ("low", -torch.inf),
            ("high", torch.inf),
        ):
            self.register_buffer(name, torch.full((size,), value))
        self.register_buffer("residual", torch.ones(size))
        self.mechanisms = nn.ModuleList(
            _network(size) if bool(edges[i].any()) else nn.Identity() for i in range(size)
        )

    @property
    def roots(self) -> Tensor:
        """Which variables have no parents, ``(variables,)``."""
        return self.parents.sum(1) == 0

    def is_root(self, i: int) -> bool:
        """Say whether a variable has no parents."""
        return isinstance(self.mechanisms[i], nn.Identity)

    def mean(self, i: int, z: Tensor, u: Tensor) -> Tensor:
        """Return ``f_i`` at the other variables, shape ``(rows,)``; 0 for a root.

        Args:
            i: The number of the variable.
            z: The variables, shape ``(rows, variables)``; only those before ``i`` count.
            u: Their noise, of the same shape.
        """
        if self.is_root(i):
            return torch.zeros_like(z[:, i])
        seen = self.parents[i] * (z if self.order == "topological" else u)
        if self.order == "released":
            seen = seen.sum(-1, keepdim=True).expand_as(seen)
        return self.mechanisms[i](seen)[:, 0]  # type: ignore[no-any-return]

    def settle(self, u: Tensor, given: Mapping[int, Tensor]) -> Tensor:
        """Return all variables given their noise; those that are given keep their value.

        Args:
            u: Noise, shape ``(rows, variables)``; that of given variables is not read.
            given: Number of a variable to its standardised values, ``(rows,)``.
        """
        z, noise = torch.zeros_like(u), u
        for i in range(len(self.names)):
            mean = self.mean(i, z, noise)
            value = given[i] if i in given else mean + u[:, i]
            here = torch.arange(len(self.names), device=u.device) == i
            z = torch.where(here, value[:, None], z)
            noise = torch.where(here, (value - mean)[:, None], noise)
        return z

    def standardised(self, labels: Tensor) -> Tensor:
        """Return labels in standardised units, shape ``(rows, variables)``."""
        return (labels - self.loc) / self.scale

    def measure(self, labels: Tensor) -> None:
        """Take centre, scale and range of each variable from labels with NaN where missing."""
        for i, column in enumerate(labels.unbind(1)):
            known = column[~column.isnan()]
            self.loc[i], self.scale[i] = known.mean(), known.std()
            self.low[i], self.high[i] = known.min(), known.max()

    def read(self, code: Tensor, given: Mapping[int, Tensor]) -> Tensor:
        """Return the variables that an encoder's numbers stand for.

        They are the variables themselves, and their noise is what the mechanisms leave of them:
        so a mechanism is learned as a regression, however large the noise. (Where an encoder tells
        the noise, as in the released order, it takes over what the mechanism should explain.)

        Args:
            code: What the encoder says, shape ``(rows, variables)``.
            given: Number of a variable that is known to its standardised values, ``(rows,)``.
        """
        if self.order == "released":
            return self.settle(code, given)
        columns = [given.get(i, column) for i, column in enumerate(code.unbind(1))]
        return torch.stack(columns, 1)

    def noise(self, z: Tensor) -> Tensor:
        """Return the noise of variables, ``u_i = z_i - f_i(z of its parents)``."""
        columns = [z[:, i] - self.mean(i, z, z) for i in range(len(self.names))]
        return torch.stack(columns, 1)

    def objective(
        self, mean: Tensor, variance: Tensor, eps: Tensor, labels: Tensor, sd: float
    ) -> Tensor:
        r"""Return each unit's negative bound without its image term, up to constants, ``(rows,)``.

        .. math::
            \sum_i m_i (z_i - y_i)^2 / 2 \tau^2
            + \sum_{child} KL(q(u_i) || N(0, s_i^2)) - \sum_{root} m_i \log v_i / 2

        with ``s_i^2`` the mean over the batch of the second moment of ``u_i``, its best value: as a
        free parameter it lags behind and the mechanisms are not learned. A root has no prior to be
        pulled to; where it has no label either, nothing bounds its entropy and it counts nothing.

        Args:
            mean: The encoder's means, shape ``(rows, variables)``.
            variance: Its variances.
            eps: Standard normal noise.
            labels: In standardised units, NaN where missing.
            sd: Standard deviation ``tau`` of a label given its variable.
        """
        known = ~labels.isnan()
        z = self.read(mean + variance.sqrt() * eps, {})
        error = (z - labels.nan_to_num()).square()
        if self.order == "released":
            pull = 0.5 * (mean.square() + variance - variance.log())
            return (known * error / 2 + pull).sum(1)
        pull = 0.5 * (self.spread(z, mean, variance).log() - variance.log())
        free = -0.5 * known * variance.log()
        return (known * error / (2 * sd**2) + torch.where(self.roots, free, pull)).sum(1)

    def spread(self, z: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """Return the second moment of each variable's noise, ``(variables,)``."""
        if self.order == "released":
            return (mean.square() + variance).mean(0)
        left = mean - z + self.noise(z)
        return (left.square() + variance).mean(0) + LEAST_VARIANCE


def _network(size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(size, HIDDEN),
        nn.SiLU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.SiLU(),
        nn.Linear(HIDDEN, 1),
    )
