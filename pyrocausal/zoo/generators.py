"""Linear Gaussian models of any size, for benchmarks and scaling tests."""

import random
from collections.abc import Mapping, Sequence
from math import sqrt
from typing import NamedTuple

import pyro
import pyro.distributions as dist
from torch import Tensor

from pyrocausal.model import SCM
from pyrocausal.zoo.registry import Model, Truth, add

__all__ = ["linear_chain", "linear_chain_model", "random_linear", "random_linear_model"]


class Equation(NamedTuple):
    """One linear mechanism ``x = intercept + sum_j weights[j] x_j + u``, u standard normal."""

    weights: Mapping[int, float]
    """Number of each parent and its path coefficient."""
    intercept: float
    """The mean where all parents are 0."""


def linear_chain(num_sites: int) -> SCM:
    """Return the SCM of `linear_chain_model`.

    Args:
        num_sites: Number of variables.

    Example:
        >>> from pyrocausal import zoo
        >>> zoo.linear_chain(3)
        SCM linear_chain
    """
    return linear_chain_model(num_sites).scm()


def random_linear(num_sites: int, seed: int) -> SCM:
    """Return the SCM of `random_linear_model`.

    Args:
        num_sites: Number of variables.
        seed: Seed of graph and coefficients.

    Example:
        >>> from pyrocausal import zoo
        >>> zoo.random_linear(4, seed=0).graph.nodes
        NodeView(('x0', 'x1', 'x2', 'x3'))
    """
    return random_linear_model(num_sites, seed).scm()


def linear_chain_model(num_sites: int) -> Model:
    """Return a chain ``x0 -> x1 -> ...`` with all path coefficients 0.9 and unit noise.

    ``E[x_n | do(x_0 = 1)] = 0.9^n``.

    Args:
        num_sites: Number of variables, at least 2.

    Returns:
        The model, named ``linear_chain``; its truths are about the last variable.

    Example:
        >>> print(linear_chain_model(3).truths[1])
        E[x2 | do(x0=1)] = 0.81
    """
    steps = [Equation({i: 0.9}, 0.0) for i in range(num_sites - 1)]
    story = f"A chain of {num_sites} variables, all path coefficients 0.9, with unit noise."
    return _linear_model("linear_chain", story, [Equation({}, 0.0), *steps])


def random_linear_model(num_sites: int, seed: int) -> Model:
    """Return a random acyclic graph below ``x0``, linear with unit noise.

    Every other variable has one to three parents, uniform among those before it; coefficients are
    ``+-Uniform(0.5, 1) / sqrt(number of parents)``, intercepts uniform in (-1, 1). The total
    effect of ``x0`` on the last variable is the sum over paths of products of coefficients.

    Args:
        num_sites: Number of variables, at least 2.
        seed: Seed of graph and coefficients.

    Returns:
        The model, named ``random_linear``; its truths are about the last variable.

    Example:
        >>> sorted(random_linear_model(4, seed=0).edges)
        [('x0', 'x1'), ('x0', 'x2'), ('x0', 'x3'), ('x1', 'x2'), ('x2', 'x3')]
    """
    rng = random.Random(seed)
    equations = []
    for i in range(num_sites):
        parents = sorted(rng.sample(range(i), min(i, rng.randint(1, 3))))
        weights = {
            j: rng.choice((-1, 1)) * rng.uniform(0.5, 1) / sqrt(len(parents)) for j in parents
        }
        equations.append(Equation(weights, rng.uniform(-1, 1)))
    story = f"A random linear model of {num_sites} variables with unit noise, of seed {seed}."
    return _linear_model("random_linear", story, equations)


def _linear_model(name: str, story: str, equations: Sequence[Equation]) -> Model:
    """Return the model of linear equations, in causal order."""
    if len(equations) < 2:
        raise ValueError(f"Got num_sites={len(equations)}, expected at least 2: cause and effect.")

    def program() -> None:
        values: list[Tensor] = []
        for i, (weights, intercept) in enumerate(equations):
            mean = sum((w * values[j] for j, w in weights.items()), intercept)
            values.append(pyro.sample(f"x{i}", dist.Normal(mean, 1.0)))

    program.__doc__ = story
    edges = frozenset(
        (f"x{j}", f"x{i}") for i, equation in enumerate(equations) for j in equation.weights
    )
    return Model(name, program, edges, truths=_truths(equations))


def _truths(equations: Sequence[Equation]) -> tuple[Truth, ...]:
    """Return what is known of the last variable, on each rung."""
    last = f"x{len(equations) - 1}"
    seen, done, undone = _mean(equations), _mean(equations, 1.0), _mean(equations, 0.0)
    return (
        Truth(1, f"E[{last}]", last, seen),
        Truth(2, f"E[{last} | do(x0=1)]", last, done, do={"x0": 1.0}),
        Truth(
            3,
            f"{last}_{{x0=1}} | all 0",
            last,
            done - undone,
            do={"x0": 1.0},
            evidence={f"x{i}": 0.0 for i in range(len(equations))},
            exact=True,
        ),
    )


def _mean(equations: Sequence[Equation], first: float | None = None) -> float:
    """Return the mean of the last variable, with ``x0`` set to ``first`` if it is given."""
    means: list[float] = []
    for weights, intercept in equations:
        means.append(intercept + sum(w * means[j] for j, w in weights.items()))
        if len(means) == 1 and first is not None:
            means[0] = first
    return means[-1]


add(linear_chain_model(5))
add(random_linear_model(8, seed=0))
