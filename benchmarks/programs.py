"""The same linear-Gaussian model three times: SCM, hand-written torch, plain Pyro."""

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

import pyrocausal as pc

__all__ = ["Linear"]

Weights = dict[int, dict[int, float]]


class Linear:
    """``x_i = sum_j w_ij x_j + 0.8 u_i`` over a chain or a random graph.

    Args:
        parents: Site number to its parents' weights.
    """

    def __init__(self, parents: Weights) -> None:
        self.parents = parents
        self.scm = pc.SCM(self.program, name="linear")

    @classmethod
    def chain(cls, sites: int) -> "Linear":
        """Return a chain."""
        return cls({i: {i - 1: 0.5} if i else {} for i in range(sites)})

    @classmethod
    def random(cls, sites: int, degree: int = 2) -> "Linear":
        """Return a random graph, each site with up to ``degree`` parents."""
        generator = torch.Generator().manual_seed(0)
        parents: Weights = {}
        for i in range(sites):
            chosen = torch.randperm(i, generator=generator)[:degree].tolist() if i else []
            parents[i] = {j: 0.4 for j in sorted(chosen)}
        return cls(parents)

    def program(self) -> None:
        """Run as a Pyro program."""
        x: list[Tensor] = []
        for i, weights in self.parents.items():
            loc = self._loc(x, weights) if weights else torch.tensor(0.0)
            x.append(pyro.sample(f"x{i}", dist.Normal(loc, 0.8)))

    def sample(self, units: int) -> list[Tensor]:
        """Draw units by hand."""
        return self.predict([torch.randn(units) for _ in self.parents], None)

    def abduct(self, x: list[Tensor]) -> list[Tensor]:
        """Return the noise by hand."""
        return [
            (x[i] - self._loc(x, weights)) / 0.8 if weights else x[i] / 0.8
            for i, weights in self.parents.items()
        ]

    def predict(self, noise: list[Tensor], first: Tensor | None) -> list[Tensor]:
        """Run the equations by hand; ``first`` sets site 0 in each world."""
        x: list[Tensor] = []
        for i, weights in self.parents.items():
            if i == 0 and first is not None:
                x.append(first.unsqueeze(-1).expand(len(first), len(noise[0])))
            else:
                u = 0.8 * noise[i]
                x.append(self._loc(x, weights) + u if weights else u)
        return x

    @staticmethod
    def _loc(x: list[Tensor], weights: dict[int, float]) -> Tensor:
        terms = [weight * x[j] for j, weight in weights.items()]
        return sum(terms[1:], terms[0])
