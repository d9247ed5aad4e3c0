"""Programs that are no structural causal models are refused, each with a clear error."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule, PyroSample
from torch import nn

import pyrocausal as pc


def repeated() -> None:
    pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(0.0, 1.0))


def changing() -> None:
    pyro.sample("heads" if torch.rand(()) < 0.5 else "tails", dist.Normal(0.0, 1.0))


def branching_on_the_batch() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    if len(x) > 7:
        pyro.sample("extra", dist.Normal(0.0, 1.0))


def silent() -> None:
    return None


def weighted() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.factor("penalty", -(x**2))


def plated() -> None:
    with pyro.plate("data", 10, dim=-1):
        pyro.sample("x", dist.Normal(0.0, 1.0))


def plated_by_name() -> None:
    with pyro.plate("units", 10):
        pyro.sample("x", dist.Normal(0.0, 1.0))


def batched() -> None:
    pyro.sample("x", dist.Normal(torch.zeros(10), 1.0))


def branching() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(x if x > 0 else -x, 1.0))


def scalar() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(x.item(), 1.0))


def number() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(float(x), 1.0))


def counting() -> None:
    k = pyro.sample("k", dist.Categorical(torch.ones(3)))
    pyro.sample("y", dist.Normal(float(len(range(k))), 1.0))


def centred() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(x - x.mean(), 1.0))


def ranked() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(x.sort().values, 1.0))


def noisy() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(x + torch.randn(x.shape), 1.0))


def noisy_in_numpy() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    generator = np.random.default_rng()
    pyro.sample("y", dist.Normal(x + generator.normal(), 1.0))


def without_distribution() -> None:
    pyro.sample("x", 3.0)  # type: ignore[arg-type]


class Weights(PyroModule):
    """A linear layer whose random weights are read inside the units plate."""

    def __init__(self) -> None:
        super().__init__()
        self.lin = PyroModule[nn.Linear](1, 1)  # type: ignore[call-arg, arg-type]
        self.lin.weight = PyroSample(dist.Normal(0.0, 1.0).expand([1, 1]).to_event(2))
        self.lin.bias = PyroSample(dist.Normal(0.0, 1.0).expand([1]).to_event(1))

    def forward(self) -> None:
        with pc.units():
            x = pyro.sample("x", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(self.lin(x[:, None])[:, 0], 1.0))


PROGRAMS: Final[dict[str, tuple[Callable[..., Any], type[Exception], str]]] = {
    "one name for two sites": (repeated, ValueError, "Two statements .* 'x'.*its own name"),
    "sites by chance": (changing, ValueError, "other sites on other runs: heads, tails"),
    "sites by the number of rows": (
        branching_on_the_batch,
        ValueError,
        "other sites on other runs: extra",
    ),
    "no sites": (silent, ValueError, r"no variables.*pyro\.sample"),
    "a factor": (weighted, ValueError, "factor statement 'penalty'.*observed site"),
    "a plate over the data": (plated, ValueError, r"plate over its units.*pc\.units\(\)"),
    "a plate called units": (plated_by_name, ValueError, r"plate over its units.*pc\.units\(\)"),
    "a batch of its own": (batched, pc.NotVectorized, r"'x'.*batch of its own.*to_event"),
    "an if": (branching, pc.NotVectorized, r"'x'.*torch\.where"),
    "an item": (scalar, pc.NotVectorized, r"'x'.*torch\.where"),
    "a float": (number, pc.NotVectorized, r"'x'.*torch\.where"),
    "a range": (counting, pc.NotVectorized, r"'k'.*torch\.where"),
    "a mean over rows": (centred, pc.NotVectorized, r"'y'.*other rows.*mean.*dim -2"),
    "a sort of rows": (ranked, pc.NotVectorized, "'y'.*beside other rows"),
    "bare torch.randn": (noisy, pc.NotVectorized, r"'y'.*pyro\.sample.*torch\.randn"),
    "bare numpy.random": (noisy_in_numpy, pc.NotVectorized, r"'y'.*numpy\.random"),
    "no distribution": (
        without_distribution,
        TypeError,
        "statement 'x' samples from float; expected a distribution",
    ),
    "weights inside the plate": (
        Weights(),
        ValueError,
        r"'lin.weight' is a PyroSample.*Read it before.*pc\.units\(\)",
    ),
}


@pytest.mark.parametrize("case", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_that_is_no_model_is_a_clear_error(
    case: tuple[Callable[..., Any], type[Exception], str],
) -> None:
    program, kind, message = case
    with pytest.raises(kind, match=f"(?s){message}") as raised:
        pc.SCM(program).sample(3, seed=0)
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    "ask",
    [
        lambda scm: scm.counterfactual({"x": 1.0}, {"x": 2.0}),
        lambda scm: scm.abduct({"x": 1.0}),
        lambda scm: scm.do(x=1.0).sample(3),
        lambda scm: scm.log_prob({"x": 1.0}),
    ],
    ids=["counterfactual", "abduct", "do", "log_prob"],
)
def test_a_factor_is_refused_by_every_rung(ask: Callable[[pc.SCM], object]) -> None:
    with pytest.raises(ValueError, match="factor statement 'penalty'"):
        ask(pc.SCM(weighted))


def test_an_error_of_the_program_says_on_what_it_ran() -> None:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(x + torch.zeros(10), 1.0))

    with pytest.raises(RuntimeError, match=r"ran on 7 rows .*\(7,\).*'x'"):
        pc.SCM(program).sample(3)
