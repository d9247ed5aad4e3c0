"""Small mechanisms by name, parents for them, and their maximum likelihood."""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyrocausal.mechanisms import MLP, Flow, Linear, Mechanism, Parent, heads

__all__ = [
    "BATCHES",
    "MECHANISMS",
    "PARENTS",
    "build",
    "each_mechanism",
    "maximize_likelihood",
    "share_parameters",
]

HEADS: dict[str, Callable[[], Any]] = {
    "normal": lambda: "normal",
    "heteroscedastic": lambda: "heteroscedastic",
    "bernoulli": lambda: "bernoulli",
    "poisson": lambda: "poisson",
    "negative_binomial": lambda: "negative_binomial",
    "categorical": lambda: heads.Categorical(3),
    "ordinal": lambda: heads.Ordinal(4),
    "ordinal of two": lambda: heads.Ordinal(2),
    "mixture": lambda: heads.Mixture(2),
}
NETWORKS: dict[str, Callable[..., Mechanism]] = {
    "linear": Linear,
    "mlp": partial(MLP, hidden=(8,)),
}

FLOWS: dict[str, Callable[..., Mechanism]] = {
    "flow": partial(Flow, hidden=(8,)),
    "flow of a vector of one": partial(Flow, size=1, hidden=(8,)),
    "flow of a vector": partial(Flow, size=3, hidden=(8,)),
}


def build(mechanism: str, parents: Any) -> Mechanism:
    """Make a small mechanism by its name."""
    if mechanism in FLOWS:
        return FLOWS[mechanism](parents)
    network, head = mechanism.split(" ", 1)
    return NETWORKS[network](parents, head=HEADS[head]())


MECHANISMS = [*FLOWS, *(f"{network} {head}" for network, head in product(NETWORKS, HEADS))]
# What is declared, and how values are drawn for a batch.
PARENTS: dict[str, tuple[Any, Callable[[tuple[int, ...]], list[Tensor]]]] = {
    "none": (0, lambda batch: []),
    "numbers": (2, lambda batch: [torch.randn(batch), torch.randn(batch)]),
    "vector": ([Parent.continuous(shape=3)], lambda batch: [torch.randn(*batch, 3)]),
    "image": ([Parent.continuous(shape=(2, 3))], lambda batch: [torch.randn(*batch, 2, 3)]),
    "binary": ([Parent.binary()], lambda batch: [torch.rand(batch).round()]),
    "categorical": ([Parent.categorical(3)], lambda batch: [torch.randint(3, batch)]),
    "count": ([Parent.count()], lambda batch: [torch.rand(batch).mul(9).floor()]),
    "mixed": (
        [Parent.binary(), 1, Parent.categorical(2), Parent.continuous(shape=2)],
        lambda batch: [
            torch.rand(batch) > 0.5,
            torch.randn(batch, dtype=torch.float64),
            torch.randint(2, batch),
            torch.randn(*batch, 2),
        ],
    ),
}
BATCHES: list[tuple[int, ...]] = [(), (7,), (3, 7), (2, 3, 7)]

each_mechanism = pytest.mark.parametrize("mechanism", MECHANISMS)


def maximize_likelihood(mechanism: Mechanism, x: Tensor, *parents: Tensor) -> None:
    optimizer = torch.optim.LBFGS(
        mechanism.parameters(), max_iter=500, line_search_fn="strong_wolfe", tolerance_grad=1e-9
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value: Tensor = -mechanism(*parents).log_prob(x).mean()
        torch.autograd.backward(value)
        return value

    optimizer.step(loss)


def share_parameters(source: nn.Module, target: nn.Module) -> None:
    target.load_state_dict(dict(source.named_parameters()), strict=False)
