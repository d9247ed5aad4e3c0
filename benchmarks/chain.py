"""The same latent chain for all contestants of a fit: Pyro, torch by hand, and ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

import pyrocausal as pc
from pyrocausal.fitting.paths import Paths

__all__ = ["Chain"]

POSITIVE = dist.constraints.positive
LOG_ROOT = 0.9189385332046727


class Chain:
    """``x_i ~ Normal(f_i(x_{i-1}), s_i)``, two sites latent, with an amortized normal guide.

    Args:
        sites: How many.
        hidden: Width of each mechanism's hidden layer; 0 for linear mechanisms.
        units: Number of units.
        batch: Number of units a step.
    """

    def __init__(self, sites: int, hidden: int, units: int = 4096, batch: int = 256) -> None:
        torch.manual_seed(0)
        self.sites, self.hidden, self.units, self.batch = sites, hidden, units, batch
        self.latent = ("x0", f"x{sites // 2}")
        self.observed = [f"x{i}" for i in range(sites) if f"x{i}" not in self.latent]
        self.nets = nn.ModuleList(self._net(1, 1, hidden) for _ in range(sites - 1))
        self.encoder = self._net(len(self.observed), 4, hidden)
        self.data = {name: torch.randn(units) for name in self.observed}

    @staticmethod
    def _net(inputs: int, outputs: int, hidden: int) -> nn.Module:
        if not hidden:
            return nn.Linear(inputs, outputs)
        return nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, outputs))

    def program(self) -> None:
        """Run the chain for one unit."""
        pyro.module("nets", self.nets)
        x = pyro.sample("x0", dist.Normal(0.0, 1.0))
        for i, net in enumerate(self.nets, start=1):
            scale = pyro.param(f"s{i}", torch.tensor(1.0), constraint=POSITIVE)
            x = pyro.sample(f"x{i}", dist.Normal(net(x.unsqueeze(-1)).squeeze(-1), scale))

    def guide(self, batch: Any) -> None:
        """Propose the latent sites."""
        pyro.module("encoder", self.encoder)
        h = self.encoder(torch.stack([batch[name] for name in self.observed], -1))
        for i, name in enumerate(self.latent):
            pyro.sample(name, dist.Normal(h[:, 2 * i], h[:, 2 * i + 1].exp()))

    def by_pyro(self) -> Callable[[], object]:
        """Return Pyro's own step on a random batch."""
        pyro.clear_param_store()
        plate = pyro.plate("units", self.units, subsample_size=self.batch, dim=-1)

        def model(batch: dict[str, Tensor]) -> None:
            with plate, pyro.poutine.condition(data=batch):
                self.program()

        def guide(batch: dict[str, Tensor]) -> None:
            with plate:
                self.guide(batch)

        adam = pyro.optim.Adam({"lr": 0.001})
        svi = pyro.infer.SVI(model, guide, adam, pyro.infer.Trace_ELBO())

        def step() -> object:
            rows = torch.randint(self.units, (self.batch,))
            return svi.step({name: values[rows] for name, values in self.data.items()})

        return step

    def by_hand(self) -> Callable[[], object]:
        """Return a step in plain torch, loss, gradient and Adam in one compiled function."""
        modules = [*self.nets, self.encoder]
        leaves = [p.detach().clone() for module in modules for p in module.parameters()]
        leaves.append(torch.zeros(self.sites - 1))
        first, second = ([torch.zeros_like(p) for p in leaves] for _ in range(2))
        number, data = torch.zeros(()), list(self.data.values())

        def step(rows: Tensor) -> Tensor:
            gradients, loss = torch.func.grad_and_value(self._loss)(
                leaves, [values[rows] for values in data]
            )
            number.add_(1)
            one, two = 1 - 0.9**number, 1 - 0.999**number
            for p, m, v, g in zip(leaves, first, second, gradients, strict=True):
                m.lerp_(g, 0.1)
                v.mul_(0.999).addcmul_(g, g, value=0.001)
                p.sub_(0.001 * (m / one) / ((v / two).sqrt() + 1e-8))
            return loss  # type: ignore[no-any-return]

        compiled = torch.compile(step)

        def on_a_batch() -> object:
            with torch.no_grad():
                return compiled(torch.randint(self.units, (self.batch,)))

        return on_a_batch

    def _loss(self, leaves: list[Tensor], batch: list[Tensor]) -> Tensor:
        given = iter(leaves)
        seen = dict(zip(self.observed, batch, strict=True))

        def net(x: Tensor) -> Tensor:
            x = nn.functional.linear(x, next(given), next(given))
            if self.hidden:
                x = nn.functional.linear(x.tanh(), next(given), next(given))
            return x

        weights = [[next(given) for _ in module.parameters()] for module in self.nets]
        h = net(torch.stack(batch, -1))
        log_scales = leaves[-1]
        loss = torch.zeros(())
        for i, name in enumerate(self.latent):
            noise = torch.randn(self.batch)
            seen[name] = h[:, 2 * i] + h[:, 2 * i + 1].exp() * noise
            loss = loss - (0.5 * noise**2 + h[:, 2 * i + 1] + LOG_ROOT).sum()
        x = seen["x0"]
        loss = loss + (0.5 * x**2 + LOG_ROOT).sum()
        for i, own in enumerate(weights, start=1):
            given = iter(own)
            mean = net(x.unsqueeze(-1)).squeeze(-1)
            x = seen[f"x{i}"]
            z = (x - mean) * (-log_scales[i - 1]).exp()
            loss = loss + (0.5 * z**2 + log_scales[i - 1] + LOG_ROOT).sum()
        return loss * (self.units / self.batch)

    def by_us(self, stride: int, *, small: bool = False) -> Steps:
        """Return our captured step; a stride of 0 replays the graph, others are compiled."""
        return Steps(self, stride, small=small)


class Steps:
    """Steps of a fit, one call each, taken out of its loop.

    Attributes:
        stride: How many steps a call takes.
        nodes: Operations in the graph.
        seconds: Processor time of capture, and of compilation.
    """

    def __init__(self, chain: Chain, stride: int, *, small: bool) -> None:
        from time import process_time
        from unittest.mock import patch

        taken: list[Any] = []

        def take(training: Any) -> None:
            paths = training.paths
            paths.undecided = False
            started = process_time()
            paths._capture()
            captured = process_time()
            if stride:
                paths.steps.compile(stride, small=small)
            self.seconds = (captured - started, process_time() - captured)
            taken.append(training)
            raise StopIteration

        pyro.clear_param_store()
        scm = pc.SCM(chain.program, latent=chain.latent)
        self.stride = stride or 1
        with patch("pyrocausal.fitting.training.Training.run", take):
            try:
                scm.fit(chain.data, chain.guide, batch_size=chain.batch, validation=0.0, seed=0)
            except StopIteration:
                self.training = taken[0]
        paths: Paths = self.training.paths
        self.paths = paths
        self.nodes = paths.steps.graph.captured.nodes  # type: ignore[union-attr]

    def __call__(self) -> object:
        """Take the steps of one call."""
        rows = [next(self.training.batches) for _ in range(self.stride)]
        return self.paths.take(rows, [1.0] * self.stride, 1)
